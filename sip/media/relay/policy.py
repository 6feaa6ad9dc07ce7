"""Every judgement about addresses: where media may go, and whether it can come from there."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

from sip.errors import Fault, SipError
from sip.media.terms import Signalling

#: Networks behind NAT: RFC 1918, RFC 6598 (of carriers), RFC 3927; RFC 4193, RFC 4291.
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
        "fc00::/7", "fe80::/10",
    )
)  # fmt: skip

#: The patience with an SDP that a NAT may have made wrong: ten packets, more than jitter takes
#: and less than a word. And that with the SDP of a party that no NAT stands before.
UNSURE_S: Final = 0.2
DIRECT_S: Final = 5.0


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


@lru_cache(maxsize=4096)
def patience_s(sdp_ip: str | None, signalling: Signalling | None) -> float:
    """Seconds that the port of a party's SDP is given to speak before another one of its host.

    None where the SDP names a private address and its signalling came from elsewhere, or where it
    names none: no packet can come from there.
    """
    if sdp_ip is None:
        return 0.0
    if signalling is None:
        return UNSURE_S
    if signalling.host == sdp_ip:
        return DIRECT_S if signalling.direct else UNSURE_S
    address = ipaddress.ip_address(sdp_ip)
    behind_nat = any(
        address in network for network in _PRIVATE if network.version == address.version
    )
    return 0.0 if behind_nat else UNSURE_S
