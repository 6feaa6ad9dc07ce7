"""`dial`: places B-legs, joins one of them to the call, and lasts until all are over."""

import asyncio
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from sip.b2bua.call_events import Cause, Headers
from sip.b2bua.leg_report import LegReport, Progress
from sip.b2bua.media_failure import media_failure
from sip.b2bua.race import Race
from sip.core.value import frozen
from sip.media.plane import MediaError
from sip.softswitch.dialling.attempts import TrunkAttempts
from sip.softswitch.dialling.dialler import DialError
from sip.softswitch.dialling.identity import ANONYMOUS, Caller
from sip.softswitch.jambonz.amd import Amd
from sip.softswitch.jambonz.messages import dial_result
from sip.softswitch.jambonz.session import Dialled, Session, Verb
from sip.softswitch.jambonz.sounds import SoundError
from sip.softswitch.jambonz.verbs.amd import amd
from sip.softswitch.jambonz.verbs.dtmf import keys
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
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
from sip.softswitch.jambonz.verbs.targets import Candidate, targets

log = structlog.get_logger(__name__)

#: How long the B-leg may ring where the application does not say.
DEFAULT_TIMEOUT_S: Final = 60.0

#: Sequences of keys that a side can be listened to for.
MAX_SEQUENCES: Final = 20

_TERMINATED: Final = "Request Terminated"


@frozen(kw_only=True)
class Capture:
    """The sequences of keys that the application waits for, of the caller and of who is dialled."""

    of_parent: tuple[str, ...]
    of_children: tuple[str, ...]


@frozen(kw_only=True)
class Dial:
    """Who is dialled, several at once; the first that answers, and accepts, has the caller.

    `time_limit_s` is how long the two may talk, `encrypted` demands SRTP; `confirm_hook` is that
    of candidates without one of their own. `dtmf_hook` is told of the keys that `capture` names,
    `amd` of who has answered.
    """

    candidates: tuple[Candidate, ...]
    caller_id: str | None = None
    caller_name: str | None = None
    answer_on_bridge: bool = False
    headers: Headers = ()
    timeout_s: float = DEFAULT_TIMEOUT_S
    time_limit_s: float | None = None
    encrypted: bool = False
    action_hook: str | None = None
    confirm_hook: str | None = None
    dtmf_hook: str | None = None
    capture: Capture | None = None
    refer_hook: str | None = None
    tag: Json | None = None
    music: str | None = None
    amd: Amd | None = None
    verb_id: str | None = None

    async def run(self, session: Session) -> None:
        legs = _Legs(self, session)
        try:
            await legs.run()
        except asyncio.CancelledError:
            # as in jambonz, the hook hears of it and has no say in what comes instead
            if self.action_hook is not None:
                session.tell(self.action_hook, self._result(session, legs.outcome))
            raise
        outcome = legs.outcome
        if outcome.progress is Progress.FAILED:
            session.note_outcome(outcome.sip_status, outcome.sip_reason)
        if self.action_hook is not None:
            await session.ask(self.action_hook, self._result(session, outcome))

    def _result(self, session: Session, child: LegReport) -> Json:
        call = session.call
        told = dial_result(session.info, call.status, child, ended_by=call.ended_by)
        if self.verb_id is not None:
            told["verb_id"] = self.verb_id
        return told

    def caller(self, session: Session, candidate: Candidate) -> Caller:
        """The caller that a B-leg shows: the same keeps name and secrecy, another has neither."""
        identity = session.info.caller
        number = candidate.caller_id or self.caller_id or identity.shown
        if number == ANONYMOUS:
            return Caller(number=number, name=self.caller_name, withheld=identity.withheld)
        name = identity.name if number == identity.number else None
        return Caller(number=number, name=self.caller_name or name)

    def while_ringing(self, session: Session) -> Path | None:
        """What the caller hears while it rings; a call goes on without."""
        if self.music is None:
            return None
        try:
            return session.sounds.file(self.music)
        except SoundError as error:
            log.error("dial.no-music", error=str(error), fault=error.fault.value, **session.log_ids)
            return None


class _Legs:
    """The legs of one dial: placed through to their ends, and what came of them."""

    def __init__(self, dial: Dial, session: Session) -> None:
        self._dial = dial
        self._session = session
        self._call = session.call
        self._race: Race | None = None
        self._candidates = {self._call.new_leg(): one for one in dial.candidates}
        for leg, one in self._candidates.items():
            self._dials(leg, one, "")

    def _dials(self, leg: str, candidate: Candidate, trunk: str) -> None:
        caller = self._dial.caller(self._session, candidate)
        dialled = Dialled(candidate.target.called, caller.number, self._dial.tag, trunk)
        self._session.dials(leg, dialled, self._dial.refer_hook)

    @property
    def outcome(self) -> LegReport:
        """What came of the dial: the leg that was joined to the caller, else the best failure."""
        legs = [leg for leg in self._candidates if leg in self._call.reports]
        if not legs:
            first = next(iter(self._candidates))
            return self._call.refused(487, _TERMINATED, Cause.CANCELLED, leg=first)
        if self._race is not None:
            return self._race.outcome(legs)
        return self._call.reports[legs[0]]

    async def run(self) -> None:
        """Place them, and wait until all are over."""
        capture, hook = self._dial.capture, self._dial.dtmf_hook
        if capture is None or hook is None:
            await self._run()
            return
        sequences = dict.fromkeys(self._candidates, capture.of_children)
        sequences[self._session.leg] = capture.of_parent
        with self._call.capturing(sequences, partial(self._captured, hook)):
            await self._run()

    def _captured(self, hook: str, leg: str, keys: str) -> None:
        """A side has pressed keys that the application waits for; its ack changes nothing."""
        session = self._session
        about = session.about_leg() if leg == session.leg else session.about_callee(leg)
        session.tell(hook, about | {"dtmf": keys})

    async def _run(self) -> None:
        [(leg, only), *more] = self._candidates.items()
        if not more and self._confirm_hook(only) is None:
            await self._through(leg, only)
            return
        try:
            self._race = await self._call.race(
                answer_on_bridge=self._dial.answer_on_bridge,
                time_limit_s=self._dial.time_limit_s,
                host=self._session.leg,
                while_ringing=self._dial.while_ringing(self._session),
                ringback=self._session.sounds.ringback,
            )
        except MediaError as error:
            failure = media_failure(error)
            status, reason, cause = failure.status, failure.reason, failure.cause
            self._call.refused(status, reason, cause, error.text, leg)
            return
        async with asyncio.TaskGroup() as group:
            for leg, one in self._candidates.items():
                group.create_task(self._through(leg, one))

    async def _through(self, leg: str, candidate: Candidate) -> None:
        """One leg, through to its end."""
        try:
            await self._place(leg, candidate)
        except DialError as error:
            log.warning(
                "dial.failed",
                error=str(error),
                fault=error.fault.value,
                dialled=candidate.target.called,
                **self._session.log_ids,
            )
            self._call.refused(error.status, error.reason, error.cause, leg=leg)

    async def _place(self, leg: str, candidate: Candidate) -> None:
        """Raises DialError where nothing can be tried."""
        dial, session, target = self._dial, self._session, candidate.target
        dialler = session.dialler
        trunk, caller = dialler.trunk_of(target), dial.caller(session, candidate)
        self._dials(leg, candidate, trunk.name)
        passed = dialler.headers(trunk, target, caller, (*dial.headers, *target.headers))
        session.note_dropped(passed.dropped)
        if dial.amd is not None:
            session.detect(dial.amd, leg)
        given = (*passed.headers, *session.replacing(trunk.name))
        with dialler.room(trunk):
            attempts = await dialler.attempts(
                trunk, target, caller, given, encrypted=dial.encrypted
            )
            await self._ring(leg, attempts, self._confirm_hook(candidate))
        if attempts.problems:
            log.info("dial.gateways-skipped", problems=attempts.problems, **session.log_ids)

    def _confirm_hook(self, candidate: Candidate) -> str | None:
        return candidate.confirm_hook or self._dial.confirm_hook

    async def _ring(self, leg: str, attempts: TrunkAttempts, confirm_hook: str | None) -> None:
        dial, call, race = self._dial, self._call, self._race
        if race is None:
            await call.dial(
                attempts,
                answer_on_bridge=dial.answer_on_bridge,
                timeout_s=dial.timeout_s,
                time_limit_s=dial.time_limit_s,
                leg=leg,
                host=self._session.leg,
                while_ringing=dial.while_ringing(self._session),
                ringback=self._session.sounds.ringback,
            )
        elif race.decided:  # another was faster than the search for a way to this one
            call.refused(487, _TERMINATED, Cause.CANCELLED, leg=leg)
        else:
            accept = None
            if confirm_hook is not None:
                accept = partial(self._session.confirm, hook=confirm_hook)
            await race.run(attempts, leg, timeout_s=dial.timeout_s, accept=accept)


def _capture(what: str, key: str, value: object) -> Capture | None:
    """An array for both sides, or one for each."""
    if not value:
        return None
    if isinstance(value, list):
        sequences = _sequences(what, key, value)
        return Capture(of_parent=sequences, of_children=sequences)
    if not isinstance(value, dict) or not value.keys() <= {"childCall", "parentCall"}:
        raise VerbError(f"{what}: {key} must be an array, or an object of childCall, parentCall")
    return Capture(
        of_parent=_sequences(what, f"{key}.parentCall", value.get("parentCall") or []),
        of_children=_sequences(what, f"{key}.childCall", value.get("childCall") or []),
    )


def _sequences(what: str, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_SEQUENCES:
        raise VerbError(f"{what}: {key} must be an array of at most {MAX_SEQUENCES}")
    return tuple(keys(what, key, each) for each in value)


def _encrypted(what: str, key: str, value: object) -> bool | None:
    """`sdes` demands it; `dtls`, which jambonz knows too, is refused."""
    if not value:
        return None
    if value != "sdes":
        raise VerbError(f"{what}: {key} {value!r} is not supported here, sdes is")
    return True


VERB: Final[Shape[Verb]] = Shape(
    "dial",
    Dial,
    {
        **ANY,
        "target": ("candidates", targets),
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
        "confirmHook": ("confirm_hook", hook),
        "dtmfCapture": ("capture", _capture),
        "dtmfHook": ("dtmf_hook", hook),
        "forwardPAI": ("", undone),  # the trunk decides
        "referHook": ("refer_hook", hook),
        "amd": ("amd", amd),
        **dict.fromkeys(
            (
                *("onHoldHook", "listen"),
                *("stream", "transcribe", "dub", "boostAudioSignal", "proxy"),
                "exitMediaPath",
            ),
            UNSUPPORTED,
        ),
    },
    required="target",
)
