"""Who asks, and how often: who proves nothing is slowed down, so that it costs little.

A client is the address that a request comes from; behind a proxy of `http.trusted_proxies` it is
the one that this proxy says it asks for. Who has shown a token, a password or a signature is not
counted.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from config.settings import HttpSettings
from gateway.http.problems import ProblemError
from gateway.http.rules.rates import Rates

#: Seconds' worth of requests that a client may send at once after it was quiet.
BURST_S: Final = 2.0
#: A request waits its turn no longer than this, in seconds; then it is refused.
MAX_WAIT_S: Final = 2.0
_ROUNDING_S: Final = 1e-6
#: Whether the sender of a request has proved itself.
PROVEN: Final = web.RequestKey("proven", bool)


class Clients:
    """Counts requests by client: each may have so many at a time, and so many a second."""

    def __init__(self, settings: HttpSettings, now: Callable[[], float]) -> None:
        """`now` is monotonic, in seconds."""
        self._proxies = [source.network for source in settings.trusted_proxies]
        self._at_a_time = settings.connections_per_address
        self._interval_s = 1 / settings.requests_per_second
        self._rates = Rates(BURST_S, now)
        self._open: Counter[str] = Counter()
        #: requests refused for being too many, by reason
        self.refused: Counter[str] = Counter()

    def is_proxy(self, host: str) -> bool:
        """Whether `host` is one of the trusted proxies."""
        return bool(self._proxies) and _within(host, self._proxies)

    def address(self, request: web.Request) -> str:
        """Who is counted as the client. What a proxy adds stands at the end; what is before the
        first that is no proxy of ours is the client's own word, and counts for nothing."""
        host = request.remote or ""
        if self.is_proxy(host):
            for told in reversed(_forwarded(request)):
                host = told
                if not self.is_proxy(told):
                    break
        return counted_as(host)

    def take_turn(self, client: str) -> "Turn":
        """A turn for a request of `client`. Raises ProblemError (429) where there are too many."""
        wait_s = self._rates.charge(client, self._interval_s)
        if wait_s > MAX_WAIT_S + _ROUNDING_S:
            self._rates.refund(client, self._interval_s)
            raise self._too_many(client, "rate", wait_s)
        if self._open[client] >= self._at_a_time:
            raise self._too_many(client, "at a time", 1.0)
        self._open[client] += 1
        return Turn(self, client, max(0.0, wait_s))

    def leave(self, client: str, *, proven: bool) -> None:
        """A turn of `client` is over; it was not to be counted where it proved itself."""
        self._open[client] -= 1
        if not self._open[client]:
            del self._open[client]
        if proven:
            self._rates.refund(client, self._interval_s)

    def _too_many(self, client: str, reason: str, wait_s: float) -> ProblemError:
        self.refused[reason] += 1
        retry = {"Retry-After": str(max(1, round(wait_s)))}
        text = f"too many requests from {client}: http.requests_per_second, or too many at a time"
        return ProblemError(429, "too-many-requests", text, retry)


class Turn:
    """One request of a client, which begins after `wait_s` seconds."""

    __slots__ = ("_client", "_clients", "wait_s")

    def __init__(self, clients: Clients, client: str, wait_s: float) -> None:
        self._clients: Clients | None = clients
        self._client = client
        self.wait_s = wait_s

    def end(self, *, proven: bool) -> None:
        """It is over; twice does no harm."""
        if self._clients is not None:
            self._clients.leave(self._client, proven=proven)
            self._clients = None


CLIENTS: Final = web.AppKey("clients", Clients)
TURN: Final = web.RequestKey("turn", Turn)


@web.middleware
async def fairness(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Have each client wait its turn."""
    clients = request.app[CLIENTS]
    turn = request[TURN] = clients.take_turn(clients.address(request))
    try:
        if turn.wait_s:
            await asyncio.sleep(turn.wait_s)
        return await handler(request)
    finally:
        turn.end(proven=PROVEN in request)


def counted_as(host: str) -> str:
    """The address that stands for `host`: an IPv6 host has all of its network's 64 bits, and an
    IPv4 host may come to an IPv6 socket."""
    if ":" not in host:
        return host
    address = IPv6Address(host.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))


def _forwarded(request: web.Request) -> list[str]:
    """The addresses of X-Forwarded-For, or of Forwarded (RFC 7239), as far as they are any."""
    lines = request.headers.getall("X-Forwarded-For", [])
    told: Iterable[str] = (part for line in lines for part in line.split(","))
    if not lines:
        told = (part.get("for", "") for part in request.forwarded)
    return [address for text in told if (address := _address(text.strip()))]


def _address(text: str) -> str:
    """`192.0.2.1`, `192.0.2.1:4711`, `[2001:db8::1]:4711` without what stands beside; else ""."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _within(host: str, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
