"""What an application may have dialled, as `dial` has it in `target`."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sip.core.uri import Uri
from sip.core.value import frozen
from sip.errors import ParseError
from sip.softswitch.dialling.targets import DialTarget, PhoneTarget, SipTarget, UserTarget
from sip.softswitch.jambonz.verbs.schema import (
    KNOWN_TO_JAMBONZ,
    NO_EFFECT,
    UNSUPPORTED,
    Property,
    Shape,
    VerbError,
    headers,
    hook,
    text,
)

#: As in jambonz.
MAX_TARGETS: Final = 10


@frozen(kw_only=True)
class Candidate:
    """One target of a dial. `confirm_hook` is asked for what it is to hear once it has answered;
    `caller_id` is the caller that it is shown, if it is another than the dial's."""

    target: DialTarget
    confirm_hook: str | None = None
    caller_id: str | None = None


def targets(what: str, key: str, value: object) -> tuple[Candidate, ...]:
    """Reads the array."""
    if not isinstance(value, list) or not value:
        raise VerbError(f"{what}: {key} must be a non-empty array")
    if len(value) > MAX_TARGETS:
        raise VerbError(f"{what}: {key} may hold {MAX_TARGETS} targets")
    return tuple(candidate(what, item) for item in value)


def candidate(what: str, item: object) -> Candidate:
    """Reads one of them. Raises VerbError."""
    if not isinstance(item, dict):
        raise VerbError(f"{what}: a target must be an object")
    kind = item.get("type")
    shape = TARGETS.get(kind) if isinstance(kind, str) else None
    if shape is not None:
        return shape.read(item, _nothing_to_tell)
    if kind == "teams":
        raise VerbError(f"{what}: target type {kind!r} is {KNOWN_TO_JAMBONZ}")
    raise VerbError(f"{what}: target type {kind!r} is not known")


def _made(
    make: Callable[..., DialTarget],
    *,
    confirm_hook: str | None = None,
    caller_id: str | None = None,
    **fields: Any,
) -> Candidate:
    return Candidate(target=make(**fields), confirm_hook=confirm_hook, caller_id=caller_id)


def _caller(what: str, key: str, value: object) -> str | None:
    """`{"user": NUMBER}`; a `host` is the trunk's to say."""
    if not isinstance(value, dict) or not set(value) <= {"user"}:
        raise VerbError(f"{what}: {key} must be an object with a user, a host is the trunk's")
    return text(what, f"{key}.user", value.get("user") or "") or None


def _user(name: tuple[str, str | None], **fields: Any) -> UserTarget:
    return UserTarget(name=name[0], realm=name[1], **fields)


def _nothing_to_tell(_: str) -> None:
    """Of a target all is done that is taken."""


def _number(what: str, key: str, value: object) -> str | None:
    return text(what, key, value) or None


def _sip_uri(what: str, key: str, value: object) -> Uri:
    try:
        uri = Uri.parse(text(what, key, value))
    except ParseError as error:
        raise VerbError(f"{what}: {key}: {error.reason}") from None
    if uri.scheme not in ("sip", "sips"):
        raise VerbError(f"{what}: {key} must be a sip: URI")
    return uri


def _name(what: str, key: str, value: object) -> tuple[str, str | None]:
    """`200`, or `200@realm`."""
    user, at, realm = text(what, key, value).rpartition("@")
    if not at:
        user, realm = realm, ""
    if not user or (at and not realm):
        raise VerbError(f"{what}: {key} must be a user, or user@realm")
    return user, realm or None


def _login(_what: str, _key: str, value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    return str(value.get("username", "")), str(value.get("password", ""))


#: What targets of every type may have, and what of it is not done.
_OF_ANY: Final[dict[str, Property]] = {
    "type": NO_EFFECT,
    "headers": ("headers", headers),
    "confirmHook": ("confirm_hook", hook),
    "from": ("caller_id", _caller),
    **dict.fromkeys(("method", "overrideTo", "proxy"), UNSUPPORTED),
}
#: What belongs to types that we do not have.
_OF_OTHERS: Final = ("tenant", "vmail")

#: What can be dialled, by `type`.
TARGETS: Final[dict[str, Shape[Candidate]]] = {
    "phone": Shape(
        "dial target of type phone",
        partial(_made, PhoneTarget),
        {
            **_OF_ANY,
            "number": ("number", _number),
            "trunk": ("trunk", text),
            "auth": UNSUPPORTED,
            **dict.fromkeys((*_OF_OTHERS, "name", "sipUri"), NO_EFFECT),
        },
        required="number",
    ),
    "sip": Shape(
        "dial target of type sip",
        partial(_made, SipTarget),
        {
            **_OF_ANY,
            "sipUri": ("uri", _sip_uri),
            "auth": ("auth", _login),
            "trunk": UNSUPPORTED,
            **dict.fromkeys((*_OF_OTHERS, "name", "number"), NO_EFFECT),
        },
        required="sipUri",
    ),
    "user": Shape(
        "dial target of type user",
        partial(_made, _user),
        {
            **_OF_ANY,
            "name": ("name", _name),
            "trunk": ("trunk", text),
            "auth": UNSUPPORTED,
            **dict.fromkeys((*_OF_OTHERS, "number", "sipUri"), NO_EFFECT),
        },
        required="name",
    ),
}
