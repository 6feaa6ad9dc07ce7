"""The link to an application by WebSocket: a connection a call, the next one made ahead of it.

A handshake costs a new call some milliseconds on this machine, and hundreds over TLS to a far one.
So while calls come, a spare socket waits for the next; one that waits too long is closed again.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp
import structlog

from sip.softswitch.jambonz.link import AppError

log = structlog.get_logger(__name__)

SUBPROTOCOL = "ws.jambonz.org"
HANDSHAKE_TIMEOUT_S = 1.5
#: Waits before each further try to connect, in seconds.
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 6.0)
#: jambonz takes no larger message from an application, so neither do we.
MAX_MESSAGE = 24 << 10
#: Texts that may wait to be sent before nothing more is read from a peer that takes none.
MAX_WAITING = 256
#: How long a spare socket waits for a call: servers and proxies cut silent ones after 25 or 30 s.
SPARE_S = 15.0
#: How long a closing socket waits for its last texts to be sent, and then for the other side's
#: close: a second in all, since a call that is over waits for it.
FLUSH_TIMEOUT_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAddress:
    """Where the application is."""

    url: str
    username: str | None = None
    password: str | None = None


class WebSocket:
    """A WebSocket with the face of `link.Socket`: one task reads, another writes while it must."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self._ws = ws
        self._outbox: deque[tuple[str, Callable[[str], None]]] = deque()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        #: the code that this side closed with
        self._code: int | None = None
        #: the connection takes nothing more; the reader finds out why, and is then over
        self._broken = self._over = False

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as this side knows."""
        return self._ws.get_extra_info("peername") is not None

    def start(
        self, on_text: Callable[[str], None], on_closed: Callable[[int | None], None]
    ) -> None:
        """See `link.Socket`."""
        self._reader = asyncio.get_running_loop().create_task(self._read(on_text, on_closed))

    def send(self, text: str, lost: Callable[[str], None]) -> None:
        """See `link.Socket`."""
        if self._over:
            lost(text)
            return
        self._outbox.append((text, lost))
        if self._writer is None and not self._broken:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def close(self, code: int) -> None:
        """See `link.Socket`.

        The tasks end by themselves: one that is cancelled stays behind, held by the traceback of
        its own error, until it is collected.
        """
        await self._settle(self._writer)
        await self._shut(code)
        await self._settle(self._reader)

    async def _shut(self, code: int) -> None:
        if not self._ws.closed:
            self._code = code
            await self._ws.close(code=code)

    @staticmethod
    async def _settle(task: asyncio.Task[None] | None) -> None:
        if task is not None:
            _, late = await asyncio.wait((task,), timeout=FLUSH_TIMEOUT_S)
            for one in late:
                one.cancel()

    async def _read(
        self, on_text: Callable[[str], None], on_closed: Callable[[int | None], None]
    ) -> None:
        try:
            async for message in self._ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    on_text(message.data)
                    if self._writer is not None and len(self._outbox) > MAX_WAITING:
                        await asyncio.wait((self._writer,))
        except Exception:
            log.exception("application.message-failed")
            await self._shut(aiohttp.WSCloseCode.INTERNAL_ERROR)
        finally:
            self._broken = True
            await self._settle(self._writer)
            self._over = True
            while self._outbox:
                text, lost = self._outbox.popleft()
                lost(text)
            # aiohttp ends the reading before it has noted a code of our own
            on_closed(self._ws.close_code if self._code is None else self._code)

    async def _write(self) -> None:
        """Send until nothing waits, or nothing can be sent: then the reader finds out why."""
        try:
            while self._outbox:
                await self._ws.send_str(self._outbox[0][0])
                self._outbox.popleft()
        except (aiohttp.ClientError, ConnectionError, RuntimeError):
            self._broken = True
        finally:
            self._writer = None


class WebSocketLink:
    """Makes the WebSockets to one application."""

    def __init__(self, http: aiohttp.ClientSession, address: AppAddress) -> None:
        self._http = http
        self._address = address
        self._spare: WebSocket | None = None
        self._making: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def spare(self) -> int:
        """Sockets that wait for a call."""
        return 0 if self._spare is None else 1

    async def socket(self) -> WebSocket:
        """A socket for a new call: the spare one, else a new one. Raises AppError."""
        spare = self._take_spare()
        socket = spare if spare is not None else await self._connect(0.0)
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._make_spare())
        return socket

    async def reconnect(self) -> WebSocket:
        """A socket for a call whose own broke, after a moment. Raises AppError."""
        return await self._connect(BACKOFF_S[0])

    async def close(self) -> None:
        """Close the spare socket. One that is just being made is made first: a handshake that is
        broken off leaves its connection behind."""
        if self._making is not None:
            await asyncio.gather(self._making, return_exceptions=True)
        self._drop_spare()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _connect(self, first_wait_s: float) -> WebSocket:
        """Open a socket, again and again while the application may only be restarting."""
        problem = ""
        for wait_s in (first_wait_s, *BACKOFF_S):
            if wait_s:
                await asyncio.sleep(wait_s)
            try:
                return await self._handshake()
            except aiohttp.WSServerHandshakeError as error:
                problem = f"it answered {error.status} instead of a WebSocket"
                if error.status < 500:
                    break  # its decision, which waiting does not change
            except (aiohttp.ClientError, OSError) as error:
                problem = str(error) or type(error).__name__
            except TimeoutError:
                problem = f"no handshake in {HANDSHAKE_TIMEOUT_S} s"
        raise AppError(f"application {self._address.url} cannot be reached: {problem}")

    async def _handshake(self) -> WebSocket:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            return WebSocket(
                await self._http.ws_connect(
                    self._address.url,
                    protocols=(SUBPROTOCOL,),
                    headers=self._headers(),
                    max_msg_size=MAX_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=FLUSH_TIMEOUT_S),
                )
            )

    def _take_spare(self) -> WebSocket | None:
        spare, self._spare = self._spare, None
        if self._expiry is not None:
            self._expiry.cancel()
        if spare is not None and not spare.alive:
            self._let_go(spare)  # the application closed it
            return None
        return spare

    async def _make_spare(self) -> None:
        try:
            if self._spare is None:
                self._spare = await self._handshake()
                loop = asyncio.get_running_loop()
                self._expiry = loop.call_later(SPARE_S, self._drop_spare)
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass  # the next call finds out, and says so
        finally:
            self._making = None

    def _drop_spare(self) -> None:
        spare = self._take_spare()
        if spare is not None:
            self._let_go(spare)

    def _let_go(self, spare: WebSocket) -> None:
        closing = asyncio.get_running_loop().create_task(spare.close(aiohttp.WSCloseCode.OK))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "jambonz"}
        if self._address.username and self._address.password:
            credentials = aiohttp.encode_basic_auth(self._address.username, self._address.password)
            headers["Authorization"] = credentials
        return headers
