"""How to reach a jambonz application: one WebSocket a call, and the next one made ahead of it.

A handshake costs a new call some milliseconds on this machine, and hundreds over TLS to a far one.
So while calls come, a spare socket waits for the next; one that waits too long is closed again.
"""

import asyncio
from dataclasses import dataclass

import aiohttp

from sip.errors import Fault, SipError

SUBPROTOCOL = "ws.jambonz.org"
HANDSHAKE_TIMEOUT_S = 1.5
#: Waits before each further try to connect, in seconds.
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 6.0)
#: jambonz takes no larger message from an application, so neither do we.
MAX_MESSAGE = 24 << 10
#: How long a spare socket waits for a call: servers and proxies cut silent ones after 25 or 30 s.
SPARE_S = 15.0

Socket = aiohttp.ClientWebSocketResponse


class AppError(SipError):
    """The application cannot be reached, or did not answer in time."""

    fault = Fault.APPLICATION


@dataclass(frozen=True, slots=True, kw_only=True)
class AppAddress:
    """Where the application is."""

    url: str
    username: str | None = None
    password: str | None = None


class AppLink:
    """Makes the sockets to one application."""

    def __init__(self, http: aiohttp.ClientSession, address: AppAddress) -> None:
        self._http = http
        self._address = address
        self._spare: Socket | None = None
        self._making: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._closing: set[asyncio.Task[bool]] = set()

    @property
    def spare(self) -> int:
        """Sockets that wait for a call."""
        return 0 if self._spare is None else 1

    async def socket(self) -> Socket:
        """A socket for a new call: the spare one, else a new one. Raises AppError."""
        spare = self._take_spare()
        socket = spare if spare is not None else await self.connect()
        if self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._make_spare())
        return socket

    async def connect(self, first_wait_s: float = 0.0) -> Socket:
        """Open a socket, again and again while the application may only be restarting.

        Raises AppError.
        """
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

    async def close(self) -> None:
        """Close the spare socket. One that is just being made is made first: a handshake that is
        broken off leaves its connection behind."""
        if self._making is not None:
            await asyncio.gather(self._making, return_exceptions=True)
        self._drop_spare()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _handshake(self) -> Socket:
        async with asyncio.timeout(HANDSHAKE_TIMEOUT_S):
            return await self._http.ws_connect(
                self._address.url,
                protocols=(SUBPROTOCOL,),
                headers=self._headers(),
                max_msg_size=MAX_MESSAGE,
            )

    def _take_spare(self) -> Socket | None:
        spare, self._spare = self._spare, None
        if self._expiry is not None:
            self._expiry.cancel()
        if spare is not None and spare.get_extra_info("peername") is None:
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

    def _let_go(self, spare: Socket) -> None:
        closing = asyncio.get_running_loop().create_task(spare.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": "jambonz"}
        if self._address.username and self._address.password:
            credentials = aiohttp.encode_basic_auth(self._address.username, self._address.password)
            headers["Authorization"] = credentials
        return headers
