"""What becomes of queued calls, told to whoever asked for them: the queue's sink of events."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.callbacks.outbox import Event, Outbox
from gateway.outbound.events import QueueEvent
from gateway.outbound.views import call_view, try_view


class QueueEvents:
    """An `EventSink` that writes into the outbox. The events of a queued call are one subject."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def note(self, connection: AsyncConnection, events: Sequence[QueueEvent]) -> None:
        """Write `events` in the transaction of `connection`."""
        await self._outbox.note_all(connection, map(_event, events))

    def wake(self) -> None:
        """What was noted is committed."""
        self._outbox.wake()


def _event(event: QueueEvent) -> Event:
    attempt = None if event.attempt is None else try_view(event.attempt)
    return Event(
        kind=str(event.kind),
        subject=event.call.queued_id,
        data={**call_view(event.call), "try": attempt},
        url=event.call.wanted.callback,
        event_id=event.event_id,
        at_ms=event.at_ms,
    )
