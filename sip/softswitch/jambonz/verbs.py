"""jambonz verbs as we take them from an application: checked, and typed.

The property names are those of jambonz 0.9.8 (verb-specifications); a property that jambonz does
not know refuses the whole array, as there. What jambonz knows and this softswitch cannot do yet is
refused with words that say so: never taken and left undone.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from sip.b2bua.call_events import Headers
from sip.core.uri import Uri
from sip.core.value import frozen
from sip.errors import Fault, ParseError, SipError
from sip.softswitch.dialling.targets import PhoneTarget, SipTarget

Json = dict[str, Any]

DEFAULT_DIAL_TIMEOUT_S = 60.0


class VerbError(SipError):
    """An application sent verbs that cannot be run; the text names the verb and property."""

    fault = Fault.APPLICATION


@frozen(kw_only=True)
class Dial:
    target: PhoneTarget | SipTarget
    caller_id: str | None = None
    caller_name: str | None = None
    answer_on_bridge: bool = False
    headers: Headers = ()
    timeout_s: float = DEFAULT_DIAL_TIMEOUT_S
    time_limit_s: float | None = None
    action_hook: str | None = None


@frozen(kw_only=True)
class Decline:
    status: int
    reason: str | None = None
    headers: Headers = ()


@frozen(kw_only=True)
class Hangup:
    headers: Headers = ()


@frozen
class Answer:
    pass


@frozen
class Redirect:
    action_hook: str


@frozen
class Tag:
    data: Json


@frozen
class Config:
    """Session settings; none that matters to calls without speech."""


Verb = Dial | Decline | Hangup | Answer | Redirect | Tag | Config


def parse_verbs(data: object) -> list[Verb]:
    """The verbs of an ack or a command. Raises VerbError for the first that cannot be run."""
    if not isinstance(data, list):
        raise VerbError("malformed jambonz payload: must be array")
    return [_verb(item) for item in data]


def _verb(item: object) -> Verb:
    if not isinstance(item, dict):
        raise VerbError("malformed jambonz payload: a verb must be an object")
    name = item.get("verb")
    shape = _VERBS.get(name) if isinstance(name, str) else None
    if shape is None:
        raise VerbError(f"invalid instruction: verb {name!r} is not known here")
    verb: Verb = shape.read(item)
    return verb


# Checks the value of a property and says what we make of it; None is the same as no property.
# Called with the words for the object, the name of the property, its value.
_Reader = Callable[[str, str, Any], Any]


class _Shape(NamedTuple):
    """What an object of jambonz's may hold, and what is made of it.

    `what` it is, in words. `properties` tells of each property the name of our field and how it is
    read; None for one that is taken and has no effect. `required` is one that must be there.
    """

    what: str
    make: Callable[..., Any]
    properties: Mapping[str, tuple[str, _Reader] | None]
    required: str | None = None

    def read(self, item: Json) -> Any:
        fields, what, required = {}, self.what, self.required
        for key, given in item.items():
            if key not in self.properties:
                raise VerbError(f"{what}: unknown property {key}")
            known = self.properties[key]
            if known is None or given is None:
                continue
            name, read = known
            value = read(what, key, given)
            if value is not None:
                fields[name] = value
                required = None if key == required else required
        if required is not None:
            raise VerbError(f"{what}: {required} is missing")
        return self.make(**fields)


def _text(what: str, key: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise VerbError(f"{what}: {key} must be a string")


def _number(what: str, key: str, value: object) -> str | None:
    return _text(what, key, value) or None


def _flag(what: str, key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise VerbError(f"{what}: {key} must be true or false")


def _seconds(what: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        raise VerbError(f"{what}: {key} must be a number of seconds above 0")
    return float(value)


def _object(what: str, key: str, value: object) -> Json:
    if isinstance(value, dict):
        return value
    raise VerbError(f"{what}: {key} must be an object")


def _hook(what: str, key: str, value: object) -> str | None:
    if isinstance(value, dict):
        value = value.get("url")
    if value is None or isinstance(value, str):
        return value
    raise VerbError(f"{what}: {key} must be a string or an object with a url")


def _failure(what: str, key: str, value: object) -> int:
    if isinstance(value, int) and 300 <= value <= 699:
        return value
    raise VerbError(f"{what}: {key} must be a number from 300 to 699")


def _unsupported(what: str, key: str, value: object) -> None:
    if value:
        raise VerbError(f"{what}: {key} is not supported by this softswitch")


def _headers(what: str, key: str, value: object) -> Headers | None:
    if not value:
        return None
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    found = []
    for name, text in value.items():
        line = str(text)
        if any(mark in f"{name}{line}" for mark in "\r\n\0") or not name or ":" in name:
            raise VerbError(f"{what}: header {name!r} has a character that no header may have")
        if name.lower() in _OURS:
            raise VerbError(f"{what}: header {name} is the softswitch's own")
        found.append((name, line))
    return tuple(found)


def _target(what: str, key: str, value: object) -> PhoneTarget | SipTarget:
    if not isinstance(value, list) or not value:
        raise VerbError(f"{what}: {key} must be a non-empty array")
    if len(value) > 1:
        raise VerbError(f"{what}: more than one target is not supported by this softswitch")
    [item] = value
    if not isinstance(item, dict):
        raise VerbError(f"{what}: a target must be an object")
    kind = item.get("type")
    shape = _TARGETS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise VerbError(f"{what}: target type {kind!r} is not supported by this softswitch")
    target: PhoneTarget | SipTarget = shape.read(item)
    return target


def _sip_uri(what: str, key: str, value: object) -> Uri:
    try:
        uri = Uri.parse(_text(what, key, value))
    except ParseError as error:
        raise VerbError(f"{what}: {key}: {error.reason}") from None
    if uri.scheme not in ("sip", "sips"):
        raise VerbError(f"{what}: {key} must be a sip: URI")
    return uri


def _login(_what: str, _key: str, value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    return str(value.get("username", "")), str(value.get("password", ""))


#: Headers that the SIP stack writes; an application that sets them would break the dialog.
_OURS: Final = frozenset(
    {
        *("via", "from", "to", "call-id", "cseq", "contact", "max-forwards", "route"),
        *("record-route", "content-type", "content-length", "require", "supported", "allow"),
        *("authorization", "proxy-authorization", "session-expires", "min-se", "rack", "rseq"),
    }
)

_TARGETS: Final = {
    "phone": _Shape(
        "dial target of type phone",
        PhoneTarget,
        {
            "type": None,
            "number": ("number", _number),
            "trunk": ("trunk", _text),
            "headers": ("headers", _headers),
        },
        required="number",
    ),
    "sip": _Shape(
        "dial target of type sip",
        SipTarget,
        {
            "type": None,
            "sipUri": ("uri", _sip_uri),
            "auth": ("auth", _login),
            "headers": ("headers", _headers),
        },
        required="sipUri",
    ),
}

#: What every verb may have.
_ANY: Final = {"verb": None, "id": None}

_DIAL: Final = {
    **_ANY,
    "target": ("target", _target),
    "actionHook": ("action_hook", _hook),
    "answerOnBridge": ("answer_on_bridge", _flag),
    "callerId": ("caller_id", _text),
    "callerName": ("caller_name", _text),
    "headers": ("headers", _headers),
    "timeLimit": ("time_limit_s", _seconds),
    "timeout": ("timeout_s", _seconds),
    # Known to jambonz, and of no effect here: nobody may transfer, media is always anchored.
    **dict.fromkeys(("anchorMedia", "forwardPAI", "referHook", "tag")),
    # Known to jambonz, not yet to us.
    **dict.fromkeys(
        (
            *("confirmHook", "dtmfHook", "dtmfCapture", "onHoldHook", "dialMusic", "listen"),
            *("stream", "transcribe", "dub", "amd", "boostAudioSignal", "proxy"),
            *("srtpEncryption", "exitMediaPath"),
        ),
        ("", _unsupported),
    ),
}

_VERBS: Final = {
    shape.what: shape
    for shape in (
        _Shape("dial", Dial, _DIAL, required="target"),
        _Shape(
            "sip:decline",
            Decline,
            {
                **_ANY,
                "status": ("status", _failure),
                "reason": ("reason", _text),
                "headers": ("headers", _headers),
            },
            required="status",
        ),
        _Shape("hangup", Hangup, {**_ANY, "headers": ("headers", _headers)}),
        _Shape("answer", Answer, _ANY),
        _Shape(
            "redirect",
            Redirect,
            {**_ANY, "actionHook": ("action_hook", _hook)},
            required="actionHook",
        ),
        _Shape("tag", Tag, {**_ANY, "data": ("data", _object)}, required="data"),
        _Shape("config", Config, {**_ANY, "notifyEvents": None, "reset": None}),
    )
}
