"""Frames of the jambonz WebSocket: JSON in, typed frozen messages out, and the way back.

Checked by hand, not by pydantic: a call has a dozen frames and their cost is per call. What is read
holds no control character, whatever a peer of that jambonz sent it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Final

import orjson

from gateway.jambonz.verbs import Verbs
from gateway.value import frozen
from gateway.visible import visible

SUBPROTOCOL: Final = "ws.jambonz.org"

#: jambonz drops the connection on a larger frame (JAMBONES_WS_MAX_PAYLOAD, 24 KiB by default).
MAX_FRAME: Final = 24_000

FINAL_STATUSES: Final = frozenset({"completed", "failed", "busy", "no-answer"})

#: The message types that jambonz awaits no ack for; every other one gets an ack, known or not.
UNACKED: Final = frozenset(
    {
        "call:status",
        "verb:status",
        "jambonz:error",
        "llm:event",
        "llm:tool-call",
        "tts:tokens-result",
        "tts:streaming-event",
    }
)


_STATUS_TEXTS: Final = (
    "call_sid",
    "parent_call_sid",
    "call_id",
    "call_status",
    "sip_reason",
    "call_termination_by",
    "cause",
)


class BadFrameError(Exception):
    """A frame that is no jambonz message: the peer's fault, logged and passed over."""


class FrameTooLargeError(Exception):
    """What we wanted to send would make jambonz drop the connection: our fault."""


@frozen
class Envelope:
    """One frame from jambonz. `call_sid` is absent on an adulted child's socket."""

    type: str
    msgid: str
    call_sid: str
    hook: str
    data: Mapping[str, Any]

    @property
    def wants_ack(self) -> bool:
        return bool(self.msgid) and self.type not in UNACKED


@frozen(kw_only=True)
class NewCall:
    """`session:new` (or its repetition in `session:reconnect`): a call reached jambonz.

    `outbound`: jambonz's REST API placed it, and the person at `to_number` has answered.
    """

    call_sid: str
    sip_call_id: str
    from_number: str
    to_number: str
    trunk: str
    authenticated_user: str
    headers: Mapping[str, str]
    outbound: bool = False

    @classmethod
    def of(cls, envelope: Envelope) -> "NewCall":
        data = envelope.data
        sip = data.get("sip")
        headers = _headers(sip if isinstance(sip, dict) else {})
        user = ""
        for name, value in headers.items():
            if name.lower() == "x-authenticated-user":
                user = value
        call_sid = envelope.call_sid or _text(data, "call_sid")
        if not call_sid:
            raise BadFrameError("a new call without call_sid")
        return cls(
            call_sid=call_sid,
            sip_call_id=_text(data, "call_id"),
            from_number=_text(data, "from"),
            to_number=_text(data, "to"),
            trunk=_text(data, "originating_sip_trunk_name"),
            authenticated_user=user,
            headers=headers,
            outbound=_text(data, "direction") == "outbound",
        )


@frozen(kw_only=True)
class LegStatus:
    """`call:status` of one leg: the caller's (the parent) or one that we dialled (a child).

    `duration_s` is in whole seconds since the answer, None where nothing is said. `cause` and
    `media` come from our own softswitch only.
    """

    call_sid: str
    parent_call_sid: str
    sip_call_id: str
    status: str
    code: int
    reason: str
    terminated_by: str
    cause: str = ""
    duration_s: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    media: Mapping[str, Any] | None = None

    @property
    def final(self) -> bool:
        return self.status in FINAL_STATUSES

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "LegStatus":
        media = data.get("media")
        # the most frequent message of a call: all texts in one go
        call_sid, parent, call_id, status, reason, by, cause = _texts(data, _STATUS_TEXTS)
        return cls(
            call_sid=call_sid,
            parent_call_sid=parent,
            sip_call_id=call_id,
            status=status,
            code=_number(data, "sip_status"),
            reason=reason,
            terminated_by=by,
            cause=cause,
            duration_s=_seconds(data, "duration"),
            headers=_headers(data),
            media=media if isinstance(media, dict) else None,
        )


@frozen(kw_only=True)
class DialResult:
    """What the action hook of a dial says. `code` 0: nothing said.

    jambonz reports a ring timeout or a caller's cancel as no-answer/487 or, by a race of its own,
    as ringing/180 or early-media/183: a code below 300 is no final one.
    `caller` is the caller's own leg at that time. `cause` and `detail` are our softswitch's: a
    word, and a sentence where there was no response.
    """

    status: str
    code: int
    reason: str
    cause: str
    detail: str
    call_sid: str
    sip_call_id: str
    caller: LegStatus

    @property
    def caller_gone(self) -> bool:
        return self.caller.final

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "DialResult":
        return cls(
            status=_text(data, "dial_call_status"),
            code=_number(data, "dial_sip_status"),
            reason=_text(data, "dial_sip_reason"),
            cause=_text(data, "dial_cause"),
            detail=_text(data, "dial_detail"),
            call_sid=_text(data, "dial_call_sid"),
            sip_call_id=_text(data, "dial_sip_call_id"),
            caller=LegStatus.of(data),
        )


def parse(text: str) -> Envelope:
    """One text frame. Raises BadFrameError."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadFrameError(f"not JSON: {error}") from None
    if not isinstance(frame, dict):
        raise BadFrameError("not a JSON object")
    data = frame.get("data")
    kind, msgid, call_sid, hook = _texts(frame, ("type", "msgid", "call_sid", "hook"))
    if not kind:
        raise BadFrameError("no type")
    return Envelope(
        type=kind,
        msgid=msgid,
        call_sid=call_sid,
        hook=hook,
        data=data if isinstance(data, dict) else {},
    )


def ack(msgid: str, verbs: Verbs = ()) -> str:
    """An acknowledgement; without verbs jambonz goes on with what it has."""
    frame: dict[str, Any] = {"type": "ack", "msgid": msgid}
    if verbs:
        frame["data"] = [verb.wire() for verb in verbs]
    return _frame(frame)


def redirect(verbs: Verbs) -> str:
    """A command that replaces what the call is doing, at once."""
    return _frame(
        {"type": "command", "command": "redirect", "data": [verb.wire() for verb in verbs]}
    )


def command(name: str, data: Mapping[str, Any]) -> str:
    """A command that is no verbs."""
    return _frame({"type": "command", "command": name, "data": dict(data)})


def _frame(frame: dict[str, Any]) -> str:
    text = orjson.dumps(frame)
    if len(text) > MAX_FRAME:
        raise FrameTooLargeError(f"{len(text)} bytes, {MAX_FRAME} allowed")
    return text.decode()


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return visible(value) if isinstance(value, str) else ""


def _texts(data: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Several at once, as every message has them."""
    return [visible(value) if type(value) is str else "" for value in map(data.get, keys)]


def _headers(data: Mapping[str, Any]) -> dict[str, str]:
    """The header lines among `headers`."""
    raw = data.get("headers")
    return {
        name: visible(value)
        for name, value in (raw.items() if isinstance(raw, dict) else ())
        if isinstance(value, str)
    }


def _seconds(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and value >= 0 else None


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0
