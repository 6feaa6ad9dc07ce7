"""What kind of address an IP address is."""

import functools
import ipaddress

#: Where an address means something inside one network only: RFC 1918, 4193, 6598 (behind a
#: carrier's NAT), 3927 and 4291 (one link), loopback. Not `is_private`, which holds more than that.
_INSIDE = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
        *("127.0.0.0/8", "::1/128", "fc00::/7", "fe80::/10"),
    )
)


@functools.lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Whether `host` is an IPv4 or (unbracketed) IPv6 address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@functools.lru_cache(maxsize=4096)
def is_loopback(host: str) -> bool:
    """Whether `host` is an address that never leaves this machine."""
    return is_address(host) and ipaddress.ip_address(host).is_loopback


@functools.lru_cache(maxsize=4096)
def is_private(host: str) -> bool:
    """Whether the address `host` cannot be reached from the Internet."""
    address = ipaddress.ip_address(host)
    return any(address in network for network in _INSIDE if network.version == address.version)


def version(host: str) -> int:
    """4 or 6, of an address."""
    return 6 if ":" in host else 4
