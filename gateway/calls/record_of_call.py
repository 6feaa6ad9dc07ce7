"""What a call's course leaves in its record: from machine to row, nothing decided."""

from typing import Any

from gateway.calls.call_machine import CallMachine, Tried
from gateway.calls.endings import Ending
from gateway.calls.routing import Dialling, Plan
from gateway.jambonz.messages import NewCall
from gateway.jambonz.verbs import PhoneTarget, SipTarget, Target
from gateway.storage.call_records import CallRecord


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


def note_progress(record: CallRecord, machine: CallMachine) -> None:
    """How far the call is."""
    record.retell_call_id = machine.retell_call_id or record.retell_call_id
    connected = machine.connected
    if connected is not None:
        record.b_sip_call_id = connected.sip_call_id[:255] or None
        record.attempts = [_attempt(tried) for tried in machine.tried]
    if machine.answered is not None:
        record.answered_ms = round(machine.answered * 1000)


def close_record(record: CallRecord, machine: CallMachine, ending: Ending) -> None:
    """How it ended."""
    note_progress(record, machine)
    record.state = "ended"
    if machine.ended is not None:
        record.ended_ms = round(machine.ended * 1000)
    record.duration_s = between(record.answered_ms, record.ended_ms)
    record.ended_by = ending.by
    record.cause = ending.cause
    record.sip_status = ending.sip_status or None
    record.fault = ending.fault.value
    record.media = machine.media
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
            return "registered call"


def between(first_ms: int | None, last_ms: int | None) -> float | None:
    """Seconds from one moment to another, never negative though a clock may be set back."""
    if first_ms is None or last_ms is None:
        return None
    return max(0, last_ms - first_ms) / 1000
