"""A WebSocket from jambonz as a conversation's socket, kept awake by pings."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import structlog
from aiohttp import ClientError, WSCloseCode, WSMsgType, web

from gateway.jambonz.messages import SUBPROTOCOL
from gateway.jambonz.session import OnClosed, OnText

log = structlog.get_logger("gateway.jambonz")

#: Proxies cut a silent connection after 60 s, some after 30.
PING_S: Final = 25.0
#: jambonz's own frames are a few kB; its INVITE copy may carry long headers.
MAX_INCOMING: Final = 1_048_576
#: Texts that may wait to be sent before nothing more is read from a peer that takes none.
MAX_WAITING: Final = 64
#: How long the peer may take to answer our close, and our last texts to be sent before it.
CLOSE_S: Final = 1.0


class WebSocket:
    """The connection: `run` reads it; one task writes while there is something to write."""

    def __init__(self) -> None:
        self._ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            autoping=False,  # aiohttp's own heartbeat leaves a cycle of forty objects a call
            compress=False,  # a call's frames are few and small: deflate costs more than it saves
            max_msg_size=MAX_INCOMING,
            timeout=CLOSE_S,
        )
        #: when it is to be pinged, by the loop's clock
        self.ping_at = asyncio.get_running_loop().time() + PING_S
        self._heard = True
        self._outbox: deque[tuple[str, Callable[[str], None]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        #: the code that this side closed with
        self._code: int | None = None
        #: the connection takes nothing more; and then: `run` is over
        self._broken = self._over = False

    async def open(self, request: web.Request) -> web.WebSocketResponse:
        """The handshake; what it returns is the handler's response."""
        await self._ws.prepare(request)
        return self._ws

    async def run(self, on_text: OnText, on_closed: OnClosed) -> None:
        """Deliver each text, then the close code, once and last: None or 1006 where the connection
        broke. What `on_text` returns is awaited before the next text is delivered."""
        try:
            async for message in self._ws:
                self._heard = True
                if message.type is WSMsgType.TEXT:
                    work = on_text(message.data)
                    if work is not None:
                        await work
                    if self._writer is not None and len(self._outbox) > MAX_WAITING:
                        await asyncio.wait((self._writer,))
                elif message.type is WSMsgType.PING:
                    with suppress(ConnectionError):
                        await self._ws.pong(message.data)
        except Exception:
            log.exception("jambonz.conversation-failed", owner="application")
            await self._shut(WSCloseCode.INTERNAL_ERROR)
        finally:
            self._broken = True
            await self._flush()
            self._over = True
            while self._outbox:
                text, lost = self._outbox.popleft()
                lost(text)
            # aiohttp ends the reading before it has noted a code of our own
            on_closed(self._ws.close_code if self._code is None else self._code)

    def send(self, text: str, lost: Callable[[str], None]) -> None:
        """See `session.Socket`."""
        if self._over:
            lost(text)
            return
        self._outbox.append((text, lost))
        if self._writer is None and not self._broken:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def close(self, code: int) -> None:
        """See `session.Socket`."""
        await self._flush()
        await self._shut(code)

    async def ping(self) -> bool:
        """Keep the connection awake; False if nothing came since the last time."""
        self.ping_at += PING_S
        if not self._heard:
            return False
        self._heard = False
        with suppress(ConnectionError):
            await self._ws.ping()
        return True

    async def _shut(self, code: int) -> None:
        if not self._ws.closed:
            self._code = code
            await self._ws.close(code=code)

    async def _write(self) -> None:
        """Until all has been sent, or none can be: then `run` comes to its end."""
        try:
            while self._outbox:
                await self._ws.send_str(self._outbox[0][0])
                self._outbox.popleft()
        except (ClientError, ConnectionError, RuntimeError):
            self._broken = True
        finally:
            self._writer = None

    async def _flush(self) -> None:
        if self._writer is not None:
            _, late = await asyncio.wait((self._writer,), timeout=CLOSE_S)
            for writer in late:
                writer.cancel()
