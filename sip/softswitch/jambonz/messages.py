"""What the softswitch tells an application: jambonz's `session:new`, `call:status`, `verb:hook`.

Keys and meanings are jambonz 0.9.8's. Beyond it, `session:new` has `verstat` where the carrier says
what it found of the caller's signature, a final `call:status` of the A-leg carries `media`, and
dial hooks carry `dial_sip_reason` and `dial_sip_call_id`.
"""

from typing import Any

from sip.b2bua.call_events import Cause
from sip.b2bua.call_state import EndedBy
from sip.b2bua.leg_report import LegReport, Progress
from sip.b2bua.legs.leg import Direction
from sip.core.refer import Refer
from sip.media.fax_tone import TONE_HZ
from sip.media.plane import MediaStats
from sip.media.session import by_leg
from sip.softswitch.jambonz.session import Dialled
from sip.softswitch.jambonz.session_info import SessionInfo

Json = dict[str, Any]

#: jambonz's `call_status` of a leg, by how far it is; `_FAILED` says how one failed.
_PROGRESS = {
    Progress.TRYING: "trying",
    Progress.RINGING: "ringing",
    Progress.EARLY_MEDIA: "early-media",
    Progress.ANSWERED: "in-progress",
    Progress.ENDED: "completed",
}
#: The same of a leg that was never answered, by its SIP status; any other is "failed".
_FAILED = {486: "busy", 600: "busy", 487: "no-answer"}
#: What amd's actionHook is told where the caller is a fax machine.
FAX_TONE: Json = {"type": "amd_tone_detected", "frequency": TONE_HZ, "tone": "fax"}
#: jambonz's `call_termination_by`.
_ENDED_BY = {
    EndedBy.CALLER: "caller",
    EndedBy.CALLEE: "callee",
    EndedBy.APPLICATION: "jambonz",
}


def status_word(report: LegReport) -> str:
    """jambonz's `call_status` of a leg; a caller that we refused has "failed", whatever we said."""
    if report.progress is not Progress.FAILED:
        return _PROGRESS[report.progress]
    if report.direction is Direction.INBOUND and report.cause is Cause.REJECTED:
        return "failed"
    return _FAILED.get(report.sip_status, "failed")


def new_session(info: SessionInfo, status: LegReport) -> Json:
    """`session:new`: of a call that came at once, of one that we place when it is answered."""
    return _a_leg(info, status) | info.details()


def call_status(info: SessionInfo, status: LegReport, *, ended_by: EndedBy | None = None) -> Json:
    """`call:status` of the A-leg; also what every hook of the call begins with."""
    told = _a_leg(info, status)
    if status.final:
        told |= _end(status)
    if ended_by is not None:
        told["call_termination_by"] = _ENDED_BY[ended_by]
    return told


def child_status(info: SessionInfo, parent: LegReport, child: LegReport, dialled: Dialled) -> Json:
    """`call:status` of a B-leg. Its `customerData` is its dial's tag, not the call's."""
    told: Json = {
        "call_sid": child.call_sid,
        "direction": "outbound",
        "from": info.caller.shown,
        "to": dialled.number,
        "caller_id": dialled.caller_id,
        "parent_call_sid": parent.call_sid,
        "call_id": child.sip_call_id,
        "sip_status": child.sip_status,
        "sip_reason": child.sip_reason,
        "call_status": status_word(child),
    }
    if dialled.tag is not None:
        told["customerData"] = dialled.tag
    return told | _end(child) if child.final else told


def dial_result(
    info: SessionInfo, parent: LegReport, child: LegReport, *, ended_by: EndedBy
) -> Json:
    """What dial's actionHook gets. `ended_by` is told where the A-leg is over."""
    told = call_status(info, parent, ended_by=ended_by if parent.final else None)
    told["dial_call_sid"] = child.call_sid
    told["dial_call_status"] = status_word(child)
    told["dial_sip_status"] = child.sip_status
    told["dial_sip_reason"] = child.sip_reason
    told["dial_sip_call_id"] = child.sip_call_id
    if child.cause is not None:
        told["dial_cause"] = child.cause.word
    if child.detail is not None:
        told["dial_detail"] = child.detail
    return told


def refer(call_sid: str, other: str, asked: Refer) -> Json:
    """What a referHook gets beside the keys of the leg `call_sid` that sent REFER: what it asks
    for. `other` is who is to be brought to somebody else."""
    by = asked.referred_by
    details = {
        **{_snake(name): value for name, value in asked.headers},
        "sip_refer_to": asked.refer_to.text,
        "refer_to_user": asked.refer_to.user,
        "sip_referred_by": "" if by is None else by.text,
        "referred_by_user": "" if by is None else by.user,
        "sip_user_agent": asked.user_agent or "",
        "referring_call_sid": call_sid,
        "referred_call_sid": other,
    }
    return {"refer_details": details}


def media_counters(stats: MediaStats | None) -> Json:
    """The relay's counters, by leg.

    As they are: orjson writes a dataclass as the object of its fields. `moves` is there where
    counters are missing, since engines died.
    """
    if stats is None:
        return {}
    counters: Json = dict(by_leg(stats))
    return counters | {"moves": stats.moves} if stats.moves else counters


def _a_leg(info: SessionInfo, status: LegReport) -> Json:
    """The A-leg and how far it is."""
    return {
        "call_sid": status.call_sid,
        "direction": info.direction,
        "from": info.caller.shown,
        "to": info.number,
        **info.origin(),
        "call_id": status.sip_call_id,
        "sip_status": status.sip_status,
        "sip_reason": status.sip_reason,
        "call_status": status_word(status),
    }


def _end(status: LegReport) -> Json:
    """What is known of a leg that is over."""
    told: Json = {"duration": round(status.duration_s)}
    if status.headers:
        told["headers"] = {_snake(name): value for name, value in status.headers}
    if status.cause is not None:
        told["cause"] = status.cause.word
    if status.detail is not None:
        told["detail"] = status.detail
    return told


def _snake(name: str) -> str:
    return name.lower().replace("-", "_")
