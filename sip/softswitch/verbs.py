"""jambonz verbs as we take them from an application: checked, and typed.

The property names are those of jambonz 0.9.8 (verb-specifications); a property that jambonz does
not know refuses the whole array, as there. What jambonz knows and this softswitch cannot do yet is
refused with words that say so: never taken and left undone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sip.b2bua.call_events import Headers
from sip.core.errors import ParseError
from sip.core.uri import Uri

Json = dict[str, Any]

DEFAULT_DIAL_TIMEOUT_S = 60.0


class VerbError(Exception):
    """An application sent verbs that cannot be run; the text names the verb and property."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneTarget:
    """A number, by way of a trunk."""

    number: str
    trunk: str | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SipTarget:
    """A SIP URI, dialled as it is; `auth` answers its challenge."""

    uri: Uri
    auth: tuple[str, str] | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dial:
    target: PhoneTarget | SipTarget
    caller_id: str | None = None
    caller_name: str | None = None
    answer_on_bridge: bool = False
    headers: Headers = ()
    timeout_s: float = DEFAULT_DIAL_TIMEOUT_S
    time_limit_s: float | None = None
    action_hook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decline:
    status: int
    reason: str | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hangup:
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Answer:
    pass


@dataclass(frozen=True, slots=True)
class Redirect:
    action_hook: str


@dataclass(frozen=True, slots=True)
class Tag:
    data: Json


@dataclass(frozen=True, slots=True)
class Config:
    """Session settings; none that matters to calls without speech."""


Verb = Dial | Decline | Hangup | Answer | Redirect | Tag | Config


def parse_verbs(data: object) -> list[Verb]:
    """The verbs of an ack or a command. Raises VerbError for the first that cannot be run."""
    if not isinstance(data, list):
        raise VerbError("malformed jambonz payload: must be array")
    return [_parse_verb(item) for item in data]


def _parse_verb(item: object) -> Verb:
    if not isinstance(item, dict):
        raise VerbError("malformed jambonz payload: a verb must be an object")
    name = item.get("verb")
    parser = _PARSERS.get(name) if isinstance(name, str) else None
    if parser is None:
        raise VerbError(f"invalid instruction: verb {name!r} is not known here")
    known, parse = parser
    fields = {key: value for key, value in item.items() if key not in ("verb", "id")}
    for key in fields:
        if key not in known:
            raise VerbError(f"{name}: unknown property {key}")
    return parse(fields)


def _dial(fields: Json) -> Dial:
    targets = fields.get("target")
    if not isinstance(targets, list) or not targets:
        raise VerbError("dial: target must be a non-empty array")
    if len(targets) > 1:
        raise VerbError("dial: more than one target is not supported by this softswitch")
    for key in _UNSUPPORTED_IN_DIAL:
        if fields.get(key):
            raise VerbError(f"dial: {key} is not supported by this softswitch")
    return Dial(
        target=_target(targets[0]),
        caller_id=_text("dial", fields, "callerId"),
        caller_name=_text("dial", fields, "callerName"),
        answer_on_bridge=_flag("dial", fields, "answerOnBridge"),
        headers=_headers("dial", fields),
        timeout_s=_seconds("dial", fields, "timeout") or DEFAULT_DIAL_TIMEOUT_S,
        time_limit_s=_seconds("dial", fields, "timeLimit"),
        action_hook=_hook("dial", fields, "actionHook"),
    )


def _target(item: object) -> PhoneTarget | SipTarget:
    if not isinstance(item, dict):
        raise VerbError("dial: a target must be an object")
    kind = item.get("type")
    known = _TARGETS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise VerbError(f"dial: target type {kind!r} is not supported by this softswitch")
    for key in item:
        if key not in known:
            raise VerbError(f"dial: unknown property {key} in a target of type {kind}")
    headers = _headers("dial target", item)
    if kind == "phone":
        number = _text("dial target", item, "number")
        if not number:
            raise VerbError("dial: a target of type phone needs a number")
        trunk = _text("dial target", item, "trunk")
        return PhoneTarget(number=number, trunk=trunk, headers=headers)
    try:
        uri = Uri.parse(_text("dial target", item, "sipUri") or "")
    except ParseError as error:
        raise VerbError(f"dial: sipUri: {error.reason}") from None
    if uri.scheme not in ("sip", "sips"):
        raise VerbError("dial: sipUri must be a sip: URI")
    auth = item.get("auth")
    login = None
    if isinstance(auth, dict):
        login = (str(auth.get("username", "")), str(auth.get("password", "")))
    return SipTarget(uri=uri, auth=login, headers=headers)


def _decline(fields: Json) -> Decline:
    status = fields.get("status")
    if isinstance(status, bool) or not isinstance(status, int) or not 300 <= status <= 699:
        raise VerbError("sip:decline: status must be a number from 300 to 699")
    reason = _text("sip:decline", fields, "reason")
    return Decline(status=status, reason=reason, headers=_headers("sip:decline", fields))


def _hangup(fields: Json) -> Hangup:
    return Hangup(headers=_headers("hangup", fields))


def _redirect(fields: Json) -> Redirect:
    hook = _hook("redirect", fields, "actionHook")
    if hook is None:
        raise VerbError("redirect: actionHook is missing")
    return Redirect(hook)


def _tag(fields: Json) -> Tag:
    data = fields.get("data")
    if not isinstance(data, dict):
        raise VerbError("tag: data must be an object")
    return Tag(data)


def _text(verb: str, fields: Json, key: str) -> str | None:
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value
    raise VerbError(f"{verb}: {key} must be a string")


def _flag(verb: str, fields: Json, key: str) -> bool:
    value = fields.get(key, False)
    if isinstance(value, bool):
        return value
    raise VerbError(f"{verb}: {key} must be true or false")


def _seconds(verb: str, fields: Json, key: str) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise VerbError(f"{verb}: {key} must be a number of seconds above 0")
    return float(value)


def _hook(verb: str, fields: Json, key: str) -> str | None:
    value = fields.get(key)
    if isinstance(value, dict):
        value = value.get("url")
    if value is None or isinstance(value, str):
        return value
    raise VerbError(f"{verb}: {key} must be a string or an object with a url")


def _headers(verb: str, fields: Json) -> Headers:
    value = fields.get("headers") or {}
    if not isinstance(value, dict):
        raise VerbError(f"{verb}: headers must be an object")
    found = []
    for name, text in value.items():
        line = str(text)
        if any(mark in f"{name}{line}" for mark in "\r\n\0") or not name or ":" in name:
            raise VerbError(f"{verb}: header {name!r} has a character that no header may have")
        if name.lower() in _OURS:
            raise VerbError(f"{verb}: header {name} is the softswitch's own")
        found.append((name, line))
    return tuple(found)


#: Headers that the SIP stack writes; an application that sets them would break the dialog.
_OURS = frozenset(
    {
        *("via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "route"),
        *("record-route", "content-type", "content-length", "require", "supported", "allow"),
        *("authorization", "proxy-authorization", "session-expires", "min-se", "rack", "rseq"),
    }
)

_DIAL = frozenset(
    {
        *("target", "actionHook", "answerOnBridge", "callerId", "callerName", "headers"),
        *("timeLimit", "timeout", "anchorMedia", "exitMediaPath", "forwardPAI", "tag"),
        *("confirmHook", "referHook", "dtmfHook", "dtmfCapture", "onHoldHook", "dialMusic"),
        *("listen", "stream", "transcribe", "dub", "amd", "boostAudioSignal", "proxy"),
        *("srtpEncryption",),
    }
)

#: Known to jambonz, not yet to us. Those whose absence changes nothing for the caller (referHook:
#: nobody may transfer; anchorMedia: media is always anchored) are taken.
_UNSUPPORTED_IN_DIAL = (
    *("confirmHook", "dtmfHook", "dtmfCapture", "onHoldHook", "dialMusic", "listen", "stream"),
    *("transcribe", "dub", "amd", "boostAudioSignal", "proxy", "srtpEncryption", "exitMediaPath"),
)

_TARGETS = {
    "phone": frozenset({"type", "number", "trunk", "headers"}),
    "sip": frozenset({"type", "sipUri", "auth", "headers"}),
}

_PARSERS: dict[str, tuple[frozenset[str], Callable[[Json], Verb]]] = {
    "dial": (_DIAL, _dial),
    "sip:decline": (frozenset({"status", "reason", "headers"}), _decline),
    "hangup": (frozenset({"headers"}), _hangup),
    "answer": (frozenset(), lambda _: Answer()),
    "redirect": (frozenset({"actionHook"}), _redirect),
    "tag": (frozenset({"data"}), _tag),
    "config": (frozenset({"notifyEvents", "reset"}), lambda _: Config()),
}
