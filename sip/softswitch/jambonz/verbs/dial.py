"""`dial`: places a B-leg, joins it to the call, and lasts until the B-leg is over."""

from typing import Final

import structlog

from sip.b2bua.call_events import Headers
from sip.b2bua.leg_report import LegReport
from sip.core.uri import Uri
from sip.core.value import frozen
from sip.errors import ParseError
from sip.softswitch.dialling.dialler import DialError
from sip.softswitch.dialling.identity import ANONYMOUS, Caller
from sip.softswitch.dialling.targets import DialTarget, PhoneTarget, SipTarget
from sip.softswitch.jambonz.messages import dial_result
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
    NO_EFFECT,
    UNSUPPORTED,
    Shape,
    VerbError,
    flag,
    headers,
    hook,
    seconds,
    text,
)

log = structlog.get_logger(__name__)

#: How long the B-leg may ring where the application does not say.
DEFAULT_TIMEOUT_S: Final = 60.0


@frozen(kw_only=True)
class Dial:
    """One target; `time_limit_s` is how long the two may talk."""

    target: DialTarget
    caller_id: str | None = None
    caller_name: str | None = None
    answer_on_bridge: bool = False
    headers: Headers = ()
    timeout_s: float = DEFAULT_TIMEOUT_S
    time_limit_s: float | None = None
    action_hook: str | None = None

    async def run(self, session: Session) -> None:
        target = self.target
        number = target.number if isinstance(target, PhoneTarget) else str(target.uri)
        caller = self._caller(session)
        session.dialled = (number, caller.number)
        try:
            child = await self._place(session, caller)
        except DialError as error:
            log.warning(
                "dial.failed",
                error=str(error),
                fault=error.fault.value,
                dialled=number,
                **session.log_ids,
            )
            child = session.call.refused(error.status, error.reason, error.cause)
        if self.action_hook is not None:
            result = dial_result(session.info, session.call.status, child)
            await session.ask(self.action_hook, result)

    def _caller(self, session: Session) -> Caller:
        """The caller that the B-leg shows: the same keeps name and secrecy, another has neither."""
        identity = session.info.caller
        number = self.caller_id or identity.shown
        if number == ANONYMOUS:
            return Caller(number=number, name=self.caller_name, withheld=identity.withheld)
        name = identity.name if number == identity.number else None
        return Caller(number=number, name=self.caller_name or name)

    async def _place(self, session: Session, caller: Caller) -> LegReport:
        """The B-leg, through to its end. Raises DialError where none can be tried."""
        dialler, target = session.dialler, self.target
        trunk = dialler.trunk_of(target)
        passed = dialler.headers(trunk, target, caller, (*self.headers, *target.headers))
        session.note_dropped(passed.dropped)
        with dialler.room(trunk):
            attempts = await dialler.attempts(trunk, target, caller, passed.headers)
            child = await session.call.dial(
                attempts,
                answer_on_bridge=self.answer_on_bridge,
                timeout_s=self.timeout_s,
                time_limit_s=self.time_limit_s,
            )
        if attempts.problems:
            log.info("dial.gateways-skipped", problems=attempts.problems, **session.log_ids)
        return child


def _target(what: str, key: str, value: object) -> DialTarget:
    if not isinstance(value, list) or not value:
        raise VerbError(f"{what}: {key} must be a non-empty array")
    if len(value) > 1:
        raise VerbError(f"{what}: more than one target is not supported by this softswitch")
    [item] = value
    if not isinstance(item, dict):
        raise VerbError(f"{what}: a target must be an object")
    kind = item.get("type")
    shape = TARGETS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        raise VerbError(f"{what}: target type {kind!r} is not supported by this softswitch")
    return shape.read(item)


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


def _login(_what: str, _key: str, value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    return str(value.get("username", "")), str(value.get("password", ""))


#: What can be dialled, by `type`.
TARGETS: Final[dict[str, Shape[DialTarget]]] = {
    "phone": Shape(
        "dial target of type phone",
        PhoneTarget,
        {
            "type": NO_EFFECT,
            "number": ("number", _number),
            "trunk": ("trunk", text),
            "headers": ("headers", headers),
        },
        required="number",
    ),
    "sip": Shape(
        "dial target of type sip",
        SipTarget,
        {
            "type": NO_EFFECT,
            "sipUri": ("uri", _sip_uri),
            "auth": ("auth", _login),
            "headers": ("headers", headers),
        },
        required="sipUri",
    ),
}

VERB: Final[Shape[Verb]] = Shape(
    "dial",
    Dial,
    {
        **ANY,
        "target": ("target", _target),
        "actionHook": ("action_hook", hook),
        "answerOnBridge": ("answer_on_bridge", flag),
        "callerId": ("caller_id", text),
        "callerName": ("caller_name", text),
        "headers": ("headers", headers),
        "timeLimit": ("time_limit_s", seconds),
        "timeout": ("timeout_s", seconds),
        # no REFER is taken yet, and media always passes through us
        **dict.fromkeys(("anchorMedia", "forwardPAI", "referHook", "tag"), NO_EFFECT),
        **dict.fromkeys(
            (
                *("confirmHook", "dtmfHook", "dtmfCapture", "onHoldHook", "dialMusic", "listen"),
                *("stream", "transcribe", "dub", "amd", "boostAudioSignal", "proxy"),
                *("srtpEncryption", "exitMediaPath"),
            ),
            UNSUPPORTED,
        ),
    },
    required="target",
)
