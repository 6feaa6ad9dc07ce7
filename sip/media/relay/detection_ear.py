"""Listens to one party for who it is: a person, a machine, a fax, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sip.core.sdp_lines import Codec
from sip.media.detection.detector import Detector
from sip.media.detection.found import Found, Verdict
from sip.media.detection.terms import DetectionTerms
from sip.media.plane import MediaError
from sip.media.relay.party_audio import PartyAudio
from sip.media.relay.rtp_endpoint import Ear, RtpEndpoint
from sip.media.relay.timers import Timer, Timers
from sip.media.tones import RATE_HZ

#: Seconds between two looks at whether anything comes at all.
LOOK_S: Final = 0.1

#: Gets what is found, with the time.
Tell = Callable[[Found, float], None]


class DetectionEar:
    """One party's audio from `now` on, until nothing more can be found in it, or `close`.

    It costs the detector's time for each packet, and a timer of `LOOK_S`; nothing once it is over.
    """

    __slots__ = ("_audio", "_detector", "_ear", "_endpoint", "_samples", "_tell", "_timer",
                 "_timers")  # fmt: skip

    def __init__(
        self,
        endpoint: RtpEndpoint,
        codec_of: Callable[[int], Codec | None],
        terms: DetectionTerms,
        tell: Tell,
        timers: Timers,
        now: float,
    ) -> None:
        """`codec_of` says what a payload type of the party is."""
        self._endpoint = endpoint
        self._tell: Tell | None = tell
        self._detector = Detector(terms)
        self._audio = PartyAudio(codec_of, now)
        #: What the detector has heard.
        self._samples = 0
        self._timers = timers
        self._timer: Timer | None = timers.at(now + LOOK_S, self._look)
        self._ear: Ear = self.hear  # one object, by which it is let be
        endpoint.listen_in(self._ear)

    @property
    def over(self) -> bool:
        """Whether nothing more is told."""
        return self._tell is None

    def close(self) -> None:
        """Nothing more is told."""
        self._tell = None
        self._endpoint.let_be(self._ear)
        self._ear = _deaf  # which holds this no more
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hear(self, packet: bytes, now: float) -> None:
        """A packet of the party's."""
        try:
            audio = self._audio.read(packet, now)
        except MediaError as error:
            self._give_up(error.text, now)
            return
        self._take(audio, now)

    def _look(self, now: float) -> None:
        self._timer = self._timers.at(now + LOOK_S, self._look)
        if self._endpoint.datagrams:
            self._give_up("t38", now, Verdict.FAX)
            return
        self._take(self._audio.quiet(now), now)

    def _take(self, audio: bytes, now: float) -> None:
        if not audio or self._tell is None:
            return
        self._samples += len(audio) // 2
        found, tell = self._detector.take(audio), self._tell
        if self._detector.done:
            self.close()
        for each in found:
            tell(each, now)

    def _give_up(self, reason: str, now: float, what: Verdict = Verdict.UNKNOWN) -> None:
        """It cannot be listened to any more."""
        tell = self._tell
        self.close()
        if tell is not None:
            at_ms = self._samples * 1000 // RATE_HZ
            confidence = 0.0 if what is Verdict.UNKNOWN else 1.0
            tell(Found(what=what, at_ms=at_ms, confidence=confidence, reason=reason), now)


def _deaf(_: bytes, __: float) -> None:
    """The ear of one that is over."""
