"""What happens to queued calls, for whoever wants to hear of it."""

from enum import StrEnum

from gateway.storage.queued_call import QueuedCall, Try
from gateway.value import frozen


class EventKind(StrEnum):
    """The names of events, as callbacks have them."""

    QUEUED = "call.queued"
    CALLING = "call.calling"
    """a try is stored, and about to begin"""
    RINGING = "call.ringing"
    ANSWERED = "call.answered"
    RETRYING = "call.retrying"
    """a try is over, and another one will follow"""
    DONE = "call.done"
    CANCELLED = "call.cancelled"
    UNKNOWN = "call.unknown"


@frozen
class QueueEvent:
    """`call` is as the event left it; `attempt` the try that it is about, None where it is about
    none. `at_ms` is milliseconds since 1970."""

    kind: EventKind
    at_ms: int
    call: QueuedCall
    attempt: Try | None = None

    @property
    def event_id(self) -> str:
        """The same whenever the same thing is told again: each call has each event once a try."""
        return f"{self.call.queued_id}-{self.call.tries}-{self.kind.removeprefix('call.')}"
