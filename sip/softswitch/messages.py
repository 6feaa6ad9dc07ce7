"""What the softswitch tells an application: jambonz's `session:new`, `call:status`, `verb:hook`.

Keys and meanings are jambonz 0.9.8's. Beyond it, a final `call:status` of the A-leg carries
`media`, and dial hooks carry `dial_sip_reason` and `dial_sip_call_id`.
"""

from dataclasses import asdict
from typing import Any

from sip.b2bua.status import LegStatus
from sip.core.headers import canonical
from sip.core.message import Request
from sip.media.plane import MediaStats
from sip.transport.endpoint import Endpoint

Json = dict[str, Any]


def new_session(
    invite: Request,
    status: LegStatus,
    *,
    source: Endpoint,
    local: Endpoint,
    trunk: str,
    username: str | None,
    realm: str,
) -> Json:
    """`session:new` for an inbound call that `trunk` explains.

    `username` is what the peer proved by digest; it shows as X-Authenticated-User, which nobody
    outside can set.
    """
    headers = _header_map(invite)
    headers["X-Forwarded-For"] = source.host
    headers["X-Originating-Carrier"] = trunk
    if username is not None:
        headers["X-Authenticated-User"] = f"{username}@{realm}"
    body = invite.body.decode(errors="replace")
    return {
        "sip": {
            "headers": headers,
            "body": body,
            "method": invite.method,
            "version": "2.0",
            "uri": invite.uri,
            "payload": [{"type": invite.content_type, "content": body}] if body else [],
        },
        "direction": "inbound",
        "call_sid": status.call_sid,
        "caller_name": invite.from_.display_name or "",
        "from": invite.from_.uri.user or "",
        "to": invite.request_uri.user or "",
        "call_id": status.sip_call_id,
        "sip_status": status.sip_status,
        "sip_reason": status.sip_reason,
        "call_status": status.progress.value,
        "originating_sip_ip": source.host,
        "originating_sip_trunk_name": trunk,
        "local_sip_address": f"{local.hostport}",
    }


def call_status(session: Json, status: LegStatus, *, ended_by: str | None = None) -> Json:
    """`call:status` of the A-leg; also what every hook of the call begins with."""
    return _status(
        status,
        {
            "direction": "inbound",
            "from": session["from"],
            "to": session["to"],
            "originating_sip_ip": session["originating_sip_ip"],
            "originating_sip_trunk_name": session["originating_sip_trunk_name"],
        },
        ended_by,
    )


def child_status(
    session: Json, parent: LegStatus, child: LegStatus, *, number: str, caller_id: str
) -> Json:
    """`call:status` of a B-leg."""
    return _status(
        child,
        {
            "direction": "outbound",
            "from": session["from"],
            "to": number,
            "caller_id": caller_id,
            "parent_call_sid": parent.call_sid,
        },
        None,
    )


def dial_result(session: Json, parent: LegStatus, child: LegStatus) -> Json:
    """What dial's actionHook is told."""
    return {
        **call_status(session, parent),
        "dial_call_sid": child.call_sid,
        "dial_call_status": child.progress.value,
        "dial_sip_status": child.sip_status,
        "dial_sip_reason": child.sip_reason,
        "dial_sip_call_id": child.sip_call_id,
    }


def media_counters(stats: MediaStats | None) -> Json:
    """The relay's counters, `a` for the A-leg's party and `b` for the last B-leg's."""
    if stats is None:
        return {}
    found: Json = {}
    for tag, party in stats.parties.items():
        found["a" if tag == "a" else "b"] = asdict(party)
    return found


def _status(status: LegStatus, leg: Json, ended_by: str | None) -> Json:
    told: Json = {
        "call_sid": status.call_sid,
        **leg,
        "call_id": status.sip_call_id,
        "sip_status": status.sip_status,
        "sip_reason": status.sip_reason,
        "call_status": status.progress.value,
    }
    if status.final:
        told["duration"] = round(status.duration_s)
        if status.headers:
            told["headers"] = {_snake(name): value for name, value in status.headers}
        if status.cause is not None:
            told["cause"] = status.cause.value
    if ended_by is not None:
        told["call_termination_by"] = ended_by
    return told


def _header_map(invite: Request) -> Json:
    """Standard names in lower case, X- names as received, as drachtio has them.

    An X- header that speaks for us is not taken from outside.
    """
    found: Json = {}
    for name, value in invite.headers:
        if name[:2].lower() == "x-":
            if name.lower() not in _OUR_WORD:
                found[name] = value
        else:
            found.setdefault(canonical(name), value)
    for name in _SECRET:
        found.pop(name, None)
    return found


_OUR_WORD = frozenset({"x-authenticated-user", "x-forwarded-for", "x-originating-carrier"})
_SECRET = ("authorization", "proxy-authorization")


def _snake(name: str) -> str:
    return name.lower().replace("-", "_")
