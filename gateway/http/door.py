"""The door that HTTP connections come in by: who may have one, how many, and for how long.

Calls need descriptors and memory more than any client of ours does. So connections are bounded, in
all and by address, and none waits for a client that has nothing to say: a request's head, the next
request, a whole answer each have their time. Where there is no room, the connection that has been
idle for longest goes. A WebSocket of a jambonz, once it is let in, is none of these.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self, cast

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from config.settings import HttpSettings
from gateway.http.clients import PROVEN, TURN, Clients, counted_as
from gateway.http.problems import CONTENT_TYPE, document, no_text

log = structlog.get_logger(__name__)

#: Seconds for a TLS handshake and the head of the first request, and until the next request.
IDLE_S: Final = 10.0
#: The same for who has proved itself, and for proxies: these keep connections at hand.
KEPT_IDLE_S: Final = 75.0
#: Seconds for one request in all, and for the client to take its answer.
REQUEST_S: Final = 30.0
#: Seconds between two looks at what is due.
SWEEP_S: Final = 1.0
#: Bytes of a line or field of a head, and fields. Bodies are bounded by `gateway.http.bodies`.
MAX_FIELD: Final = 8190
MAX_FIELDS: Final = 64
#: Seconds for which a body that nobody wants is read on, so that its sender sees the answer.
_LINGER_S: Final = 1.0


class Seat:
    """One connection's place, from accept to close."""

    __slots__ = (
        *("address", "busy", "busy_s", "counted", "exempt"),
        *("proven", "since", "transport"),
    )

    def __init__(self, transport: asyncio.Transport, address: str, now: float) -> None:
        self.transport = transport
        self.address = address
        #: since when it is as it is: idle, or busy with a request
        self.since = now
        self.busy = False
        #: how long it may be busy
        self.busy_s = REQUEST_S
        #: its client has proved itself, or is a proxy
        self.proven = False
        #: it is one of those that an address may have so many of
        self.counted = True
        #: a conversation of a jambonz: no limit is for it
        self.exempt = False

    def abort(self) -> None:
        """End it at once: who keeps us waiting gets no farewell."""
        self.transport.abort()

    def due(self, now: float) -> bool:
        """Whether its time is up."""
        if self.exempt:
            return False
        limit_s = self.busy_s if self.busy else KEPT_IDLE_S if self.proven else IDLE_S
        return now - self.since > limit_s


class Door:
    """Gives out the seats of one HTTP server. Use as `async with`, within a running loop."""

    def __init__(self, settings: HttpSettings, clients: Clients, most: int) -> None:
        """`most` is how many descriptors may be spent on it, whatever the settings say."""
        self._most = min(settings.max_connections, most)
        self._per_address = settings.connections_per_address
        self._clients = clients
        self._seats: dict[Seat, None] = {}
        self._of: Counter[str] = Counter()
        self._sweeper: asyncio.TimerHandle | None = None
        #: connections that were refused or ended by us, by reason
        self.refused: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._seats)

    async def __aenter__(self) -> Self:
        self._sweep()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()

    def enter(self, transport: asyncio.Transport) -> Seat | None:
        """A seat for a new connection; None where it may have none, and is to be closed."""
        peer = transport.get_extra_info("peername") or ("",)
        host = str(peer[0])
        address = counted_as(host)
        seat = Seat(transport, address, self._now())
        seat.proven = self._clients.is_proxy(host)
        if not seat.proven and self._of[address] >= self._per_address:
            self.refused["too many of one address"] += 1
            return None
        if len(self._seats) >= self._most and not self._make_room():
            self.refused["too many"] += 1
            return None
        self._seats[seat] = None
        seat.counted = not seat.proven
        self._of[address] += seat.counted
        return seat

    def leave(self, seat: Seat) -> None:
        """The connection is closed, or needs no seat any more."""
        if seat in self._seats:
            del self._seats[seat]
            self._count_no_more(seat)

    def begin(self, seat: Seat) -> None:
        """A request of it is being served."""
        seat.busy = True
        seat.busy_s = REQUEST_S
        seat.since = self._now()

    def end(self, seat: Seat) -> None:
        """The request is answered; it is now the one that has been idle for the shortest time."""
        seat.busy = False
        seat.since = self._now()
        if seat in self._seats:
            del self._seats[seat]
            self._seats[seat] = None

    def prove(self, seat: Seat) -> None:
        """Its client has proved itself: it is no stranger, of whom an address has so many."""
        if seat in self._seats:
            seat.proven = True
            self._count_no_more(seat)

    def exempt(self, seat: Seat) -> None:
        """It has become a conversation of a jambonz, which lasts as long as its call."""
        seat.exempt = True
        self.leave(seat)

    def _count_no_more(self, seat: Seat) -> None:
        if seat.counted:
            seat.counted = False
            self._of[seat.address] -= 1
            if not self._of[seat.address]:
                del self._of[seat.address]

    def _make_room(self) -> bool:
        """Whether a connection that was idle could be ended for a new one: a stranger's, if there
        is any."""
        idle = [seat for seat in self._seats if not seat.busy]
        seat = next((one for one in idle if not one.proven), idle[0] if idle else None)
        if seat is not None:
            self._end(seat, "idle, and no room")
        return seat is not None

    def _sweep(self) -> None:
        self._sweeper = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)
        now = self._now()
        for seat in [seat for seat in self._seats if seat.due(now)]:
            self._end(seat, "request too slow" if seat.busy else "idle")

    def _end(self, seat: Seat, reason: str) -> None:
        self.refused[reason] += 1
        self.leave(seat)
        seat.abort()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


class Connection(web.RequestHandler):
    """aiohttp's protocol, on a connection that has a seat."""

    __slots__ = ("_early", "door", "seat")

    def __init__(self, server: web.Server, door: Door) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own runners pass None too
            keepalive_timeout=KEPT_IDLE_S,
            lingering_time=_LINGER_S,
            max_line_size=MAX_FIELD,
            max_field_size=MAX_FIELD,
            max_headers=MAX_FIELDS,
            auto_decompress=False,  # `plain_bodies` refuses what is packed
        )
        self.door = door
        self.seat: Seat | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.seat is None:
            self.seat = self.door.enter(cast(asyncio.Transport, transport))
        if self.seat is None:
            cast(asyncio.Transport, transport).abort()
            return
        super().connection_made(transport)
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        if self.transport is None and self.seat is not None:
            self._early += data  # TLS is up, and we have not been told yet
        else:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.seat is not None:
            self.door.leave(self.seat)
            super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What no handler of ours could answer: mostly, it is no HTTP."""
        if status >= 500 and isinstance(exc, UnicodeEncodeError) and no_text(request) is not None:
            status = 400  # what aiohttp says itself quotes the header
        detail = "this is no HTTP request that can be read" if status < 500 else "an error of ours"
        text = document(status, "bad-request" if status < 500 else "internal", detail, "/")
        response = web.Response(status=status, text=text, content_type=CONTENT_TYPE)
        response.force_close()
        return response


class _Handshake(asyncio.Protocol):
    """A connection that is to become TLS; it has a seat already."""

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._context = context
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)  # uvloop's own is none by its class
        seat = self._connection.seat = self._connection.door.enter(plain)
        if seat is None:
            plain.abort()
            return
        plain.pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._upgrade(plain, seat))

    async def _upgrade(self, plain: asyncio.Transport, seat: Seat) -> None:
        connection, door = self._connection, self._connection.door
        loop = asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(
                plain, connection, self._context, server_side=True, ssl_handshake_timeout=IDLE_S
            )
        except (OSError, asyncio.CancelledError):  # no TLS, or none that both sides know
            door.refused["no TLS"] += 1
            door.leave(seat)
            plain.abort()
            return
        if secure is None:
            door.leave(seat)
            return
        seat.transport = secure
        connection.connection_made(secure)


class Site(web.BaseSite):
    """Listens, and has every connection come in by the door."""

    def __init__(
        self,
        runner: web.AppRunner,
        door: Door,
        host: str,
        port: int,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """`tls` gives the context of each new connection."""
        super().__init__(runner)
        self._door = door
        self._host = host
        self._port = port
        self._tls = tls

    @property
    def name(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://{self._host}:{self._port}"

    async def start(self) -> None:
        """Raises OSError where it cannot listen."""
        await super().start()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, self._host, self._port, backlog=1024)

    def _accept(self) -> asyncio.BaseProtocol:
        server = self._runner.server
        assert server is not None
        connection = Connection(server, self._door)
        return connection if self._tls is None else _Handshake(connection, self._tls())


@web.middleware
async def seated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the door what its connection is doing."""
    connection = request.protocol
    if not isinstance(connection, Connection) or connection.seat is None:
        return await handler(request)
    door, seat = connection.door, connection.seat
    door.begin(seat)
    try:
        return await handler(request)
    finally:
        if PROVEN in request:
            door.prove(seat)
        door.end(seat)


async def exempt_sockets(request: web.Request, response: web.StreamResponse) -> None:
    """A signal of the application, before a response: a WebSocket that is let in keeps its
    connection, and needs neither a seat nor a turn."""
    if isinstance(response, web.WebSocketResponse):
        for door, seat in _let_in(request):
            door.exempt(seat)


def let_wait(request: web.Request, within_s: float) -> None:
    """The answer may take so long: its client has proved itself, and waits for what people do. It
    is none of those any more whom an address has so many of."""
    for door, seat in _let_in(request):
        door.prove(seat)
        seat.busy_s = within_s


def _let_in(request: web.Request) -> Iterator[tuple[Door, Seat]]:
    """Whose request it is has proved itself, and needs no turn; its seat, where it has one."""
    request[PROVEN] = True
    if TURN in request:
        request[TURN].end(proven=True)
    connection = request.protocol
    if isinstance(connection, Connection) and connection.seat is not None:
        yield connection.door, connection.seat
