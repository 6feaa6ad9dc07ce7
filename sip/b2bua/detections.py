"""Which of a call's legs are listened to for who it is: a person, a machine, a fax, or nobody.

The media engine hears; what it finds goes to whoever asked. A leg that comes to another room or
engine is listened to anew there, since nothing of what it said before is known in it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sip.b2bua.legs.leg import Leg
from sip.b2bua.rooms import Room, Rooms, Seat
from sip.b2bua.work import Work
from sip.clock import Clock
from sip.media.detection.found import DECISIONS, ENDINGS, Found, Verdict
from sip.media.detection.terms import DetectionTerms
from sip.media.events import Detected
from sip.media.plane import MediaError


class Detection:
    """One leg that is listened to. Its times count from `begun_at`, monotonic seconds."""

    __slots__ = ("_detections", "begun_at", "decided", "leg", "moved_ms", "number", "seat",
                 "terms", "told")  # fmt: skip

    def __init__(
        self,
        detections: "Detections",
        number: int,
        leg: str,
        terms: DetectionTerms,
        told: Callable[[Found], None],
        begun_at: float,
    ) -> None:
        self._detections = detections
        self.number = number
        #: the leg's name
        self.leg = leg
        self.terms = terms
        self.told = told
        self.begun_at = begun_at
        #: where it is listened to; None while that is nowhere
        self.seat: Seat | None = None
        #: whether the question is answered, so that only what a machine does next is told
        self.decided = False
        #: what lies before the beginning of the audio that is listened to now
        self.moved_ms = 0

    def stop(self) -> None:
        """Nothing more is told; without effect where it is over."""
        self._detections.end(self)


class Detections:
    """The detections of one call."""

    def __init__(self, clock: Clock, legs: Mapping[str, Leg], rooms: Rooms, errands: Work) -> None:
        self._clock = clock
        self._legs = legs
        self._rooms = rooms
        self._errands = errands
        self._numbered = 0
        self._open: dict[int, Detection] = {}

    async def begin(
        self, leg: str, terms: DetectionTerms, told: Callable[[Found], None]
    ) -> Detection:
        """Listen to a leg from now on. Raises MediaError."""
        self._numbered += 1
        detection = Detection(self, self._numbered, leg, terms, told, self._clock.now())
        self._open[detection.number] = detection
        try:
            await self._ask(detection, terms)
        except BaseException:
            self._open.pop(detection.number, None)
            raise
        return detection

    def end(self, detection: Detection) -> None:
        """Listen no more."""
        seat = detection.seat
        if self._open.pop(detection.number, None) is not None and seat is not None:
            self._errands.add(self._stop, seat, detection.number)

    def on(self, event: Detected) -> None:
        """The media engine found something."""
        detection = self._open.get(event.detection)
        if detection is None:
            return
        found = event.found
        if detection.moved_ms:
            found = _since_begun(found, detection.moved_ms)
        if found.what in DECISIONS:
            if detection.decided:
                return  # of one that was listened to anew
            detection.decided = True
        if found.what in ENDINGS:
            del self._open[event.detection]
        detection.told(found)

    def forget(self, name: str) -> None:
        """The leg is over, and what is found of it is of no use."""
        for detection in [one for one in self._open.values() if one.leg == name]:
            del self._open[detection.number]

    def lost(self, room: Room) -> None:
        """The engine of a room is gone: whoever was listened to there is, once it has moved."""
        for detection in self._open.values():
            if detection.seat is not None and detection.seat.room is room:
                detection.seat = None

    def follow(self, names: Iterable[str]) -> None:
        """These legs have perhaps other media than before."""
        known = set(names)
        for detection in self._open.values():
            if detection.leg in known and self._seat_of(detection) != detection.seat:
                self._errands.add(self._again, detection)

    def close(self) -> None:
        """The call is over."""
        self._open.clear()

    def _seat_of(self, detection: Detection) -> Seat | None:
        leg = self._legs.get(detection.leg)
        return None if leg is None else self._rooms.seat(leg)

    async def _ask(self, detection: Detection, terms: DetectionTerms) -> None:
        seat = self._seat_of(detection)
        if seat is None:
            raise MediaError("refused", "the leg has no media to listen to")
        detection.seat = seat
        await seat.room.media.detect(seat.tag, detection.number, terms)

    async def _again(self, detection: Detection) -> None:
        """The same in the media that the leg has now, for as long as is left."""
        before = detection.seat
        if detection.number not in self._open or self._seat_of(detection) in (None, before):
            return
        if before is not None:
            await self._stop(before, detection.number)
        detection.moved_ms = round((self._clock.now() - detection.begun_at) * 1000)
        try:
            await self._ask(detection, _left(detection.terms, detection.moved_ms))
        except MediaError as error:
            detection.seat = None
            at_ms = detection.moved_ms
            self._open.pop(detection.number, None)
            detection.told(
                Found(what=Verdict.UNKNOWN, at_ms=at_ms, confidence=0.0, reason=str(error))
            )

    async def _stop(self, seat: Seat, number: int) -> None:
        try:
            await seat.room.media.stop_detecting(seat.tag, number)
        except MediaError:
            return  # the engine has given the session up, and the detection with it


def _since_begun(found: Found, moved_ms: int) -> Found:
    """With times of the whole detection.

    That nobody spoke is not known of the time before, so that it is no verdict.
    """
    what = Verdict.UNKNOWN if found.what is Verdict.NO_SPEECH else found.what
    return replace(
        found,
        what=what,
        at_ms=found.at_ms + moved_ms,
        began_ms=None if found.began_ms is None else found.began_ms + moved_ms,
        ended_ms=None if found.ended_ms is None else found.ended_ms + moved_ms,
    )


def _left(terms: DetectionTerms, passed_ms: int) -> DetectionTerms:
    """What is left of a detection's time, and long enough for somebody to speak."""
    left_ms = max(terms.decision_ms - passed_ms, terms.no_speech_ms)
    return replace(terms, decision_ms=left_ms)
