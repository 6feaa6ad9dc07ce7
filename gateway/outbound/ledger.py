"""Writes down what becomes of tries, in the order in which it happened, however long that takes.

Whoever tells it does not wait. Nothing that was told is dropped while the process lives; what the
process takes with it leaves a call `calling`, which the next start finds.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.outbound.events import EventKind, QueueEvent
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.ports import EventSink
from gateway.storage.errors import StorageError, is_of_the_database, plain
from gateway.storage.queued_call import OVER, QueuedCall, Try
from gateway.storage.queued_calls import QueueStore
from gateway.value import frozen

log = structlog.get_logger("gateway.queue")

#: The pause after the database refused, in seconds.
RETRY_S: Final = 1.0
#: How often it is told that it still does, in seconds.
TOLD_EVERY_S: Final = 30.0
#: How long storing the rest may take at the end, in seconds.
CLOSE_S: Final = 5.0
#: Changes of one transaction.
MOST: Final = 500


@frozen(kw_only=True)
class Change:
    """One thing that happened: `call` and `attempt` as they are now, or `dropped`, the call_id of
    a try that did not count; `then` is called once it is stored."""

    call: QueuedCall
    attempt: Try | None = None
    dropped: str | None = None
    kind: EventKind | None = None
    at_ms: int
    #: the call itself is as it was
    only_news: bool = False
    then: Callable[[], None] | None = None

    def event(self) -> QueueEvent | None:
        """What others hear of it."""
        if self.kind is None:
            return None
        return QueueEvent(self.kind, self.at_ms, self.call, self.attempt)


class Listener(Protocol):
    """Whoever hears of events when they are stored."""

    def __call__(self, event: QueueEvent, /) -> None: ...


class Trouble:
    """How the database does: told in the log now and then, and counted."""

    def __init__(self, metrics: QueueMetrics) -> None:
        self._metrics = metrics
        self._told_at = float("-inf")
        self.healthy = True

    def refused(self, error: StorageError, **about: object) -> None:
        """It did not store something."""
        self._metrics.refused()
        self.healthy = False
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            log.error("queue.store-failed", error=plain(error), now="no new call is made", **about)

    def stored(self) -> None:
        """It did."""
        if not self.healthy:
            self.healthy = True
            self._told_at = float("-inf")
            log.info("queue.stored-again")


class Ledger:
    """The one writer of what is told of tries, and the one who tells others of events."""

    def __init__(self, store: QueueStore, sink: EventSink | None, metrics: QueueMetrics) -> None:
        self._store = store
        self._sink = sink
        self._metrics = metrics
        self._listeners: list[Listener] = []
        self._waiting: list[Change] = []
        self._pending = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self.trouble = Trouble(metrics)

    def listen(self, listener: Listener) -> None:
        """Have it hear of every event from now on."""
        self._listeners.append(listener)

    def note(self, change: Change) -> None:
        """Store this by and by."""
        self._waiting.append(change)
        self._settled.clear()
        self._pending.set()

    async def write(self, connection: AsyncConnection, events: Sequence[QueueEvent]) -> None:
        """Have the outbox store events, in the transaction of `connection`."""
        if events and self._sink is not None:
            await self._sink.note(connection, events)

    def tell(self, events: Sequence[QueueEvent]) -> None:
        """What `write` wrote is committed."""
        if events and self._sink is not None:
            try:
                self._sink.wake()
            except Exception:
                log.exception("queue.outbox-broke")
        for event in events:
            call = event.call
            if call.state in OVER:
                self._metrics.over(call.state, str(call.result))
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:
                    log.exception("queue.listener-broke", kind=event.kind.value)

    async def run(self) -> None:
        """Store what is noted, until it is cancelled."""
        while True:
            await self._pending.wait()
            try:
                await self._store_some()
            except StorageError as error:
                self.trouble.refused(error, changes=len(self._waiting))
                await asyncio.sleep(RETRY_S)
            except Exception:
                log.exception("queue.ledger-broke", changes=len(self._waiting))
                await asyncio.sleep(RETRY_S)

    async def settled(self, within_s: float = CLOSE_S) -> bool:
        """Wait until all that was noted is stored; whether it is."""
        try:
            async with asyncio.timeout(within_s):
                await self._settled.wait()
        except TimeoutError:
            log.error("queue.not-stored", changes=len(self._waiting))
            return False
        return True

    async def _store_some(self) -> None:
        """The next transaction: of many, or of one where one of many may be what is refused."""
        batch = self._waiting[:MOST]
        try:
            await self._write_all(batch)
        except StorageError as error:
            if is_the_databases(error):
                raise
            batch = batch[:1]
            await self._store_or_drop(batch[0])
        del self._waiting[: len(batch)]
        self.trouble.stored()
        for change in batch:
            if change.then is not None:
                try:
                    change.then()
                except Exception:
                    log.exception("queue.follow-up-broke", queued_id=change.call.queued_id)
        if not self._waiting:
            self._pending.clear()
            self._settled.set()

    async def _store_or_drop(self, change: Change) -> None:
        """What can never be stored would hold up all others; its call shows as interrupted after
        the next start."""
        try:
            await self._write_all([change])
        except StorageError as error:
            if is_the_databases(error):
                raise
            call_id = None if change.attempt is None else change.attempt.call_id
            about = {"queued_id": change.call.queued_id, "call_id": call_id}
            log.error("queue.change-lost", error=plain(error), **about)

    async def _write_all(self, batch: Sequence[Change]) -> None:
        events = [event for change in batch if (event := change.event()) is not None]
        async with self._store.transaction() as connection:
            for change in batch:
                if not change.only_news:
                    await self._store.put(connection, change.call)
                if change.attempt is not None:
                    await self._store.put_try(connection, change.attempt)
                if change.dropped is not None:
                    await self._store.drop_try(connection, change.dropped)
            await self.write(connection, events)
        self.tell(events)


def is_the_databases(error: Exception) -> bool:
    """Whether it is the database's trouble, not that of what was to be stored."""
    if not isinstance(error, StorageError):
        return False
    cause = error.__cause__
    return not isinstance(cause, Exception) or is_of_the_database(cause)
