"""A media plane without media: rewrites addresses as the relay does, remembers what was asked."""

from dataclasses import dataclass, field

from sip.core.sdp import SessionDescription
from sip.errors import ParseError
from sip.media.detection.found import Found
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Detected, Listener, Lost, MediaEvent
from sip.media.plane import (
    Capability,
    EngineStatistics,
    MediaError,
    MediaStats,
    PartyStats,
    Playable,
    Subscription,
    Withheld,
)
from sip.media.terms import ANY_TERMS, MediaTerms, Signalling


@dataclass
class FakeMedia:
    """Ports are the party's own: A is told of 30000, the n-th B-leg of 30000 + 2n."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    open_calls: set[str] = field(default_factory=set)
    refuse: MediaError | None = None
    #: what the next answers are refused with
    refuse_answers: list[MediaError] = field(default_factory=list)
    #: where the last description of each party came from
    signalling: dict[str, Signalling | None] = field(default_factory=dict)
    capabilities: frozenset[Capability] = frozenset(Capability)
    #: what was played: to whom, and how often
    played: list[tuple[str, Playable, int]] = field(default_factory=list)
    #: the parties that are listened to for who they are: session and tag, by number
    detections: dict[int, tuple[str, str, DetectionTerms]] = field(default_factory=dict)
    ports: tuple[int, int] | None = None
    heard_at: float | None = None
    _ports: dict[tuple[str, str], int] = field(default_factory=dict)
    #: how much higher the next ports are
    _forgotten: int = 0
    _listeners: dict[str, Listener] = field(default_factory=dict)
    #: where each party of a call said that it wants its audio
    _wants: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)

    def onward(self, port: int) -> tuple[str, int] | None:
        """Where audio goes that comes in at `port`; None where its call is over, or has one party.

        A port faces one party of a call; what that party sends to it is for the other.
        """
        for (call_id, side), facing in self._ports.items():
            if facing == port and call_id in self.open_calls:
                return self._wants.get((call_id, "b" if side == "a" else "a"))
        return None

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

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
        self._ask("offer", call_id, from_tag, to_tag or "")
        self.signalling[from_tag] = received_from
        self.open_calls.add(call_id)
        self._describe(call_id, from_tag, sdp)
        receiver = to_tag or ("pending" if from_tag == "a" else "a")
        return self._rewrite(sdp, self._port(call_id, receiver), media_address)

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
        self._ask("answer", call_id, from_tag, to_tag)
        if self.refuse_answers:
            raise self.refuse_answers.pop()
        self.signalling[to_tag] = received_from
        self._describe(call_id, to_tag, sdp)
        return self._rewrite(sdp, self._port(call_id, from_tag), media_address)

    async def delete(self, call_id: str) -> MediaStats:
        self._ask("delete", call_id)
        self.open_calls.discard(call_id)
        self._listeners.pop(call_id, None)
        return MediaStats(parties={"a": PartyStats(packets_received=7)})

    async def query(self, call_id: str) -> MediaStats:
        return MediaStats()

    def listen(
        self,
        call_id: str,
        listener: Listener,
        *,
        fax_of: str | None = None,
        detects: bool = False,
    ) -> None:
        self._listeners[call_id] = listener
        if fax_of is not None:
            self.asked.append(("listen for a fax", call_id, fax_of))
        if detects:
            self.asked.append(("detects", call_id))

    def forget(self, call_id: str) -> None:
        """As an engine that was started again: the next offer of the call gets other ports."""
        self.open_calls.discard(call_id)
        for side in [side for side in self._ports if side[0] == call_id]:
            self._forgotten += 2
            del self._ports[side]
        self.tell(call_id, Lost(at=0.0))

    @property
    def ports_now(self) -> set[int]:
        """Those that face the parties of calls that are open."""
        return {port for (call_id, _), port in self._ports.items() if call_id in self.open_calls}

    def tell(self, call_id: str, event: MediaEvent) -> None:
        """What the engine says of its own accord; only to a call that listens."""
        if call_id in self._listeners:
            self._listeners[call_id](event)

    async def play(
        self, call_id: str, tag: str, sound: Playable, play_id: int, *, times: int = 1
    ) -> None:
        self._ask("play", call_id, tag, str(play_id))
        self.played.append((tag, sound, times))

    async def detect(self, call_id: str, tag: str, number: int, terms: DetectionTerms) -> None:
        self._ask("detect", call_id, tag, str(number))
        self.detections[number] = call_id, tag, terms

    async def stop_detecting(self, call_id: str, tag: str, number: int) -> None:
        self._ask("stop detecting", call_id, tag, str(number))
        self.detections.pop(number, None)

    def find(self, number: int, found: Found) -> None:
        """Detection `number` tells what it found."""
        call_id, tag, _ = self.detections[number]
        self.tell(call_id, Detected(party=tag, detection=number, found=found, at=0.0))

    async def record(self, call_id: str, recording: str, left: str) -> None:
        self._ask("record", call_id, recording, left)

    async def pause_recording(self, call_id: str) -> None:
        self._ask("pause recording", call_id)

    async def stop_recording(self, call_id: str) -> None:
        self._ask("stop recording", call_id)

    async def stop_play(self, call_id: str, tag: str) -> None:
        self._ask("stop", call_id, tag)

    async def press(self, call_id: str, tag: str, key: str, duration_ms: int) -> None:
        self._ask("press", call_id, tag, key, str(duration_ms))

    async def withhold(self, call_id: str, tag: str, how: Withheld) -> None:
        self._ask("withhold", call_id, tag, how.value)

    async def let_pass(self, call_id: str, tag: str, how: Withheld) -> None:
        self._ask("let pass", call_id, tag, how.value)

    async def subscribe(self, call_id: str, tag: str) -> Subscription:
        raise MediaError("unsupported", "nobody may subscribe to a fake")

    async def answer_subscription(self, call_id: str, tag: str, sdp: str) -> None:
        raise MediaError("unsupported", "nobody may subscribe to a fake")

    async def unsubscribe(self, call_id: str, tag: str) -> None:
        raise MediaError("unsupported", "nobody may subscribe to a fake")

    async def calls(self) -> tuple[str, ...]:
        return tuple(self.open_calls)

    async def statistics(self) -> EngineStatistics:
        return EngineStatistics(sessions=len(self.open_calls))

    def _ask(self, *what: str) -> None:
        self.asked.append(what)
        if self.refuse is not None:
            raise self.refuse

    def _port(self, call_id: str, tag: str) -> int:
        side = (call_id, "a" if tag == "a" else "b")
        return self._ports.setdefault(side, 30000 + 2 * len(self._ports) + self._forgotten)

    def _describe(self, call_id: str, tag: str, sdp: str) -> None:
        try:
            parsed = SessionDescription.parse(sdp)
        except ParseError:
            return  # `_rewrite` says so
        audio = parsed.audio
        connection = parsed.connection_of(audio) if audio is not None else None
        if audio is not None and connection is not None:
            side = (call_id, "a" if tag == "a" else "b")
            self._wants[side] = (connection.address, audio.port)

    @staticmethod
    def _rewrite(sdp: str, port: int, address: str | None) -> str:
        try:
            parsed = SessionDescription.parse(sdp)
        except ParseError as error:
            raise MediaError("bad-sdp", str(error)) from None
        audio = parsed.audio
        formats = " ".join(audio.formats) if audio is not None else "0"
        connection = parsed.connection_of(audio) if audio is not None else None
        held = connection is not None and connection.unspecified  # RFC 3264 8.4: stays a hold
        rest = [line for line in sdp.splitlines() if line.startswith("a=")]
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            f"c=IN IP4 {'0.0.0.0' if held else address or '127.0.0.1'}",
            "t=0 0",
            f"m=audio {port} RTP/AVP {formats}",
            *rest,
        ]
        return "\r\n".join([*lines, ""])
