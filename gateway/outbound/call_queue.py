"""The queue of calls that go out: what may be asked of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from gateway.outbound.adding import Adder, Beside
from gateway.outbound.cancelling import Canceller
from gateway.outbound.dispatcher import Dispatcher
from gateway.outbound.errors import WishError, WishesError
from gateway.outbound.events import QueueEvent
from gateway.outbound.ledger import Ledger
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.ports import EventSink, Placer, RetellRoom
from gateway.outbound.restart import go_on
from gateway.outbound.wish import Wish
from gateway.storage.do_not_call import DoNotCall, DoNotCallStore
from gateway.storage.queued_call import QueuedCall, RetryPolicy, Try
from gateway.storage.queued_calls import WHOLE, QueueQuery, QueueStore
from gateway.storage.wanted import Wanted

log = structlog.get_logger("gateway.queue")

T = TypeVar("T")


class CallQueue:
    """People who are to be called. It places tries while `running` is entered."""

    def __init__(
        self,
        settings: Settings,
        engine: AsyncEngine,
        placer: Placer,
        metrics: QueueMetrics,
        *,
        now: Callable[[], float],
        sink: EventSink | None = None,
        room: RetellRoom | None = None,
    ) -> None:
        """`now` is seconds since 1970; `engine` an open database."""
        self._now = now
        self._store = QueueStore(engine)
        self._do_not_call = DoNotCallStore(engine)
        self._ledger = Ledger(self._store, sink, metrics)
        self._dispatcher = Dispatcher(
            settings,
            self._store,
            self._do_not_call,
            placer,
            self._ledger,
            metrics,
            now=now,
            room=room,
        )
        self._adder = Adder(
            settings, self._store, self._do_not_call, self._ledger, self._dispatcher, now
        )
        self._canceller = Canceller(self._store, self._ledger, self._dispatcher, now)
        self._finishing: set[asyncio.Task[Any]] = set()
        metrics.follow(lambda: self.waiting, lambda: self.calling)

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._dispatcher.line)

    @property
    def calling(self) -> int:
        """How many tries are under way."""
        return self._dispatcher.under_way.count

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While entered, tries are made; on entering, those that a killed process left become
        `unknown`. Raises StorageError on entering."""
        await go_on(self._store, self._ledger, self._dispatcher, self._now)
        log.info("queue.begun", waiting=self.waiting, paused=sorted(self._dispatcher.paused))
        tasks = [
            asyncio.create_task(self._ledger.run(), name="queue ledger"),
            asyncio.create_task(self._dispatcher.run(), name="queue dispatcher"),
        ]
        try:
            yield
        finally:
            await self._dispatcher.stop()
            await self._dispatcher.under_way.close()
            await self._ledger.settled()
            for task in (*tasks, *self._finishing):
                task.cancel()
            await asyncio.gather(*tasks, *self._finishing, return_exceptions=True)

    # asking for calls

    async def add(
        self,
        wanted: Wanted,
        *,
        priority: int = 0,
        not_before_ms: int | None = None,
        expires_ms: int | None = None,
        retries: RetryPolicy | None = None,
        window: str | None = None,
        time_zone: str | None = None,
        campaign: str | None = None,
        queued_id: str | None = None,
    ) -> QueuedCall:
        """Queue one call; it is stored when this returns. The keywords are those of `Wish`.

        Raises WishError where it cannot be, StorageError where the database refuses.
        """
        wish = Wish(
            wanted=wanted,
            priority=priority,
            not_before_ms=not_before_ms,
            expires_ms=expires_ms,
            retries=retries,
            window=window,
            time_zone=time_zone,
            campaign=campaign,
            queued_id=queued_id,
        )
        try:
            return (await self.add_many([wish]))[0]
        except WishesError as error:
            raise error.errors[0] from None

    async def add_many(
        self, wishes: Sequence[Wish], beside: Beside | None = None
    ) -> list[QueuedCall]:
        """Queue all of them in one transaction, in which `beside` may write, too.

        Raises WishesError, having stored nothing, where some cannot be; StorageError.
        """
        return await self._finish(self._adder.add(wishes, beside))

    async def check(self, wishes: Sequence[Wish]) -> Mapping[int, WishError]:
        """Which of them could not be queued now, by their place. Raises StorageError."""
        return await self._adder.check(wishes)

    async def cancel(self, queued_id: str) -> QueuedCall | None:
        """Have it called no more: at once where it waits, else its call is ended, and its state
        follows. As it is then; None where there is none. Raises StorageError."""
        return await self._finish(self._canceller.cancel(queued_id))

    async def cancel_campaign(self, campaign: str) -> int:
        """The same of all calls of a campaign; how many waited or were under way. Raises
        StorageError; those that were cancelled before stay so."""
        return await self._finish(self._canceller.cancel_campaign(campaign))

    async def pause(self, campaign: str | None = None, *, by: str = "") -> None:
        """Make no new tries, of a campaign or of all; this outlasts a restart. Raises
        StorageError."""
        await self._finish(self._pause(_named(campaign), by))

    async def resume(self, campaign: str | None = None) -> None:
        """Make tries again. Raises StorageError."""
        await self._finish(self._resume(_named(campaign)))

    def paused(self, campaign: str | None = None) -> bool:
        """Whether that was said of the campaign itself, or, of none, of all."""
        return _named(campaign) in self._dispatcher.paused

    # looking

    async def get(self, queued_id: str) -> tuple[QueuedCall, list[Try]] | None:
        """One of them with its tries, first to last. Raises StorageError."""
        found = await self._store.several([queued_id])
        if not found:
            return None
        return found[0], (await self._store.tries([queued_id]))[queued_id]

    async def page(self, query: QueueQuery) -> list[QueuedCall]:
        """Some of them, newest first. Raises StorageError."""
        return await self._store.page(query)

    async def tries(self, queued_ids: Sequence[str]) -> dict[str, list[Try]]:
        """The tries of several, first to last. Raises StorageError."""
        return await self._store.tries(queued_ids)

    async def counts(self, campaign: str | None = None) -> dict[str, int]:
        """How many of a campaign, or of all, by state, and those that are over by result as well:
        keys such as `waiting`, `done`, `result:busy`. Raises StorageError."""
        return await self._store.counts(campaign)

    def on_event(self, callback: Callable[[QueueEvent], None]) -> None:
        """Have `callback` hear of every event, after it is stored."""
        self._ledger.listen(callback)

    # never calling

    async def bar(self, entries: Sequence[DoNotCall]) -> None:
        """Never call these numbers. A call that waits is barred when its turn comes. Raises
        WishError for what is no number, StorageError."""
        read = [
            _entry(self._dispatcher.intake.number(one.number), one, self._now) for one in entries
        ]
        await self._finish(self._bar(read))

    async def unbar(self, number: str) -> bool:
        """Take a number from the list; whether it was there. Raises WishError, StorageError."""
        return await self._finish(self._unbar(self._dispatcher.intake.number(number)))

    async def barred(self, after: str | None = None, limit: int = 100) -> list[DoNotCall]:
        """The list by number, those after `after`. Raises StorageError."""
        return await self._do_not_call.page(after, limit)

    # stopping

    def configure(self, settings: Settings) -> None:
        """Go on by these settings; calls that were queued keep what was decided for them."""
        self._adder.configure(settings)
        self._dispatcher.configure(settings)

    def drain(self) -> None:
        """Make no new tries, for good."""
        self._dispatcher.draining = True
        self._dispatcher.wake()

    @property
    def open_calls(self) -> int:
        """How many tries are under way, for whoever waits until none is."""
        return self.calling

    async def none_left(self) -> None:
        """Returns when no try is under way."""
        await self._dispatcher.under_way.none_left()

    async def _pause(self, name: str, by: str) -> None:
        paused = self._dispatcher.paused
        had = name in paused
        paused.add(name)  # before it is stored: nothing begins meanwhile
        try:
            await self._store.pause(name, by, round(self._now() * 1000))
        except BaseException:
            if not had:
                paused.discard(name)
            raise
        log.info("queue.paused", campaign=name or None, by=by)

    async def _resume(self, name: str) -> None:
        await self._store.resume(name)
        self._dispatcher.paused.discard(name)
        self._dispatcher.wake()
        log.info("queue.resumed", campaign=name or None)

    async def _bar(self, entries: Sequence[DoNotCall]) -> None:
        async with self._store.transaction(durable=True) as connection:
            await self._do_not_call.put(connection, entries)
        log.info("queue.barred-numbers", numbers=len(entries))

    async def _unbar(self, number: str) -> bool:
        async with self._store.transaction(durable=True) as connection:
            return await self._do_not_call.remove(connection, number)

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        """What is begun is finished, though nobody may wait for it any more: what is stored and
        what is in memory must not differ."""
        task = asyncio.create_task(work, name="queue write")
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        return await asyncio.shield(task)


def _named(campaign: str | None) -> str:
    return WHOLE if campaign is None else campaign


def _entry(number: str, entry: DoNotCall, now: Callable[[], float]) -> DoNotCall:
    at_ms = entry.at_ms or round(now() * 1000)
    return DoNotCall(number=number, reason=entry.reason, by=entry.by, at_ms=at_ms)
