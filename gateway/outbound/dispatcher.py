"""Makes the tries: whose turn it is, when one may begin, and that it is stored before it does."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from config.settings import Settings
from gateway.outbound.events import EventKind, QueueEvent
from gateway.outbound.intake import Intake
from gateway.outbound.ledger import RETRY_S, Ledger, is_the_databases
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.pace import SOON_S, Pace
from gateway.outbound.ports import Placer, RetellRoom
from gateway.outbound.retrying import EXPIRED
from gateway.outbound.running_try import RunningTry
from gateway.outbound.taking import Taker
from gateway.outbound.trunk_room import TrunkRoom
from gateway.outbound.under_way import UnderWay
from gateway.outbound.waiting_line import Entry, Lane, WaitingLine
from gateway.storage.do_not_call import DoNotCallStore
from gateway.storage.errors import StorageError
from gateway.storage.queued_call import QueuedCall, QueueState
from gateway.storage.queued_calls import WHOLE, QueueStore

log = structlog.get_logger("gateway.queue")

#: A call is stored so much before it may begin, in seconds: about as long as that takes.
LEAD_S: Final = 0.02
#: The longest sleep, in seconds: the clock on the wall may be set meanwhile.
LONGEST_S: Final = 60.0
#: How often it is looked whether Retell has room again, in seconds.
ROOM_S: Final = 0.5
#: Calls that become due at a time, before others than the queue get their turn.
AT_ONCE: Final = 1000
#: Calls of which it is found out at a time by which trunks they go, or that expire.
BATCH: Final = 200
#: How long the step that is under way may take at the end, in seconds.
STOP_S: Final = 5.0
#: A call that cannot be tried for a reason that nobody thought of waits so long, in seconds.
ODD_S: Final = 60.0
#: A call whose schedule is not configured any more is looked at so often, in seconds.
NO_WINDOW_S: Final = 3600.0


class Dispatcher:
    """One task that takes one call after another. `paused` has names of campaigns, or `WHOLE`."""

    def __init__(
        self,
        settings: Settings,
        store: QueueStore,
        do_not_call: DoNotCallStore,
        placer: Placer,
        ledger: Ledger,
        metrics: QueueMetrics,
        *,
        now: Callable[[], float],
        room: RetellRoom | None = None,
    ) -> None:
        self._store = store
        self._do_not_call = do_not_call
        self._placer = placer
        self._ledger = ledger
        self._metrics = metrics
        self._now = now
        self._room = room
        self._rules = settings.outbound.queue
        self.intake = Intake(settings, placer)
        self._pace = Pace(self._rules.calls_per_second)
        self._trunks = TrunkRoom(settings)
        self._wake = asyncio.Event()
        self._stepping = asyncio.Lock()
        self.line = WaitingLine()
        self.paused: set[str] = set()
        self.draining = False
        self.under_way = UnderWay(
            placer,
            ledger,
            self._trunks,
            metrics,
            now=now,
            windows=lambda: self.intake.windows,
            room=room,
            goes_on=self.goes_on,
            changed=self.wake,
        )
        self._taker = Taker(
            store,
            do_not_call,
            placer,
            ledger,
            self.under_way,
            self.line,
            now=now,
            windows=lambda: self.intake.windows,
        )

    def configure(self, settings: Settings) -> None:
        """Go on by these settings."""
        self._rules = settings.outbound.queue
        self.intake = Intake(settings, self._placer)
        self._pace.configure(self._rules.calls_per_second)
        self._trunks.configure(settings)
        self.line.forget_trunks()
        gone = {
            entry.window or ""
            for entry in self.line.find(
                lambda one: one.window is not None and one.window not in self.intake.windows
            )
        }
        for window in sorted(gone):
            log.warning(
                "queue.window-gone", schedule=window, now="its calls wait until they expire"
            )
        self.wake()

    def wake(self) -> None:
        """Something is different: look again."""
        self._wake.set()

    def hold(self, seconds: float) -> None:
        """Begin nothing for so long."""
        self._pace.hold_until(_clock() + seconds)

    def waits(self, call: QueuedCall) -> None:
        """A stored call waits from now on."""
        self.line.add(entry_of(call))
        self.wake()

    def goes_on(self, call: QueuedCall, wait_s: float) -> None:
        """The same of one after a try; what goes the same way waits for so many seconds."""
        if wait_s > 0:
            lane = self.line.add_due(entry_of(call), self._placer.trunks(call.wanted))
            lane.held_until = max(lane.held_until, _clock() + wait_s)
        else:
            self.line.add(entry_of(call))
        self.wake()

    async def stop(self) -> None:
        """Begin nothing any more; returns between two steps, or after a while in one."""
        self.draining = True
        self.wake()
        try:
            async with asyncio.timeout(STOP_S):
                await self._stepping.acquire()
        except TimeoutError:
            log.error("queue.step-stuck", now="its call may show as interrupted")

    async def run(self) -> None:
        """Make tries until it is cancelled."""
        while True:
            self._wake.clear()
            try:
                async with self._stepping:
                    wait_s, reason = await self._step()
            except StorageError as error:
                self._ledger.trouble.refused(error, waiting=len(self.line))
                wait_s, reason = RETRY_S, "storage"
                self._wake.clear()
            except Exception:
                log.exception("queue.step-broke")
                wait_s, reason = RETRY_S, "error"
            began = _clock()
            await self._sleep(wait_s)
            if reason is not None:
                self._metrics.held(reason, _clock() - began)

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)  # many steps that wait for nothing hold up nobody else
            return
        try:
            async with asyncio.timeout(min(seconds, LONGEST_S)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _step(self) -> tuple[float, str | None]:
        """Do the next thing; how long to wait for the one after it, and what held a due call."""
        now_ms = self._now_ms()
        if self.line.ripen(now_ms, AT_ONCE):
            return 0.0, None
        if over := self.line.expired(now_ms, BATCH):
            await self._expire(over, now_ms)
        lane, wait_s, reason = self._choose(_clock())
        if lane is None:
            next_ms = self.line.next_ms()
            if next_ms is not None:
                wait_s = min(wait_s, max(0.001, (next_ms - now_ms) / 1000))
            return wait_s, reason
        if lane.trunks is None:
            await self._sort(lane)
        else:
            await self._next_of(lane, lane.trunks, now_ms)
        return 0.0, None

    def _choose(self, now: float) -> tuple[Lane | None, float, str | None]:
        """The lane whose first call is to be tried now; else for how long none is, and why."""
        lanes = [*self.line.lanes(now)]
        if not lanes:
            return None, LONGEST_S, None
        if (limit := self._limit(now)) is not None:
            return None, *limit
        best: tuple[Lane, Entry] | None = None
        wait_s, reason = LONGEST_S, "paused"
        for lane, head in lanes:
            if lane.campaign in self.paused:
                continue
            at: float | None = now
            why, early_s = "", 0.0
            if lane.held_until > now:
                at, why, early_s = lane.held_until, "not-now", 0.0
            elif lane.trunks is not None:
                at, why, early_s = self._trunks.when(lane.trunks, now), "trunk", LEAD_S
            if at is None or at > now + early_s + SOON_S:
                reason = why
                wait_s = wait_s if at is None else min(wait_s, at - now - early_s)
            elif best is None or head.order < best[1].order:
                best = lane, head
        return (best[0], 0.0, None) if best is not None else (None, wait_s, reason)

    def _limit(self, now: float) -> tuple[float, str] | None:
        """What holds all calls: for how long, and its name."""
        if self.draining:
            return LONGEST_S, "draining"
        if WHOLE in self.paused:
            return LONGEST_S, "paused"
        if self.under_way.count >= self._rules.calls:
            return LONGEST_S, "concurrency"
        free = None if self._room is None else self._room.free()
        if free is not None and free <= self.under_way.without_agent:
            return ROOM_S, "retell"
        wait_s = self._pace.next_at() - now - LEAD_S
        return (wait_s, "pace") if wait_s > SOON_S else None

    async def _sort(self, lane: Lane) -> None:
        """Find out by which trunks the first calls of a lane go."""
        entries = lane.pop(BATCH)
        trunks: dict[str, tuple[str, ...]] = {}
        try:
            for call in await self._store.several([entry.queued_id for entry in entries]):
                trunks[call.queued_id] = self._placer.trunks(call.wanted)
        except BaseException:
            for entry in entries:
                self.line.put_back(entry, None)
            raise
        for entry in entries:
            if entry.queued_id in trunks:
                self.line.put_back(entry, trunks[entry.queued_id])
            else:
                self.line.drop(entry)

    async def _next_of(self, lane: Lane, trunks: tuple[str, ...], now_ms: int) -> None:
        """Try the first call of a lane, if it may be tried at this hour."""
        for entry in lane.pop(1):
            if not self.intake.windows.is_open(entry.window, entry.zones, now_ms):
                self._put_off_to_window(entry, now_ms)
                continue
            try:
                running = await self._taker.take(entry, lane)
            except BaseException as error:
                if isinstance(error, Exception) and not is_the_databases(error):
                    log.exception("queue.call-odd", queued_id=entry.queued_id)
                    self.line.put_off(entry, now_ms + round(ODD_S * 1000))
                    continue
                self.line.put_back(entry, trunks)
                raise
            self._ledger.trouble.stored()
            if running is not None:
                waited_s = (now_ms - entry.due_ms) / 1000
                await self._begin(running, trunks, waited_s)

    def _put_off_to_window(self, entry: Entry, now_ms: int) -> None:
        windows = self.intake.windows
        opens_ms = windows.opening(entry.window, entry.zones, now_ms, entry.expires_ms)
        if opens_ms is None:
            opens_ms = min(entry.expires_ms, now_ms + round(NO_WINDOW_S * 1000))
        self.line.put_off(entry, opens_ms)

    async def _begin(self, running: RunningTry, trunks: tuple[str, ...], waited_s: float) -> None:
        """Wait for the moment at which it may begin, which is near."""
        while not running.cancelled and not self.draining:
            now = _clock()
            at = max(self._pace.next_at(), self._trunks.when(trunks, now) or now)
            if at <= now + SOON_S:
                self._pace.take(now)
                self._metrics.began(waited_s)
                self.under_way.begin(running, self._trunks.take(trunks, now))
                return
            await asyncio.sleep(at - now)
        # cancelled meanwhile, or not to be begun any more: nothing was sent
        self.under_way.take_back(running, 0.0)

    async def _expire(self, entries: list[Entry], now_ms: int) -> None:
        """End calls whose time is over; what their last try brought stands."""
        ids = [one.queued_id for one in entries]
        try:
            async with self._store.transaction() as connection:
                calls = await self._store.end_waiting(
                    connection, ids, QueueState.DONE, now_ms, words=EXPIRED, keep=True
                )
                events = [QueueEvent(EventKind.DONE, now_ms, call) for call in calls]
                await self._ledger.write(connection, events)
        except BaseException:
            for entry in entries:
                self.line.watch(entry)
            raise
        for entry in entries:
            self.line.drop(entry)
        self._ledger.tell(events)
        log.info("queue.expired", calls=len(events))

    def _now_ms(self) -> int:
        return round(self._now() * 1000)


def entry_of(call: QueuedCall) -> Entry:
    """What is kept in memory of a call that waits."""
    return Entry(
        queued_id=call.queued_id,
        order=(-call.priority, call.not_before_ms, call.created_ms, call.queued_id),
        due_ms=call.due_ms,
        expires_ms=call.expires_ms,
        window=call.window,
        zones=call.time_zones,
        campaign=call.campaign,
    )


def _clock() -> float:
    return asyncio.get_running_loop().time()
