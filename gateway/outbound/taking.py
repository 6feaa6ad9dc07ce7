"""Takes a call out of the queue for a try: it may be called, and the try is stored."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from random import random
from typing import Final

import structlog

from gateway.calls.live_calls import new_call_id
from gateway.outbound.events import EventKind, QueueEvent
from gateway.outbound.intake import PASSING, TOO_MANY, code_of
from gateway.outbound.ledger import Change, Ledger
from gateway.outbound.ports import Placer
from gateway.outbound.retrying import after, cancelled
from gateway.outbound.running_try import RunningTry
from gateway.outbound.under_way import AFTER, UnderWay
from gateway.outbound.waiting_line import Entry, Lane, WaitingLine
from gateway.outbound.windows import Windows
from gateway.storage.do_not_call import DoNotCallStore
from gateway.storage.queued_call import QueuedCall, QueueState, Result, Try
from gateway.storage.queued_calls import QueueStore

log = structlog.get_logger("gateway.queue")

#: A call to a number that has as many as it may waits so long, in seconds; others of its lane less.
TOO_MANY_S: Final = 5.0
LANE_S: Final = 0.2


class Taker:
    """What a call must pass between its turn and its try."""

    def __init__(
        self,
        store: QueueStore,
        do_not_call: DoNotCallStore,
        placer: Placer,
        ledger: Ledger,
        under_way: UnderWay,
        line: WaitingLine,
        *,
        now: Callable[[], float],
        windows: Callable[[], Windows],
    ) -> None:
        self._store = store
        self._do_not_call = do_not_call
        self._placer = placer
        self._ledger = ledger
        self._under_way = under_way
        self._line = line
        self._now = now
        self._windows = windows

    async def take(self, entry: Entry, lane: Lane) -> RunningTry | None:
        """The try that is to begin, stored; None where there is none, and then the entry is gone
        or put off. Raises StorageError; then the caller still has the entry."""
        call = await self._waiting(entry)
        if call is None:
            self._line.drop(entry)
            return None
        now_ms = self._now_ms()
        no_way = self._placer.judge(call.wanted)
        if no_way is not None:
            if no_way.refusal.cause == TOO_MANY:
                lane.held_until = asyncio.get_running_loop().time() + LANE_S
                self._line.put_off(entry, now_ms + round(TOO_MANY_S * 1000))
                return None
            final = code_of(no_way) not in PASSING
            await self._bar(entry, call, no_way.refusal.cause, no_way.words, final=final)
            return None
        # the same once more where nobody knows whether it was stored
        entry.call_id = entry.call_id or new_call_id(self._now())
        attempt = Try(
            call_id=entry.call_id,
            queued_id=call.queued_id,
            number=call.tries + 1,
            started_ms=now_ms,
        )
        taken = replace(
            call, state=QueueState.CALLING, tries=attempt.number, call_id=attempt.call_id
        )
        running = RunningTry(taken, attempt)
        barred, stored = await self._store_it(entry, running)
        if barred and not entry.gone:
            words = f"{call.wanted.to_number} is on the do-not-call list"
            await self._bar(entry, call, "do-not-call", words, final=True)
            return None
        self._line.drop(entry)
        return running if stored else None

    async def _waiting(self, entry: Entry) -> QueuedCall | None:
        """The call, if it waits; also where the database stored its try and said otherwise."""
        found = await self._store.several([entry.queued_id])
        call = found[0] if found else None
        if call is None or call.state is QueueState.WAITING:
            return call
        if call.state is QueueState.CALLING and call.call_id == entry.call_id:
            return replace(call, state=QueueState.WAITING, tries=call.tries - 1, call_id=None)
        return None

    async def _store_it(self, entry: Entry, running: RunningTry) -> tuple[bool, bool]:
        """Whether the number is never to be called; whether the try is stored."""
        call, attempt = running.call, running.attempt
        event = QueueEvent(EventKind.CALLING, attempt.started_ms, call, attempt)
        stored = False
        self._under_way.expect(running)
        try:
            async with self._store.transaction(durable=True) as connection:
                number = call.wanted.to_number
                barred = bool(await self._do_not_call.among(connection, [number]))
                if not barred:
                    stored = await self._store.take(connection, call, attempt)
                if stored:
                    await self._ledger.write(connection, [event])
        except BaseException:
            self._not_stored(entry, running)
            raise
        if stored:
            self._ledger.tell([event])
        else:
            self._not_stored(entry, running)
        return barred, stored

    def _not_stored(self, entry: Entry, running: RunningTry) -> None:
        """Somebody may have cancelled it meanwhile, and was told that it will be."""
        self._under_way.forget(running)
        if running.cancelled:
            self._line.drop(entry)
            call = replace(running.call, tries=running.call.tries - 1, call_id=None)
            call = cancelled(call, self._now_ms())
            self._ledger.note(
                Change(
                    call=call,
                    dropped=running.attempt.call_id,
                    kind=EventKind.CANCELLED,
                    at_ms=self._now_ms(),
                )
            )

    async def _bar(
        self, entry: Entry, call: QueuedCall, cause: str, words: str, *, final: bool
    ) -> None:
        """It may not be called: done, or, where that passes and its policy says so, later."""
        now_ms = self._now_ms()
        call = after(
            call,
            Result.BARRED,
            words,
            now_ms=now_ms,
            windows=self._windows(),
            dice=random(),
            final=final,
        )
        event = QueueEvent(AFTER[call.state], now_ms, call)
        async with self._store.transaction() as connection:
            states = QueueState.WAITING, QueueState.CALLING
            stored = await self._store.put(connection, call, *states)
            if stored and entry.call_id is not None:
                await self._store.drop_try(connection, entry.call_id)
            if stored:
                await self._ledger.write(connection, [event])
        self._line.drop(entry)
        if not stored:
            return
        about = {"queued_id": call.queued_id, "cause": cause, "reason": words}
        log.warning("queue.barred", state=call.state.value, **about)
        self._ledger.tell([event])
        if call.state is QueueState.WAITING:
            self._under_way.goes_on(call, 0.0)

    def _now_ms(self) -> int:
        return round(self._now() * 1000)
