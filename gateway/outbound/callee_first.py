"""Calls people for their agents: the person first, then the agent (mode `callee_first`)."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final
from uuid import uuid4

import structlog

from config.settings import Settings
from gateway.calls.call_machine import Phase
from gateway.calls.carriers import carriers_for, pick_of
from gateway.calls.endings import NO_ROUTE, Fault, Refusal
from gateway.calls.guard import Chooser
from gateway.calls.live_call import LiveCall
from gateway.calls.live_calls import LiveCalls
from gateway.calls.no_way import NoWay
from gateway.calls.person_routing import PersonWish, person_first, rest_body
from gateway.calls.routing import Dialling, Listening
from gateway.calls.switch import NotPlacedError, Switch
from gateway.jambonz.messages import NewCall
from gateway.outbound.news import AgentAnswered, Answered, Ended, OnNews, Ringing, each_once
from gateway.outbound.ports import NotNowError
from gateway.outbound.results import not_begun, result_of
from gateway.storage.wanted import Wanted

log = structlog.get_logger("gateway.call")


#: The softswitch tells how a leg ended by its own timers; after so many seconds more it is lost.
GRACE_S: Final = 40.0
#: There is nobody here who could call somebody.
NO_SWITCH: Final = Refusal(501, "Not Implemented", "no-switch", Fault.OPERATOR)
#: When to ask again whose softswitch is not there yet, in seconds.
NOT_READY_S: Final = 1.0


class CalleeFirst:
    """The queue's `Placer` of calls that begin with the person."""

    def __init__(self, settings: Settings, calls: LiveCalls) -> None:
        self._settings = settings
        self._calls = calls
        self._placing: set[LiveCall] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        #: who places calls, once it is there
        self.switch: Switch | None = None

    def configure(self, settings: Settings) -> None:
        """Place calls by these settings from now on."""
        self._settings = settings

    async def begin(self, call_id: str, queued_id: str, wanted: Wanted, on_news: OnNews) -> None:
        """As `Placer.begin`."""
        switch = self.switch
        if switch is None:
            raise NotNowError("not-ready", NOT_READY_S)
        if self._calls.draining:
            raise NotNowError("draining", NOT_READY_S)
        plan = self._plan(wanted, call_id)
        if isinstance(plan, NoWay):
            on_news(not_begun(self._calls.now(), plan))
            return
        new = NewCall(
            call_sid=call_id,  # until it has its own
            sip_call_id="",
            from_number=plan.from_number,
            to_number=plan.to_number,
            trunk=_first_trunk(plan),
            authenticated_user="",
            headers={},
            outbound=True,
        )
        teller = _Teller(on_news)

        def watch(call: LiveCall) -> None:
            self._attend(call, switch)
            teller.tell(call)

        call = self._calls.begin_ours(new, plan, call_id, watch)
        log.info("call.wanted", call_id=call_id, queued_id=queued_id, to=plan.to_number)
        await self._place(call, switch, first=True)

    def cancel(self, call_id: str) -> bool:
        """As `Placer.cancel`."""
        call = self._calls.up(call_id)
        if call is not None:
            self._calls.withdraw(call)
        return call is not None

    def judge(self, wanted: Wanted) -> NoWay | None:
        """As `Placer.judge`."""
        plan = self._plan(wanted, "")
        return plan if isinstance(plan, NoWay) else None

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        """As `Placer.trunks`: those that may be used for it."""
        carriers = self._carriers(wanted)
        return () if isinstance(carriers, NoWay) else carriers

    async def close(self) -> None:
        """Begin nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _plan(self, wanted: Wanted, call_id: str) -> Dialling | NoWay:
        carriers = self._carriers(wanted)
        if isinstance(carriers, NoWay):
            return carriers
        wish = PersonWish(
            to_number=wanted.to_number,
            from_number=wanted.from_number,
            agent=wanted.agent,
            version=wanted.agent_version,
            variables=wanted.variables,
            metadata=wanted.metadata,
            headers=wanted.headers,
            ring_timeout_s=wanted.ring_timeout_s,
            time_limit_s=wanted.time_limit_s,
            listening=_listening(wanted),
        )
        plan = person_first(self._settings, wish, call_id, carriers)
        return plan if isinstance(plan, NoWay) else self._calls.outgoing.bounded(plan)

    def _carriers(self, wanted: Wanted) -> tuple[str, ...] | NoWay:
        """By which trunks it may go, one after another."""
        to, settings = wanted.to_number, self._settings
        if not settings.sip.listen and settings.jambonz is None:
            return NoWay(
                NO_SWITCH, "sip.listen is empty, and no jambonz: says whose API calls people"
            )
        found: tuple[str, ...] | NoWay
        if wanted.trunk is not None:
            if settings.trunk(wanted.trunk) is None:
                return NoWay(NO_ROUTE, f"trunks has no {wanted.trunk}")
            found = (wanted.trunk,)
        else:
            found = carriers_for(settings, to, wanted.from_number, pick=pick_of(to))
        if isinstance(found, NoWay):
            return found
        barred = {one: self._calls.outgoing.judge(to, one, Chooser.API) for one in found}
        left = tuple(one for one in found if barred[one] is None)
        return left or next(no_way for no_way in barred.values() if no_way is not None)

    def _attend(self, call: LiveCall, switch: Switch) -> None:
        """Do what the call's machine wants of the person's leg."""
        person = call.machine.person
        if person is None or call.machine.phase is not Phase.CALLING or call in self._placing:
            return
        if person.wanted is not None:
            if person.called:  # the first is placed by `begin`
                self._run(self._place(call, switch))
        elif person.withdrawn and not call.given_up:
            call.given_up = True
            self._run(self._give_up(call, switch))

    async def _place(self, call: LiveCall, switch: Switch, *, first: bool = False) -> None:
        """Have one carrier after another call, until one does. Raises NotNowError where `first`
        and none does because it has no room."""
        person, plan = call.machine.person, call.machine.plan
        assert person is not None
        assert isinstance(plan, Dialling)
        self._placing.add(call)
        try:
            while (attempt := person.wanted) is not None:
                call_sid = str(uuid4())
                self._calls.rename(call, call_sid)
                body = rest_body(plan, attempt, call.call_id)
                try:
                    call_sid = await switch.place(body, call_sid)
                except NotPlacedError as error:
                    last = len(person.called) + 1 == len(person.order.attempts)
                    if first and last and error.retry_after_s is not None:
                        self._calls.drop(call)
                        raise NotNowError(error.cause, error.retry_after_s) from None
                    log.warning(
                        "call.not-placed",
                        call_id=call.call_id,
                        trunk=attempt.trunk,
                        cause=error.cause,
                        reason=str(error),
                    )
                    self._calls.person_not_placed(call, error.code, error.cause, str(error))
                else:
                    call.record.trunk = attempt.trunk
                    self._calls.person_placed(call, call_sid, attempt.timeout_s + GRACE_S)
                    break
        finally:
            self._placing.discard(call)
        self._attend(call, switch)

    async def _give_up(self, call: LiveCall, switch: Switch) -> None:
        await switch.give_up(call.call_sid)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("call.not-placed")


class _Teller:
    """Tells the queue of one call, each thing once."""

    def __init__(self, on_news: OnNews) -> None:
        self._tell_once = each_once(on_news)

    def tell(self, call: LiveCall) -> None:
        """Tell what is new."""
        machine, record = call.machine, call.record
        person, at = machine.person, call.clock.now()
        if person is not None and person.rings:
            self._tell_once(Ringing(at))
        if machine.answered is not None:
            self._tell_once(Answered(machine.answered))
        if machine.phase is Phase.TALKING:
            self._tell_once(AgentAnswered(at))
        if record.state == "ended" and machine.ending is not None:
            self._tell_once(_ended(call, at))


def _ended(call: LiveCall, at: float) -> Ended:
    machine, record = call.machine, call.record
    assert machine.ending is not None, "it is over"
    person = machine.person
    last = person.tried if person is not None else None
    failed = machine.tried[-1] if machine.tried and machine.answered is None else None
    heard = person.heard.to_json() if person is not None and person.heard is not None else None
    return Ended(
        at=at,
        result=result_of(machine, machine.ending),
        cause=machine.ending.cause,
        sip_status=(last.code or None) if last is not None else None,
        reason=last.reason if last is not None else "",
        detail=(failed.detail if failed is not None else "") or (last.detail if last else ""),
        retell_call_id=record.retell_call_id,
        duration_s=record.duration_s,
        amd=heard,
        cost_estimate=record.cost_estimate,
    )


def _first_trunk(plan: Dialling) -> str:
    return plan.person.attempts[0].trunk if plan.person is not None else ""


def _listening(wanted: Wanted) -> Listening | None:
    amd = wanted.amd
    if amd is None:
        return None
    return Listening(
        on_machine=amd.on_machine,
        on_silence=amd.on_silence,
        on_unknown=amd.on_unknown,
        message=amd.message,
    )
