"""What the queue needs of others: who places a try, who stores events, what Retell has room for."""

from collections.abc import Callable, Sequence
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.calls.no_way import NoWay
from gateway.outbound.events import QueueEvent
from gateway.outbound.news import AgentAnswered, Answered, Ended, News, Ringing
from gateway.storage.queued_call import Result
from gateway.storage.wanted import AmdWanted, Mode, Wanted

__all__ = [
    "AgentAnswered",
    "AmdWanted",
    "Answered",
    "Ended",
    "EventSink",
    "Mode",
    "News",
    "NotNowError",
    "Placer",
    "Result",
    "RetellRoom",
    "Ringing",
    "Wanted",
]


class NotNowError(Exception):
    """Nothing was sent, and it is only a matter of time: the try did not count. `reason` is a
    slug such as `trunk-full`; what would go the same way waits for `retry_after_s` seconds."""

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Placer(Protocol):
    """Places a try: dials the person, or has Retell's API do so."""

    async def begin(
        self, call_id: str, queued_id: str, wanted: Wanted, on_news: Callable[[News], None]
    ) -> None:
        """Begin one try; its intent is stored already. Raises NotNowError when nothing was sent
        and it is only a matter of time (room, concurrency): the try did not count. Every other
        failure comes as `Ended`, which is the last news, and comes once. News may come before this
        returns."""
        ...

    def cancel(self, call_id: str) -> bool:
        """End that try; `Ended` follows. Whether there was one to end."""
        ...

    def judge(self, wanted: Wanted) -> NoWay | None:
        """Why it may not be called at all: guard, caps, money, no route; None if it may."""
        ...

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        """By which trunks it would go, the first one first: the pace of each is kept. Empty where
        no trunk of ours has a say in it."""
        ...


class RetellRoom(Protocol):
    """How many more calls Retell takes, by its own word."""

    def free(self) -> int | None:
        """As read last, less what `took` said since; None where it is not known: no limit then."""
        ...

    def took(self) -> None:
        """An agent is there, and Retell counts its call: one less until the next reading."""
        ...


class EventSink(Protocol):
    """Stores what becomes of queued calls beside them: an outbox."""

    async def note(self, connection: AsyncConnection, events: Sequence[QueueEvent]) -> None:
        """Write `events` in the transaction of `connection`, which changes the calls. The same
        event may come again (`QueueEvent.event_id`), as after a commit whose answer was lost.
        Raises whatever the driver does."""
        ...

    def wake(self) -> None:
        """What was noted is committed."""
        ...
