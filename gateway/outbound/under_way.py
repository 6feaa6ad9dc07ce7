"""The tries under way: what is heard of them, and what becomes of their calls then."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from random import random
from typing import Final

import structlog

from gateway.outbound.events import EventKind
from gateway.outbound.ledger import Change, Ledger
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.news import AgentAnswered, Answered, Ended, News, Ringing
from gateway.outbound.ports import NotNowError, Placer, RetellRoom
from gateway.outbound.retrying import after, cancelled, interrupted
from gateway.outbound.running_try import RunningTry
from gateway.outbound.trunk_room import TrunkRoom
from gateway.outbound.windows import Windows
from gateway.storage.queued_call import QueuedCall, QueueState, Result

log = structlog.get_logger("gateway.queue")

#: What others hear of news.
_KINDS: Final = {Ringing: EventKind.RINGING, Answered: EventKind.ANSWERED}
#: And of a call after a try.
AFTER: Final = {
    QueueState.WAITING: EventKind.RETRYING,
    QueueState.DONE: EventKind.DONE,
    QueueState.CANCELLED: EventKind.CANCELLED,
    QueueState.UNKNOWN: EventKind.UNKNOWN,
}


class UnderWay:
    """Knows each until what came of it is stored. `goes_on` is told of calls that wait again, and
    for how many seconds what goes the same way shall wait; `changed` of room that is free."""

    def __init__(
        self,
        placer: Placer,
        ledger: Ledger,
        trunks: TrunkRoom,
        metrics: QueueMetrics,
        *,
        now: Callable[[], float],
        windows: Callable[[], Windows],
        room: RetellRoom | None,
        goes_on: Callable[[QueuedCall, float], None],
        changed: Callable[[], None],
    ) -> None:
        self._placer = placer
        self._ledger = ledger
        self._trunks = trunks
        self._metrics = metrics
        self._now = now
        self._windows = windows
        self._room = room
        self.goes_on = goes_on
        self._changed = changed
        self._tries: dict[str, RunningTry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        #: tries that take up room
        self.count = 0
        #: of these, those that Retell does not count yet
        self.without_agent = 0

    def get(self, queued_id: str) -> RunningTry | None:
        """The try of that call."""
        return self._tries.get(queued_id)

    def __iter__(self) -> Iterator[RunningTry]:
        return iter(list(self._tries.values()))

    def expect(self, running: RunningTry) -> None:
        """It is about to be stored."""
        self._tries[running.call.queued_id] = running

    def forget(self, running: RunningTry) -> None:
        """It was not stored, and will not be placed."""
        self._tries.pop(running.call.queued_id, None)

    def begin(self, running: RunningTry, trunk: str | None) -> None:
        """Have it placed: its intent is stored."""
        running.begun, running.trunk = True, trunk
        self.count += 1
        self.without_agent += 1
        self._idle.clear()
        task = asyncio.create_task(self._place(running), name="outbound try")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self, running: RunningTry) -> None:
        """Have it end, and its call be cancelled."""
        running.cancelled = True
        if running.begun and not running.over:
            self._placer.cancel(running.attempt.call_id)

    async def none_left(self) -> None:
        """Returns when no try takes up room."""
        await self._idle.wait()

    async def close(self) -> None:
        """Wait for nobody any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def take_back(self, running: RunningTry, wait_s: float) -> None:
        """Nothing was sent: the try does not count, and its call waits as before."""
        running.over = running.unsent = True
        call = replace(
            running.call, state=QueueState.WAITING, tries=running.call.tries - 1, call_id=None
        )
        self._note(running, call, None, wait_s)

    async def _place(self, running: RunningTry) -> None:
        call, attempt = running.call, running.attempt
        about = {"queued_id": call.queued_id, "call_id": attempt.call_id}
        if running.is_cancelled():
            self._free(running)
            self.take_back(running, 0.0)
            return
        try:
            await self._placer.begin(
                attempt.call_id, call.queued_id, call.wanted, lambda news: self._hear(running, news)
            )
            if running.is_cancelled():  # before it was known there
                self.cancel(running)
        except NotNowError as error:
            if not running.over:
                log.info("queue.not-now", reason=error.reason, wait_s=error.retry_after_s, **about)
                self._free(running)
                self.take_back(running, error.retry_after_s)
        except Exception:
            log.exception("queue.try-broke", **about)
            words = "the gateway failed in the middle of this try"
            self._hear(
                running,
                Ended(at=self._now(), result=Result.UNKNOWN, cause="internal-error", detail=words),
            )

    def _hear(self, running: RunningTry, news: News) -> None:
        if running.over:
            return
        if isinstance(news, Ended):
            self._end(running, news)
            return
        if not running.hear(news):
            return
        if isinstance(news, AgentAnswered):
            self._agent_is_there(running)
        self._ledger.note(
            Change(
                call=running.call,
                attempt=running.attempt,
                kind=_KINDS.get(type(news)),
                at_ms=round(news.at * 1000),
                only_news=True,
            )
        )

    def _agent_is_there(self, running: RunningTry) -> None:
        running.with_agent = True
        self.without_agent -= 1
        if self._room is not None:
            self._room.took()
        self._changed()

    def _end(self, running: RunningTry, ended: Ended) -> None:
        self._free(running)
        running.end(ended)
        self._metrics.tried(ended.result.value)
        call, now_ms = running.call, round(self._now() * 1000)
        if running.cancelled:
            call = cancelled(call, now_ms)
        elif ended.result is Result.UNKNOWN:
            call = interrupted(call, now_ms)
        else:
            call = after(
                call,
                ended.result,
                ended.detail or ended.reason,
                now_ms=now_ms,
                windows=self._windows(),
                dice=random(),
            )
        log.info(
            "queue.tried",
            queued_id=call.queued_id,
            call_id=running.attempt.call_id,
            result=ended.result.value,
            cause=ended.cause,
            sip_status=ended.sip_status,
            state=call.state.value,
        )
        self._note(running, call, AFTER[call.state], 0.0)

    def _free(self, running: RunningTry) -> None:
        self.count -= 1
        if not running.with_agent:
            self.without_agent -= 1
        self._trunks.give_back(running.trunk)
        if self.count == 0:
            self._idle.set()
        self._changed()

    def _note(
        self,
        running: RunningTry,
        call: QueuedCall,
        kind: EventKind | None,
        wait_s: float,
    ) -> None:
        running.call = call
        self._ledger.note(
            Change(
                call=call,
                attempt=None if running.unsent else running.attempt,
                dropped=running.attempt.call_id if running.unsent else None,
                kind=kind,
                at_ms=round(self._now() * 1000),
                then=lambda: self._settle(running, wait_s),
            )
        )

    def _settle(self, running: RunningTry, wait_s: float) -> None:
        """What came of it is stored."""
        call = running.call
        if call.state is QueueState.WAITING and running.cancelled:
            call = cancelled(call, round(self._now() * 1000))
            self._note(running, call, EventKind.CANCELLED, 0.0)
            return
        self._tries.pop(call.queued_id, None)
        if call.state is QueueState.WAITING:
            self.goes_on(call, wait_s)
