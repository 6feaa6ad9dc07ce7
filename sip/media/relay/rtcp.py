"""RTCP as far as a relay reads it: is it RTCP at all? (RFC 3550 6.1, A.2)"""

from __future__ import annotations

#: Smallest packet: an empty receiver report or BYE header with one SSRC.
MIN_SIZE = 8

#: RFC 5761 4: packet types that are, or may become, RTCP.
FIRST_TYPE = 192
LAST_TYPE = 223


def valid(packet: bytes) -> bool:
    """Whether the first packet of the compound has RTCP's version, a type of its range and fits.

    RFC 3550 A.2 also wants SR or RR first; reduced-size RTCP (RFC 5506) does not, so that is
    not asked for.
    """
    if len(packet) < MIN_SIZE or packet[0] & 0xC0 != 0x80:
        return False
    if not FIRST_TYPE <= packet[1] <= LAST_TYPE:
        return False
    return ((packet[2] << 8 | packet[3]) + 1) * 4 <= len(packet)


def ssrc(packet: bytes) -> bytes:
    """Who sent a valid packet (RFC 3550 6.4): its first four octets after the header."""
    return packet[4:8]
