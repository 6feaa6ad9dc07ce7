"""The addresses of this machine's network interfaces, by name. Linux."""

import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

#: ioctl that returns an interface's first IPv4 address (netdevice(7)).
_SIOCGIFADDR = 0x8915
_IPV6_ADDRESSES = Path("/proc/net/if_inet6")
#: Scope of an address that is good beyond its link, in if_inet6.
_GLOBAL = "00"


def interface_address(name: str, version: int) -> str:
    """The first address of the interface `name`, IPv4 or IPv6 (`version` 4 or 6).

    Asked anew each time, as addresses come and go. Raises OSError, saying which interfaces there
    are, if that name is missing among them or the interface has no such address.
    """
    if name not in interfaces():
        known = ", ".join(interfaces())
        raise OSError(f"there is no network interface {name}; there are {known}")
    found = {4: _ipv4, 6: _ipv6}[version](name)
    if found is None:
        raise OSError(f"network interface {name} has no IPv{version} address")
    return found


def interfaces() -> list[str]:
    """The names of all network interfaces."""
    return [name for _, name in socket.if_nameindex()]


def _ipv4(name: str) -> str | None:
    request = struct.pack("256s", name.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError:
            return None
    return socket.inet_ntoa(answer[20:24])


def _ipv6(name: str) -> str | None:
    """A global address before one of the link, which only its neighbours could use."""
    try:
        rows = [line.split() for line in _IPV6_ADDRESSES.read_text().splitlines()]
    except OSError:
        return None
    ours = sorted((row for row in rows if row[5] == name), key=lambda row: row[3] != _GLOBAL)
    if not ours:
        return None
    return str(ipaddress.IPv6Address(bytes.fromhex(ours[0][0])))
