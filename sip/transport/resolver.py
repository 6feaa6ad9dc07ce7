"""From a SIP URI to the address to send to: RFC 3263, as far as the system resolver goes.

SRV and NAPTR are not asked for; a host name is looked up for its A and AAAA records.
"""

import asyncio
import socket

from sip.core.uri import Uri
from sip.transport.endpoint import DEFAULT_PORT, Endpoint, Target, numeric_endpoint, uri_transport

#: Seconds that an answer of the system resolver, which tells no TTL, is used again.
CACHE_S = 60.0
LOOKUP_TIMEOUT_S = 4.0
MAX_CACHED = 1024


class ResolveError(Exception):
    """A host name that leads nowhere; the text names it."""


class Resolver:
    """Resolves host names, and remembers the answers for a minute."""

    def __init__(self) -> None:
        self._cache: dict[str, tuple[float, str]] = {}

    def known(self, uri: Uri) -> tuple[Target, ...] | None:
        """The servers of `uri` if no lookup is needed: an address, or a name looked up lately."""
        numeric = numeric_endpoint(uri)
        if numeric is not None:
            return (Target(numeric, uri.host),)
        cached = self._cache.get(uri.host.lower())
        if cached is None or cached[0] < asyncio.get_running_loop().time():
            return None
        return _targets(uri, cached[1])

    async def resolve(self, uri: Uri) -> tuple[Target, ...]:
        """The servers of `uri`, in the order to try them. Raises ResolveError."""
        known = self.known(uri)
        if known is not None:
            return known
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                found = await loop.getaddrinfo(uri.host, None, type=socket.SOCK_DGRAM)
        except TimeoutError:
            raise ResolveError(
                f"DNS gave no answer for {uri.host} in {LOOKUP_TIMEOUT_S} s"
            ) from None
        except OSError as error:
            raise ResolveError(f"DNS does not know {uri.host}: {error.strerror}") from None
        # IPv4 first where a host has both: carriers' media rarely speaks IPv6
        address = sorted(found, key=lambda info: info[0] != socket.AF_INET)[0][4][0]
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        self._cache[uri.host.lower()] = (loop.time() + CACHE_S, str(address))
        return _targets(uri, str(address))


def _targets(uri: Uri, host: str) -> tuple[Target, ...]:
    transport = uri_transport(uri)
    return (Target(Endpoint(transport, host, uri.port or DEFAULT_PORT[transport]), uri.host),)
