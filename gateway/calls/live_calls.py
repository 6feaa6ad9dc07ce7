"""Calls in progress: each machine with its socket, its registration and its record.

A call is known by jambonz's call_sid and outlives its WebSocket: jambonz comes back with
`session:reconnect` when the connection broke.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from config.settings import Settings
from gateway.calls.agent_room import AgentRoom, Room
from gateway.calls.books import Books
from gateway.calls.brought_calls import BroughtCalls
from gateway.calls.call_clock import CallClock
from gateway.calls.call_events import (
    CallChanged,
    Event,
    Failed,
    LegChanged,
    Lost,
    PersonAnswered,
    PersonNotPlaced,
    PersonPlaced,
    Registered,
    RegistrationFailed,
    RoomFound,
    Stopped,
    TransferUntold,
    Withdrawn,
)
from gateway.calls.call_machine import CallMachine, Phase
from gateway.calls.endings import OUR_BUG, SHUTDOWN, WITHDRAWN, Refusal
from gateway.calls.expected_calls import AtRetell, Expected, ExpectedCalls, bounded
from gateway.calls.handed_on import shown_to_carriers
from gateway.calls.hooks import event_of
from gateway.calls.incoming import OVER_TIME, Incoming
from gateway.calls.ladders import Ladders
from gateway.calls.left_agents import LeftAgents
from gateway.calls.live_call import LiveCall, Session
from gateway.calls.metrics import Metrics
from gateway.calls.outgoing import Outgoing
from gateway.calls.past import Past
from gateway.calls.placing_limits import PlacingLimits
from gateway.calls.plan import Plan
from gateway.calls.planner import Planner
from gateway.calls.record_of_call import (
    new_record,
    note_progress,
    past_of,
)
from gateway.calls.registering import register
from gateway.calls.related_calls import RelatedCalls
from gateway.calls.routing import Dialling, Direction, Refusing, from_retell, retell_uri
from gateway.calls.spend import SPEND_STOP, Spend
from gateway.calls.spend_watch import AlarmSink, SpendWatch
from gateway.calls.transfer_verbs import REFER_HOOK
from gateway.calls.transfers import Transfers
from gateway.feed import Feed
from gateway.jambonz import messages
from gateway.jambonz.messages import LegStatus, NewCall, ReferAsked
from gateway.jambonz.session import Work
from gateway.jambonz.verbs import Verbs
from gateway.log import name_call
from gateway.retell.failures import RetellFailure
from gateway.retell.workspaces import RetellWorkspaces
from gateway.storage.blocked_callers import BlockedCallers
from gateway.storage.call_records import CallRecord, CallStore
from gateway.storage.day_counts import DayCountStore
from gateway.storage.samples import SampleStore
from gateway.storage.spend import SpendStore

log = structlog.get_logger("gateway.call")

#: jambonz tries to come back for 13.5 s, ours for longer; after this the call counts as lost.
RECONNECT_S: Final = 60.0
#: After a call's last status jambonz still sends the dial's hook and closes; then we do.
LINGER_S: Final = 6.0
#: How the hooks of a transfer's own verbs begin.
TRANSFER_HOOKS: Final = "/transfer-"
#: How long the messages about a call of a former run wait for its record.
RECORD_S: Final = 2.0


def new_call_id(now: float) -> str:
    """32 hex digits: 48 bits of milliseconds, then randomness, so that ids sort by time."""
    return f"{int(now * 1000):012x}{os.urandom(10).hex()}"


class LiveCalls:
    """Every call in progress. Close it to end what it started."""

    def __init__(
        self,
        settings: Settings,
        store: CallStore,
        retell: RetellWorkspaces,
        metrics: Metrics,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        ladders: Ladders | None = None,
        samples: SampleStore | None = None,
        day_counts: DayCountStore | None = None,
        spend: SpendStore | None = None,
        blocked: BlockedCallers | None = None,
        alarms: AlarmSink | None = None,
        feed: Feed | None = None,
        room_for: Callable[[str], Room] | None = None,
    ) -> None:
        """`now` is seconds since 1970, `clock` monotonic seconds. `room_for` gives Retell's room
        for calls of a number. `blocked` are the callers whom an operator has blocked, `alarms` is
        told what there is to know about money, and `feed` of each call."""
        self._settings = settings
        self._store = store
        self._retell = retell
        self._metrics = metrics
        self._now = now
        self._clock = clock
        self._books = Books(store, metrics, ladders, samples, feed)
        self._spend = SpendWatch(settings, metrics, self._moment, spend, alarms)
        self._outgoing = Outgoing(settings, now, self._spend, day_counts, stop=self._costs_too_much)
        self._incoming = Incoming(settings, now, day_counts, blocked)
        self._planner = Planner(settings, self._outgoing, self._incoming)
        #: how many calls Retell may place
        self.placing = PlacingLimits(settings, clock)
        self._agent_room = None
        if room_for is not None:
            self._agent_room = AgentRoom(settings, room_for, metrics.retell_full, clock)
        self.transfers = Transfers(
            self._planner, metrics, self._step, own=bool(settings.sip.listen)
        )
        self._calls: dict[str, LiveCall] = {}
        #: calls that Retell was asked to place
        self.expected = ExpectedCalls()
        #: calls that another house places for us, and brings to our SIP side
        self.brought = BroughtCalls()
        self._left = LeftAgents(retell, store, settings.retell.stop_after_s, metrics.agent_left)
        # calls of our own softswitch are gone with it
        self._left.interrupted(store.interrupted, 0 if settings.sip.listen else RECONNECT_S)
        self._related = RelatedCalls(self._calls, store)
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._calls)

    def configure(self, settings: Settings) -> None:
        """Plan new calls by these settings."""
        self._settings = settings
        self._left.after_s = settings.retell.stop_after_s
        self._outgoing.configure(settings)
        self._incoming.configure(settings)
        self._planner = Planner(settings, self._outgoing, self._incoming)
        self.placing.configure(settings)
        if self._agent_room is not None:
            self._agent_room.configure(settings)
        self.transfers.configure(self._planner)

    @property
    def outgoing(self) -> Outgoing:
        """Who judges and counts what leaves: whoever places calls asks it, too."""
        return self._outgoing

    @property
    def planner(self) -> Planner:
        """Who decides what is to become of a call, by the settings in force."""
        return self._planner

    @property
    def incoming(self) -> Incoming:
        """Who judges and counts what comes: whoever lets calls in asks it, too."""
        return self._incoming

    @property
    def spend(self) -> Spend:
        """What calls have cost, and may."""
        return self._spend.spend

    def command(self, call_id: str, name: str, data: Mapping[str, Any]) -> bool:
        """Have a call that is up do something beside its verbs; False where there is none."""
        call = self.up(call_id)
        if call is not None:
            call.say(messages.command(name, data))
        return call is not None

    def up(self, call_id: str) -> LiveCall | None:
        """A call in progress, by our id."""
        return self._up(lambda call: call.call_id == call_id)

    def is_up(self, call_id: str) -> bool:
        """Whether that call is in progress, by our id."""
        return self.up(call_id) is not None

    def of_retell(self, retell_call_id: str, call_id: str | None) -> str | None:
        """Our id of a call in progress, by Retell's; or `call_id`, which Retell says it is, where
        Retell's is not known yet. None where no such call is known."""
        call = self._up(lambda call: call.retell_call_id == retell_call_id) or self._up(
            lambda call: call.retell_call_id is None and call.call_id == call_id
        )
        return None if call is None else call.call_id

    def _up(self, wanted: Callable[[LiveCall], bool]) -> LiveCall | None:
        up = (call for call in self._calls.values() if call.machine.phase is not Phase.OVER)
        return next(filter(wanted, up), None)

    def now(self) -> float:
        """Seconds since 1970."""
        return self._now()

    @property
    def draining(self) -> bool:
        """Whether no new call is taken."""
        return self._draining

    @property
    def open_calls(self) -> int:
        """How many calls are in progress."""
        return len(self._calls)

    def drain(self) -> None:
        """Refuse new calls, for good; those in progress go on."""
        self._draining = True

    async def none_left(self) -> None:
        """Returns when no call is in progress: for an orderly end."""
        await self._idle.wait()

    def find(self, call_sid: str) -> LiveCall | None:
        """The call whose caller's leg has that id."""
        return self._calls.get(call_sid)

    def current(self, record: CallRecord) -> CallRecord:
        """The record as it is now: of a call in progress the stored one is its beginning."""
        call = self._calls.get(record.call_sid)
        if call is None or call.call_id != record.call_id:
            return record
        note_progress(call.record, call.machine)
        return call.record

    def joined(self, record: CallRecord | None) -> None:
        """Retell told its id of this call, which may still be up."""
        call = None if record is None else self._calls.get(record.call_sid)
        if record is not None and call is not None and call.call_id == record.call_id:
            call.record.retell_call_id = record.retell_call_id
            call.record.retell = record.retell

    def over_at_retell(
        self, call_id: str | None, retell_call_id: str, disconnection_reason: str | None
    ) -> None:
        """Retell says that a call is over; `call_id` is ours, as far as it told."""
        self._left.told(retell_call_id)
        self.expected.told(call_id, AtRetell(retell_call_id, disconnection_reason))

    def begin(self, new: NewCall, session: Session) -> tuple[LiveCall, Verbs]:
        """A new call and the verbs that acknowledge it."""
        clock = CallClock(self._now, self._clock)
        at = clock.now()
        if (old := self._calls.get(new.call_sid)) is not None:
            if old.machine.phase is Phase.CALLING:
                return old, self._person_answered(old, new, session)
            log.warning("call.repeated", call_id=old.call_id, call_sid=new.call_sid)
            self._gone(old)
        call = self._make(new, session, clock)
        record, machine = call.record, call.machine
        self._books.opened(call)
        if isinstance(machine.plan, Refusing) and machine.plan.why:
            log.warning(
                "call.no-way",
                call_id=call.call_id,
                cause=machine.plan.refusal.cause,
                reason=machine.plan.why,
                fault=machine.plan.refusal.fault.value,
            )
        if call.handed_on is not None:
            self._related.begin(record, call.handed_on)
        verbs = machine.begin(at)
        self._outgoing.follow(call)
        if machine.answered is not None:
            self._answered(call, machine.answered)
        self._save(call)
        self._register_if_due(call)
        if call.watch is not None:
            call.watch(call)
        return call, verbs

    def resume(self, new: NewCall, session: Session) -> tuple[LiveCall, Work]:
        """jambonz came back with a call: ours, or one of the run before this one, whose record is
        to be read before anything else is heard of it."""
        call = self._calls.get(new.call_sid)
        rest: Work = None
        if call is None:
            clock = CallClock(self._now, self._clock)
            call = self._make(new, session, clock, again=True)
            call.machine.resume(clock.now())
            rest = self._restored(call)
        else:
            moved = call.session is not None and call.session is not session
            log.info("call.reconnected", call_id=call.call_id, call_sid=call.call_sid, moved=moved)
        call.session = session
        if call.timer is not None and call.machine.phase is not Phase.OVER:
            call.timer.cancel()
            call.timer = None
        return call, rest

    def heard(self, call: LiveCall, session: Session) -> None:
        """jambonz places the call, and speaks of it for the first time on that connection."""
        call.session = session

    def status(self, call: LiveCall, status: LegStatus) -> None:
        """`call:status` of the caller's leg or of one that was dialled."""
        at = call.clock.now()
        if status.call_sid == call.call_sid:
            self._step(call, CallChanged(at=at, status=status))
        else:
            name_call(call.call_id, status.call_sid, status.sip_call_id)
            self._step(call, LegChanged(at=at, status=status))

    def hook(self, call: LiveCall, hook: str, data: Mapping[str, Any]) -> Verbs:
        """`verb:hook`: the verbs that acknowledge it; an empty tuple lets the call go on."""
        if hook == REFER_HOOK:
            return self.transfers.by_refer(call, ReferAsked.of(data))
        event = event_of(hook, data, call.clock.now())
        if event is None:
            return ()
        return self._step(call, event)

    def beside(self, hook: str) -> bool:
        """Whether that hook's verbs run beside what the call does."""
        return hook == REFER_HOOK or hook.startswith(TRANSFER_HOOKS)

    def untold(self, call: LiveCall) -> None:
        """The verbs of a transfer could not be sent."""
        self._step(call, TransferUntold(at=call.clock.now()))

    def mistake(self, call: LiveCall) -> Verbs:
        """Handling a message of this call raised: the verbs that end it with a reason."""
        return self._step(call, Failed(at=call.clock.now()))

    def refused(self, call: LiveCall) -> Verbs:
        """jambonz refused what we sent. A conversation goes on."""
        if call.machine.phase is Phase.TRANSFERRING:
            self.untold(call)
        return () if call.machine.phase is Phase.TALKING else self.mistake(call)

    def disconnected(self, call: LiveCall, session: Session, *, for_good: bool) -> None:
        """The connection is closed. `for_good`: jambonz closed it at the call's end."""
        if call.session is not session:
            return  # the call has moved to another one meanwhile
        call.session = None
        if call.machine.phase is Phase.CALLING:
            return  # it was that of one leg, and another carrier may be asked
        if for_good and call.machine.phase is not Phase.OVER:
            self._step(call, Lost(at=call.clock.now()))
        if call.machine.phase is Phase.OVER:
            self._finish(call)
            return
        log.warning("call.disconnected", call_id=call.call_id, call_sid=call.call_sid)
        self._after(call, RECONNECT_S, self._gone)

    async def close(self) -> None:
        """End our tasks and timers. Calls still up keep their open record."""
        self._spend.close()
        for call in self._calls.values():
            for timer in (call.timer, call.limit):
                if timer is not None:
                    timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._left.close()

    # -- parts --------------------------------------------------------------------------------

    def _step(self, call: LiveCall, event: Event) -> Verbs:
        machine = call.machine
        before, progress = machine.phase, machine.progress
        answered = machine.answered
        verbs = machine.step(event)
        if answered is None and machine.answered is not None:
            self._answered(call, machine.answered)
        self._outgoing.follow(call)
        self.transfers.tell(call)
        self._register_if_due(call)
        after = machine.phase
        if after is not Phase.OVER and machine.progress != progress:
            self._save(call)
        if after is not before:
            log.debug("call.phase", call_id=call.call_id, phase=after.value)
            if after is Phase.OVER:
                if call.registration is not None:
                    call.registration.cancel()
                    call.registration = None  # one that was cancelled keeps its frames
                if machine.person is not None and machine.answered is None:
                    self._finish(call)  # nothing more is said of it
                elif call.session is not None:
                    self._after(call, LINGER_S, self._lingered)
        if call.watch is not None:
            call.watch(call)
        return verbs

    # -- calls that we begin --------------------------------------------------------------------

    def begin_ours(
        self, new: NewCall, plan: Dialling, call_id: str, watch: Callable[[LiveCall], None]
    ) -> LiveCall:
        """A call whose person is called first (`Dialling.person`), by whoever reads what is
        `wanted` of it; `watch` hears of each change. It is on record with `person_placed`."""
        clock = CallClock(self._now, self._clock)
        at = clock.now()
        record = new_record(call_id, new, plan, at)
        call = LiveCall(new, CallMachine(plan), None, record, clock)
        call.watch = watch
        self._calls[call.call_sid] = call
        self._idle.clear()
        call.machine.begin(at)
        return call

    def person_placed(self, call: LiveCall, call_sid: str, heard_within_s: float) -> None:
        """The person's leg is on its way, and has that id; something is heard of it before long."""
        self.rename(call, call_sid)
        name_call(call.call_id, call_sid, "")
        self._opened(call)
        self._after(call, heard_within_s, self._gone)
        self._step(call, PersonPlaced(at=call.clock.now(), call_sid=call_sid))
        self._save(call)

    def _opened(self, call: LiveCall) -> None:
        """A call that we begin is one, and has a record from now on."""
        if not call.on_record:
            self._books.counted(call)
            self._books.opened(call)

    def person_not_placed(self, call: LiveCall, code: int, cause: str, detail: str) -> None:
        """No INVITE went to the person."""
        at = call.clock.now()
        self._step(call, PersonNotPlaced(at=at, code=code, cause=cause, detail=detail))

    def withdraw(self, call: LiveCall) -> None:
        """The call is not wanted any more."""
        call.command(self._step(call, Withdrawn(at=call.clock.now())))

    def rename(self, call: LiveCall, call_sid: str) -> None:
        """The call's first leg has that id from now on."""
        if self._calls.get(call.call_sid) is call:
            del self._calls[call.call_sid]
            call.rename(call_sid)
            call.session = None
            self._calls[call_sid] = call

    def drop(self, call: LiveCall) -> None:
        """A call that never was: nobody was called."""
        if self._calls.get(call.call_sid) is call:
            del self._calls[call.call_sid]
            if not self._calls:
                self._idle.set()

    def _person_answered(self, call: LiveCall, new: NewCall, session: Session) -> Verbs:
        call.session = session
        call.record.a_sip_call_id = new.sip_call_id[:255] or None
        name_call(call.call_id, new.call_sid, new.sip_call_id)
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        return self._step(call, PersonAnswered(at=call.clock.now()))

    # -- parts of every call --------------------------------------------------------------------

    def _answered(self, call: LiveCall, at: float) -> None:
        self._books.answered(call, at)
        self._limit(call, at)

    def _limit(self, call: LiveCall, answered: float) -> None:
        """Have a call that was answered then end when its time is over."""
        longest = call.longest
        if longest is not None:
            left_s = max(0.0, answered + longest.seconds - call.clock.now())
            words = f"{longest.seconds:g} s are over (inbound.max_duration_s)"
            call.limit = asyncio.get_running_loop().call_later(
                left_s, self.stop, call, OVER_TIME, words, longest.said
            )

    def stop(self, call: LiveCall, refusal: Refusal, words: str, said: str | None = None) -> None:
        """End a call that may not go on, for that reason; `words` are for the log, and `said` is a
        file that the first leg hears before it ends."""
        if self._calls.get(call.call_sid) is call and call.machine.phase is not Phase.OVER:
            log.warning(
                "call.stopped", call_id=call.call_id, cause=refusal.cause, reason=words, said=said
            )
            call.command(self._step(call, Stopped(at=call.clock.now(), refusal=refusal, said=said)))

    def _costs_too_much(self, call: LiveCall, words: str) -> None:
        self.stop(call, SPEND_STOP, words)

    def _moment(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    def _make(
        self, new: NewCall, session: Session, clock: CallClock, *, again: bool = False
    ) -> LiveCall:
        """A call in progress, planned, and not on record yet. `again`: a former run let it in."""
        at = clock.now()
        wanted = self._wanted(new)
        brought = None if again else self.brought.claim(new)
        ours = wanted or brought
        call_id = new_call_id(at) if ours is None else ours.call_id
        name_call(call_id, new.call_sid, new.sip_call_id)
        found = placed = full = None
        try:
            if ours is None:
                found = self._related.of(self._settings, new)
            if brought is not None:  # its person is on the line, also while we drain
                chosen: Plan = brought.plan
            elif self._draining:
                chosen = self._planner.refusing(new, SHUTDOWN)
            elif wanted is not None and wanted.unwanted:
                chosen = self._planner.refusing(new, WITHDRAWN)
            else:
                number = None if found is None else found.number
                chosen = self._planner.plan(new, call_id, number, again=again)
                if self._agent_room is not None and not again:
                    chosen, full = self._agent_room.found(chosen)
            if found is not None:
                chosen = shown_to_carriers(self._settings, chosen, found)
            if wanted is not None:
                chosen = bounded(chosen, wanted)
            chosen, placed = self.placing.admitted(
                self._settings,
                new,
                chosen,
                anyway=again or found is not None,
                expected=wanted is not None,
            )
        except Exception:
            log.exception("call.plan-failed", call_id=call_id, call_sid=new.call_sid)
            chosen = self._planner.refusing(new, OUR_BUG)
        record = new_record(call_id, new, chosen, at)
        call = self._calls[new.call_sid] = LiveCall(
            new, CallMachine(chosen), session, record, clock
        )
        call.handed_on, call.placed = found, placed
        if full is not None:
            record.retell = {"full": full}
            log.warning("call.retell-full", call_id=call_id, outcome=full, fault="retell")
        if chosen.direction is Direction.INBOUND and not isinstance(chosen, Refusing):
            self._incoming.begin(call, self._planner.rules(new))
        self._idle.clear()
        self._books.counted(call)
        if wanted is not None and not wanted.unwanted:
            record.retell_call_id = wanted.retell_call_id
            call.watch = wanted.watch
            wanted.came(call)
        if brought is not None:
            call.watch = brought.watch
            brought.came(call)
        return call

    def _wanted(self, new: NewCall) -> Expected | None:
        """Which of the calls this is that Retell was asked to place."""
        if not from_retell(self._settings, new):
            return None
        return self.expected.claim(new, self._settings.outbound.default_country)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _after(self, call: LiveCall, delay_s: float, then: Callable[[LiveCall], None]) -> None:
        if call.timer is not None:
            call.timer.cancel()
        call.timer = asyncio.get_running_loop().call_later(delay_s, then, call)

    def _gone(self, call: LiveCall) -> None:
        self._step(call, Lost(at=call.clock.now()))
        self._finish(call)

    def _lingered(self, call: LiveCall) -> None:
        session = call.session
        self._finish(call)
        if session is not None:
            self._run(session.close())

    def _register_if_due(self, call: LiveCall) -> None:
        registers = call.registration is not None and not call.registration.done()
        if call.machine.registers_now and not registers:
            call.registration = self._run(self._register(call))

    async def _register(self, call: LiveCall) -> None:
        """Method 2: register the call with Retell, then send the verbs. A caller who waits for room
        there waits before."""
        plan = call.machine.plan
        if isinstance(plan, Dialling) and plan.waiting is not None and self._agent_room is not None:
            if not await self._agent_room.wait(plan, lambda: call.machine.phase is Phase.OVER):
                detail = f"no room in {self._settings.retell.wait_for_room_s:g} s"
                full = RegistrationFailed(
                    at=call.clock.now(), failure=RetellFailure.THROTTLED, detail=detail
                )
                self._command(call, full)
                return
            if plan.registration is None:
                self._command(call, RoomFound(at=call.clock.now()))
                return
        begun = self._clock()
        event = await register(self._retell, self._settings, call)
        outcome = event.failure if isinstance(event, RegistrationFailed) else "registered"
        self._metrics.register.labels(outcome).observe(self._clock() - begun)
        self._command(call, event)

    def _command(self, call: LiveCall, event: Registered | RegistrationFailed | RoomFound) -> None:
        """Take in what came of that, and send the verbs that follow."""
        try:
            call.command(self._step(call, event))
        except Exception:
            log.exception("call.failed", call_id=call.call_id)
            call.command(self._step(call, Failed(at=call.clock.now())))

    async def _restored(self, call: LiveCall) -> None:
        """Wait for the record of a former run's call; one that is late is taken when it comes."""
        reading = self._run(self._restore(call))
        await asyncio.wait((reading,), timeout=RECORD_S)
        if not reading.done():
            log.warning("call.record-late", call_sid=call.call_sid, waited_s=RECORD_S)

    async def _restore(self, call: LiveCall) -> None:
        """Go on with the record of a call that a former run of this program began."""
        record: CallRecord | None = None
        try:
            record = await self._store.by_call_sid(call.call_sid)
        except Exception:
            log.exception("call.record-unread", call_id=call.call_id, call_sid=call.call_sid)
        else:
            self._go_on(call, record)
        call.on_record = True
        self._save(call)
        known = record is not None
        log.info("call.adopted", call_id=call.call_id, call_sid=call.call_sid, known=known)

    def _go_on(self, call: LiveCall, record: CallRecord | None) -> None:
        if self._calls.get(call.call_sid) is not call:
            return  # it ended meanwhile, and its record stays interrupted
        past: Past | None = None
        if record is not None:
            self._left.goes_on(record)
            record.state = "live"
            record.ended_ms = record.ended_by = record.cause = record.fault = None
            call.record = record
            name_call(record.call_id, call.call_sid, record.a_sip_call_id or "")
            registered = record.retell_call_id
            uri = retell_uri(self._settings, registered) if registered else None
            past = past_of(record, uri)
        call.machine.restore(past)
        self._outgoing.follow(call)
        if call.machine.answered is not None:
            self._limit(call, call.machine.answered)
        self._register_if_due(call)

    def _save(self, call: LiveCall) -> None:
        if call.on_record and self._calls.get(call.call_sid) is call:
            self._books.save(call)
            self._related.note(call.record)

    def _finish(self, call: LiveCall) -> None:
        """End a call: close its record and log its last line."""
        if self._calls.get(call.call_sid) is not call:
            return
        del self._calls[call.call_sid]
        self._outgoing.follow(call, over=True)
        self._incoming.end(call)
        if call.limit is not None:
            call.limit.cancel()
        if call.placed is not None:
            call.placed.give_back()
        if not self._calls:
            self._idle.set()
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        if call.machine.person is not None:
            self._opened(call)
        ending = self._books.close(call)
        self._left.call_over(call, ending)
        if (telling := self._related.over(call.record)) is not None:
            self._run(telling)
        if call.watch is not None:
            call.watch(call)
            call.watch = None  # whoever watches has the call
