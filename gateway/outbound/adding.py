"""Takes wishes into the queue: all of some, or none of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Final, TypeAlias, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from config.settings import Settings
from gateway.outbound.dispatcher import Dispatcher
from gateway.outbound.errors import WishError, WishesError
from gateway.outbound.events import EventKind, QueueEvent
from gateway.outbound.ledger import Change, Ledger, is_the_databases
from gateway.outbound.retrying import cancelled
from gateway.outbound.wish import Wish
from gateway.storage.do_not_call import DoNotCallStore
from gateway.storage.errors import StorageError
from gateway.storage.queued_call import QueuedCall
from gateway.storage.queued_calls import QueueStore

T = TypeVar("T")

#: Wishes that are looked at before others get their turn.
AT_A_TIME: Final = 20

#: Writes beside calls, in their transaction.
Beside: TypeAlias = Callable[[AsyncConnection], Awaitable[None]]


class Adder:
    """The way in. A wish that is taken is stored, and waits."""

    def __init__(
        self,
        settings: Settings,
        store: QueueStore,
        do_not_call: DoNotCallStore,
        ledger: Ledger,
        dispatcher: Dispatcher,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._do_not_call = do_not_call
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._now = now
        self._adding = 0
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Take wishes by these settings."""
        self._most = settings.outbound.queue.max_waiting

    async def check(self, wishes: Sequence[Wish]) -> Mapping[int, WishError]:
        """Which of them could not be taken, by their place. Raises StorageError."""
        calls, errors = await self._read(wishes)
        async with self._store.transaction() as connection:
            return errors | await self._known(connection, calls)

    async def add(self, wishes: Sequence[Wish], beside: Beside | None = None) -> list[QueuedCall]:
        """Take all of them. Raises WishesError or StorageError, having taken none."""
        self._adding += len(wishes)
        try:
            self._check_room()
            calls, errors = await self._read(wishes)
            if errors:
                raise WishesError(errors)
            found = [calls[place] for place in range(len(wishes))]
            await self._take(found, beside)
            return found
        finally:
            self._adding -= len(wishes)

    def _check_room(self) -> None:
        if len(self._dispatcher.line) + self._adding > self._most:
            words = f"{len(self._dispatcher.line)} calls wait already (outbound.queue.max_waiting)"
            raise WishesError({0: WishError("queue-full", words)})

    async def _read(
        self, wishes: Sequence[Wish]
    ) -> tuple[dict[int, QueuedCall], dict[int, WishError]]:
        """The calls that wishes are, and what is wrong with others, by their place."""
        calls: dict[int, QueuedCall] = {}
        errors: dict[int, WishError] = {}
        now_ms = round(self._now() * 1000)
        ids: set[str] = set()
        async for place, wish in _in_turns(enumerate(wishes)):
            try:
                call = self._dispatcher.intake.queued(wish, now_ms)
                if call.queued_id in ids:
                    raise _taken(call)
            except WishError as error:
                errors[place] = error
            else:
                ids.add(call.queued_id)
                calls[place] = call
        return calls, errors

    async def _known(
        self, connection: AsyncConnection, calls: Mapping[int, QueuedCall]
    ) -> dict[int, WishError]:
        """Those whose number is never called, or whose id is taken."""
        barred = await self._do_not_call.among(
            connection, (call.wanted.to_number for call in calls.values())
        )
        taken = await self._store.known(connection, (call.queued_id for call in calls.values()))
        errors: dict[int, WishError] = {}
        async for place, call in _in_turns(calls.items()):
            number = call.wanted.to_number
            if number in barred:
                words = f"{number} is on the do-not-call list"
                errors[place] = WishError("do-not-call", words)
            elif call.queued_id in taken:
                errors[place] = _taken(call)
        return errors

    async def _take(self, calls: Sequence[QueuedCall], beside: Beside | None) -> None:
        now_ms = round(self._now() * 1000)
        events: list[QueueEvent] = []
        async for call in _in_turns(calls):
            events.append(QueueEvent(EventKind.QUEUED, now_ms, call))
        errors: Mapping[int, WishError] = {}
        written = False
        try:
            async with self._store.transaction(durable=True) as connection:
                errors = await self._known(connection, dict(enumerate(calls)))
                if not errors:
                    written = True
                    await self._store.insert(connection, calls)
                    if beside is not None:
                        await beside(connection)
                    await self._ledger.write(connection, events)
        except StorageError as error:
            if isinstance(error.__cause__, IntegrityError) and len(calls) == 1:
                raise WishesError({0: _taken(calls[0])}) from None
            if written and is_the_databases(error):
                self._withdraw(calls, now_ms)
            raise
        if errors:
            raise WishesError(errors)
        for start in range(0, len(events), AT_A_TIME):
            some = events[start : start + AT_A_TIME]
            self._ledger.tell(some)
            for event in some:
                self._dispatcher.waits(event.call)
            await asyncio.sleep(0)

    def _withdraw(self, calls: Sequence[QueuedCall], now_ms: int) -> None:
        """Whoever asked hears that nothing was stored, and may ask again. The database may have
        stored it all the same, and lost its answer: then it must not be called after a restart."""
        for call in calls:
            self._ledger.note(Change(call=cancelled(call, now_ms), at_ms=now_ms))


async def _in_turns(many: Iterable[T]) -> AsyncIterator[T]:
    """Each of many, while others get their turn: calls are up meanwhile."""
    for place, one in enumerate(many):
        if place % AT_A_TIME == AT_A_TIME - 1:
            await asyncio.sleep(0)
        yield one


def _taken(call: QueuedCall) -> WishError:
    return WishError("duplicate-id", f"there is a queued call {call.queued_id} already")
