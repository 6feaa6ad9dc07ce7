"""Frames of the jambonz WebSocket: JSON in, typed frozen messages out, and the way back.

Checked by hand, not by pydantic: a call has a dozen frames and their cost is per call. What is read
holds no control character, whatever a peer of that jambonz sent it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
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
    "to",
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
    #: the number that is called
    to: str = ""
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
        call_sid, parent, call_id, status, reason, by, cause, to = _texts(data, _STATUS_TEXTS)
        return cls(
            call_sid=call_sid,
            parent_call_sid=parent,
            sip_call_id=call_id,
            status=status,
            code=_number(data, "sip_status"),
            reason=reason,
            terminated_by=by,
            cause=cause,
            to=to,
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


@frozen(kw_only=True)
class ReferAsked:
    """What a `referHook` is told: a leg of the call sent REFER (RFC 3515).

    `by` is that leg; `refer_to` and `referred_by` stand as they were sent, "" if they were not.
    `headers` are the REFER's X- headers and its User-to-User.
    """

    by: LegStatus
    refer_to: str
    user: str
    referred_by: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "ReferAsked":
        told = data.get("refer_details")
        details = told if isinstance(told, dict) else {}
        refer_to, user, referred_by = _texts(
            details, ("sip_refer_to", "refer_to_user", "sip_referred_by")
        )
        return cls(
            by=LegStatus.of(data),
            refer_to=refer_to,
            user=user,
            referred_by=referred_by,
            headers={
                _header_name(key): visible(value)
                for key, value in details.items()
                if isinstance(value, str) and (key.startswith("x_") or key == "user_to_user")
            },
        )


@frozen(kw_only=True)
class ReferResult:
    """What the action hook of a `sip:refer` says.

    `status` answered the REFER (jambonz knows 202 and 603 only); `final` is what became of the
    transfer by the last NOTIFY, 0 where none said so.
    """

    status: int
    final: int
    reason: str
    caller: LegStatus

    @property
    def accepted(self) -> bool:
        return 200 <= self.status <= 299

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "ReferResult":
        return cls(
            status=_number(data, "refer_status"),
            final=_number(data, "final_referred_call_status"),
            reason=_text(data, "refer_reason"),
            caller=LegStatus.of(data),
        )


class AmdKind(StrEnum):
    """What a hook of `amd` tells."""

    HUMAN = "human"
    MACHINE = "machine"
    STOPPED = "stopped"
    """the machine's greeting is over"""
    BEEP = "beep"
    FAX = "fax"
    NO_SPEECH = "no-speech"
    UNDECIDED = "undecided"
    OVER = "over"
    """nothing more is heard: it was stopped, or cannot be done"""


_AMD_KINDS: Final = {
    "amd_human_detected": AmdKind.HUMAN,
    "amd_machine_detected": AmdKind.MACHINE,
    "amd_machine_stopped_speaking": AmdKind.STOPPED,
    "amd_tone_detected": AmdKind.BEEP,
    "amd_no_speech_detected": AmdKind.NO_SPEECH,
    "amd_decision_timeout": AmdKind.UNDECIDED,
    "amd_stopped": AmdKind.OVER,
    "amd_error": AmdKind.OVER,
}


@frozen(kw_only=True)
class AmdHeard:
    """What is heard of who answered. `confidence` (0 to 1), `at_ms` (since the answer) and the
    kinds of tones are our softswitch's; None where nothing is said."""

    kind: AmdKind
    reason: str = ""
    frequency_hz: int | None = None
    confidence: float | None = None
    at_ms: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "AmdHeard | None":
        """None for what is not known."""
        kind = _AMD_KINDS.get(_text(data, "type"))
        if kind is AmdKind.BEEP and _text(data, "tone") == "fax":
            kind = AmdKind.FAX
        if kind is None:
            return None
        return cls(
            kind=kind,
            reason=_text(data, "reason") or _text(data, "error"),
            frequency_hz=_number(data, "frequency") or None,
            confidence=_seconds(data, "confidence"),
            at_ms=_number(data, "at_ms") if "at_ms" in data else None,
        )

    def to_json(self) -> dict[str, Any]:
        """For the record; what is not known is left out."""
        told = {
            "heard": self.kind.value,
            "reason": self.reason or None,
            "frequency_hz": self.frequency_hz,
            "confidence": self.confidence,
            "at_ms": self.at_ms,
        }
        return {key: value for key, value in told.items() if value is not None}


def digits_of(data: Mapping[str, Any]) -> str:
    """The keys that a `gather` heard; "" where nobody pressed any."""
    return _text(data, "digits")


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


def transfer(verbs: Verbs, call_sid: str | None = None) -> str:
    """A command of our softswitch's own: run them beside the talk, as the ack of a `referHook`
    would have been; for the leg `call_sid`, if it is not the one that the call began with."""
    data = [verb.wire() for verb in verbs]
    frame: dict[str, Any] = {"type": "command", "command": "transfer", "data": data}
    return _frame(frame | {"callSid": call_sid} if call_sid else frame)


def command(name: str, data: Mapping[str, Any], call_sid: str | None = None) -> str:
    """A command that is no verbs; `call_sid` is the leg that it is about, if it is not the one
    that the call began with."""
    frame: dict[str, Any] = {"type": "command", "command": name, "data": dict(data)}
    return _frame(frame | {"callSid": call_sid} if call_sid else frame)


def _frame(frame: dict[str, Any]) -> str:
    text = orjson.dumps(frame)
    if len(text) > MAX_FRAME:
        raise FrameTooLargeError(f"{len(text)} bytes, {MAX_FRAME} allowed")
    return text.decode()


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return visible(value) if isinstance(value, str) else ""


def _texts(data: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    """Several at once, as every message has them; nearly none needs `visible`."""
    return [
        (value if value.isprintable() else visible(value)) if type(value) is str else ""
        for value in map(data.get, keys)
    ]


def _headers(data: Mapping[str, Any]) -> dict[str, str]:
    """The header lines among `headers`."""
    raw = data.get("headers")
    if not raw or not isinstance(raw, dict):
        return {}
    return {name: visible(value) for name, value in raw.items() if isinstance(value, str)}


def _header_name(key: str) -> str:
    """`x_override_number` as the header is written."""
    return "-".join(part.capitalize() for part in key.split("_"))


def _seconds(data: Mapping[str, Any], key: str) -> float | None:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) and value >= 0 else None


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0
