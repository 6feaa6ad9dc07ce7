"""What is known of one leg: how far it is, and how it ended."""

from enum import Enum
from typing import Any

from sip.b2bua.call_events import Cause, Headers
from sip.b2bua.legs.leg import Direction
from sip.core.value import changed, frozen


class Progress(Enum):
    """How far a leg is; the value is the word in a stored state."""

    __hash__ = object.__hash__  # members are singletons

    TRYING = "trying"
    RINGING = "ringing"
    EARLY_MEDIA = "early-media"
    ANSWERED = "answered"
    ENDED = "ended"
    """it was answered, and is over"""
    FAILED = "failed"
    """it was never answered"""


@frozen(kw_only=True)
class LegReport:
    """One leg as the application sees it. Times are the clock's monotonic seconds.

    `since` is when it got as far as it is. `headers` are those of the message that ended the leg
    and may interest the application; `detail` is a sentence where no message says why it failed.
    """

    call_sid: str
    direction: Direction
    since: float
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
    #: whether the leg is over: there is an `ended_at`
    final: bool = False

    @property
    def duration_s(self) -> float:
        """Seconds between answer and end; 0 for a leg that was never answered."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return self.ended_at - self.answered_at

    def tried(self, at: float, sip_call_id: str, detail: str | None = None) -> "LegReport":
        """An INVITE is out; also the next attempt's, of which nothing is known yet.

        `detail` says what is to be known of the attempt itself.
        """
        return changed(
            self,
            since=at,
            sip_call_id=sip_call_id,
            progress=Progress.TRYING,
            sip_status=100,
            sip_reason="Trying",
            cause=None,
            detail=detail,
            headers=(),
            ended_at=None,
            final=False,
        )

    def rang(self, at: float, status: int, reason: str, *, early_media: bool) -> "LegReport":
        """A provisional response came, with or without early media."""
        return changed(
            self,
            since=at,
            progress=Progress.EARLY_MEDIA if early_media else Progress.RINGING,
            early_media=early_media or self.early_media,
            sip_status=status,
            sip_reason=reason,
        )

    def answered(self, at: float) -> "LegReport":
        """It is up."""
        return changed(
            self,
            since=at,
            progress=Progress.ANSWERED,
            sip_status=200,
            sip_reason="OK",
            answered_at=at,
        )

    def ended(self, at: float, cause: Cause, headers: Headers = ()) -> "LegReport":
        """It was answered, and is over."""
        return changed(
            self,
            since=at,
            progress=Progress.ENDED,
            sip_status=200,
            sip_reason="OK",
            cause=cause,
            headers=headers,
            ended_at=at,
            final=True,
        )

    def failed(
        self,
        at: float,
        status: int,
        reason: str,
        cause: Cause,
        headers: Headers = (),
        detail: str | None = None,
    ) -> "LegReport":
        """It was not answered, and is over; `status` and `reason` say so in SIP's words."""
        return changed(
            self,
            since=at,
            progress=Progress.FAILED,
            sip_status=status,
            sip_reason=reason,
            cause=cause,
            headers=headers,
            detail=detail,
            ended_at=at,
            final=True,
        )

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {
            **self.__dict__,
            "direction": self.direction.value,
            "progress": self.progress.value,
            "cause": self.cause.value if self.cause is not None else None,
            "headers": [list(header) for header in self.headers],
        }

    @staticmethod
    def from_json(told: dict[str, Any]) -> "LegReport":
        """What `to_json` made. Raises KeyError, TypeError or ValueError for anything else."""
        fields = dict(told)
        cause = fields.pop("cause")
        return LegReport(
            direction=Direction(fields.pop("direction")),
            progress=Progress(fields.pop("progress")),
            cause=Cause(cause) if cause is not None else None,
            headers=tuple((name, value) for name, value in fields.pop("headers")),
            **fields,
        )
