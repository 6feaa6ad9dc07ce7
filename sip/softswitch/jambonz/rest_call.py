"""A call that an application wants placed: the body of jambonz's `POST Accounts/{sid}/Calls`.

Keys and meanings are jambonz 0.9.8's. What is said to the call's application, and asked of it, goes
to the one that the softswitch has: a hook of the body's own is refused.
"""

from typing import Any, Final

from sip.b2bua.call_events import Headers
from sip.core.uri import Uri
from sip.core.value import frozen
from sip.errors import ParseError
from sip.softswitch.dialling.identity import Caller
from sip.softswitch.dialling.targets import DialTarget
from sip.softswitch.jambonz.amd import Amd
from sip.softswitch.jambonz.verbs.amd import amd
from sip.softswitch.jambonz.verbs.schema import (
    NO_EFFECT,
    UNSUPPORTED,
    Json,
    Shape,
    VerbError,
    headers,
    hook,
    json_object,
    seconds,
    text,
)
from sip.softswitch.jambonz.verbs.targets import candidate

#: How long the callee may ring where the application does not say.
DEFAULT_TIMEOUT_S: Final = 60.0


@frozen(kw_only=True)
class RestCall:
    """`caller` calls `target`, who may ring for `timeout_s` and talk for `time_limit_s` seconds.

    `tag` comes back in every message about the call; `refer_hook` hears of each REFER for which a
    dial names no hook of its own; `amd` is who is told who has answered.
    """

    caller: Caller
    target: DialTarget
    headers: Headers = ()
    timeout_s: float = DEFAULT_TIMEOUT_S
    time_limit_s: float | None = None
    tag: Json | None = None
    refer_hook: str | None = None
    amd: Amd | None = None

    @staticmethod
    def read(body: object) -> "RestCall":
        """Reads it. Raises VerbError."""
        if not isinstance(body, dict):
            raise VerbError(f"{_WHAT}: the body must be an object")
        return _SHAPE.read(body, _undone)


def _made(
    *,
    number: str = "",
    name: str | None = None,
    host: str | None = None,
    **fields: Any,
) -> RestCall:
    if not number:
        raise VerbError(f"{_WHAT}: from is missing")
    return RestCall(caller=Caller(number=number, name=name, host=host), **fields)


def _to(what: str, key: str, value: object) -> DialTarget:
    """One target, as a dial has them; what is about a race of several is nothing here."""
    if not isinstance(value, dict):
        raise VerbError(f"{what}: {key} must be an object")
    for other in ("confirmHook", "from"):
        if value.get(other):
            raise VerbError(f"{what}: {key}.{other} is a dial's")
    return candidate(what, value).target


def _host(what: str, key: str, value: object) -> str | None:
    """A host name or an address, perhaps with a port."""
    host = text(what, key, value)
    if not host:
        return None
    try:
        uri = Uri.parse(f"sip:{host}")
    except ParseError as error:
        raise VerbError(f"{what}: {key}: {error.reason}") from None
    if uri.hostport != host:
        raise VerbError(f"{what}: {key} must be a host name or an address")
    return host


def _own_hook(what: str, key: str, value: object) -> None:
    if value:
        raise VerbError(f"{what}: {key}: the softswitch asks the application that it has")


def _undone(_: str) -> None:
    """All is done that this takes."""


_WHAT: Final = "call"
_SHAPE: Final[Shape[RestCall]] = Shape(
    _WHAT,
    _made,
    {
        "from": ("number", text),
        "to": ("target", _to),
        "callerName": ("name", text),
        "fromHost": ("host", _host),
        "headers": ("headers", headers),
        "timeout": ("timeout_s", seconds),
        "timeLimit": ("time_limit_s", seconds),
        "tag": ("tag", json_object),
        "referHook": ("refer_hook", hook),
        "amd": ("amd", amd),
        "application_sid": NO_EFFECT,  # there is one application
        "account_sid": NO_EFFECT,
        "call_hook": ("", _own_hook),
        "call_status_hook": ("", _own_hook),
        **dict.fromkeys(
            (
                *("dual_streams", "sipRequestWithinDialogHook", "app_json"),
                *("speech_synthesis_vendor", "speech_synthesis_language"),
                *("speech_synthesis_voice", "speech_recognizer_vendor"),
                "speech_recognizer_language",
            ),
            UNSUPPORTED,
        ),
    },
    required="to",
)
