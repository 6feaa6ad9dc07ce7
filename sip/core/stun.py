"""STUN Binding, as a client needs it to learn its public address (RFC 8489): octets in and out.

A response is believed by its transaction id alone, 96 random bits, and where it came from: the
public servers that are asked know no password.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from sip.errors import ParseError

#: The usual port of a server (RFC 8489 6).
DEFAULT_PORT: Final = 3478

#: Octets of a transaction id.
ID_SIZE: Final = 12

_COOKIE: Final = 0x2112A442
_HEAD: Final = struct.Struct("!HHI12s")
_REQUEST, _SUCCESS, _ERROR = 0x0001, 0x0101, 0x0111
#: Attributes (RFC 8489 14); the plain address is that of servers of RFC 3489.
_MAPPED, _ERROR_CODE, _XOR_MAPPED = 0x0001, 0x0009, 0x0020


class Mapped(NamedTuple):
    """What the server saw: our address and port behind any NAT."""

    host: str
    port: int


def binding_request(transaction_id: bytes) -> bytes:
    """A request without attributes; `transaction_id` has `ID_SIZE` random octets."""
    return _HEAD.pack(_REQUEST, 0, _COOKIE, transaction_id)


def mapped_address(datagram: bytes, transaction_id: bytes) -> Mapped | None:
    """What a response says; None if it answers another request, or is no STUN.

    Raises ParseError for an error response, and for one without a usable address.
    """
    if len(datagram) < _HEAD.size:
        return None
    kind, size, cookie, told_id = _HEAD.unpack_from(datagram)
    if (cookie, told_id) != (_COOKIE, transaction_id) or kind not in (_SUCCESS, _ERROR):
        return None
    if size != len(datagram) - _HEAD.size:
        raise ParseError("a STUN response of the wrong length")
    attributes = _attributes(datagram[_HEAD.size :])
    if kind == _ERROR:
        raise ParseError(f"the STUN server refuses: {_error(attributes.get(_ERROR_CODE, b''))}")
    if _XOR_MAPPED in attributes:
        return _address(attributes[_XOR_MAPPED], struct.pack("!I", _COOKIE) + transaction_id)
    if _MAPPED in attributes:
        return _address(attributes[_MAPPED], bytes(16))
    raise ParseError("a STUN response without an address")


def _attributes(data: bytes) -> dict[int, bytes]:
    """By type; of several of one type the first counts (RFC 8489 14)."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) < size:
            raise ParseError("a STUN attribute that is cut off")
        found.setdefault(kind, value)
        at += 4 + size + -size % 4
    return found


def _address(value: bytes, mask: bytes) -> Mapped:
    """RFC 8489 14.1 and 14.2; the mask of the plain one is zero."""
    size = {1: 4, 2: 16}.get(value[1]) if len(value) > 1 else None
    if size is None or len(value) != 4 + size:
        raise ParseError("a STUN response whose address cannot be read")
    port = int.from_bytes(value[2:4]) ^ int.from_bytes(mask[:2])
    octets = bytes(one ^ other for one, other in zip(value[4:], mask, strict=False))
    return Mapped(str(IPv4Address(octets) if size == 4 else IPv6Address(octets)), port)


def _error(value: bytes) -> str:
    """Code and phrase (RFC 8489 14.8)."""
    if len(value) < 4:
        return "without saying why"
    phrase = value[4:].decode("utf-8", "replace")[:128]
    return f"{(value[2] & 7) * 100 + value[3]} {phrase}".strip()
