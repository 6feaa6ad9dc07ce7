"""The course of a call, as Twilio tells it, in its record: pure.

Twilio repeats callbacks, and they arrive in any order. So each only adds what is known, and how the
call ended is concluded anew from all of it.
"""

from collections.abc import Mapping
from typing import Any, Final

from gateway.calls.endings import (
    ANSWERED_BY_CALLEE,
    ANSWERED_BY_CALLER,
    CANCELLED,
    Ending,
    Fault,
    Refusal,
    Role,
    dial_refusal,
    final_code,
)
from gateway.calls.record_of_call import between
from gateway.storage.call_records import CallRecord
from gateway.twilio.requests import FINAL, Told

#: The call was registered, and Twilio, which took it itself, never dialled it.
NOT_DIALLED: Final = Ending("gateway", "not-dialled", 200, Fault.OPERATOR)
#: The same, as far as we know: Twilio has said nothing. So no status is known either.
DIAL_UNTOLD: Final = Ending("gateway", "not-dialled", 0, Fault.OPERATOR)
#: Nothing was heard of the call's end.
UNTOLD: Final = Ending("gateway", "end-not-told", 0, Fault.UNKNOWN)
_ANSWERED: Final = frozenset({"in-progress", "answered", "completed"})
#: Statuses of a call whose caller left before it was answered.
_LEFT: Final = frozenset({"canceled", "no-answer", "busy"})
_UNHEARD: Final = frozenset({NOT_DIALLED.cause, UNTOLD.cause})
#: As the call at Retell is shown among the attempts; its id is in the record anyway.
REGISTERED: Final = "registered call"
#: Whom a leg is for that Twilio dials.
ROLES: Final = (Role.RETELL, Role.FALLBACK)
#: Whom an attempt is for, in the order in which they come; a carrier's is of a call that we have
#: Twilio place.
_ORDER: Final = (Role.CARRIER, *ROLES)


def leg_told(record: CallRecord, role: Role, target: str, told: Told, at_ms: int) -> None:
    """A callback about a dialled leg: `initiated`, `ringing`, `in-progress`, or its end."""
    _heard_of(record)
    attempt = attempt_of(record, role, target, at_ms)
    note(record, attempt, told.status, told, at_ms)
    _conclude_again(record)


def dial_over(record: CallRecord, role: Role, target: str, told: Told, at_ms: int) -> None:
    """The dial's own callback: what came of it, and whether the caller is still there."""
    _heard_of(record)
    attempt = attempt_of(record, role, target, at_ms)
    note(record, attempt, told.dial_status, told, at_ms)
    attempt["sip_call_id"] = attempt["sip_call_id"] or told.sip_call_id or None
    record.ended_by = "caller" if told.status in FINAL else "callee"
    if attempt["code"] == 200 and told.duration_s is not None:
        record.duration_s = told.duration_s
    _conclude_again(record)


def answered(record: CallRecord) -> bool:
    """Whether somebody whom Twilio dialled took the call."""
    return any(attempt["code"] == 200 for attempt in record.attempts)


def ended(record: CallRecord, ending: Ending | None, at_ms: int) -> None:
    """The call is over; `ending` is what is known of the reason, None: what its course says."""
    record.ended_ms = max(at_ms, record.started_ms)
    if record.state != "ended" or ending is not None:
        record.state = "ended"
        conclude(record, ending)


def call_over(record: CallRecord, told: Told, at_ms: int) -> None:
    """The status callback of the call itself."""
    _heard_of(record)
    gave_up = not record.attempts and told.status in _LEFT
    ended(record, CANCELLED if gave_up else None, at_ms)
    _conclude_again(record)


def conclude(record: CallRecord, ending: Ending | None = None) -> None:
    """How it ended, by all that is known."""
    found = ending or _ending(record)
    if found is not None:
        record.ended_by, record.cause = found.by, found.cause
        record.sip_status, record.fault = found.sip_status or None, found.fault.value
    if answered(record):
        if record.duration_s is None:
            record.duration_s = between(record.answered_ms, record.ended_ms)
    else:
        record.duration_s = None


def refuse(record: CallRecord, refusal: Refusal, detail: str, at_ms: int) -> None:
    """Why no agent could be had, before anybody was dialled; `detail` is a sentence."""
    attempt = attempt_of(record, Role.RETELL, REGISTERED, at_ms)
    attempt["reason"], attempt["detail"] = refusal.cause, detail
    ending = refusal.ending()
    record.ended_by, record.cause = ending.by, ending.cause
    record.sip_status, record.fault = ending.sip_status, ending.fault.value


def _heard_of(record: CallRecord) -> None:
    """Twilio speaks of it: what was written because nobody did is taken back."""
    assumed = record.cause in _UNHEARD and record.sip_status is None
    if record.state == "interrupted" or assumed:
        record.state = "live"
        record.ended_ms = record.ended_by = record.cause = record.fault = record.sip_status = None


def _conclude_again(record: CallRecord) -> None:
    if record.state == "ended":
        conclude(record)


def _ending(record: CallRecord) -> Ending | None:
    if answered(record):
        return ANSWERED_BY_CALLEE if record.ended_by == "callee" else ANSWERED_BY_CALLER
    if not record.attempts:
        if record.retell_call_id is None:  # the caller left while Retell was asked
            return CANCELLED if record.cause is None else None
        return NOT_DIALLED if record.cause in (None, NOT_DIALLED.cause) else None
    last = record.attempts[-1]
    if last["detail"] is not None:
        return None  # it was refused, for a reason that stands
    if last["code"] is None or last["reason"] == "canceled":
        return CANCELLED
    role = Role(last["role"])
    return dial_refusal(role, "failed", last["code"], "", registered=True).ending()


def attempt_of(record: CallRecord, role: Role, target: str, at_ms: int) -> dict[str, Any]:
    """The leg for that role: there is one, from the first that is heard of it."""
    for attempt in record.attempts:
        if attempt["role"] == role.value:
            return attempt
    made: dict[str, Any] = {
        "trunk": record.trunk,
        "role": role.value,
        "target": target,
        "started_ms": max(at_ms, record.started_ms),
        "code": None,
        "reason": None,
        "detail": None,
        "words": {},
        "early_media": False,
        "cost_estimate": None,
        "sip_call_id": None,
        "sip_call_ids": [],
    }
    record.attempts.append(made)
    record.attempts.sort(key=lambda attempt: _ORDER.index(Role(attempt["role"])))
    return made


def note(record: CallRecord, attempt: dict[str, Any], status: str, told: Told, at_ms: int) -> None:
    """What that status says of the leg; one that was answered stays so."""
    if status in _ANSWERED:
        attempt["code"], attempt["reason"] = 200, None
        if record.answered_ms is None:
            talked_s = 0.0 if status == "in-progress" else told.duration_s or 0.0
            record.answered_ms = max(at_ms - round(1000 * talked_s), record.started_ms)
    elif status in FINAL and attempt["code"] != 200:
        attempt["code"] = told.sip_code if told.sip_code >= 300 else _code(status)
        attempt["reason"] = status


def _code(status: str) -> int:
    """The final code that a status stands for, where none is told."""
    return _CODES.get(status) or final_code(status, 0)


_CODES: Final[Mapping[str, int]] = {"canceled": 487}
