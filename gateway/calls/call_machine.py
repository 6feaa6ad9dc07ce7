"""The state machine of one call: events of jambonz and Retell in, verbs out. No I/O, no clock.

Phases and what leads from one to the next:

    NEW ─begin─> REGISTERING ─Registered─> DIALLING ─a leg is up────> TALKING ─final status─> OVER
                     │                       │  ^ │
                     └─RegistrationFailed────┤  └─┘ the attempt failed, another may follow
                                             └──────> DECLINING ─final status─> OVER

An event that a phase does not list (a leg's late status, a registration that comes after the
caller hung up) changes nothing and gives no verbs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias, assert_never

from gateway.calls.endings import (
    ANSWERED_BY_CALLEE,
    ANSWERED_BY_CALLER,
    ANSWERED_BY_GATEWAY,
    ANSWERED_ODDLY,
    CANCELLED,
    LOST,
    OUR_BUG,
    SHUTDOWN,
    Ending,
    Fault,
    Refusal,
    another_may_follow,
    dial_refusal,
    final_code,
    no_media,
    peer_of,
    registration_refusal,
    unheard,
)
from gateway.calls.routing import Attempt, Dialling, Plan, Refusing
from gateway.jambonz.messages import DialResult, LegStatus
from gateway.jambonz.verbs import Config, Decline, Dial, Hangup, SipTarget, Verbs
from gateway.retell.failures import RetellFailure
from gateway.value import frozen

DIAL_HOOK: Final = "/dial-action"
#: What a dialled leg says once the callee's side has it.
_RUNG: Final = frozenset({"ringing", "early-media", "in-progress"})
#: Headers in which a peer says why it ended a leg (RFC 3326, RFC 3261 20.43, 20.18, 20.33).
_SAYING: Final = frozenset({"reason", "warning", "error-info", "retry-after"})
#: The longest of them that is kept, in characters.
MAX_WORDS: Final = 500


class Phase(Enum):
    """Where a call stands."""

    NEW = "new"
    REGISTERING = "registering"
    DIALLING = "dialling"
    TALKING = "talking"
    DECLINING = "declining"
    OVER = "over"


@frozen(kw_only=True)
class Registered:
    """Retell took the call: dial `uri` within five minutes."""

    at: float
    retell_call_id: str
    uri: str


@frozen(kw_only=True)
class RegistrationFailed:
    """Retell did not take the call."""

    at: float
    failure: RetellFailure
    #: what Retell itself said
    detail: str = ""


@frozen(kw_only=True)
class LegChanged:
    """A dialled leg (child) reported."""

    at: float
    status: LegStatus


@frozen(kw_only=True)
class DialEnded:
    """The action hook of the dial in progress."""

    at: float
    result: DialResult


@frozen(kw_only=True)
class CallChanged:
    """The caller's leg (parent) reported."""

    at: float
    status: LegStatus


@frozen(kw_only=True)
class Failed:
    """The application failed while it handled this call."""

    at: float


@frozen(kw_only=True)
class Lost:
    """jambonz's connection is gone for good, and with it any news of the call."""

    at: float


Event: TypeAlias = (
    Registered | RegistrationFailed | LegChanged | DialEnded | CallChanged | Failed | Lost
)


@dataclass(slots=True)
class Tried:
    """One attempt as it went. `code` 0 and `reason` "" until it ended."""

    attempt: Attempt
    started: float
    call_sid: str = ""
    #: one for each server that was asked, in order
    sip_call_ids: list[str] = field(default_factory=list)
    early_media: bool = False
    #: when it first rang, sent early media or answered
    rang: float | None = None
    answered: float | None = None
    ended: bool = False
    code: int = 0
    reason: str = ""
    detail: str = ""
    #: headers of the peer's last message that say why
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def sip_call_id(self) -> str:
        """That of the last INVITE; "" if there was none."""
        return self.sip_call_ids[-1] if self.sip_call_ids else ""

    def note_sip_call_id(self, sip_call_id: str) -> None:
        if sip_call_id and sip_call_id not in self.sip_call_ids:
            self.sip_call_ids.append(sip_call_id)


@dataclass(slots=True)
class CallMachine:
    """One call. Everything a call record says of its course is here."""

    plan: Plan
    phase: Phase = Phase.NEW
    tried: list[Tried] = field(default_factory=list)
    retell_call_id: str | None = None
    answered: float | None = None
    ended: float | None = None
    ending: Ending | None = None
    far_headers: dict[str, str] = field(default_factory=dict)
    media: Mapping[str, Any] | None = None
    _refusal: Refusal | None = None
    _uri: str | None = None

    def begin(self, at: float) -> Verbs:
        """The verbs that acknowledge the new call: always at least one."""
        match self.plan:
            case Refusing(refusal=refusal):
                return self._decline(refusal)
            case Dialling(registration=None):
                return self._dial(at)
            case Dialling():
                # The ack is due within a second and Retell has two: verbs follow by command.
                self.phase = Phase.REGISTERING
                return (Config(),)
            case _:
                assert_never(self.plan)

    def adopt(self) -> None:
        """Take over a call that another run of this program began: nothing is left to try."""
        self.phase = Phase.DIALLING

    def step(self, event: Event) -> Verbs:
        """Take in one event; the verbs to give jambonz now, if any."""
        if self.phase is Phase.OVER:
            return ()
        match event:
            case Registered():
                return self._registered(event)
            case RegistrationFailed():
                return self._not_registered(event)
            case LegChanged(at=at, status=status):
                self._leg(at, status)
                return ()
            case DialEnded(at=at, result=result):
                return self._dial_ended(at, result)
            case CallChanged(at=at, status=status):
                self._call(at, status)
                return ()
            case Failed():
                return self._mistake()
            case Lost(at=at):
                self._over(at, self._refusal.ending() if self._refusal else LOST)
                return ()
            case _:
                assert_never(event)

    @property
    def connected(self) -> Tried | None:
        """The attempt that was answered, else the last one."""
        answered = next((tried for tried in self.tried if tried.answered is not None), None)
        return answered or (self.tried[-1] if self.tried else None)

    # -- what each event does ---------------------------------------------------------------

    def _registered(self, event: Registered) -> Verbs:
        if self.phase is not Phase.REGISTERING:
            return ()
        self.retell_call_id = event.retell_call_id
        self._uri = event.uri
        return self._dial(event.at)

    def _not_registered(self, event: RegistrationFailed) -> Verbs:
        if self.phase is not Phase.REGISTERING:
            return ()
        attempts = self._attempts
        refusal = registration_refusal(event.failure)
        self.tried.append(
            Tried(attempts[0], event.at, ended=True, reason=refusal.cause, detail=event.detail)
        )
        if len(attempts) > 1:
            return self._dial(event.at)
        return self._decline(refusal)

    def _leg(self, at: float, status: LegStatus) -> None:
        tried = self._tried_of(status.call_sid)
        if tried is None:
            return
        tried.note_sip_call_id(status.sip_call_id)
        if tried.rang is None and status.status in _RUNG:
            tried.rang = at
        if status.status == "early-media":
            tried.early_media = True
        elif status.status == "in-progress":
            if tried.answered is None:
                tried.answered = at
            self._note_code(tried, status.code, status.reason)
            self._talking(at)
        elif status.final:
            tried.ended = True
            self._note_code(tried, status.code, status.reason)
            tried.words = _headers(status.headers)
            self.far_headers |= _extension_headers(status.headers)

    def _dial_ended(self, at: float, result: DialResult) -> Verbs:
        tried = self._tried_of(result.call_sid) or (self.tried[-1] if self.tried else None)
        if tried is not None:
            tried.ended = True
            tried.note_sip_call_id(result.sip_call_id)
            tried.detail = result.detail
            self._note_code(tried, result.code, result.reason)
        if result.status == "completed" or self.phase is Phase.TALKING:
            return ()  # the dial is followed by a hangup already
        if self.phase is not Phase.DIALLING or result.caller_gone:
            return ()
        code = final_code(result.status, result.code)
        if tried is None:  # an adopted call: what it dialled is not known any more
            return (Decline(code if code >= 400 else 480),)
        tried.code = tried.code or code
        if result.cause == "media" and not result.sip_call_id:
            return self._decline(no_media(code, result.reason))  # no INVITE went out
        role = tried.attempt.role
        # An early-media/183 result is a failure whose own status message was lost in the race.
        early_media = tried.early_media or result.status == "early-media"
        more = len(self.tried) < len(self._attempts)
        if more and another_may_follow(role, result.status, result.code, early_media):
            return self._dial(at)
        return self._decline(
            dial_refusal(
                role,
                result.status,
                result.code,
                tried.reason,
                why=result.cause,
                registered=tried.attempt.target is None,
            )
        )

    def _call(self, at: float, status: LegStatus) -> None:
        if status.status == "in-progress":
            self._talking(at)
        if not status.final:
            return
        self.media = status.media
        self.far_headers |= _extension_headers(status.headers)
        ending = self._verdict(status)
        if self.answered is not None and ending.cause == "hangup":
            connected = self.connected
            far = Fault.UNKNOWN if connected is None else peer_of(connected.attempt.role)
            ending = unheard(ending, status.media or {}, at - self.answered, far)
        self._over(at, ending)

    def _mistake(self) -> Verbs:
        if self.phase is Phase.TALKING:
            return (Hangup(),)
        if self.phase is Phase.DECLINING:
            return ()
        return self._decline(OUR_BUG)

    # -- parts --------------------------------------------------------------------------------

    @property
    def _attempts(self) -> tuple[Attempt, ...]:
        return self.plan.attempts if isinstance(self.plan, Dialling) else ()

    def _dial(self, at: float) -> Verbs:
        """The next attempt. Its hangup serves the call that was answered."""
        attempt = self._attempts[len(self.tried)]
        target = attempt.target or SipTarget(self._uri or "")
        self.phase = Phase.DIALLING
        self.tried.append(Tried(attempt, at))
        dial = Dial(
            target=target,
            action_hook=DIAL_HOOK,
            timeout_s=attempt.timeout_s,
            caller_id=attempt.caller_id,
            headers=attempt.headers,
        )
        return (dial, Hangup())

    def _decline(self, refusal: Refusal) -> Verbs:
        self.phase = Phase.DECLINING
        self._refusal = refusal
        return (Decline(refusal.status, refusal.reason or None, refusal.retry_after_s),)

    def _talking(self, at: float) -> None:
        if self.phase in (Phase.DIALLING, Phase.DECLINING):
            self.phase = Phase.TALKING
        if self.answered is None:
            self.answered = at

    def _tried_of(self, call_sid: str) -> Tried | None:
        """The attempt whose leg this is; a leg not seen before is the running attempt's."""
        for tried in self.tried:
            if tried.call_sid == call_sid:
                return tried
        if call_sid and self.tried and not self.tried[-1].call_sid:
            self.tried[-1].call_sid = call_sid
            return self.tried[-1]
        return None

    @staticmethod
    def _note_code(tried: Tried, code: int, reason: str) -> None:
        if code >= 200:
            tried.code, tried.reason = code, reason or tried.reason

    def _verdict(self, status: LegStatus) -> Ending:
        if status.status == "completed" or self.phase is Phase.TALKING:
            if status.cause in ANSWERED_ODDLY:
                return ANSWERED_ODDLY[status.cause]
            if status.terminated_by == "caller":
                return ANSWERED_BY_CALLER
            callee_ended = any(tried.answered and tried.ended for tried in self.tried)
            if status.terminated_by == "callee" or callee_ended:
                return ANSWERED_BY_CALLEE
            return ANSWERED_BY_GATEWAY
        if status.cause == SHUTDOWN.cause:
            return SHUTDOWN.ending()
        if self._refusal is not None and status.terminated_by != "caller":
            ending = self._refusal.ending()
            code = status.code if status.code >= 300 else ending.sip_status
            return Ending(ending.by, ending.cause, code, ending.fault)
        if status.status == "no-answer":
            return CANCELLED
        # declined by the softswitch itself, not by a verb of ours
        return Ending("gateway", status.cause or "rejected", status.code, Fault.UNKNOWN)

    def _over(self, at: float, ending: Ending) -> None:
        self.phase = Phase.OVER
        self.ended = at
        self.ending = ending


def _extension_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """X- headers of a BYE."""
    return {name: value for name, value in _headers(headers).items() if name.startswith("x-")}


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What a peer says of its leg's end: Reason, Warning, its own X- headers. jambonz turned their
    names into snake_case; hyphens are restored."""
    found = {
        name.replace("_", "-").lower(): value[:MAX_WORDS]
        for name, value in headers.items()
        if isinstance(value, str)
    }
    return {
        name: value for name, value in found.items() if name in _SAYING or name.startswith("x-")
    }
