"""Every judgement about addresses in one place: where media may go, and whose it may be."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from sip.errors import Fault, SipError
from sip.media.plane import Learn

#: Networks in which two addresses are neighbours: an IPv4 /24, an IPv6 /64.
NEIGHBOURS_V4 = 24
NEIGHBOURS_V6 = 64


class AddressRefusedError(SipError, ValueError):
    """Media will not be sent to this address."""

    fault = Fault.PEER


@lru_cache(maxsize=4096)
def media_address(text: str, version: int) -> str | None:
    """The SDP connection address `text` in normal form; None if it means hold.

    `version` is the address family (4 or 6) that the relay listens on. Loopback and private
    addresses are taken, since PBXs, phones behind NAT and tests live there: the latch, not this
    function, decides whose packets count. Multicast and reserved addresses would make the relay
    an amplifier and are refused, as are host names, which would make it wait for DNS.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise AddressRefusedError(f"{text!r} is no IP address") from None
    if address.version != version:
        raise AddressRefusedError(f"{text} is not IPv{version}, on which the relay listens")
    if address.is_unspecified:
        # RFC 3264 8.4 keeps RFC 2543's hold, c=0.0.0.0; for IPv6 see RFC 6157 4.2 and ::.
        return None
    if address.is_multicast:
        raise AddressRefusedError(f"{text} is a multicast address")
    if isinstance(address, ipaddress.IPv4Address):
        if address.is_reserved:
            raise AddressRefusedError(f"{text} is a reserved address")
    elif address.ipv4_mapped is not None:
        raise AddressRefusedError(f"{text} is an IPv4-mapped address")
    return str(address)


def plausible(
    source_ip: str,
    *,
    expected_ip: str | None,
    signalling_ip: str | None,
    learn: Learn,
    early: bool,
) -> bool:
    """Whether a packet from `source_ip` may be that of a party expected at `expected_ip`.

    `early` is true inside the learning window. The family needs no check: a socket receives
    only its own.
    """
    if learn is Learn.SDP:
        return False
    if source_ip in (expected_ip, signalling_ip):
        return True
    if not early:
        return False
    if learn is Learn.ANY:
        return True
    return expected_ip is not None and _neighbours(source_ip, expected_ip)


@lru_cache(maxsize=4096)
def _neighbours(one: str, other: str) -> bool:
    length = NEIGHBOURS_V6 if ":" in other else NEIGHBOURS_V4
    network = ipaddress.ip_network(f"{other}/{length}", strict=False)
    try:
        return ipaddress.ip_address(one) in network
    except ValueError:
        return False  # a scoped link-local address
