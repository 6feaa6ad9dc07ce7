"""What a call's course leaves in its record: from machine to row, nothing decided."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.calls.call_machine import CallMachine
from gateway.calls.endings import Ending, Role
from gateway.calls.routing import Attempt, Dialling, Plan
from gateway.calls.tried import Past, Tried
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
    )


def past_of(record: CallRecord, uri: str | None) -> Past:
    """What is on record of a call that a former run of this program began; `uri` is where it is
    dialled if it is a registered one."""
    return Past(
        tried=[_tried(item) for item in record.attempts],
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
        ended=code >= 300,
        code=code,
        reason=item["reason"] or "",
        detail=item["detail"] or "",
        words=item.get("words", {}),
    )


def note_progress(record: CallRecord, machine: CallMachine) -> None:
    """How far the call is."""
    record.retell_call_id = machine.retell_call_id or record.retell_call_id
    connected = machine.connected
    if connected is not None:
        record.b_sip_call_id = connected.sip_call_id[:255] or None
        record.attempts = [_attempt(tried) for tried in machine.tried]
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
        "sip_call_id": tried.sip_call_id or None,
        "sip_call_ids": list(tried.sip_call_ids),
    }


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
