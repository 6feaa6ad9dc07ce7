"""The leg of a call that reached us as a media stream: text frames of audio, no SIP.

Its peer, a person whose call somebody else carries, has been answered there already and waits for
us. To the media engine it is a party like any other, at an RTP port of this machine.
"""

import audioop
from collections import Counter
from collections.abc import Callable
from math import inf
from typing import Final

import structlog

from sip.b2bua.call_events import Cause, Disconnect, Event, Headers, OfferEnded, Pressed, Side
from sip.b2bua.legs.leg import Direction, OnEvent, unheard
from sip.clock import Clock, Timer
from sip.core.body import Body
from sip.media.key_tones import FREQUENCIES_HZ, key_tone
from sip.media.terms import KeyForm, MediaSide, MediaTerms, Signalling
from sip.media.tones import rms_of
from sip.streams.early import CATCH_UP, Early
from sip.streams.face import Frame, Key, Line, Marked
from sip.streams.loudness import BargeIn, Interruption, is_loud
from sip.streams.mending import Mending
from sip.streams.pacing import RATE, Pacing
from sip.streams.rtp_port import RtpPort

log = structlog.get_logger(__name__)

#: How long a key of the caller's lasts, which the peer does not say.
KEY_MS: Final = 160
#: What of the agent's audio is speech, in dBm0, and the silence that ends it, in ms.
SPEECH_DBM0: Final = -45.0
PAUSE_MS: Final = 100
#: The agent counts as speaking so long after the last loud piece is played: pauses between words.
BETWEEN_WORDS_S: Final = 0.3
#: Audio that was sent and not played, after which the peer is told to forget it.
BEHIND_S: Final = 1.0
#: A mark that is not reached so long after its audio should be played never will be, in seconds.
LOST_S: Final = 5.0
#: A mark goes out after so much speech, in ms.
MARK_EACH_MS: Final = 1000
#: A peer that reads nothing for so long is gone.
UNREAD_S: Final = 5.0

_SPEECH_RMS: Final = rms_of(SPEECH_DBM0)
_PIECE: Final = 160


class StreamKeys:
    """The caller's keys come as events of the stream; to the caller they go as tones."""

    wish = KeyForm.INFO
    form = KeyForm.INFO

    def __init__(self, play: Callable[[bytes], bool]) -> None:
        self._play = play

    def press(self, key: str, duration_ms: int) -> bool:
        if key not in FREQUENCIES_HZ:
            return False
        return self._play(audioop.lin2ulaw(key_tone(key, duration_ms), 2))


class StreamLeg:
    """A caller's leg, with the face of `Leg`; and the `Ear` of its stream.

    What the caller says before the call is answered is kept (`Early`), and caught up with. What
    the agent says is sent as it comes, little ahead of real time (`Pacing`), and taken back where
    the caller breaks in.
    """

    direction = Direction.INBOUND
    takes_reinvites = True
    hops_left = 70

    def __init__(
        self,
        clock: Clock,
        port: RtpPort,
        line: Line,
        on_event: OnEvent,
        *,
        stream_id: str,
        barge_in: BargeIn,
        counts: Counter[str],
    ) -> None:
        """`port` and `line` are the leg's own, and closed by it. `counts` is added to."""
        self.sip_call_id = stream_id
        host = port.local[0]
        terms = MediaTerms(dtmf=KeyForm.INFO, takes_info=True)
        self.media_side = MediaSide(host, Signalling(host, direct=True), terms)
        self.local_sdp: str | None = None
        self.remote_sdp: str | None = port.sdp
        self.settled = self.up = self.gone = False
        self.keys = StreamKeys(self._play)
        self._clock = clock
        self._port = port
        self._line = line
        self._emit_to = on_event
        self._counts = counts
        self._timers: dict[str, Timer] = {}
        # from the caller
        self._said: Mending[Frame] = Mending(first=1)
        self._early: Early | None = Early()
        self._interruption = Interruption(barge_in)
        self._last_key = -1
        # to the caller
        self._answered: Mending[bytes] = Mending()
        self._pacing = Pacing()
        self._marks: dict[str, float] = {}
        self._marked = 0
        self._speech_ms = self._pause_ms = 0
        self._speech_until = -inf
        self._unread_since: float | None = None

    @property
    def answered(self) -> bool:
        """Whether its call was answered, however long ago."""
        return self.settled

    # what the call asks

    def start(self) -> None:
        """The peer has said all that there is to say of the call."""
        self._port.on_audio = self._from_engine

    def ring(self, status: int = 180, reason: str | None = None, *, sdp: str | None = None) -> None:
        """The caller hears what comes early; nothing tells a status."""
        if sdp is not None and not self.up and not self.gone:
            self.local_sdp = sdp
            self._port.lead_to(sdp)

    def answer(self, sdp: str) -> bool:
        if self.up or self.gone:
            return False
        self.local_sdp = sdp
        self.settled = self.up = True
        self._port.lead_to(sdp)
        self._catch_up()
        return True

    def reject(self, status: int, reason: str | None = None, headers: Headers = ()) -> str:
        """The stream ends, and its peer goes on with the call as it was told to before."""
        self._leave()
        return reason or ""

    def hangup(self, headers: Headers = ()) -> None:
        self._leave()

    def reoffer(self, sdp: str) -> bool:
        """The peer knows nothing of descriptions: it is taken at once."""
        if not self.up:
            return False
        self.local_sdp = sdp
        self._port.lead_to(sdp)
        self._emit(OfferEnded(at=self._clock.now(), status=200, sdp=self.remote_sdp))
        return True

    def accept(self, sdp: str) -> bool:
        """It makes no offers."""
        return False

    def refuse(self, status: int) -> None:
        """It makes no offers."""

    def refer(
        self, refer_to: str, *, referred_by: str | None, headers: Headers, wait_s: float
    ) -> bool:
        """A stream cannot be sent elsewhere."""
        return False

    def send(
        self,
        method: str,
        *,
        body: Body | None,
        headers: Headers,
        told: Callable[[int | None], None],
    ) -> bool:
        """It has no dialog."""
        return False

    # what the peer says

    def heard(self, told: Frame | Key | Marked) -> None:
        """A piece of audio, a key, or a mark that was reached."""
        if self.gone:
            return
        if isinstance(told, Frame):
            for frame in self._said.take(told.number, told, self._clock.now()):
                self._hear(frame)
            self._await_missing("said", self._said.due, self._said_overdue)
        elif isinstance(told, Marked):
            self._reached(told.name)
        elif told.number > self._last_key:
            self._last_key = told.number
            self._emit(Pressed(at=self._clock.now(), key=told.key, duration_ms=KEY_MS))

    def ended(self, *, lost: bool) -> None:
        """The caller is gone."""
        if self.gone:
            return
        cause = Cause.DIALOG_LOST if lost else Cause.BYE
        emit_to = self._emit_to
        self._leave()
        emit_to(self, Disconnect(at=self._clock.now(), by=Side.PEER, cause=cause))

    def _hear(self, frame: Frame) -> None:
        if self._interruption.begins(frame.audio) and self._speaks(self._clock.now()):
            self._take_back()
            self._counts["interruptions"] += 1
        if self._early is None:
            self._port.send(frame.at_ms, frame.audio)
        else:
            self._early.keep(frame.at_ms, frame.audio)

    def _said_overdue(self) -> None:
        for frame in self._said.overdue(self._clock.now()):
            self._hear(frame)
        self._await_missing("said", self._said.due, self._said_overdue)

    def _catch_up(self) -> None:
        """Send what was said before anybody heard it, faster than it was said."""
        if self._early is None:
            return
        if not self._early:
            self._count_early()
            return
        at_ms, audio = self._early.pop()
        self._port.send(at_ms, audio)
        wait_s = len(audio) / RATE / CATCH_UP
        self._timers["early"] = self._clock.call_later(wait_s, self._catch_up)

    def _count_early(self) -> None:
        if self._early is not None:
            self._counts["early_dropped"] += self._early.dropped
            self._early = None

    # what the agent says

    def _from_engine(self, number: int, audio: bytes) -> None:
        if self.gone:
            return
        for piece in self._answered.take(number, audio, self._clock.now()):
            self._pacing.add(piece, loud=is_loud(piece, _SPEECH_RMS))
        self._await_missing("answered", self._answered.due, self._answered_overdue)
        self._pump()

    def _answered_overdue(self) -> None:
        for piece in self._answered.overdue(self._clock.now()):
            self._pacing.add(piece, loud=is_loud(piece, _SPEECH_RMS))
        self._await_missing("answered", self._answered.due, self._answered_overdue)
        self._pump()

    def _play(self, audio: bytes) -> bool:
        """Sound of our own, between what the agent says."""
        if self.gone:
            return False
        for start in range(0, len(audio), _PIECE):
            self._pacing.add(audio[start : start + _PIECE], loud=True)
        self._pump()
        return True

    def _pump(self) -> None:
        """Send what may be sent, and come back for the rest."""
        now = self._clock.now()
        while (piece := self._pacing.next(now)) is not None:
            audio, loud = piece
            if not self._line.audio(audio):
                self._unread(now)
                if self.gone:
                    return
                continue
            self._unread_since = None
            self._follow(audio, loud=loud)
        wait_s = self._pacing.wait_s(now)
        if wait_s is not None and "pump" not in self._timers:
            self._timers["pump"] = self._clock.call_later(wait_s, self._pump_again)

    def _pump_again(self) -> None:
        self._timers.pop("pump", None)
        self._pump()

    def _follow(self, audio: bytes, *, loud: bool) -> None:
        """Mark the end of each speech, and each second of a long one."""
        length_ms = len(audio) // 8
        if loud:
            self._speech_until = self._pacing.played_at
            self._speech_ms += length_ms
            self._pause_ms = 0
            if self._speech_ms >= MARK_EACH_MS:
                self._mark()
        elif self._speech_ms:
            self._pause_ms += length_ms
            if self._pause_ms >= PAUSE_MS:
                self._mark()

    def _mark(self) -> None:
        self._speech_ms = self._pause_ms = 0
        self._marked += 1
        name = f"played-{self._marked}"
        self._marks[name] = self._pacing.played_at
        self._line.mark(name)

    def _reached(self, name: str) -> None:
        """The peer has played what was sent before a mark; how far behind is it?"""
        expected = self._marks.pop(name, None)
        if expected is None:
            return  # it was cleared away
        if self._clock.now() - expected > BEHIND_S:
            log.warning("stream.behind", stream=self.sip_call_id, reason="it plays too late")
            self._counts["behind"] += 1
            self._take_back()

    def _speaks(self, now: float) -> bool:
        """Whether the caller hears the agent speak, or has it still to hear."""
        if now < self._speech_until + BETWEEN_WORDS_S:
            return True
        newest = next(reversed(self._marks.values()), -inf)
        return now < newest + LOST_S

    def _take_back(self) -> None:
        """What the caller has not heard yet shall not be heard."""
        now = self._clock.now()
        self._line.clear()
        self._pacing.clear(now)
        self._marks.clear()
        self._speech_ms = self._pause_ms = 0
        self._speech_until = -inf

    def _unread(self, now: float) -> None:
        """The peer does not read as fast as it is sent to: audio that is late is of no use."""
        self._counts["unread"] += 1
        if self._unread_since is None:
            self._unread_since = now
            log.warning("stream.slow", stream=self.sip_call_id, reason="the peer does not read")
        elif now - self._unread_since > UNREAD_S:
            self.ended(lost=True)

    # parts

    def _await_missing(self, name: str, due: float | None, then: Callable[[], None]) -> None:
        """Come back when a missing piece has been waited for long enough."""
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()
        if due is not None:
            wait_s = max(0.0, due - self._clock.now())
            self._timers[name] = self._clock.call_later(wait_s, then)

    def _emit(self, event: Event) -> None:
        self._emit_to(self, event)

    def _leave(self) -> None:
        """The stream is over, by whomever. Nothing of it stays."""
        if self.gone:
            return
        self.up, self.gone = False, True
        self._emit_to = unheard
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._count_early()
        self._counts["left_out"] += self._pacing.dropped
        self._counts["mended"] += self._said.late + self._answered.late
        self._counts["missing"] += self._said.missing + self._answered.missing
        self._port.close()
        self._line.close()
