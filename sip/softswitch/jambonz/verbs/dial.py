"""`dial`: places a B-leg, joins it to the call, and lasts until the B-leg is over."""

import asyncio
from pathlib import Path
from typing import Final

import structlog

from sip.b2bua.call_events import Cause, Headers
from sip.b2bua.leg_report import LegReport
from sip.core.uri import Uri
from sip.core.value import frozen
from sip.errors import ParseError
from sip.softswitch.dialling.dialler import DialError
from sip.softswitch.dialling.identity import ANONYMOUS, Caller
from sip.softswitch.dialling.targets import DialTarget, PhoneTarget, SipTarget
from sip.softswitch.jambonz.messages import dial_result
from sip.softswitch.jambonz.session import Dialled, Session, Verb
from sip.softswitch.jambonz.sounds import SoundError
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
    KNOWN_TO_JAMBONZ,
    NO_EFFECT,
    UNDONE,
    UNSUPPORTED,
    Json,
    Shape,
    VerbError,
    flag,
    headers,
    hook,
    json_object,
    seconds,
    sound,
    text,
    undone,
    undone_false,
)

log = structlog.get_logger(__name__)

#: How long the B-leg may ring where the application does not say.
DEFAULT_TIMEOUT_S: Final = 60.0

_TERMINATED: Final = "Request Terminated"


@frozen(kw_only=True)
class Dial:
    """One target; `time_limit_s` is how long the two may talk, `encrypted` demands SRTP."""

    target: DialTarget
    caller_id: str | None = None
    caller_name: str | None = None
    answer_on_bridge: bool = False
    headers: Headers = ()
    timeout_s: float = DEFAULT_TIMEOUT_S
    time_limit_s: float | None = None
    encrypted: bool = False
    action_hook: str | None = None
    tag: Json | None = None
    music: str | None = None
    verb_id: str | None = None

    async def run(self, session: Session) -> None:
        target, call = self.target, session.call
        number = target.number if isinstance(target, PhoneTarget) else str(target.uri)
        caller = self._caller(session)
        session.dialled = Dialled(number, caller.number, self.tag)
        leg = call.new_leg()
        try:
            child = await self._place(session, caller, leg)
        except asyncio.CancelledError:
            # as in jambonz, the hook hears of it and has no say in what comes instead
            child = call.reports.get(leg) or call.refused(487, _TERMINATED, Cause.CANCELLED)
            if self.action_hook is not None:
                session.tell(self.action_hook, self._result(session, child))
            raise
        except DialError as error:
            log.warning(
                "dial.failed",
                error=str(error),
                fault=error.fault.value,
                dialled=number,
                **session.log_ids,
            )
            child = call.refused(error.status, error.reason, error.cause)
        if self.action_hook is not None:
            await session.ask(self.action_hook, self._result(session, child))

    def _result(self, session: Session, child: LegReport) -> Json:
        call = session.call
        told = dial_result(session.info, call.status, child, ended_by=call.ended_by)
        if self.verb_id is not None:
            told["verb_id"] = self.verb_id
        return told

    def _caller(self, session: Session) -> Caller:
        """The caller that the B-leg shows: the same keeps name and secrecy, another has neither."""
        identity = session.info.caller
        number = self.caller_id or identity.shown
        if number == ANONYMOUS:
            return Caller(number=number, name=self.caller_name, withheld=identity.withheld)
        name = identity.name if number == identity.number else None
        return Caller(number=number, name=self.caller_name or name)

    async def _place(self, session: Session, caller: Caller, leg: str) -> LegReport:
        """The B-leg, through to its end. Raises DialError where none can be tried."""
        dialler, target = session.dialler, self.target
        trunk = dialler.trunk_of(target)
        passed = dialler.headers(trunk, target, caller, (*self.headers, *target.headers))
        session.note_dropped(passed.dropped)
        with dialler.room(trunk):
            attempts = await dialler.attempts(
                trunk, target, caller, passed.headers, encrypted=self.encrypted
            )
            child = await session.call.dial(
                attempts,
                answer_on_bridge=self.answer_on_bridge,
                timeout_s=self.timeout_s,
                time_limit_s=self.time_limit_s,
                leg=leg,
                while_ringing=self._music(session),
                ringback=session.sounds.ringback,
            )
        if attempts.problems:
            log.info("dial.gateways-skipped", problems=attempts.problems, **session.log_ids)
        return child

    def _music(self, session: Session) -> Path | None:
        """What the caller hears while it rings; a call goes on without."""
        if self.music is None:
            return None
        try:
            return session.sounds.file(self.music)
        except SoundError as error:
            log.error("dial.no-music", error=str(error), fault=error.fault.value, **session.log_ids)
            return None


def _target(what: str, key: str, value: object) -> DialTarget:
    if not isinstance(value, list) or not value:
        raise VerbError(f"{what}: {key} must be a non-empty array")
    if len(value) > 1:
        raise VerbError(f"{what}: more than one target is {KNOWN_TO_JAMBONZ}")
    [item] = value
    if not isinstance(item, dict):
        raise VerbError(f"{what}: a target must be an object")
    kind = item.get("type")
    shape = TARGETS.get(kind) if isinstance(kind, str) else None
    if shape is not None:
        return shape.read(item, _nothing_to_tell)
    if kind in ("user", "teams"):
        raise VerbError(f"{what}: target type {kind!r} is {KNOWN_TO_JAMBONZ}")
    raise VerbError(f"{what}: target type {kind!r} is not known")


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


def _encrypted(what: str, key: str, value: object) -> bool | None:
    """`sdes` demands it; `dtls`, which jambonz knows too, is refused."""
    if not value:
        return None
    if value != "sdes":
        raise VerbError(f"{what}: {key} {value!r} is not supported here, sdes is")
    return True


def _login(_what: str, _key: str, value: object) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    return str(value.get("username", "")), str(value.get("password", ""))


#: What jambonz knows of targets of either type, and what belongs to its other types.
_OF_ANY: Final = ("confirmHook", "from", "method", "overrideTo", "proxy")
_OF_OTHERS: Final = ("name", "tenant", "vmail")

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
            **dict.fromkeys((*_OF_OTHERS, "sipUri"), NO_EFFECT),
            **dict.fromkeys((*_OF_ANY, "auth"), UNSUPPORTED),
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
            **dict.fromkeys((*_OF_OTHERS, "number"), NO_EFFECT),
            **dict.fromkeys((*_OF_ANY, "trunk"), UNSUPPORTED),
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
        "srtpEncryption": ("encrypted", _encrypted),
        "timeLimit": ("time_limit_s", seconds),
        "timeout": ("timeout_s", seconds),
        "anchorMedia": ("", undone_false),  # media always passes through us
        "id": ("verb_id", text),
        "tag": ("tag", json_object),
        "dialMusic": ("music", sound),
        "forwardPAI": ("", undone),  # the trunk decides
        "referHook": UNDONE,
        **dict.fromkeys(
            (
                *("confirmHook", "dtmfHook", "dtmfCapture", "onHoldHook", "listen"),
                *("stream", "transcribe", "dub", "amd", "boostAudioSignal", "proxy"),
                "exitMediaPath",
            ),
            UNSUPPORTED,
        ),
    },
    required="target",
)
