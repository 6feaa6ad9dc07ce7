"""The state machine of one call: events of jambonz and Retell in, verbs out. No I/O, no clock.

Phases and what leads from one to the next:

    NEW ─begin─> REGISTERING ─Registered─> DIALLING ─a leg is up────> TALKING ─final status─> OVER
                     │                       │  ^ │
                     └─RegistrationFailed────┤  └─┘ the attempt failed, another may follow
                                             └──────> DECLINING ─final status─> OVER

A person whom jambonz's REST API called has answered before the call begins: such a call ends by
`hangup` where another is declined. Where no `call:status` comes, since jambonz sends it elsewhere,
the dial's hook tells of answer and ending.

An event that a phase does not list (a leg's late status, a registration that comes after the
caller hung up) changes nothing and gives no verbs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, assert_never

from gateway.calls.call_events import (
    CallChanged,
    DialEnded,
    Event,
    Failed,
    FaxHeard,
    LegChanged,
    Lost,
    Registered,
    RegistrationFailed,
)
from gateway.calls.endings import (
    ANSWERED_BY_CALLEE,
    ANSWERED_BY_CALLER,
    ANSWERED_BY_GATEWAY,
    CANCELLED,
    LOST,
    NO_MEDIA,
    ODD_ENDINGS,
    OUR_BUG,
    RTP_TIMEOUT,
    SHUTDOWN,
    Ending,
    Fault,
    Refusal,
    Role,
    another_may_follow,
    dial_refusal,
    final_code,
    no_media,
    peer_of,
    registration_refusal,
    rtp_timeout,
    unheard,
)
from gateway.calls.routing import Attempt, Dialling, Direction, Plan, Refusing
from gateway.calls.tried import Past, Tried
from gateway.calls.words import extension_headers, words
from gateway.jambonz.messages import DialResult, LegStatus
from gateway.jambonz.verbs import Config, Decline, Dial, Hangup, Play, SipTarget, Verbs

DIAL_HOOK: Final = "/dial-action"
FAX_HOOK: Final = "/fax-heard"
#: What a dialled leg says once the callee's side has it.
_RUNG: Final = frozenset({"ringing", "early-media", "in-progress"})


class Phase(Enum):
    """Where a call stands."""

    NEW = "new"
    REGISTERING = "registering"
    DIALLING = "dialling"
    TALKING = "talking"
    DECLINING = "declining"
    OVER = "over"


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
    #: seconds between answer and end, where jambonz knows better than we
    talk_s: float | None = None
    far_headers: dict[str, str] = field(default_factory=dict)
    media: Mapping[str, Any] | None = None
    _refusal: Refusal | None = None
    _uri: str | None = None
    #: the call goes on from a former run of this program
    _restored: bool = False
    #: something was heard of it
    _heard: bool = False
    #: the last dial that ended
    _dialled: DialEnded | None = None

    def begin(self, at: float) -> Verbs:
        """The verbs that acknowledge the new call: always at least one."""
        if self._outbound:
            self.answered = at
        match self.plan:
            case Refusing(refusal=refusal):
                return self._decline(refusal)
            case Dialling(registration=None):
                return self._dial(at)
            case Dialling():
                # The ack is due within a second and Retell has two: verbs follow by command.
                self.phase = Phase.REGISTERING
                return (Config(fax_hook=self._fax_hook),)
            case _:
                assert_never(self.plan)

    def resume(self, at: float) -> None:
        """Take over a call that another run of this program began, of which nothing is known: it
        may be that its first dial goes on."""
        self._restored = True
        if self._outbound:
            self.answered = at
        if self._attempts:
            self.tried = [Tried(self._attempts[0], at)]
        self.phase = Phase.DIALLING

    def restore(self, past: Past | None) -> None:
        """What is on record of a resumed call; None: it had only just begun.

        It goes on with the attempt that was tried last; the plan has those that may follow.
        """
        if past is not None:
            self.retell_call_id = past.retell_call_id
            self.answered = past.answered or self.answered
            self._uri = past.uri
        if self._heard:
            return
        tried = past.tried if past is not None else []
        if tried:
            self.tried = tried
            before = self._answered_before or self._faxes
            joined = not before or tried[-1].code // 100 == 2
            if self.answered is not None and joined:
                tried[-1].answered = self.answered
                self.phase = Phase.TALKING
        elif isinstance(self.plan, Refusing):
            self._decline(self.plan.refusal)
        elif self._registers:
            self.tried = []
            self.phase = Phase.REGISTERING

    def step(self, event: Event) -> Verbs:
        """Take in one event; the verbs to give jambonz now, if any."""
        if self.phase is Phase.OVER:
            return ()
        self._heard = True
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
            case FaxHeard(at=at):
                return self._fax(at)
            case Failed():
                return self._mistake()
            case Lost(at=at):
                self._over(*self._last_known(at))
                return ()
            case _:
                assert_never(event)

    @property
    def progress(self) -> tuple[Phase, int, float | None]:
        """What is worth putting on record when it changes."""
        return self.phase, len(self.tried), self.answered

    @property
    def connected(self) -> Tried | None:
        """The attempt that was answered, the last of several, else the last one."""
        answered = next((each for each in reversed(self.tried) if each.answered is not None), None)
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
        failed = Tried(attempts[0], event.at, ended=True, reason=refusal.cause, detail=event.detail)
        self.tried.append(failed)
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
            if tried is self.tried[-1]:
                self._talking(at)
        elif status.final:
            tried.ended = True
            tried.cause = status.cause
            self._note_code(tried, status.code, status.reason)
            tried.words = words(status.headers)
            self.far_headers |= extension_headers(status.headers)

    def _dial_ended(self, at: float, result: DialResult) -> Verbs:
        tried = self._tried_of(result.call_sid) or (self.tried[-1] if self.tried else None)
        if tried is not None:
            tried.ended = True
            tried.note_sip_call_id(result.sip_call_id)
            tried.detail = result.detail
            self._note_code(tried, result.code, result.reason)
        if self._faxes and tried is not self.tried[-1]:
            return ()  # the agent's leg gave way to the fax's
        self._dialled = DialEnded(at=at, result=result)
        if result.status == "completed":
            self._talked(at, result, tried)
        if result.status == "completed" or self.phase is Phase.TALKING:
            return ()  # the dial is followed by a hangup already
        if self.phase is not Phase.DIALLING or result.caller_gone:
            return ()
        code = final_code(result.status, result.code)
        if tried is None:  # of a plan that has become a refusal since the call began
            return self._decline(dial_refusal(Role.RETELL, result.status, result.code, ""))
        tried.code = tried.code or code
        if result.cause in NO_MEDIA and not result.sip_call_id:  # no INVITE went out
            return self._decline(no_media(code, result.reason, result.cause))
        role = tried.attempt.role
        # An early-media/183 result is a failure whose own status message was lost in the race.
        early_media = tried.early_media or result.status == "early-media"
        more = len(self.tried) < len(self._attempts)
        if more and another_may_follow(role, result.status, result.code, early_media):
            return self._dial(at)
        registered = tried.attempt.target is None
        return self._decline(
            dial_refusal(
                role,
                result.status,
                result.code,
                tried.reason,
                why=result.cause,
                registered=registered,
            )
        )

    def _call(self, at: float, status: LegStatus) -> None:
        if status.status == "in-progress" and self.answered is None:
            if self._answers_first:
                self.answered = at
            else:
                self._talking(at)
        if not status.final:
            return
        if status.status == "completed":
            self._count(at, status.duration_s)
        self.media = status.media
        self.far_headers |= extension_headers(status.headers)
        self._over(at, self._heard_verdict(at, status))

    def _fax(self, at: float) -> Verbs:
        """The caller is a fax machine: nothing but the fax's target is of any use to it."""
        target = self.plan.fax if isinstance(self.plan, Dialling) else None
        if target is None or self._faxes or self.phase in (Phase.NEW, Phase.DECLINING):
            return ()
        if self.tried and not (self.tried[-1].call_sid or self.tried[-1].ended):
            self.tried.pop()  # it was not called yet
        self.phase = Phase.DIALLING
        self.tried.append(Tried(target, at))
        return (self._leg_to(target), Hangup())

    def _mistake(self) -> Verbs:
        if self.phase is Phase.TALKING:
            self._refusal = OUR_BUG
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
        self.phase = Phase.DIALLING
        self.tried.append(Tried(attempt, at))
        verbs = (*self._announcement(), self._leg_to(attempt), Hangup())
        if len(self.tried) > 1 or not isinstance(self.plan, Dialling):
            return verbs
        config = Config(self.plan.recording, None if self._registers else self._fax_hook)
        return verbs if config == Config() else (config, *verbs)

    def _leg_to(self, attempt: Attempt) -> Dial:
        return Dial(
            target=attempt.target or SipTarget(self._uri or ""),
            action_hook=DIAL_HOOK,
            timeout_s=attempt.timeout_s,
            caller_id=attempt.caller_id,
            music=self.plan.ringing if isinstance(self.plan, Dialling) else None,
            headers=attempt.headers,
            encrypted=attempt.encrypted,
        )

    @property
    def _fax_hook(self) -> str | None:
        """What is called where the caller is a fax machine, if there is anywhere to send it."""
        fax = self.plan.fax if isinstance(self.plan, Dialling) else None
        return None if fax is None else FAX_HOOK

    @property
    def _faxes(self) -> bool:
        """Whether the caller is a fax machine, and its target was called."""
        return bool(self.tried) and self.tried[-1].attempt.role is Role.FAX

    def _announcement(self) -> Verbs:
        """What the caller hears before the first attempt."""
        if len(self.tried) > 1 or not isinstance(self.plan, Dialling):
            return ()
        said = self.plan.announcement
        return () if said is None else (Play(said.file, early=said.before == "answer"),)

    @property
    def _answers_first(self) -> bool:
        """Whether the caller is answered before anybody is called."""
        said = self.plan.announcement if isinstance(self.plan, Dialling) else None
        return said is not None and said.before == "agent"

    def _decline(self, refusal: Refusal) -> Verbs:
        self.phase = Phase.DECLINING
        self._refusal = refusal
        if self.answered is not None:
            return (Hangup(),)
        return (Decline(refusal.status, refusal.reason or None, refusal.retry_after_s),)

    @property
    def _outbound(self) -> bool:
        return self.plan.direction is Direction.OUTBOUND

    @property
    def _answered_before(self) -> bool:
        """Whether the first leg may be up although nobody was dialled yet."""
        return self._outbound or self._answers_first

    @property
    def _registers(self) -> bool:
        return isinstance(self.plan, Dialling) and self.plan.registration is not None

    def _talking(self, at: float) -> None:
        """The two are joined; from REGISTERING only where a former run had dialled."""
        if self.phase in (Phase.REGISTERING, Phase.DIALLING, Phase.DECLINING):
            self.phase = Phase.TALKING
            self._refusal = None
        if self.answered is None:
            self.answered = at

    def _talked(self, at: float, result: DialResult, tried: Tried | None) -> None:
        """A dial was answered and is over. Nobody says since when, where no status did and the
        caller's leg goes on: an agent answers soon after it is dialled."""
        if tried is not None and tried.answered is None:
            caller = result.caller
            if self.answered is not None and not self._answered_before:
                tried.answered = self.answered
            elif caller.status == "completed" and caller.duration_s is not None:
                tried.answered = at - caller.duration_s
            else:
                tried.answered = tried.started
        self._talking(tried.answered if tried is not None and tried.answered else at)

    def _count(self, at: float, duration_s: float | None) -> None:
        """jambonz says how long a leg was up whose answer we may not have seen."""
        if self.answered is None:
            self.answered = at - (duration_s or 0)
        if self._restored:
            self.talk_s = duration_s

    def _tried_of(self, call_sid: str) -> Tried | None:
        """The attempt whose leg this is; a leg not seen before is the running attempt's."""
        for tried in self.tried:
            if call_sid and tried.call_sid == call_sid:
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
            if (gone := self._rtp_timeout(status)) is not None:
                return gone
            if status.cause in ODD_ENDINGS:
                return ODD_ENDINGS[status.cause]
            # of a call that we placed, the leg that jambonz calls the caller's is the person's
            near, far = ANSWERED_BY_CALLER, ANSWERED_BY_CALLEE
            if self._outbound:
                near, far = far, near
            if status.terminated_by == "caller":
                return near
            if status.terminated_by == "callee":
                return far
            if self._refusal is not None:
                return self._refused(self._refusal)
            # a jambonz does not tell the callee's hangup from ours; our softswitch, which alone
            # has causes, does
            if not status.cause and any(tried.answered and tried.ended for tried in self.tried):
                return far
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
        if status.cause in ODD_ENDINGS:
            odd = ODD_ENDINGS[status.cause]
            return Ending(odd.by, odd.cause, status.code, odd.fault)
        return Ending("gateway", status.cause or "rejected", status.code, Fault.UNKNOWN)

    def _rtp_timeout(self, status: LegStatus) -> Ending | None:
        """The verdict for a call of which one side sent nothing any more; its fault."""
        if status.cause == RTP_TIMEOUT:
            return rtp_timeout(Fault.CALLEE if self._outbound else Fault.CALLER)
        connected = self.connected
        if connected is not None and connected.cause == RTP_TIMEOUT:
            return rtp_timeout(peer_of(connected.attempt.role))
        return None

    def _heard_verdict(self, at: float, status: LegStatus) -> Ending:
        """The verdict, with what the media counters say of two that talked."""
        ending, connected = self._verdict(status), self.connected
        if connected is None or connected.answered is None or ending.cause != "hangup":
            return ending
        near = Fault.CALLEE if self._outbound else Fault.CALLER
        far = peer_of(connected.attempt.role)
        return unheard(ending, status.media or {}, at - connected.answered, near, far)

    def _refused(self, refusal: Refusal) -> Ending:
        ending = refusal.ending(answered=self.answered is not None)
        if self._outbound and ending.by == "callee":
            return Ending("caller", ending.cause, ending.sip_status, ending.fault)
        return ending

    def _last_known(self, at: float) -> tuple[float, Ending]:
        """How and when a call ended that nothing more will be heard of."""
        if self._refusal is not None:
            return at, self._refused(self._refusal)
        if self._dialled is None:
            return at, LOST
        when, result = self._dialled.at, self._dialled.result
        if result.caller_gone:
            return when, self._verdict(result.caller)
        if result.status != "completed":
            return at, LOST
        return when, ANSWERED_BY_CALLER if self._outbound else ANSWERED_BY_CALLEE

    def _over(self, at: float, ending: Ending) -> None:
        self.phase = Phase.OVER
        self.ended = at
        self.ending = ending
