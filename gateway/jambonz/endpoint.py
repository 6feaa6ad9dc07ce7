"""The way in for every conversation: the route `/retell` for a jambonz, and our own softswitch."""

import asyncio
import hmac
from base64 import b64encode
from collections.abc import Callable
from typing import Final, Generic

import structlog
from aiohttp import web

from config.settings import ApplicationSettings
from gateway.jambonz.session import C, Calls, JambonzSession, Socket
from gateway.jambonz.web_socket import WebSocket

log = structlog.get_logger("gateway.jambonz")

#: How often to look whose turn it is to be pinged: not all at once.
PING_ROUND_S: Final = 1.0


class JambonzEndpoint(Generic[C]):
    """Accepts conversations and keeps hold of them until they are over."""

    def __init__(
        self,
        application: ApplicationSettings,
        calls: Calls[C],
        on_refused: Callable[[str], None],
        *,
        loopback_only: bool,
    ) -> None:
        """`on_refused(side)`: see `JambonzSession`."""
        self._calls = calls
        self._on_refused = on_refused
        self._loopback_only = loopback_only
        self._basic: bytes | None = None
        if application.username is not None and application.password is not None:
            pair = f"{application.username}:{application.password.get_secret_value()}"
            self._basic = b"Basic " + b64encode(pair.encode())
        self._sessions: set[JambonzSession[C]] = set()
        self._web_sockets: dict[WebSocket, JambonzSession[C]] = {}
        #: no conversation is begun any more
        self.closing = False

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, socket: Socket) -> JambonzSession[C]:
        """A conversation on that socket, which tells it every text and the close code."""
        session = JambonzSession(
            socket, self._calls, on_refused=self._on_refused, on_over=self._sessions.discard
        )
        self._sessions.add(session)
        return session

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The aiohttp handler."""
        self._admit(request)
        web_socket = WebSocket()
        response = await web_socket.open(request)
        session = self._web_sockets[web_socket] = self.begin(web_socket)
        try:
            await web_socket.run(session.take, session.closed)
        finally:
            del self._web_sockets[web_socket]
        return response

    async def keep_awake(self) -> None:
        """Ping every WebSocket now and then, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_ROUND_S)
            due = [one for one in self._web_sockets if one.ping_at <= loop.time()]
            await asyncio.gather(*map(self._ping, due), return_exceptions=True)

    async def close(self) -> None:
        """Leave every conversation."""
        self.closing = True
        sessions = list(self._sessions)
        await asyncio.gather(*(session.leave() for session in sessions), return_exceptions=True)

    async def _ping(self, web_socket: WebSocket) -> None:
        """Leave one on which nothing came since the last time."""
        session = self._web_sockets[web_socket]
        if not await web_socket.ping():
            log.warning("jambonz.silent", calls=session.call_ids)
            await session.leave()

    def _admit(self, request: web.Request) -> None:
        """Who opens this socket commands calls: it takes the password, or the same machine."""
        if self._basic is not None:
            # a byte that is no UTF-8 is half a character
            given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if not hmac.compare_digest(given, self._basic):
                log.warning("jambonz.unauthorized", peer=request.remote)
                challenge = {"WWW-Authenticate": 'Basic realm="jambonz"'}
                raise web.HTTPUnauthorized(headers=challenge)
        elif self._loopback_only and not _from_loopback(request):
            log.warning(
                "jambonz.forbidden",
                peer=request.remote,
                hint="set application.username and application.password to accept others",
            )
            raise web.HTTPForbidden


def _from_loopback(request: web.Request) -> bool:
    """From this machine, and not on behalf of a client behind a proxy on it."""
    transport = request.transport
    own = transport.get_extra_info("sockname") if transport is not None else None
    peer = request.remote or ""
    local = peer == "::1" or peer.startswith(("127.", "::ffff:127."))
    # listening on one outer address, we reach ourselves from that very address
    local = local or (own is not None and peer == own[0])
    return local and not {"X-Forwarded-For", "Forwarded"} & set(request.headers)
