"""How far a leg is, in jambonz's words, and what is known of it."""

from dataclasses import dataclass, field
from enum import Enum

from sip.b2bua.call_events import Cause, Headers


class Progress(Enum):
    """How far a leg is; the value is jambonz's `call_status`."""

    __hash__ = object.__hash__  # members are singletons

    def __init__(self, word: str) -> None:
        #: the value, which costs two calls to read
        self.word = word

    TRYING = "trying"
    RINGING = "ringing"
    EARLY_MEDIA = "early-media"
    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    FAILED = "failed"


FINAL = frozenset({Progress.COMPLETED, Progress.BUSY, Progress.NO_ANSWER, Progress.FAILED})


def progress_of(status: int) -> Progress:
    """What a final failure means (jambonz: 486 and 600 are busy, 487 is no answer)."""
    if status in (486, 600):
        return Progress.BUSY
    return Progress.NO_ANSWER if status == 487 else Progress.FAILED


@dataclass(slots=True)
class LegStatus:
    """One leg as the application is told of it. Times are the clock's monotonic seconds.

    `headers` are those of the message that ended the leg and may interest the application;
    `detail` is a sentence where no message says why it failed.
    """

    call_sid: str
    sip_call_id: str = ""
    progress: Progress = Progress.TRYING
    sip_status: int = 100
    sip_reason: str = "Trying"
    early_media: bool = False
    cause: Cause | None = None
    detail: str | None = None
    headers: Headers = ()
    answered_at: float | None = None
    ended_at: float | None = None
    #: whether it is over: follows from `progress`
    final: bool = field(init=False, default=False)

    @property
    def duration_s(self) -> float:
        """Seconds between answer and end; 0 for a leg that was never answered."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return self.ended_at - self.answered_at

    def begin(self, sip_call_id: str) -> None:
        """An INVITE is out; also the next attempt's, of which nothing is known yet."""
        self.sip_call_id = sip_call_id
        self.cause, self.detail, self.headers, self.ended_at = None, None, (), None
        self._set(Progress.TRYING, 100, "Trying")

    def ring(self, progress: Progress, status: int, reason: str) -> None:
        self.early_media |= progress is Progress.EARLY_MEDIA
        self._set(progress, status, reason)

    def answer(self, at: float) -> None:
        self.answered_at = at
        self._set(Progress.IN_PROGRESS, 200, "OK")

    def end(self, at: float, progress: Progress, status: int, reason: str, cause: Cause) -> None:
        self.ended_at = at
        self.cause = cause
        self._set(progress, status, reason)

    def _set(self, progress: Progress, status: int, reason: str) -> None:
        self.progress, self.sip_status, self.sip_reason = progress, status, reason
        self.final = progress in FINAL
