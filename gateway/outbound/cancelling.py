"""Takes calls out of the queue again."""

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gateway.outbound.dispatcher import Dispatcher
from gateway.outbound.events import EventKind, QueueEvent
from gateway.outbound.ledger import Ledger
from gateway.outbound.retrying import CANCELLED
from gateway.storage.queued_call import QueuedCall, QueueState
from gateway.storage.queued_calls import BATCH, QueueStore

log = structlog.get_logger("gateway.queue")

#: How often it is looked again where a call begins at that moment.
_LOOKS: Final = 3


class Canceller:
    """Cancels calls that wait, and has those that are under way end."""

    def __init__(
        self,
        store: QueueStore,
        ledger: Ledger,
        dispatcher: Dispatcher,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._now = now

    async def cancel(self, queued_id: str) -> QueuedCall | None:
        """That one; as it is then, None where there is none. Raises StorageError."""
        for _ in range(_LOOKS):
            if self._end([queued_id]):
                break
            if await self._cancel([queued_id]):
                log.info("queue.cancelled", queued_id=queued_id)
                break
        found = await self._store.several([queued_id])
        return found[0] if found else None

    async def cancel_campaign(self, campaign: str) -> int:
        """All of a campaign; how many. Raises StorageError."""
        count = 0
        ids = await self._store.ids_of(campaign, QueueState.WAITING, QueueState.CALLING)
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            for _ in range(_LOOKS):
                ended = self._end(some)
                done = await self._cancel([one for one in some if one not in ended])
                count += len(ended) + len(done)
                some = [one for one in some if one not in ended and one not in done]
                if not some:
                    break
        log.info("queue.campaign-cancelled", campaign=campaign, calls=count)
        return count

    def _end(self, ids: Sequence[str]) -> set[str]:
        """Have the tries of these end that are under way; which those are."""
        found: set[str] = set()
        for queued_id in ids:
            running = self._dispatcher.under_way.get(queued_id)
            if running is not None:
                self._dispatcher.under_way.cancel(running)
                found.add(queued_id)
        return found

    async def _cancel(self, ids: Sequence[str]) -> set[str]:
        """Cancel those of these that wait; which those are."""
        now_ms = round(self._now() * 1000)
        async with self._store.transaction(durable=True) as connection:
            calls = await self._store.end_waiting(
                connection, ids, QueueState.CANCELLED, now_ms, words=CANCELLED
            )
            events = [QueueEvent(EventKind.CANCELLED, now_ms, call) for call in calls]
            await self._ledger.write(connection, events)
        for event in events:
            entry = self._dispatcher.line.get(event.call.queued_id)
            if entry is not None:
                self._dispatcher.line.drop(entry)
        self._ledger.tell(events)
        return {event.call.queued_id for event in events}
