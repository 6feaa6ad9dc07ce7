"""The WebSocket of one media stream: texts both ways, kept alive, closed in the right order."""

import asyncio
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Final

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from sip.streams.face import Began, Ear, Ended, StreamError, StreamProtocol, StreamWriter, Told

log = structlog.get_logger("gateway.twilio")

#: Octets of a text: 64 KiB is far above a second of audio.
MAX_TEXT: Final = 1 << 16
#: Seconds from the handshake to `start`.
BEGINS_WITHIN_S: Final = 10.0
#: A peer that says nothing for so long is pinged, and gone after as long again.
SILENCE_S: Final = 20.0
#: Texts that may wait to be sent: 200 ms of audio.
MAX_WAITING: Final = 10
#: Octets that wait in this process, and in the kernel: what is stuck there is late.
BUFFER: Final = 1 << 14
#: Texts that cannot be read, after which the stream is ended.
MAX_BAD: Final = 20
#: How long the peer may take to answer our close, and to read what was sent before it, in seconds.
CLOSE_S: Final = 1.0


class StreamSocket:
    """One connection, as the `Line` of its stream. `run` reads it until it is over."""

    def __init__(self, protocol: StreamProtocol) -> None:
        self._protocol = protocol
        #: hears, once, that it is about to be closed by us, or was by the peer
        self.on_close: Callable[[], None] = _no_matter
        self._ws = web.WebSocketResponse(
            autoping=False,
            compress=False,
            max_msg_size=MAX_TEXT,
            timeout=CLOSE_S,
            writer_limit=BUFFER,
        )
        self._writer: StreamWriter | None = None
        self._request: web.Request | None = None
        self._stream_id: str | None = None
        self._waiting: deque[str] = deque()
        #: the newest ping that is not answered: no other needs to be (RFC 6455 5.5.3)
        self._ping: bytes | None = None
        self._wake = asyncio.Event()
        self._closing = False
        self._stopped = False
        self._heard = True
        self._bad = 0
        #: until a peer that takes no close is left
        self._limit: asyncio.TimerHandle | None = None

    async def open(self, request: web.Request) -> web.WebSocketResponse:
        """The handshake; what it returns is the handler's response."""
        await self._ws.prepare(request)
        self._request = request
        transport = request.transport
        if transport is not None:
            with suppress(AttributeError, NotImplementedError):
                transport.set_write_buffer_limits(high=BUFFER)
            raw = transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        return self._ws

    # the line

    def audio(self, audio: bytes) -> bool:
        if len(self._waiting) >= MAX_WAITING:
            return False
        if self._writer is not None:
            self._say(self._writer.audio(audio))
        return True

    def mark(self, name: str) -> None:
        if self._writer is not None:
            self._say(self._writer.mark(name))

    def clear(self) -> None:
        """What waits here to be sent is forgotten as well."""
        self._waiting.clear()
        if self._writer is not None:
            self._say(self._writer.clear())

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self.on_close()
            self._wake.set()
            loop = asyncio.get_running_loop()
            self._limit = loop.call_later(2 * CLOSE_S, self._abort)

    # the connection

    async def begin(self) -> Began | None:
        """What the peer says of the stream; None where it does not come to that."""
        with suppress(TimeoutError):
            async with asyncio.timeout(BEGINS_WITHIN_S):
                async for text in self._texts():
                    told = self._read(text)
                    if isinstance(told, Ended):
                        return None
                    if isinstance(told, Began):
                        self._stream_id = told.stream_id
                        self._writer = self._protocol.writer(told.stream_id)
                        return told
        return None

    async def refuse(self, reason: str) -> None:
        """The stream is not taken: the peer goes on with the call as it was told to."""
        await self._ws.close(code=WSCloseCode.TRY_AGAIN_LATER, message=reason.encode()[:120])

    async def run(self, ear: Ear) -> None:
        """Have `ear` hear all until the stream is over, and then that it is."""
        writing = asyncio.create_task(self._write())
        watching = asyncio.create_task(self._watch())
        try:
            async for text in self._texts():
                told = self._read(text)
                if isinstance(told, Ended):
                    self._stopped = True
                    ear.ended(lost=False)
                elif told is not None and not isinstance(told, Began):
                    ear.heard(told)
        finally:
            ear.ended(lost=not self._stopped)
            self.close()
            watching.cancel()
            await asyncio.gather(writing, watching, return_exceptions=True)
            if self._limit is not None:
                self._limit.cancel()

    async def _texts(self) -> AsyncIterator[str]:
        async for message in self._ws:
            self._heard = True
            if message.type is WSMsgType.TEXT:
                yield message.data
            elif message.type is WSMsgType.BINARY:
                self._bad_text("a binary frame")
            elif message.type is WSMsgType.PING:
                self._ping = bytes(message.data)
                self._wake.set()

    def _read(self, text: str) -> Told | None:
        try:
            return self._protocol.read(text, self._stream_id)
        except StreamError as error:
            self._bad_text(str(error))
            return None

    def _bad_text(self, reason: str) -> None:
        self._bad += 1
        if self._bad == 1:
            log.warning("stream.bad-message", reason=reason, fault="peer")
        if self._bad >= MAX_BAD:
            self.close()

    def _say(self, text: str) -> None:
        if not self._closing:
            self._waiting.append(text)
            self._wake.set()

    async def _write(self) -> None:
        """Send what there is to send, and close."""
        with suppress(ConnectionError):
            while not self._closing:
                await self._wake.wait()
                self._wake.clear()
                while (self._waiting or self._ping is not None) and not self._closing:
                    await self._send()
        await self._ws.close(code=WSCloseCode.OK)

    async def _send(self) -> None:
        """What is due next: the answer to a ping, else a text."""
        if self._ping is not None:
            ping, self._ping = self._ping, None
            await self._ws.pong(ping)
        else:
            await self._ws.send_str(self._waiting.popleft())

    async def _watch(self) -> None:
        """Ping a peer that has said nothing for long, and end the stream where that is in vain."""
        pinged = False
        while True:
            await asyncio.sleep(SILENCE_S)
            if self._heard:
                self._heard = pinged = False
            elif pinged:
                log.warning("stream.lost", reason="nothing was heard, and no ping answered")
                self._abort()
                return
            else:
                pinged = True
                with suppress(ConnectionError):
                    await self._ws.ping()

    def _abort(self) -> None:
        """End a connection whose other end is gone: nobody is waited for."""
        transport = None if self._request is None else self._request.transport
        if transport is not None:
            transport.abort()


def _no_matter() -> None:
    """Default for `on_close`."""
