"""Tells who or what has answered, from the audio of its party.

A person says a few words and waits. A machine talks on, or beeps. So one who is quiet for about
`person_quiet_ms` after some words is a person (`judging.py`); one who speaks for longer than
`longest_answer_ms` without such a wait is a machine, or who speaks on after a sentence and a pause,
and so is whoever beeps, at whatever time before that. A tone that sounds when a person would be
told holds the decision until it is known what it is.
"""

from __future__ import annotations

from typing import Final

from sip.media.detection.beeps import BeepFinder, Meaning, Signal, may_be_note, may_call
from sip.media.detection.fax import FaxFinder, power_of
from sip.media.detection.found import Found, Verdict
from sip.media.detection.judging import ended_wait_ms, speaks_on, wait_ms
from sip.media.detection.room import has_stopped
from sip.media.detection.speech import FRAME_MS, NOTHING, Speech
from sip.media.detection.terms import DetectionTerms
from sip.media.detection.tone_finder import FRAME, ms_of
from sip.media.tones import level_of, rms_of

_FRAME_BYTES: Final = 2 * FRAME
#: How long after a tone, before anybody has spoken, it is known what it is: where it may be a fax's
#: call, and where it may be a note of music behind a person.
_CALL_KNOWN_MS: Final = 1200
_NOTE_KNOWN_MS: Final = 800
#: How long a decision is held for what sounds, but is neither a word nor a tone yet.
_HELD_MS: Final = 200
#: A tone that is quieter than the loudest word by so much sounds behind a person.
_BEHIND_DB: Final = 14.0
#: So many tones that are no beeps make music.
_MUSIC: Final = 5
#: Music that plays more softly for a while is louder than what sounds behind a person: it stays
#: within so much of its loudest.
_SOFTER_DB: Final = 16.0


class Detector:
    """One detection: takes PCM16 of 8 kHz, one channel, in pieces of any length."""

    __slots__ = (
        *("_beeps", "_decided", "_done", "_early", "_fax", "_frames"),
        *("_left", "_sounded", "_speech", "_stopped", "_terms", "_toned"),
    )

    def __init__(self, terms: DetectionTerms | None = None) -> None:
        self._terms = terms or DetectionTerms()
        self._left = b""
        self._frames = 0
        self._speech = Speech()
        self._beeps = BeepFinder()
        self._fax = FaxFinder()
        #: A beep that may be something else, as nobody has spoken before it, and when it is known.
        self._early: tuple[Signal, int] | None = None
        #: The decision, and its time.
        self._decided: Found | None = None
        #: Frames of the tone that sounds, and the newest one of a tone as loud as speech.
        self._toned = self._sounded = 0
        self._stopped = False
        self._done = False

    @property
    def done(self) -> bool:
        """Whether nothing more will be told."""
        return self._done

    def take(self, pcm: bytes) -> tuple[Found, ...]:
        """The next audio: what is known with it that was not known before."""
        data = self._left + pcm
        found: list[Found] = []
        at = 0
        while not self._done and at + _FRAME_BYTES <= len(data):
            self._hear(data[at : at + _FRAME_BYTES], found)
            at += _FRAME_BYTES
        self._left = b"" if self._done else data[at:]
        return tuple(found)

    def end(self) -> tuple[Found, ...]:
        """There is no more audio: what is undecided is unknown."""
        found: list[Found] = []
        if not self._done:
            signal = self._beeps.end() or (self._early and self._early[0])
            if signal is not None:
                self._signal(signal, found)
            if self._decided is None:
                self._decide(found, Verdict.UNKNOWN, 0.0, "ended")
            self._done = True
        return tuple(found)

    @property
    def _behind(self) -> float:
        """The mean square below which a tone sounds behind a person."""
        return rms_of(self._speech.loudest - _BEHIND_DB) ** 2

    @property
    def _quiet_ms(self) -> int:
        """For how long nobody has spoken, and no tone has sounded that is as loud as speech."""
        return min(self._speech.quiet, self._frames - self._sounded) * FRAME_MS

    @property
    def _plays_on(self) -> bool:
        """Whether what seemed to be words was music, which has only become softer."""
        softer = self._speech.loudest - self._speech.usual_since
        return softer < _SOFTER_DB and self._beeps.sounds_tonal

    @property
    def _now_ms(self) -> int:
        return self._frames * FRAME_MS

    def _hear(self, frame: bytes, found: list[Found]) -> None:
        self._frames += 1
        power = power_of(frame)
        decided = self._decided is not None
        spoken = self._speech.began is not None
        noise = rms_of(self._speech.floor) ** 2
        signal = self._beeps.take(frame, power, noise=noise, spoken=spoken, machine=decided)
        toned, before = self._beeps.toned, self._toned
        self._toned = toned
        if toned and power >= self._behind:
            self._sounded = self._frames
        level = max(level_of(power**0.5), NOTHING)
        self._speech.take(level, toned=toned > 0 and before > 0)
        dismissed = self._beeps.dismissed
        if toned and not before:
            self._speech.retract(toned)
        elif dismissed is not None:
            self._speech.restore(dismissed.began // FRAME, -(-dismissed.ended // FRAME))
        if self._decided is None:
            fax = self._fax.take(frame, power, toned=toned > 0)
            if fax is not None:
                reason, hz = fax
                self._decide(found, Verdict.FAX, 0.98, reason, hz)
                self._done = True
                return
        if signal is not None and not decided and signal.tone.power < self._behind:
            signal = None  # music or another telephone, behind a person
        if signal is not None and (known_in_ms := self._known_in_ms(signal)):
            self._early = (signal, self._now_ms + known_in_ms)
        elif signal is not None:
            self._signal(signal, found)
        if self._decided is None and self._early is not None:
            self._wait_to_know(*self._early, found)
        elif self._decided is None:
            self._consider(found)
        else:
            self._follow(found)

    def _known_in_ms(self, signal: Signal) -> int:
        """For how long a signal may be something else than a machine's; 0 if it cannot."""
        nothing_else = self._decided is None and self._speech.began is None
        if not nothing_else or signal.meaning is not Meaning.BEEP:
            return 0
        if may_call(signal.tone):
            return _CALL_KNOWN_MS
        return _NOTE_KNOWN_MS if may_be_note(signal.tone) else 0

    def _wait_to_know(self, signal: Signal, known_ms: int, found: list[Found]) -> None:
        """Nothing but a tone was heard, which may be something else than a machine's."""
        if self._speech.began is not None and signal.tone.power < self._behind:
            self._early = None
        elif self._now_ms >= known_ms:
            self._early = None
            self._signal(signal, found)

    def _signal(self, signal: Signal, found: list[Found]) -> None:
        tone = signal.tone
        if self._decided is None:
            self._decide(found, Verdict.MACHINE, 0.95, signal.meaning.value, tone.hz)
        if signal.meaning is Meaning.BEEP:
            found.append(
                self._found(
                    Verdict.BEEP,
                    0.95 if tone.other_hz is None else 0.85,
                    "beep",
                    hz=tone.hz,
                    began_ms=ms_of(tone.began),
                    ended_ms=ms_of(tone.ended),
                )
            )
            self._done = True

    def _consider(self, found: list[Found]) -> None:
        """The decision, if speech and quiet make one now."""
        terms, speech = self._terms, self._speech
        span_ms = speech.span * FRAME_MS
        quiet_ms = self._quiet_ms
        if self._beeps.notes(self._behind) >= _MUSIC:
            self._decide(found, Verdict.MACHINE, 0.7, "music")
            return
        if speech.began is not None and span_ms > terms.longest_answer_ms:
            over = min((span_ms - terms.longest_answer_ms) / 1000, 1.0)
            self._decide(found, Verdict.MACHINE, 0.9 + 0.09 * over, "long greeting")
        elif speaks_on(terms, speech):
            self._decide(found, Verdict.MACHINE, 0.85, "speaks on")
        elif speech.began is not None and (tone := self._beeps.beeping(self._behind)):
            self._decide(found, Verdict.MACHINE, 0.9, "beep", tone.hz)
        elif self._beeps.pending(self._behind):
            pass  # it tells more than the quiet
        elif speech.began is not None and quiet_ms >= (least_ms := wait_ms(terms, speech)):
            if speech.sounds and quiet_ms < least_ms + _HELD_MS:
                return  # more may begin with it: a word, or a beep
            if quiet_ms < ended_wait_ms(terms) and has_stopped(speech.levels_since):
                return  # a recording has ended: a beep may follow it
            if self._plays_on:
                if self._now_ms >= terms.no_speech_ms:
                    self._decide(found, Verdict.MACHINE, 0.6, "music")
                return
            short = 1.0 - min(span_ms / terms.longest_answer_ms, 1.0)
            self._decide(found, Verdict.HUMAN, 0.75 + 0.23 * short, "short answer")
            self._done = True
        elif speech.began is None and self._now_ms >= terms.no_speech_ms:
            if self._beeps.sounds_tonal:
                self._decide(found, Verdict.MACHINE, 0.6, "music")
                return
            self._decide(found, Verdict.NO_SPEECH, 0.9, "nobody spoke")
            self._done = True
        if self._decided is None and self._now_ms >= terms.decision_ms:
            self._decide(found, Verdict.UNKNOWN, 0.0, "no decision in time")
            self._done = True

    def _follow(self, found: list[Found]) -> None:
        """A machine's greeting, to its end and its beep."""
        assert self._decided is not None
        quiet_ms = self._quiet_ms
        if not self._stopped and quiet_ms >= self._terms.greeting_end_ms:
            self._stopped = True
            found.append(self._found(Verdict.MACHINE_STOPPED, 0.9, "quiet"))
        if self._now_ms - self._decided.at_ms >= self._terms.tone_ms:
            self._done = True

    def _decide(
        self,
        found: list[Found],
        what: Verdict,
        confidence: float,
        reason: str,
        hz: int | None = None,
    ) -> None:
        self._decided = self._found(what, confidence, reason, hz=hz)
        found.append(self._decided)

    def _found(
        self,
        what: Verdict,
        confidence: float,
        reason: str,
        *,
        hz: int | None = None,
        began_ms: int | None = None,
        ended_ms: int | None = None,
    ) -> Found:
        speech = self._speech
        if began_ms is None and speech.began is not None:
            began_ms, ended_ms = speech.began * FRAME_MS, speech.ended * FRAME_MS
        return Found(
            what=what,
            at_ms=self._now_ms,
            confidence=round(confidence, 2),
            reason=reason,
            frequency_hz=hz,
            speech_ms=speech.spoken * FRAME_MS,
            silence_ms=speech.quiet * FRAME_MS,
            began_ms=began_ms,
            ended_ms=ended_ms,
        )
