"""Calls that leave for a carrier: each is judged before it is dialled, counted when it is, and
metered while it is up."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import structlog

from config.settings import Settings
from gateway.calls.call_counts import CallCounts
from gateway.calls.endings import AGENTS, Role
from gateway.calls.guard import Chooser, Guard
from gateway.calls.leaving import Leaving
from gateway.calls.live_call import LiveCall
from gateway.calls.no_way import NoWay
from gateway.calls.placed_elsewhere import PlacedElsewhere
from gateway.calls.routing import Attempt, Dialling, Refusing, Routed
from gateway.calls.spend_watch import SpendWatch
from gateway.calls.transfer_order import Callee, RingTry, TransferOrder, Try, shown
from gateway.calls.tried import Tried
from gateway.storage.day_counts import DayCountStore

log = structlog.get_logger("gateway.call")

#: Who chose an attempt's number, of those that may leave for a carrier.
_CHOOSERS: Final = {
    Role.CARRIER: Chooser.RETELL,
    Role.FALLBACK: Chooser.OPERATOR,
    Role.FAX: Chooser.OPERATOR,
}


class Outgoing:
    """The guard of one configuration after another, and one count of all calls."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float],
        watch: SpendWatch,
        store: DayCountStore | None = None,
        *,
        stop: Callable[[LiveCall, str], None],
    ) -> None:
        """`now` is seconds since 1970; without a `store` a restart begins the day anew. `stop` ends
        a call that may cost no more, with these words."""
        self._now = now
        self._watch = watch
        self._spend = watch.spend
        self._stop = stop
        self._guard = Guard(settings)
        kept, keep = ((), None) if store is None else (store.kept, store.save)
        self._counts: CallCounts = self._guard.counts(kept, keep)

    def configure(self, settings: Settings) -> None:
        """Judge by these settings; what was counted stands."""
        self._guard = Guard(settings)
        self._spend.configure(settings)

    @property
    def now(self) -> datetime:
        """The time, with its zone."""
        return datetime.fromtimestamp(self._now(), UTC)

    def judge(
        self, to: str, trunk: str, chooser: Chooser, beside: Iterable[tuple[str, str]] = ()
    ) -> NoWay | None:
        """Why `to` may not be called on that trunk, by the guard, its caps or the money; None if it
        may. `beside` are the numbers and trunks that are to ring at the same time."""
        no_way = self._guard.judge(to, trunk, chooser, self._counts, self.now, beside)
        if no_way is not None:
            return no_way
        number = self._guard.counted(to, trunk)
        if number is None or self._guard.is_emergency(to, trunk):
            return None
        return self._spend.judge(number, trunk, self.now)

    def guarded(self, routed: Routed, call_id: str) -> Routed:
        """The plan without what may not be called, and with how long each may last; if nothing is
        left of it, a refusal."""
        if not isinstance(routed, Dialling):
            return routed
        barred = {id(each): self._barred(each) for each in routed.attempts}
        left = tuple(self._limited(each) for each in routed.attempts if barred[id(each)] is None)
        fax = routed.fax
        if fax is not None:
            no_way = self._barred(fax)
            routed = replace(routed, fax=self._limited(fax) if no_way is None else None)
            if no_way is not None:
                _tell(call_id, fax, no_way)
        for each in routed.attempts:
            if (no_way := barred[id(each)]) is not None:
                _tell(call_id, each, no_way)
        if left:
            return replace(routed, attempts=left)
        first = next(no_way for no_way in barred.values() if no_way is not None)
        return _refusing(routed, first)

    def bounded(self, plan: Dialling) -> Dialling:
        """A plan that calls a person first, with how long each carrier may have the person."""
        if plan.person is None:
            return plan
        attempts = tuple(map(self._limited, plan.person.attempts))
        return replace(plan, person=replace(plan.person, attempts=attempts))

    def limited(self, order: TransferOrder) -> TransferOrder:
        """The order, with how long each callee may last."""

        def each(one: Try) -> Try:
            if not isinstance(one, RingTry):
                return one
            return replace(one, callees=tuple(map(self._limited_callee, one.callees)))

        return replace(order, tries=tuple(map(each, order.tries)))

    def follow(self, call: LiveCall, *, over: bool = False) -> None:
        """Count and meter the legs of a call that were dialled, were answered or have ended
        since."""
        tried = call.machine.legs
        for each in tried:
            if not each.noticed:
                each.noticed = True
                if not (each.past and each.ended):
                    self._leaves(call, each)
        if not call.leaving:
            return
        for one in tuple(call.leaving):
            given_up = not any(each is one.tried for each in tried)
            self._follow(call, one, over=over or given_up)
        self._watch.note()

    # -- calls that others place for us -------------------------------------------------------

    def place_elsewhere(
        self, to: str, trunk: str, clock: Callable[[], float], stop: Callable[[str], None]
    ) -> PlacedElsewhere | None:
        """Somebody else was asked to call `to`, which counts and costs as a call of that trunk;
        None where nothing does. `stop` ends it, with these words."""
        number = self._guard.counted(to, trunk)
        if number is None:
            return None
        self._counts.begin(trunk, number, self.now)
        limited = not self._guard.is_emergency(to, trunk)
        meter = self._spend.begin(number, trunk, self.now, clock, stop, limited=limited)
        return PlacedElsewhere(trunk, number, self._counts, self._watch, meter)

    def time_limit_s(self, to: str, trunk: str) -> float | None:
        """How long one call of that trunk to `to` may last for what it costs; None: for ever."""
        number = self._guard.counted(to, trunk)
        if number is None or self._guard.is_emergency(to, trunk):
            return None
        return self._spend.time_limit_s(number, trunk)

    # -- parts --------------------------------------------------------------------------------

    def _leaves(self, call: LiveCall, tried: Tried) -> None:
        number, trunk = self._number(tried.attempt), tried.attempt.trunk
        if number is None:
            return
        if tried.past:
            self._counts.resume(trunk, number)
        else:
            self._counts.begin(trunk, number, self.now)
        meter = self._spend.begin(
            number,
            trunk,
            datetime.fromtimestamp(tried.started, UTC) if tried.past else self.now,
            call.clock.now,
            partial(self._stop, call),
            booked=(tried.past_cost or 0.0) if tried.past else None,
            limited=not self._is_emergency(tried.attempt),
        )
        tried.meter = meter
        call.leaving.append(Leaving(tried, number, meter))

    def _follow(self, call: LiveCall, one: Leaving, *, over: bool) -> None:
        """A leg may outlast its dial: then it is no call of the caps, and goes on to cost."""
        tried, meter = one.tried, one.meter
        if tried.answered is not None and meter.answered is None:
            self._spend.answered(meter, tried.answered)
        if one.counted and (over or tried.ended):
            one.counted = False
            self._counts.end(tried.attempt.trunk, one.number)
        if over or tried.gone or (tried.ended and tried.answered is None):
            call.leaving.remove(one)
            self._spend.end(meter, call.clock.now())

    def _number(self, attempt: Attempt) -> str | None:
        """Under which number it counts; None if it goes to an agent, or to an extension."""
        if attempt.role in AGENTS:
            return None
        return self._guard.counted(shown(attempt.target), attempt.trunk)

    def _limited(self, attempt: Attempt) -> Attempt:
        """The attempt, with how long one call may last for what it costs."""
        limit = None
        if attempt.role not in AGENTS:
            limit = self.time_limit_s(shown(attempt.target), attempt.trunk)
        limits = [each for each in (limit, attempt.time_limit_s) if each is not None]
        return replace(attempt, time_limit_s=min(limits, default=None))

    def _is_emergency(self, attempt: Attempt) -> bool:
        if attempt.role in AGENTS:
            return False
        return self._guard.is_emergency(shown(attempt.target), attempt.trunk)

    def _limited_callee(self, callee: Callee) -> Callee:
        return replace(callee, attempt=self._limited(callee.attempt))

    def _barred(self, attempt: Attempt) -> NoWay | None:
        chooser = _CHOOSERS.get(attempt.role)
        if chooser is None or attempt.target is None:
            return None
        return self.judge(shown(attempt.target), attempt.trunk, chooser)


def _refusing(routed: Dialling, no_way: NoWay) -> Refusing:
    return Refusing(
        direction=routed.direction,
        from_number=routed.from_number,
        to_number=routed.to_number,
        refusal=no_way.refusal,
        why=no_way.words,
    )


def _tell(call_id: str, attempt: Attempt, no_way: NoWay) -> None:
    log.warning(
        "call.barred",
        call_id=call_id,
        trunk=attempt.trunk,
        role=attempt.role.value,
        target=shown(attempt.target),
        cause=no_way.refusal.cause,
        reason=no_way.words,
        fault=no_way.refusal.fault.value,
    )
