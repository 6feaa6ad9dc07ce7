"""Transfers of calls in progress: asked for by REFER or from outside, decided, and told of."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

import structlog

from gateway.calls.call_events import Event, LegChanged, TransferAsked, TransferRefused
from gateway.calls.call_machine import Phase
from gateway.calls.control import (
    Transfer,
    TransferRefusedError,
    TransferVerdict,
    WrongStateError,
)
from gateway.calls.endings import Fault, Refusal
from gateway.calls.holding import take_off_hold
from gateway.calls.live_call import LiveCall
from gateway.calls.metrics import Metrics
from gateway.calls.no_way import NoWay
from gateway.calls.planner import Planner
from gateway.calls.routing import Direction
from gateway.calls.transfer import Transfer as OneTransfer
from gateway.calls.transfer_order import TransferOrder
from gateway.calls.transfer_routing import Wish
from gateway.calls.transfer_rules import State
from gateway.jambonz.messages import ReferAsked, transfer
from gateway.jambonz.verbs import Decline, Verbs

log = structlog.get_logger("gateway.call")

#: Has a call take in an event.
Step = Callable[[LiveCall, Event], Verbs]

#: Another transfer of the call runs (RFC 3261 21.4.27).
BUSY: Final = NoWay(
    Refusal(491, "Request Pending", "transfer-runs", Fault.CALLER),
    "a transfer of this call runs already",
)
TOO_EARLY: Final = NoWay(
    Refusal(480, "Temporarily Unavailable", "nobody-to-transfer", Fault.CALLER),
    "there are not two who talk, of whom one could be handed on",
)


class Transfers:
    """Begins them, and tells of each verdict once: to the log, the metrics and who waits for it."""

    def __init__(self, planner: Planner, metrics: Metrics, step: Step, *, own: bool) -> None:
        """`own`: our softswitch carries the calls, no jambonz elsewhere."""
        self._planner = planner
        self._metrics = metrics
        self._step = step
        self._own = own

    def configure(self, planner: Planner) -> None:
        """Decide by this one from now on."""
        self._planner = planner

    def by_refer(self, call: LiveCall, asked: ReferAsked) -> Verbs:
        """A leg sent REFER: the verbs that carry it out, or refuse it.

        A real jambonz answers 202 in any case; without verbs it does nothing more.
        """
        ours = asked.by.call_sid == call.call_sid
        if not ours:  # it talks, even where no status said so
            self._step(call, LegChanged(at=call.clock.now(), status=asked.by))
        wish = self._wish(
            call,
            to=asked.refer_to or asked.user,
            by="refer",
            first_stays=not ours,
            referrer=call.record.trunk if ours else _trunk_of(call, asked.by.call_sid),
            headers=asked.headers,
        )
        decided = self._decide(call, wish, first_stays=not ours)
        if not isinstance(decided, NoWay):
            return decided
        refusal = decided.refusal
        return (Decline(refusal.status, refusal.reason),) if self._own else ()

    def by_command(self, call: LiveCall, to: str, *, by: str) -> Transfer:
        """Somebody else asks for it. Raises TransferRefusedError or WrongStateError."""
        from_retell, talker = (
            call.machine.plan.direction is Direction.RETELL,
            call.machine.connected,
        )
        wish = self._wish(call, to=to, by=by, first_stays=not from_retell)
        if call.machine.phase not in (Phase.TALKING, Phase.TRANSFERRING):
            raise WrongStateError(TOO_EARLY.words)
        verbs = self._decide(call, wish, first_stays=not from_retell)
        if isinstance(verbs, NoWay):
            code = verbs.refusal.status
            may = self._planner.names if code == 404 else ()
            raise TransferRefusedError(code, verbs.words, may)
        verdict = call.verdicts[wish.transfer_id] = asyncio.get_running_loop().create_future()
        if self._own:
            call.say(transfer(verbs, talker.call_sid if from_retell and talker else None))
        else:
            call.command(verbs)
        return Transfer(wish.transfer_id, lambda: asyncio.shield(verdict))

    def tell(self, call: LiveCall) -> None:
        """Say what has come to an end since the last time."""
        transfers = call.machine.transfers
        while call.told < len(transfers) and transfers[call.told].verdict is not None:
            self._tell(call, transfers[call.told])
            call.told += 1

    # -- parts --------------------------------------------------------------------------------

    def _decide(self, call: LiveCall, wish: Wish, *, first_stays: bool) -> Verbs | NoWay:
        decided = _not_now(call) or self._planner.transfer(wish)
        at = call.clock.now()
        if isinstance(decided, TransferOrder):
            log.info(
                "transfer.begin",
                call_id=call.call_id,
                transfer_id=wish.transfer_id,
                by=wish.by,
                target=decided.target,
                policy=decided.policy,
            )
            if call.held:  # it was the agent whom the caller was kept from
                take_off_hold(call)
            asked = TransferAsked(at=at, order=decided, first_stays=first_stays)
            return self._step(call, asked)
        refusal, order = decided.refusal, wish.order()
        log.warning(
            "transfer.refused",
            call_id=call.call_id,
            transfer_id=wish.transfer_id,
            by=wish.by,
            target=order.target,
            code=refusal.status,
            cause=refusal.cause,
            reason=decided.words,
            fault=refusal.fault.value,
        )
        refused = TransferRefused(at=at, order=order, code=refusal.status, reason=refusal.reason)
        self._step(call, refused)
        return decided

    def _wish(
        self,
        call: LiveCall,
        *,
        to: str,
        by: str,
        first_stays: bool,
        referrer: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Wish:
        """`first_stays`: who is handed on is the leg that the call began with."""
        plan, other = call.machine.plan, call.machine.connected
        a_number, b_number = plan.from_number, plan.to_number
        ours = b_number if plan.direction is Direction.INBOUND else a_number
        if plan.direction is Direction.OUTBOUND:
            a_number, b_number = b_number, a_number
        b_trunk = other.attempt.trunk if other is not None else ""
        return Wish(
            transfer_id=uuid4().hex,
            call_id=call.call_id,
            by=by,
            to=to,
            person=a_number if first_stays else b_number,
            number=ours,
            trunk=call.record.trunk if first_stays else b_trunk,
            referrer=referrer,
            headers=headers or {},
        )

    def _tell(self, call: LiveCall, one: OneTransfer) -> None:
        verdict, order = one.verdict, one.order
        assert verdict is not None, "it has come to an end"
        code = verdict.code or 0
        if verdict.outcome == "transferred":
            call.muted.discard("b")  # somebody else is on that leg now
        self._metrics.transfer_ended(order.policy, verdict.stage, verdict.outcome, code)
        waiting = call.verdicts.pop(order.transfer_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(verdict)
        if verdict.stage == State.ASKED.value:
            return  # `transfer.refused` has said it
        log.info("transfer.ended", call_id=call.call_id, **facts(one, verdict))


def facts(one: OneTransfer, verdict: TransferVerdict) -> dict[str, object]:
    """What log and record say of a transfer that is over."""
    return {
        "transfer_id": one.order.transfer_id,
        "by": one.order.by,
        "policy": one.order.policy,
        "asked_for": one.order.target,
        "outcome": verdict.outcome,
        "stage": verdict.stage,
        "target": verdict.target,
        "code": verdict.code,
        "reason": verdict.reason,
        "attempt": verdict.attempt,
    }


def _not_now(call: LiveCall) -> NoWay | None:
    phase = call.machine.phase
    if phase is Phase.TRANSFERRING:
        return BUSY
    return None if phase is Phase.TALKING else TOO_EARLY


def _trunk_of(call: LiveCall, call_sid: str) -> str | None:
    """The trunk of one of its dialled legs."""
    return next(
        (each.attempt.trunk for each in call.machine.tried if each.call_sid == call_sid), None
    )
