"""Calls in progress: each machine with its socket, its registration and its record.

A call is known by jambonz's call_sid and outlives its WebSocket: jambonz comes back with
`session:reconnect` when the connection broke.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

import structlog

from config.settings import Settings
from gateway.calls.call_clock import CallClock
from gateway.calls.call_events import (
    CallChanged,
    DialEnded,
    Event,
    Failed,
    FaxHeard,
    LegChanged,
    Lost,
    Registered,
    RegistrationFailed,
)
from gateway.calls.call_machine import DIAL_HOOK, FAX_HOOK, CallMachine, Phase
from gateway.calls.endings import OUR_BUG, SHUTDOWN, Fault, Refusal, registration_refusal
from gateway.calls.ladders import Ladders
from gateway.calls.live_call import LiveCall, Session
from gateway.calls.metrics import Metrics
from gateway.calls.quality import media_of, qualities_of
from gateway.calls.record_of_call import (
    between,
    close_record,
    new_record,
    note_progress,
    past_of,
)
from gateway.calls.routing import Dialling, Plan, Refusing, direction_of, plan, retell_uri
from gateway.calls.tried import Past
from gateway.jambonz import messages
from gateway.jambonz.messages import DialResult, LegStatus, NewCall
from gateway.jambonz.session import Work
from gateway.jambonz.verbs import Verbs
from gateway.log import name_call, seconds
from gateway.retell.client import RetellClient
from gateway.retell.failures import RegistrationError
from gateway.storage.call_records import CallRecord, CallStore
from gateway.storage.samples import SampleStore

log = structlog.get_logger("gateway.call")

#: jambonz tries to come back for 13.5 s, ours for longer; after this the call counts as lost.
RECONNECT_S: Final = 60.0
#: After a call's last status jambonz still sends the dial's hook and closes; then we do.
LINGER_S: Final = 6.0
#: What amd's hook is told of a fax.
TONE: Final = "amd_tone_detected"
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
        retell: RetellClient,
        metrics: Metrics,
        *,
        now: Callable[[], float],
        clock: Callable[[], float],
        ladders: Ladders | None = None,
        samples: SampleStore | None = None,
    ) -> None:
        """`now` is seconds since 1970, `clock` monotonic seconds."""
        self._settings = settings
        self._store = store
        self._retell = retell
        self._metrics = metrics
        self._now = now
        self._clock = clock
        self._ladders = ladders
        self._samples = samples
        self._calls: dict[str, LiveCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._calls)

    def configure(self, settings: Settings) -> None:
        """Plan new calls by these settings."""
        self._settings = settings

    def command(self, call_id: str, name: str, data: Mapping[str, Any]) -> bool:
        """Have a call that is up do something beside its verbs; False where there is none."""
        for call in self._calls.values():
            if call.call_id == call_id and call.machine.phase is not Phase.OVER:
                call.say(messages.command(name, data))
                return True
        return False

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

    def begin(self, new: NewCall, session: Session) -> tuple[LiveCall, Verbs]:
        """A new call and the verbs that acknowledge it."""
        clock = CallClock(self._now, self._clock)
        at = clock.now()
        if (old := self._calls.get(new.call_sid)) is not None:
            log.warning("call.repeated", call_id=old.call_id, call_sid=new.call_sid)
            self._gone(old)
        call = self._make(new, session, clock)
        record, machine = call.record, call.machine
        call.on_record = True
        log.info(
            "call.begin",
            call_id=call.call_id,
            call_sid=new.call_sid,
            sip_call_id=new.sip_call_id,
            direction=record.direction,
            trunk=record.trunk,
            **{"from": record.from_number, "to": record.to_number},
            method=record.method,
            agent=record.agent,
        )
        verbs = machine.begin(at)
        if machine.answered is not None:
            self._answered(call, machine.answered)
        self._save(call)
        self._register_if_due(call)
        return call, verbs

    def resume(self, new: NewCall, session: Session) -> tuple[LiveCall, Work]:
        """jambonz came back with a call: ours, or one of the run before this one, whose record is
        to be read before anything else is heard of it."""
        call = self._calls.get(new.call_sid)
        rest: Work = None
        if call is None:
            clock = CallClock(self._now, self._clock)
            call = self._make(new, session, clock)
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
        if hook == FAX_HOOK and data.get("type") == TONE:
            return self._step(call, FaxHeard(at=call.clock.now()))
        if hook != DIAL_HOOK:
            return ()
        return self._step(call, DialEnded(at=call.clock.now(), result=DialResult.of(data)))

    def mistake(self, call: LiveCall) -> Verbs:
        """Handling a message of this call raised: the verbs that end it with a reason."""
        return self._step(call, Failed(at=call.clock.now()))

    def refused(self, call: LiveCall) -> Verbs:
        """jambonz refused what we sent. A conversation goes on."""
        return () if call.machine.phase is Phase.TALKING else self.mistake(call)

    def disconnected(self, call: LiveCall, session: Session, *, for_good: bool) -> None:
        """The connection is closed. `for_good`: jambonz closed it at the call's end."""
        if call.session is not session:
            return  # the call has moved to another one meanwhile
        call.session = None
        if for_good and call.machine.phase is not Phase.OVER:
            self._step(call, Lost(at=call.clock.now()))
        if call.machine.phase is Phase.OVER:
            self._finish(call)
            return
        log.warning("call.disconnected", call_id=call.call_id, call_sid=call.call_sid)
        self._after(call, RECONNECT_S, self._gone)

    async def close(self) -> None:
        """End our tasks and timers. Calls still up keep their open record."""
        for call in self._calls.values():
            if call.timer is not None:
                call.timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- parts --------------------------------------------------------------------------------

    def _step(self, call: LiveCall, event: Event) -> Verbs:
        machine = call.machine
        before, progress = machine.phase, machine.progress
        answered = machine.answered
        verbs = machine.step(event)
        if answered is None and machine.answered is not None:
            self._answered(call, machine.answered)
        after = machine.phase
        if after is not Phase.OVER and machine.progress != progress:
            self._save(call)
        if after is not before:
            log.debug("call.phase", call_id=call.call_id, phase=after.value)
            if after is Phase.OVER:
                if call.registration is not None:
                    call.registration.cancel()
                if call.session is not None:
                    self._after(call, LINGER_S, self._lingered)
        return verbs

    def _answered(self, call: LiveCall, at: float) -> None:
        record = call.record
        setup_s = between(record.started_ms, round(at * 1000))
        self._metrics.call_answered(record.direction, record.trunk, setup_s)

    def _make(self, new: NewCall, session: Session, clock: CallClock) -> LiveCall:
        """A call in progress, planned, and not on record yet."""
        at = clock.now()
        call_id = new_call_id(at)
        name_call(call_id, new.call_sid, new.sip_call_id)
        try:
            if self._draining:
                chosen = _refusing(self._settings, new, SHUTDOWN)
            else:
                chosen = plan(self._settings, new, call_id)
        except Exception:
            log.exception("call.plan-failed", call_id=call_id, call_sid=new.call_sid)
            chosen = _refusing(self._settings, new, OUR_BUG)
        record = new_record(call_id, new, chosen, at)
        call = self._calls[new.call_sid] = LiveCall(
            new, CallMachine(chosen), session, record, clock
        )
        self._idle.clear()
        self._metrics.call_started(record.direction, record.trunk)
        return call

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
        if call.machine.phase is Phase.REGISTERING and call.registration is None:
            call.registration = self._run(self._register(call))

    async def _register(self, call: LiveCall) -> None:
        """Method 2: register the call with Retell, then send the verbs."""
        chosen = call.machine.plan
        assert isinstance(chosen, Dialling), "only such a plan registers"
        wanted = chosen.registration
        assert wanted is not None, "and it says what"
        begun = self._clock()
        event: Event
        try:
            retell_call_id = await self._retell.register(
                call_id=call.call_id,
                direction=wanted.direction,
                agent=wanted.agent,
                from_number=wanted.from_number,
                to_number=wanted.to_number,
                variables=wanted.variables,
            )
        except RegistrationError as error:
            outcome: str = error.failure
            refusal = registration_refusal(error.failure)
            level = log.warning if refusal.fault is Fault.RETELL else log.error
            level(
                "call.not-registered",
                fault=refusal.fault.value,
                call_id=call.call_id,
                failure=error.failure,
                http_status=error.status or None,
                detail=str(error),
                agent=wanted.agent,
            )
            event = RegistrationFailed(
                at=call.clock.now(),
                failure=error.failure,
                detail=f"HTTP {error.status}: {error}" if error.status else str(error),
            )
        else:
            outcome = "registered"
            uri = retell_uri(self._settings, retell_call_id)
            event = Registered(at=call.clock.now(), retell_call_id=retell_call_id, uri=uri)
        self._metrics.register.labels(outcome).observe(self._clock() - begun)
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
            record.state = "live"
            record.ended_ms = record.ended_by = record.cause = record.fault = None
            call.record = record
            name_call(record.call_id, call.call_sid, record.a_sip_call_id or "")
            registered = record.retell_call_id
            uri = retell_uri(self._settings, registered) if registered else None
            past = past_of(record, uri)
        call.machine.restore(past)
        self._register_if_due(call)

    def _save(self, call: LiveCall) -> None:
        if call.on_record and self._calls.get(call.call_sid) is call:
            note_progress(call.record, call.machine)
            self._store.save(call.record)

    def _finish(self, call: LiveCall) -> None:
        """End a call: close its record and log its last line."""
        if self._calls.get(call.call_sid) is not call:
            return
        del self._calls[call.call_sid]
        if not self._calls:
            self._idle.set()
        if call.timer is not None:
            call.timer.cancel()
            call.timer = None
        machine, record = call.machine, call.record
        ending = machine.ending or OUR_BUG.ending()
        media = media_of(machine.media)
        close_record(record, machine, ending, media.figures)
        self._store.save(record)
        if self._samples is not None:
            self._samples.save(record.call_id, media.samples)
        if self._ladders is not None:
            self._ladders.call_over(record)
        setup_s = between(record.started_ms, record.answered_ms)
        self._metrics.call_ended(
            record.direction, record.trunk, ending, machine.tried, record.duration_s
        )
        trunks = {"a": record.trunk, "b": machine.tried[-1].attempt.trunk if machine.tried else ""}
        for leg, quality in qualities_of(media.figures):
            self._metrics.leg_ended(trunks[leg], quality)
        log.info(
            "call.end",
            call_id=call.call_id,
            call_sid=call.call_sid,
            sip_call_id=record.a_sip_call_id,
            b_sip_call_id=record.b_sip_call_id,
            retell_call_id=record.retell_call_id,
            direction=record.direction,
            by=ending.by,
            cause=ending.cause,
            sip_status=ending.sip_status,
            fault=ending.fault.value,
            setup_s=seconds(setup_s),
            talk_s=seconds(record.duration_s),
            total_s=seconds(between(record.started_ms, record.ended_ms)),
            attempts=[f"{item['trunk']}:{item['code'] or '-'}" for item in record.attempts],
        )


def _refusing(settings: Settings, new: NewCall, refusal: Refusal) -> Plan:
    return Refusing(
        direction=direction_of(settings, new),
        from_number=new.from_number,
        to_number=new.to_number,
        refusal=refusal,
    )
