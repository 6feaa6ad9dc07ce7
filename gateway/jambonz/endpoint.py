"""One WebSocket from jambonz: frames in, acknowledgements out, nothing decided.

Rules of the peer that this module keeps: an ack within a second for every message that wants
one, known or not; a new call's ack never empty; never a close with anything but 1000 while jambonz
is content, because any other code makes it come back.
"""

import asyncio
import hmac
from base64 import b64encode
from contextlib import suppress
from typing import Final

import structlog
from aiohttp import ClientConnectionResetError, WSMsgType, web

from config.settings import ApplicationSettings
from gateway.calls.endings import OUR_BUG
from gateway.calls.live_calls import LiveCall, LiveCalls
from gateway.calls.metrics import Metrics
from gateway.jambonz.messages import (
    SUBPROTOCOL,
    BadFrameError,
    Envelope,
    FrameTooLargeError,
    LegStatus,
    NewCall,
    ack,
    parse,
    redirect,
)
from gateway.jambonz.verbs import Decline, Verbs

log = structlog.get_logger("gateway.jambonz")

# Proxies cut a silent connection after 60 s, some after 30.
PING_S: Final = 25.0
# How often to look whose turn it is: not all at once.
PING_ROUND_S: Final = 1.0
# jambonz's own frames are a few kB; its INVITE copy may carry long headers.
MAX_INCOMING: Final = 1_048_576
# How long the peer may take to answer our close.
CLOSE_S: Final = 2.0
CLOSED_BY_JAMBONZ: Final = (1000, 1001)

_SORRY: Final = (Decline(OUR_BUG.status, OUR_BUG.reason),)


class JambonzSession:
    """One socket, usually one call. `run` returns when it is closed."""

    def __init__(self, ws: web.WebSocketResponse, calls: LiveCalls, metrics: Metrics) -> None:
        self.leaving = False
        #: when the socket is to be pinged, by the loop's clock
        self.ping_at = asyncio.get_running_loop().time() + PING_S
        self._heard = True
        self._ws = ws
        self._calls = calls
        self._metrics = metrics
        self._own: dict[str, LiveCall] = {}

    async def run(self) -> None:
        """Serve the socket until it closes, then tell the calls that were on it."""
        try:
            async for message in self._ws:
                self._heard = True
                if message.type is WSMsgType.TEXT:
                    await self._frame(message.data)
                elif message.type is WSMsgType.PING:
                    with suppress(ConnectionError):
                        await self._ws.pong(message.data)
        finally:
            for_good = self._ws.close_code in CLOSED_BY_JAMBONZ and not self.leaving
            for call in self._own.values():
                self._calls.disconnected(call, self, for_good=for_good)

    async def send(self, frame: str) -> bool:
        """See `gateway.calls.live_calls.Session`."""
        if self._ws.closed:
            return False
        try:
            await self._ws.send_str(frame)
        except (ClientConnectionResetError, ConnectionError):
            return False
        return True

    async def close(self) -> None:
        """See `gateway.calls.live_calls.Session`."""
        await self._ws.close(code=1000)

    async def leave(self) -> None:
        """Close with 1001, going away: a jambonz with a call in progress looks for our successor,
        which finds its record open."""
        self.leaving = True
        await self._ws.close(code=1001)

    async def ping(self) -> None:
        """Keep the connection awake; leave one on which nothing came since the last time."""
        self.ping_at += PING_S
        if not self._heard:
            log.warning("jambonz.silent", calls=[call.call_id for call in self._own.values()])
            await self.leave()
            return
        self._heard = False
        with suppress(ConnectionError):
            await self._ws.ping()

    async def _frame(self, text: str) -> None:
        try:
            envelope = parse(text)
        except BadFrameError as error:
            self._metrics.frames_refused.labels("jambonz").inc()
            log.warning("jambonz.bad-frame", error=str(error))
            return
        try:
            match envelope.type:
                case "session:new":
                    await self._new(envelope)
                case "session:reconnect":
                    await self._reconnect(envelope)
                case "verb:hook":
                    await self._hook(envelope)
                case "call:status":
                    self._status(envelope)
                case "jambonz:error":
                    await self._refused(envelope)
                case _:
                    # An adulted child (session:adulting) starts no call logic; whatever else
                    # wants an ack gets one, or jambonz waits 5 s for it.
                    if envelope.wants_ack:
                        await self.send(ack(envelope.msgid))
        except Exception:
            log.exception("jambonz.message-failed", type=envelope.type, call_sid=envelope.call_sid)
            if envelope.wants_ack:
                await self.send(ack(envelope.msgid))

    async def _new(self, envelope: Envelope) -> None:
        try:
            call, verbs = self._calls.begin(NewCall.of(envelope), self)
        except BadFrameError as error:
            log.warning("jambonz.bad-call", error=str(error))
            await self.send(ack(envelope.msgid, _SORRY))
            return
        except Exception:
            log.exception("jambonz.call-failed", call_sid=envelope.call_sid)
            await self.send(ack(envelope.msgid, _SORRY))
            return
        self._own[call.call_sid] = call
        try:
            frame = ack(envelope.msgid, verbs)
        except FrameTooLargeError as error:
            log.error("jambonz.frame-too-large", call_id=call.call_id, error=str(error))
            frame = ack(envelope.msgid, self._calls.mistake(call) or _SORRY)
        if not await self.send(frame):
            call.unacked = verbs

    async def _reconnect(self, envelope: Envelope) -> None:
        """Acked without verbs, which jambonz would ignore; but if the first ack never left, it
        takes this one for it."""
        call = await self._calls.resume(NewCall.of(envelope), self)
        self._own[call.call_sid] = call
        verbs, call.unacked = call.unacked, ()
        await self.send(ack(envelope.msgid, verbs))
        waiting, call.outbox = call.outbox, []
        for frame in waiting:
            if not await self.send(frame):
                call.outbox.append(frame)

    async def _hook(self, envelope: Envelope) -> None:
        call = self._calls.find(envelope.call_sid)
        verbs: Verbs = ()
        if call is not None:
            try:
                verbs = self._calls.hook(call, envelope.hook, envelope.data)
            except Exception:
                log.exception("jambonz.hook-failed", call_id=call.call_id, hook=envelope.hook)
                verbs = self._calls.mistake(call)
        if not await self.send(ack(envelope.msgid, verbs)) and call is not None and verbs:
            # Without them jambonz would leave the caller waiting once it is back.
            call.outbox.append(redirect(verbs))

    def _status(self, envelope: Envelope) -> None:
        status = LegStatus.of(envelope.data)
        call = self._calls.find(envelope.call_sid) or self._calls.find(status.parent_call_sid)
        if call is not None:
            self._calls.status(call, status)

    async def _refused(self, envelope: Envelope) -> None:
        """jambonz could not use what we sent: our fault, and the call would wait for ever."""
        self._metrics.frames_refused.labels("gateway").inc()
        call = self._calls.find(envelope.call_sid)
        log.error(
            "jambonz.refused-our-frame",
            call_id=call.call_id if call else None,
            call_sid=envelope.call_sid,
            error=str(envelope.data.get("msg", "")),
            details=str(envelope.data.get("details", ""))[:200],
        )
        if call is not None:
            await call.command(self._calls.refused(call))


class JambonzEndpoint:
    """The route `/retell`: accepts jambonz's WebSockets and keeps hold of them."""

    def __init__(
        self,
        application: ApplicationSettings,
        calls: LiveCalls,
        metrics: Metrics,
        *,
        loopback_only: bool,
    ) -> None:
        self._calls = calls
        self._metrics = metrics
        self._loopback_only = loopback_only
        self._basic: bytes | None = None
        if application.username is not None and application.password is not None:
            pair = f"{application.username}:{application.password.get_secret_value()}"
            self._basic = b"Basic " + b64encode(pair.encode())
        self._sessions: set[JambonzSession] = set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The aiohttp handler."""
        self._admit(request)
        ws = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            autoping=False,  # aiohttp's own heartbeat leaves a cycle of forty objects a call
            compress=False,  # a call's frames are few and small: deflate costs more than it saves
            max_msg_size=MAX_INCOMING,
            timeout=CLOSE_S,
        )
        await ws.prepare(request)
        session = JambonzSession(ws, self._calls, self._metrics)
        self._sessions.add(session)
        self._metrics.sockets.inc()
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            self._metrics.sockets.dec()
        return ws

    async def keep_awake(self) -> None:
        """Ping every socket now and then, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(PING_ROUND_S)
            due = [session for session in self._sessions if session.ping_at <= loop.time()]
            await asyncio.gather(*(session.ping() for session in due), return_exceptions=True)

    async def close(self) -> None:
        """Leave every socket."""
        sessions = list(self._sessions)
        await asyncio.gather(*(session.leave() for session in sessions), return_exceptions=True)

    def _admit(self, request: web.Request) -> None:
        """Who opens this socket commands calls: it takes the password, or the same machine."""
        if self._basic is not None:
            given = request.headers.get("Authorization", "").encode()
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
    """From this machine, and not on behalf of somebody behind a proxy on it."""
    transport = request.transport
    own = transport.get_extra_info("sockname") if transport is not None else None
    peer = request.remote or ""
    local = peer == "::1" or peer.startswith(("127.", "::ffff:127."))
    # listening on one outer address, we reach ourselves from that very address
    local = local or (own is not None and peer == own[0])
    return local and not {"X-Forwarded-For", "Forwarded"} & set(request.headers)
