"""The softswitch's end of the NG control protocol: a `MediaPlane` over datagrams.

One client drives our relay and rtpengine alike. A request carries a random cookie and is sent
again, unchanged, until its reply comes; an engine answers a cookie it has seen from memory, so a
lost datagram costs time and nothing else.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

import structlog

from sip.clock import Clock, LoopClock, Timer
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Listener, Lost, MediaEvent
from sip.media.ng import flags
from sip.media.ng.bencode import Decoded, Encodable
from sip.media.ng.channel import Channel
from sip.media.ng.commands import Commands
from sip.media.ng.control_address import ControlAddress, written
from sip.media.ng.form import Form, FormError, decode, encode
from sip.media.ng.reports import stats_of
from sip.media.plane import (
    MAX_BLOB,
    NO_DETECTION,
    Capability,
    MediaError,
    MediaSlug,
    MediaStats,
    Playable,
    call_sid_of,
)
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling

log = structlog.get_logger(__name__)

#: Seconds until a request is first repeated; then twice as long each time. An engine on the same
#: host answers within a millisecond.
FIRST_WAIT_S = 0.1

#: Seconds until a request is given up. A SIP caller should hear of it before 100 ms turns to 4 s.
TIMEOUT_S = 3.0

#: rtpengine's wording of what has a slug (10.5 to 13), lower case.
_ENGINE_REASONS: tuple[tuple[str, MediaSlug], ...] = (
    ("unknown call-id", "unknown-call"),
    ("call-id not found", "unknown-call"),
    ("ran out of ports", "no-ports"),
    ("no available ports", "no-ports"),
    ("incomplete sdp", "bad-sdp"),
    ("failed to parse sdp", "bad-sdp"),
    ("error parsing sdp", "bad-sdp"),
    ("no sdp body in message", "bad-sdp"),
    ("error rewriting sdp", "bad-sdp"),
    ("unrecognized command", "unsupported"),
)

_SLUGS: Final[tuple[MediaSlug, ...]] = get_args(MediaSlug)


class _Exchange:
    """One request under way: what to send again and who waits."""

    __slots__ = ("datagram", "deadline", "reply", "timer", "wait_s")

    def __init__(
        self, datagram: bytes, deadline: float, reply: asyncio.Future[dict[str, Decoded]]
    ) -> None:
        self.datagram = datagram
        self.deadline = deadline
        self.reply = reply
        self.wait_s = FIRST_WAIT_S
        self.timer: Timer | None = None


class _Memory:
    """What an engine wants to be told again: who offered last to one without a tag, and which
    attempt that was."""

    __slots__ = ("answered", "attempt", "from_tag")

    def __init__(self, from_tag: str) -> None:
        self.from_tag = from_tag
        self.attempt = 0
        self.answered = False


class NgClient(Commands):
    """A `MediaPlane` that speaks NG to one engine. Made by `connect`; close it with `close`.

    This one relays with any engine; what else an engine can do is its own client's
    (`sip.media.ng.relay`, `sip.media.ng.rtpengine`).
    """

    #: What its engine has to be told with every description.
    _engine_keys: Mapping[str, Encodable] = flags.ENGINE_KEYS

    #: The first word of each datagram, for an engine that wants one.
    _token = b""

    def __init__(self, clock: Clock, timeout_s: float, form: Form) -> None:
        self._clock = clock
        self._timeout_s = timeout_s
        self._form = form
        self._prefix = secrets.token_hex(6)
        self._count = 0
        self._exchanges: dict[str, _Exchange] = {}
        self._channel: Channel | None = None
        self._last_error: OSError | None = None
        self._memories: dict[str, _Memory] = {}
        self._listeners: dict[str, Listener] = {}
        self.address: ControlAddress = ("", 0)
        #: See `MediaPlane.ports`.
        self.ports: tuple[int, int] | None = None
        #: See `MediaPlane.heard_at`.
        self.heard_at: float | None = None
        self._pings: set[_Exchange] = set()

    @classmethod
    async def connect(
        cls,
        address: ControlAddress,
        *,
        clock: Clock | None = None,
        timeout_s: float = TIMEOUT_S,
        form: Form = Form.BENCODE,
    ) -> NgClient:
        """A client of the engine at `address`, whose requests are written in `form`.

        Sends nothing yet. Raises `MediaError` refused.
        """
        client = cls(clock or LoopClock(), timeout_s, form)
        await client.retarget(address)
        return client

    async def retarget(self, address: ControlAddress) -> None:
        """Speaks to another address from now on; requests under way are repeated there at
        once."""
        try:
            channel = await Channel.open(address, self, self._token)
        except OSError as error:
            reason = f"cannot reach {written(address)}: {error.strerror}"
            raise MediaError("refused", reason) from None
        old, self._channel = self._channel, channel
        self.address = address
        for exchange in self._exchanges.values():
            channel.send(exchange.datagram)
        if old is not None:
            old.close()

    @property
    def capabilities(self) -> frozenset[Capability]:
        """See `MediaPlane.capabilities`."""
        return frozenset()

    def listen(
        self,
        call_id: str,
        listener: Listener,
        *,
        fax_of: str | None = None,
        detects: bool = False,
    ) -> None:
        """See `MediaPlane.listen`."""
        self._listeners[call_id] = listener

    def lost(self) -> None:
        """The engine began anew and forgot every call: tell every listener."""
        for call_id in list(self._listeners):
            self._tell(call_id, Lost(at=self._clock.now()))

    def _sdp_keys(
        self,
        sdp: str,
        media_address: str | None,
        received_from: Signalling | None,
        sender: MediaTerms,
        reader: MediaTerms,
    ) -> dict[str, Encodable]:
        """The keys of an offer or answer beside its tags."""
        host = None if received_from is None else received_from.host
        return flags.sdp_keys(sdp, media_address, host, self._engine_keys, sender.encryption)

    async def offer(
        self,
        call_id: str,
        from_tag: str,
        sdp: str,
        *,
        to_tag: str | None = None,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        """See `MediaPlane.offer`."""
        keys = self._sdp_keys(sdp, media_address, received_from, sender, reader)
        keys |= {"call-id": call_id, "from-tag": from_tag, **self._wishes(call_id)}
        keys |= flags.codec_keys(str(keys["sdp"]), sender, reader)
        keys |= flags.offer_keys(keys, reader.encryption)
        known = call_id in self._memories
        memory = self._memories.setdefault(call_id, _Memory(from_tag))
        if to_tag is not None:
            keys["to-tag"] = to_tag
        else:
            # To rtpengine an offer after an answer is a new branch of the call only if it says
            # so; otherwise the next callee would be sent the last one's ports.
            if memory.answered:
                memory.attempt += 1
                memory.answered = False
            memory.from_tag = from_tag
            keys["via-branch"] = f"attempt-{memory.attempt}"
        try:
            return _sdp_of(await self.request("offer", keys))
        except MediaError:
            if not known:
                self._memories.pop(call_id, None)
            raise

    async def answer(
        self,
        call_id: str,
        from_tag: str,
        to_tag: str,
        sdp: str,
        *,
        media_address: str | None = None,
        received_from: Signalling | None = None,
        sender: MediaTerms = ANY_TERMS,
        reader: MediaTerms = ANY_TERMS,
    ) -> str:
        """See `MediaPlane.answer`."""
        keys = self._sdp_keys(sdp, media_address, received_from, sender, reader)
        keys |= {"call-id": call_id, "from-tag": from_tag, "to-tag": to_tag}
        memory = self._memories.setdefault(call_id, _Memory(from_tag))
        if memory.from_tag == from_tag:
            keys["via-branch"] = f"attempt-{memory.attempt}"
        sdp = _sdp_of(await self.request("answer", keys))
        memory.answered = True
        return sdp

    async def delete(self, call_id: str) -> MediaStats:
        """See `MediaPlane.delete`."""
        memory = self._memories.pop(call_id, None)
        self._forget(call_id)
        # rtpengine returns counters only to who names a tag, keeps a deleted call for half a
        # minute unless told not to, and calls an unknown one an error only with this flag.
        from_tag = (
            memory.from_tag if memory else next(iter((await self.query(call_id)).parties), "")
        )
        keys: dict[str, Encodable] = {"call-id": call_id, "delete-delay": 0, "flags": ["fatal"]}
        if from_tag:
            keys["from-tag"] = from_tag
        return stats_of(await self.request("delete", keys), self._clock.epoch())

    async def query(self, call_id: str) -> MediaStats:
        """See `MediaPlane.query`."""
        reply = await self.request("query", {"call-id": call_id})
        return stats_of(reply, self._clock.epoch())

    async def play(
        self, call_id: str, tag: str, sound: Playable, play_id: int, *, times: int = 1
    ) -> None:
        """See `MediaPlane.play`."""
        raise MediaError("unsupported", "this engine has no known way to play a file")

    async def stop_play(self, call_id: str, tag: str) -> None:
        """See `MediaPlane.stop_play`."""
        raise MediaError("unsupported", "this engine has no known way to play a file")

    async def press(self, call_id: str, tag: str, key: str, duration_ms: int) -> None:
        """See `MediaPlane.press`."""
        raise MediaError("unsupported", "this engine has no known way to send a key")

    async def detect(self, call_id: str, tag: str, number: int, terms: DetectionTerms) -> None:
        """See `MediaPlane.detect`."""
        raise MediaError("unsupported", NO_DETECTION)

    async def stop_detecting(self, call_id: str, tag: str, number: int) -> None:
        """See `MediaPlane.stop_detecting`."""
        raise MediaError("unsupported", NO_DETECTION)

    async def record(self, call_id: str, recording: str, left: str) -> None:
        """See `MediaPlane.record`."""
        raise MediaError("unsupported", "this engine has no known way to record")

    async def pause_recording(self, call_id: str) -> None:
        """See `MediaPlane.pause_recording`."""
        raise MediaError("unsupported", "this engine has no known way to record")

    async def stop_recording(self, call_id: str) -> None:
        """See `MediaPlane.stop_recording`."""
        raise MediaError("unsupported", "this engine has no known way to record")

    async def ping(self) -> None:
        """See `MediaPlane.ping`."""
        await self.request("ping", {})

    async def close(self) -> None:
        """Closes the socket; requests under way fail."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        for exchange in list(self._exchanges.values()):
            self._fail(exchange, MediaError("refused", "media client is closed"))

    async def request(self, command: str, keys: Mapping[str, Encodable]) -> dict[str, Decoded]:
        """Any NG command: its reply, or `MediaError`.

        A host that says that nobody listens ends a ping alone: for all else the engine may be
        about to come back.
        """
        if self._channel is None:
            raise MediaError("refused", "media client is closed")
        self._count += 1
        cookie = f"{self._prefix}_{self._count}"
        datagram = cookie.encode() + b" " + encode({"command": command, **keys}, self._form)
        reply: asyncio.Future[dict[str, Decoded]] = asyncio.get_running_loop().create_future()
        exchange = _Exchange(datagram, self._clock.now() + self._timeout_s, reply)
        self._exchanges[cookie] = exchange
        if command == "ping":
            self._pings.add(exchange)
        try:
            self._send(exchange)
            return checked(await reply)
        finally:
            del self._exchanges[cookie]
            self._pings.discard(exchange)
            if exchange.timer is not None:
                exchange.timer.cancel()

    def _wishes(self, call_id: str) -> dict[str, Encodable]:
        """The keys of an offer that ask for events."""
        return {}

    def _unasked(self, cookie: bytes, body: bytes) -> None:
        """A datagram that replies to nothing under way: here, a late repetition of a reply."""

    def _forget(self, call_id: str) -> None:
        """The call is being deleted: its listener hears nothing more."""
        self._listeners.pop(call_id, None)

    def _tell(self, call_id: str, event: MediaEvent) -> None:
        """Tells an event to the call's listener, if it has one."""
        listener = self._listeners.get(call_id)
        if listener is None:
            return
        try:
            listener(event)
        except Exception:
            # The listener's fault; other calls' events go on all the same.
            log.exception(
                "media.event-failed",
                call_sid=call_sid_of(call_id),
                media_event=type(event).__name__,
            )

    def _send_datagram(self, datagram: bytes) -> None:
        if self._channel is not None:
            self._channel.send(datagram)

    def _send(self, exchange: _Exchange) -> None:
        if exchange.reply.done():
            return
        left = exchange.deadline - self._clock.now()
        if left <= 0 or self._channel is None:
            reason = f" ({self._last_error.strerror})" if self._last_error else ""
            text = f"no answer from {written(self.address)} in {self._timeout_s:g} s"
            self._fail(exchange, MediaError("timeout", text + reason))
            return
        self._channel.send(exchange.datagram)
        exchange.timer = self._clock.call_later(min(exchange.wait_s, left), self._send, exchange)
        exchange.wait_s *= 2

    def _fail(self, exchange: _Exchange, error: MediaError) -> None:
        if not exchange.reply.done():
            exchange.reply.set_exception(error)

    def received(self, datagram: bytes) -> None:
        """A datagram from the engine."""
        self.heard_at = self._clock.now()
        cookie, _, body = datagram.partition(b" ")
        exchange = self._exchanges.get(cookie.decode("ascii", "replace"))
        if exchange is None:
            self._unasked(cookie, body)
            return
        if exchange.reply.done():
            return
        self._last_error = None  # it is there: an old error explains no later silence
        try:
            exchange.reply.set_result(decode(body)[0])
        except FormError as error:
            self._fail(exchange, MediaError("refused", f"engine sent a malformed reply: {error}"))

    def failed(self, error: OSError) -> None:
        """Nobody is there: remembered for the text, as the engine may be about to come back."""
        self._last_error = error
        if isinstance(error, ConnectionRefusedError):
            text = f"nobody listens at {written(self.address)}"
            for ping in tuple(self._pings):
                self._fail(ping, MediaError("refused", text))


def play_keys(wav: bytes | Path, times: int) -> dict[str, Encodable]:
    """What `play media` shall play; `MediaError` bad-audio if it fits no datagram."""
    repeat: dict[str, Encodable] = {"repeat-times": times} if times != 1 else {}
    if isinstance(wav, Path):
        return {"file": str(wav), **repeat}
    if len(wav) > MAX_BLOB:
        raise MediaError(
            "bad-audio",
            f"{len(wav)} octets do not fit a datagram ({MAX_BLOB} do); give the file's path",
        )
    return {"blob": wav.decode("utf-8", "surrogateescape"), **repeat}


def press_keys(call_id: str, tag: str, key: str, duration_ms: int) -> dict[str, Encodable]:
    """The keys of ``play DTMF``."""
    return {"call-id": call_id, "from-tag": tag, "code": key, "duration": duration_ms}


def checked(reply: dict[str, Decoded]) -> dict[str, Decoded]:
    """A reply that says yes; else `MediaError`, with what it says."""
    result = reply.get("result")
    warning = _words(reply.get("warning"))
    if result in ("ok", "pong") and "not found" not in warning:
        return reply
    reason = _words(reply.get("error-reason")) or warning or f"result {result!r}"
    slug, colon, text = reason.partition(": ")
    for known in _SLUGS:
        if colon and slug == known:
            raise MediaError(known, text)
    for words, known in _ENGINE_REASONS:
        if words in reason.lower():
            raise MediaError(known, reason)
    raise MediaError("refused", reason)


def _words(value: Decoded | None) -> str:
    return value if isinstance(value, str) else ""


def _sdp_of(reply: Mapping[str, Decoded]) -> str:
    sdp = reply.get("sdp")
    if not isinstance(sdp, str):
        raise MediaError("refused", "the engine's reply has no SDP")
    return sdp
