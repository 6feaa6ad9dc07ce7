"""`/twilio/media/{token}`: lets in the media streams that are awaited, and those alone."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Protocol

import structlog
from aiohttp import web

from gateway.twilio.stream_protocol import TWILIO_STREAMS
from gateway.twilio.stream_socket import StreamSocket
from gateway.twilio.stream_tokens import StreamCall, StreamTokens
from sip.streams.face import Began, Ear, Line

log = structlog.get_logger("gateway.twilio")

MEDIA_PATH: Final = "/twilio/media/{token}"


class NotTakenError(Exception):
    """There is no room for a stream's call, or none of its kind is taken here."""


class Taker(Protocol):
    """Who makes a call of a stream."""

    async def take(self, call: StreamCall, began: Began, line: Line, source: str) -> Ear:
        """Who hears the stream from now on; `source` is the address that it comes from. Raises
        NotTakenError."""


def nobody(_: web.Request) -> bool:
    """Default for `StreamDoor.is_signed`: without an auth token nothing proves itself."""
    return False


class StreamDoor:
    """The pending calls, and who takes their streams."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.tokens = StreamTokens(now)
        #: whether an upgrade request carries Twilio's signature
        self.is_signed: Callable[[web.Request], bool] = nobody
        #: None before there is a softswitch, and where none is
        self.taker: Taker | None = None
        #: what happened, by kind
        self.counts: Counter[str] = Counter()
        #: streams that are up
        self.open = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The upgrade, and the stream until it is over."""
        if not self.is_signed(request):
            self._refused("signature", request)
            raise web.HTTPForbidden(text="this is not signed as Twilio signs")
        call = self.tokens.take(request.match_info["token"])
        if call is None:
            self._refused("token", request)
            raise web.HTTPNotFound(text="no call awaits a stream here")
        if self.taker is None:
            self._refused("no softswitch", request)
            call.on_over(False)
            raise web.HTTPServiceUnavailable(text="no softswitch is up")
        stream = StreamSocket(TWILIO_STREAMS)
        self.open += 1
        try:
            response = await stream.open(request)
            began = await stream.begin()
            if began is None or began.call_id != call.call_id:
                reason = "no start" if began is None else "another call"
                self._refused(reason, request)
                call.on_over(False)
                await stream.refuse(reason)
                return response
            await self._run(self.taker, call, began, stream, request)
        finally:
            self.open -= 1
        return response

    async def _run(
        self,
        taker: Taker,
        call: StreamCall,
        began: Began,
        stream: StreamSocket,
        request: web.Request,
    ) -> None:
        """The stream is a call, if there is room."""
        began_at = asyncio.get_running_loop().time()
        try:
            ear = await taker.take(call, began, stream, request.remote or "")
        except NotTakenError as error:
            self._refused(str(error), request)
            call.on_over(False)
            await stream.refuse(str(error))
            return
        stream.on_close = lambda: call.on_over(ear.answered)
        self.counts["taken"] += 1
        log.info("stream.began", stream=began.stream_id, twilio_call=began.call_id)
        await stream.run(ear)
        lasted_s = asyncio.get_running_loop().time() - began_at
        log.info("stream.ended", stream=began.stream_id, answered=ear.answered, lasted_s=lasted_s)

    def _refused(self, reason: str, request: web.Request) -> None:
        self.counts["refused"] += 1
        log.warning("stream.refused", reason=reason, peer=request.remote)
