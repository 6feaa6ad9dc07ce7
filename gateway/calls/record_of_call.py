"""What a call's course leaves in its record: from machine to row, nothing decided."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.calls.call_machine import CallMachine
from gateway.calls.control import TransferVerdict
from gateway.calls.endings import Ending, Role
from gateway.calls.kept_headers import kept_headers
from gateway.calls.past import Past
from gateway.calls.plan import Plan
from gateway.calls.routing import Attempt, Dialling
from gateway.calls.transfer import Transfer, resumed
from gateway.calls.transfer_order import TransferOrder
from gateway.calls.tried import Tried
from gateway.iso import iso, iso_or_none
from gateway.jambonz.messages import NewCall
from gateway.jambonz.verbs import PhoneTarget, SipTarget, Target
from gateway.storage.call_records import CallRecord

_REGISTERED: Final = "registered call"


def new_record(call_id: str, new: NewCall, chosen: Plan, at: float) -> CallRecord:
    """The record of a call that begins. Texts from the network are cut to their columns."""
    dialling = chosen if isinstance(chosen, Dialling) else None
    return CallRecord(
        call_id=call_id,
        call_sid=new.call_sid[:64],
        direction=chosen.direction.value,
        trunk=new.trunk[:128] or new.authenticated_user[:128],
        from_number=chosen.from_number[:255],
        to_number=chosen.to_number[:255],
        method=dialling.method if dialling else None,
        agent=dialling.agent if dialling else None,
        a_sip_call_id=new.sip_call_id[:255] or None,
        started_ms=round(at * 1000),
        headers=kept_headers(new.headers),
    )


def past_of(record: CallRecord, uri: str | None) -> Past:
    """What is on record of a call that a former run of this program began; `uri` is where it is
    dialled if it is a registered one."""
    tried = [_tried(item) for item in record.attempts]
    return Past(
        tried=tried,
        transfers=[_transfer(item, tried) for item in record.transfers],
        answered=record.answered_ms / 1000 if record.answered_ms is not None else None,
        retell_call_id=record.retell_call_id,
        uri=uri,
    )


def _tried(item: Mapping[str, Any]) -> Tried:
    code = item["code"] or 0
    attempt = Attempt(
        role=Role(item["role"]),
        trunk=item["trunk"],
        target=_target(item["target"], item["trunk"]),
        caller_id=None,
        timeout_s=0,
    )
    return Tried(
        attempt,
        item["started_ms"] / 1000,
        sip_call_ids=list(item.get("sip_call_ids", ())),
        early_media=item["early_media"],
        past=True,
        past_cost=item.get("cost_estimate"),
        ended=code >= 300,
        code=code,
        reason=item["reason"] or "",
        detail=item["detail"] or "",
        words=item.get("words", {}),
    )


def note_progress(record: CallRecord, machine: CallMachine) -> None:
    """How far the call is."""
    record.retell_call_id = machine.retell_call_id or record.retell_call_id
    connected, legs = machine.connected, machine.legs
    if connected is not None:
        record.b_sip_call_id = connected.sip_call_id[:255] or None
    record.attempts = [_attempt(tried) for tried in legs]
    person = machine.person
    if person is not None and person.called:
        record.a_sip_call_id = person.called[-1].sip_call_id[:255] or record.a_sip_call_id
        if person.heard is not None:
            left = {"message_left": person.message_left} if person.who == "machine" else {}
            record.attempts[len(person.called) - 1]["amd"] = person.heard.to_json() | left
    costs = [cost for each in legs if (cost := each.cost_estimate) is not None]
    record.cost_estimate = round(sum(costs), 6) if costs else None
    record.transfers = [_of_transfer(each) for each in machine.transfers]
    if machine.answered is not None:
        record.answered_ms = round(machine.answered * 1000)


def close_record(
    record: CallRecord, machine: CallMachine, ending: Ending, figures: Mapping[str, Any] | None
) -> None:
    """How it ended; `figures` are its media's."""
    note_progress(record, machine)
    record.state = "ended"
    if machine.ended is not None:
        record.ended_ms = round(machine.ended * 1000)
    record.duration_s = machine.talk_s
    if record.duration_s is None:
        record.duration_s = between(record.answered_ms, record.ended_ms)
    record.ended_by = ending.by
    record.cause = ending.cause
    record.sip_status = ending.sip_status or None
    record.fault = ending.fault.value
    record.media = figures
    record.retell_headers = machine.far_headers


def seen(record: CallRecord) -> dict[str, Any]:
    """A call in short, for whoever looks on: what is not known yet is null."""
    return {
        "call_id": record.call_id,
        "direction": record.direction,
        "trunk": record.trunk,
        "from": record.from_number,
        "to": record.to_number,
        "agent": record.agent,
        "retell_call_id": record.retell_call_id,
        "started_at": iso(record.started_ms),
        "answered_at": iso_or_none(record.answered_ms),
        "ended_at": iso_or_none(record.ended_ms),
        "duration_s": record.duration_s,
        "ended_by": record.ended_by,
        "cause": record.cause,
        "sip_status": record.sip_status,
        "fault": record.fault,
    }


def _attempt(tried: Tried) -> dict[str, Any]:
    return {
        "trunk": tried.attempt.trunk,
        "role": tried.attempt.role.value,
        "target": _shown(tried.attempt.target),
        "started_ms": round(tried.started * 1000),
        "code": tried.code or None,
        "reason": tried.reason or None,
        "detail": tried.detail or None,
        "words": dict(tried.words),
        "early_media": tried.early_media,
        "cost_estimate": tried.cost_estimate,
        "sip_call_id": tried.sip_call_id or None,
        "sip_call_ids": list(tried.sip_call_ids),
    }


def _of_transfer(transfer: Transfer) -> dict[str, Any]:
    """A transfer; its verdict's part is null while it runs."""
    order, verdict = transfer.order, transfer.verdict
    return {
        "transfer_id": order.transfer_id,
        "by": order.by,
        "policy": order.policy,
        "asked_for": order.target,
        "asked_ms": round(transfer.asked * 1000),
        "ended_ms": None if transfer.ended is None else round(transfer.ended * 1000),
        "outcome": verdict and verdict.outcome,
        "stage": transfer.state.value if verdict is None else verdict.stage,
        "target": verdict and verdict.target,
        "code": verdict and verdict.code,
        "reason": verdict and verdict.reason,
        "attempt": transfer.attempt if verdict is None else verdict.attempt,
    }


def _transfer(item: Mapping[str, Any], tried: list[Tried]) -> Transfer:
    """What `_of_transfer` wrote."""
    order = TransferOrder(
        transfer_id=item["transfer_id"],
        by=item["by"],
        policy=item["policy"],
        target=item["asked_for"],
    )
    verdict = None
    if item["outcome"] is not None:
        verdict = TransferVerdict(
            outcome=item["outcome"],
            stage=item["stage"],
            target=item["target"],
            code=item["code"],
            reason=item["reason"],
            attempt=item["attempt"],
        )
    asked = item["asked_ms"] / 1000
    ended = None if item["ended_ms"] is None else item["ended_ms"] / 1000
    return resumed(order, tried, asked, item["stage"], ended, verdict)


def _shown(target: Target | None) -> str:
    """What was dialled. A registered call's URI is Retell's id, which the record has anyway."""
    match target:
        case PhoneTarget(number=number):
            return number
        case SipTarget(uri=uri):
            return uri
        case None:
            return _REGISTERED


def _target(shown: str, trunk: str) -> Target | None:
    """What `_shown` showed."""
    if shown == _REGISTERED:
        return None
    return SipTarget(shown) if shown.startswith(("sip:", "sips:")) else PhoneTarget(shown, trunk)


def between(first_ms: int | None, last_ms: int | None) -> float | None:
    """Seconds from one moment to another, never negative though a clock may be set back."""
    if first_ms is None or last_ms is None:
        return None
    return max(0, last_ms - first_ms) / 1000
