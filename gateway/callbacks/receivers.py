"""Who may be told of events: a URL that somebody names makes this machine open a connection.

So it leads to public addresses only, or to the hosts that the operator lists, wherever they are. A
name is judged by the addresses that are then connected to, not by those that it had before.
"""

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from config.callback_settings import CallbackSettings

#: Characters of a URL.
LONGEST_URL: Final = 2048
#: Addresses of IPv4 behind a translator (RFC 6052 2.1).
_NAT64: Final = IPv6Network("64:ff9b::/96")


class ForbiddenAddressError(OSError):
    """A host's name leads to an address that no callback goes to."""


def why_not(url: str, settings: CallbackSettings) -> str | None:
    """Why that URL is told of nothing, in words; None if it may be."""
    if settings.secret is None:
        return "outbound.callbacks.secret is not set, and what is not signed is not sent"
    if len(url) > LONGEST_URL:
        return f"it has more than {LONGEST_URL} characters"
    try:
        parsed = URL(url)
        host = parsed.host
        parsed.port  # noqa: B018 - a port beyond 65535 is noticed here
    except ValueError:
        return "it is no URL"
    if parsed.scheme not in ("http", "https") or not host:
        return "it is neither an http:// nor an https:// URL"
    if parsed.user is not None or parsed.password is not None:
        return "it has a user's name or password: events are known by their signature"
    if settings.hosts:
        if is_listed(host, settings.hosts):
            return None
        return f"{host} is not in outbound.callbacks.hosts"
    return why_not_address(host)


def is_listed(host: str, hosts: Sequence[str]) -> bool:
    """Whether a host is one of those, by its name or by one that begins with `*.`."""
    host = host.lower().rstrip(".")
    return any(
        host.endswith(one[1:]) if one.startswith("*.") else host == one.rstrip(".") for one in hosts
    )


def why_not_address(host: str) -> str | None:
    """Why nothing is sent to that address; None if it is a public one, or a name."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address.teredo is not None:
            inner = address.teredo[1]
        if inner is None and address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    if address.is_global and not address.is_multicast:
        return None
    return (
        f"{host} is no public address; if events shall go there, name the URL's host in"
        " outbound.callbacks.hosts"
    )


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL that `why_not` let pass."""
    return str(URL(url).origin())


class GuardedResolver(AbstractResolver):
    """Finds addresses of hosts, and raises ForbiddenAddressError where one is not public."""

    def __init__(self, inner: AbstractResolver, settings: CallbackSettings) -> None:
        self._inner = inner
        self.settings = settings

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not is_listed(host, self.settings.hosts):
            for one in found:
                reason = why_not_address(one["host"])
                if reason is not None:
                    raise ForbiddenAddressError(f"{host} is {one['host']}: {reason}")
        return found

    async def close(self) -> None:
        await self._inner.close()
