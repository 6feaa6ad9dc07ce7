"""What Twilio tells of a call, by its webhooks and where it is asked (twilio.com/docs/voice/twiml
and twilio.com/docs/voice/api/call-resource): parameters in, values out. Fields that are not known
are passed over; texts are cut to what the record has room for."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from gateway.value import frozen
from gateway.visible import visible

_CALL_SID: Final = re.compile(r"CA[0-9a-f]{32}")
_KEYPAD: Final = {
    letter: str(key)
    for key, letters in enumerate(("abc", "def", "ghi", "jkl", "mno", "pqrs", "tuv", "wxyz"), 2)
    for letter in letters
}
#: A caller without a number is shown as one of these words, as it is typed on a keypad
#: (support.twilio.com 223179988).
_WITHHELD: Final = frozenset(
    "+" + "".join(_KEYPAD[letter] for letter in word)
    for word in ("anonymous", "restricted", "blocked", "unknown", "unavailable", "private")
)
ANONYMOUS: Final = "anonymous"
#: `AnsweredBy` of what is no person.
MACHINES: Final = frozenset(
    {"machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other"}
)
FAX: Final = "fax"
#: Statuses after which a call or a leg says nothing more.
FINAL: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


@frozen(kw_only=True)
class Asked:
    """A voice webhook: what is to be done with this call? `dialled` is of the URL, a number or an
    agent, "" where it names none; `outbound`: we had Twilio place it, and `from_number` is ours."""

    account_sid: str
    call_sid: str
    from_number: str
    to_number: str
    dialled: str
    outbound: bool
    verstat: str
    answered_by: str


@frozen(kw_only=True)
class Told:
    """A callback. `status` is that of the call that it is about, `dial_status` what came of the
    dialled leg; `at_ms` when it happened, and `detection_ms` how long it took to find out who
    answered, as far as that is told."""

    account_sid: str
    call_sid: str
    parent_call_sid: str
    status: str
    dial_status: str
    duration_s: float | None
    sip_code: int
    sip_call_id: str
    answered_by: str
    at_ms: int | None
    detection_ms: int | None = None


def asked_of(params: Mapping[str, str], dialled: str) -> Asked | None:
    """None where it is about no call."""
    call_sid = params.get("CallSid", "")
    if not _CALL_SID.fullmatch(call_sid):
        return None
    return Asked(
        account_sid=params.get("AccountSid", "")[:64],
        call_sid=call_sid,
        from_number=_number(params, "From"),
        to_number=_number(params, "To"),
        dialled=visible(dialled)[:255],
        outbound=params.get("Direction", "").startswith("outbound"),
        verstat=visible(params.get("StirVerstat", ""))[:64],
        answered_by=params.get("AnsweredBy", ""),
    )


def told_of(params: Mapping[str, str]) -> Told | None:
    """None where it is about no call."""
    call_sid = params.get("CallSid", "")
    if not _CALL_SID.fullmatch(call_sid):
        return None
    code = params.get("DialSipResponseCode") or params.get("SipResponseCode", "")
    return Told(
        account_sid=params.get("AccountSid", "")[:64],
        call_sid=call_sid,
        parent_call_sid=params.get("ParentCallSid", ""),
        status=params.get("CallStatus", ""),
        dial_status=params.get("DialCallStatus", ""),
        duration_s=_seconds(params.get("DialCallDuration") or params.get("CallDuration", "")),
        sip_code=int(code) if re.fullmatch(r"[1-6]\d\d", code) else 0,
        sip_call_id=visible(params.get("DialSipCallId", ""))[:255],
        answered_by=params.get("AnsweredBy", ""),
        at_ms=_moment(params.get("Timestamp", "")),
        detection_ms=_whole(params.get("MachineDetectionDuration", "")),
    )


def told_of_call(found: Mapping[str, Any]) -> Told | None:
    """The same of a call as Twilio's API has it; None where it is none."""
    texts = {name: value for name, value in found.items() if isinstance(value, str)}
    status = texts.get("status", "")
    return told_of(
        {
            "AccountSid": texts.get("account_sid", ""),
            "CallSid": texts.get("sid", ""),
            "CallStatus": status,
            "CallDuration": texts.get("duration", "") if status in FINAL else "",
            "Timestamp": texts.get("end_time", "") if status in FINAL else "",
        }
    )


def _number(params: Mapping[str, str], name: str) -> str:
    number = visible(params.get(name, ""))[:255]
    return ANONYMOUS if number in _WITHHELD else number


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,7}", text) else None


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"\d{1,7}", text) else None


def _moment(text: str) -> int | None:
    """Milliseconds since 1970 of a date of RFC 2822."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return round(moment.timestamp() * 1000) if moment.tzinfo is not None else None
