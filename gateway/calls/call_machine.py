"""The state machine of one call: events of jambonz and Retell in, verbs out. No I/O, no clock.

Phases and what leads from one to the next:

    NEW ─begin─> REGISTERING ─Registered─> DIALLING ─a leg is up────> TALKING ─final status─> OVER
                     │                       │  ^ │                     │  ^
                     └─RegistrationFailed────┤  └─┘ the attempt failed, │  │ the transfer is over
                                             │      another may follow  v  │
                                             │                      TRANSFERRING
                                             └──────> DECLINING ─final status─> OVER

Of a call that we begin, the person is called first (CALLING, `person.py`) and perhaps listened to
(LISTENING): it is registered meanwhile, so that REGISTERING is skipped, and what follows is as of
any other. A person whom a jambonz's REST API called without a word of ours has answered before the
call begins. Such calls end by `hangup` where another is declined. Where no `call:status` comes,
since jambonz sends it elsewhere, the dial's hook tells of answer and ending. A caller who is left
alone, since the agent's leg was lost or the one who took the call hung up, may be brought to
somebody again (`_bring_back`).

An event that a phase does not list (a leg's late status, a registration that comes after the
caller hung up) changes nothing and gives no verbs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, assert_never

from gateway.calls.call_events import (
    CallChanged,
    CalleeAsked,
    CalleePressed,
    DialEnded,
    Event,
    Failed,
    FaxHeard,
    LegChanged,
    Lost,
    MessageSaid,
    PersonAnswered,
    PersonHeard,
    PersonNotPlaced,
    PersonPlaced,
    Registered,
    RegistrationFailed,
    RoomFound,
    Stopped,
    TransferAsked,
    TransferDialEnded,
    TransferRefused,
    Withdrawn,
)
from gateway.calls.endings import (
    AGENTS,
    CLOSED,
    NO_MEDIA,
    OUR_BUG,
    WITHDRAWN,
    Ending,
    Refusal,
    Role,
    dial_refusal,
    final_code,
    no_media,
    registration_refusal,
)
from gateway.calls.failover import another_may_follow
from gateway.calls.losses import is_lost
from gateway.calls.opening import answers_first, before_first, leg_to, while_registering
from gateway.calls.past import Past
from gateway.calls.person import Person, Stage, no_person
from gateway.calls.plan import Elsewhere, Plan
from gateway.calls.routing import AgentLost, Attempt, Dialling, Direction, Refusing
from gateway.calls.transfer import Event as TransferEvent
from gateway.calls.transfer import Transfer
from gateway.calls.transfer_order import TransferOrder
from gateway.calls.transfer_rules import State
from gateway.calls.tried import Tried, connected, of_leg
from gateway.calls.verdicts import Course
from gateway.calls.words import extension_headers, passed_on
from gateway.jambonz.messages import DialResult, LegStatus
from gateway.jambonz.verbs import Config, Decline, Hangup, Play, Verbs

#: How often one call may be brought to its agent anew.
MAX_REVIVALS: Final = 2


#: Attempts that a call's plan names.
_OF_PLAN: Final = AGENTS | {Role.FALLBACK, Role.CARRIER}


class Phase(Enum):
    """Where a call stands."""

    NEW = "new"
    CALLING = "calling"
    LISTENING = "listening"
    REGISTERING = "registering"
    DIALLING = "dialling"
    TALKING = "talking"
    TRANSFERRING = "transferring"
    DECLINING = "declining"
    OVER = "over"


#: While Retell is being told of the call.
_REGISTERS: Final = frozenset({Phase.CALLING, Phase.LISTENING, Phase.REGISTERING})


@dataclass(slots=True)
class CallMachine:
    """One call. Everything a call record says of its course is here."""

    plan: Plan
    phase: Phase = Phase.NEW
    tried: list[Tried] = field(default_factory=list)
    #: whom we call first, of a call that we begin
    person: Person | None = None
    retell_call_id: str | None = None
    answered: float | None = None
    ended: float | None = None
    ending: Ending | None = None
    #: seconds between answer and end, where jambonz knows better than we
    talk_s: float | None = None
    far_headers: dict[str, str] = field(default_factory=dict)
    media: Mapping[str, Any] | None = None
    #: the last of them may be running
    transfers: list[Transfer] = field(default_factory=list)
    _refusal: Refusal | None = None
    _uri: str | None = None
    #: the call goes on from a former run of this program
    _restored: bool = False
    #: something was heard of it
    _heard: bool = False
    #: the last dial that ended
    _dialled: DialEnded | None = None
    #: attempts of the plan that were made
    _used: int = 0
    #: times that the caller was brought to the agent anew
    _revivals: int = 0
    #: whom the caller talked to when the transfer was asked for
    _partner: Tried | None = None
    #: whether it is the caller who is handed on, and not whom an agent called
    _first_stays: bool = True

    def begin(self, at: float) -> Verbs:
        """The verbs that acknowledge the new call: at least one, but for a call that we begin."""
        if isinstance(self.plan, Dialling) and self.plan.person is not None:
            self.phase = Phase.CALLING
            self.person = Person(self.plan.person, [])
            self.person.begin()
            return ()
        if self._outbound:
            self.answered = at
        match self.plan:
            case Refusing(refusal=refusal):
                return self._decline(refusal)
            case Elsewhere(order=order):
                return self._hand_over(order, at)
            case Dialling(registration=None, waiting=None):
                return self._dial(at)
            case Dialling():
                # The ack is due within a second and Retell has two: verbs follow by command.
                self.phase = Phase.REGISTERING
                return while_registering(self.plan)
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
            self._used = 1
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
        if past is not None and past.tried:
            self._take_up(past)
        elif isinstance(self.plan, Refusing):
            self._decline(self.plan.refusal)
        elif self._registers:
            self.tried = []
            self._used = 0
            self.phase = Phase.REGISTERING

    def step(self, event: Event) -> Verbs:
        """Take in one event; the verbs to give jambonz now, if any."""
        if self.phase is Phase.OVER:
            return ()
        self._heard = True
        match event:
            case Registered():
                return self._registered(event)
            case RoomFound(at=at):
                waited = self.phase is Phase.REGISTERING and not self._registers
                return self._dial(at) if waited else ()
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
            case TransferAsked():
                return self._transfer_asked(event)
            case TransferRefused(at=at, order=order, code=code, reason=reason):
                refused = Transfer(order, self.tried, at)
                refused.refuse(at, code, reason)
                self.transfers.insert(len(self.transfers) - self._transferring, refused)
                return ()
            case PersonPlaced() | PersonNotPlaced() | PersonAnswered() | PersonHeard():
                return self._of_person(event)
            case MessageSaid(whole=whole):
                if self.person is not None:
                    self.person.said(whole=whole)
                return ()
            case Withdrawn():
                return self._withdraw(WITHDRAWN)
            case Stopped(refusal=refusal, said=said):
                return self._stopped(refusal, said)
            case Failed():
                return self._mistake()
            case Lost(at=at):
                if self._transferring:
                    self._transfer.lost(at)
                self._over(*self._course.last_known(at, self._dialled))
                return ()
            case _:
                return self._of_transfer(event)

    @property
    def progress(self) -> tuple[object, ...]:
        """What is worth putting on record when it changes."""
        transfers = [(each.state, each.attempt) for each in self.transfers]
        return self.phase, len(self.tried), self.answered, transfers

    @property
    def connected(self) -> Tried | None:
        """The attempt that was answered, the last of several, else the last one."""
        return connected(self.tried)

    # -- what each event does ---------------------------------------------------------------

    def _registered(self, event: Registered) -> Verbs:
        if self.phase not in _REGISTERS:
            return ()
        self.retell_call_id = event.retell_call_id
        self._uri = event.uri
        return self._dial(event.at) if self.phase is Phase.REGISTERING else ()

    def _not_registered(self, event: RegistrationFailed) -> Verbs:
        if self.phase not in _REGISTERS:
            return ()
        refusal = registration_refusal(event.failure)
        agent = self._attempts[0]
        failed = Tried(agent, event.at, ended=True, reason=refusal.cause, detail=event.detail)
        self.tried.append(failed)
        self._used += 1
        if self.phase is not Phase.REGISTERING:
            return self._withdraw(refusal)  # who answers would find nobody
        return self._dial(event.at) if self._more else self._decline(refusal)

    def _leg(self, at: float, status: LegStatus) -> None:
        tried = of_leg(self.tried, status.call_sid, status.sip_call_id, status.to)
        if tried is None:
            return
        tried.note_status(at, status)
        if status.final:
            self.far_headers |= extension_headers(status.headers)
        if self._transferring:
            if status.status == "in-progress":
                self._transfer.answered(tried)
            self._part(at)
        elif status.status == "in-progress" and tried is self.tried[-1]:
            self._talking(at)

    def _dial_ended(self, at: float, result: DialResult) -> Verbs:
        tried = of_leg(self.tried, result.call_sid, result.sip_call_id) or self._last_of_plan
        if tried is not None:
            tried.note_result(result)
        if self._faxes and tried is not self.tried[-1]:
            return ()  # the agent's leg gave way to the fax's
        self._dialled = DialEnded(at=at, result=result)
        if self._transferring:
            self._part(at)
            return ()  # the transfer goes on without the agent, and ends as it ends
        if result.status == "completed":
            self._talked(at, result, tried)
        if result.caller_gone:
            return ()
        if tried is not None and tried is self.connected and self._lost(tried):
            return self._bring_back(at, self._agent_lost)
        if result.status == "completed" or self.phase is not Phase.DIALLING:
            return ()  # the dial is followed by a hangup already
        return self._attempt_failed(at, result, tried)

    def _attempt_failed(self, at: float, result: DialResult, tried: Tried | None) -> Verbs:
        code = final_code(result.status, result.code)
        if tried is None:  # of a plan that has become a refusal since the call began
            return self._decline(dial_refusal(Role.RETELL, result.status, result.code, ""))
        tried.code = tried.code or code
        if result.cause in NO_MEDIA and not result.sip_call_id:  # no INVITE went out
            return self._decline(no_media(code, result.reason, result.cause))
        role = tried.attempt.role
        # An early-media/183 result is a failure whose own status message was lost in the race.
        early_media = tried.early_media or result.status == "early-media"
        status, cause = result.status, result.cause
        if self._more and another_may_follow(role, status, result.code, early_media, cause):
            return self._dial(at)
        registered = tried.attempt.target is None
        refusal = dial_refusal(
            role, result.status, result.code, tried.reason, why=result.cause, registered=registered
        )
        if role is Role.CARRIER and refusal.status == code:
            refusal = replace(refusal, headers=passed_on(tried.words, code))
        return self._decline(refusal)

    def _call(self, at: float, status: LegStatus) -> None:
        if self.phase is Phase.CALLING and self.person is not None:
            if not self.person.changed(at, status):
                self.media = status.media
                self._over(at, self._not_reached)
            return
        if status.status == "in-progress" and self.answered is None:
            if answers_first(self.plan):
                self.answered = at
            else:
                self._talking(at)
        if not status.final:
            return
        if status.status == "completed":
            self._count(at, status.duration_s)
        self.media = status.media
        self.far_headers |= extension_headers(status.headers)
        if self._transferring:
            self._transfer.gone(at)
        self._over(at, self._course.heard(at, status))

    def _fax(self, at: float) -> Verbs:
        """The caller is a fax machine: nothing but the fax's target is of any use to it."""
        target = self.plan.fax if isinstance(self.plan, Dialling) else None
        busy = self.phase in (Phase.NEW, Phase.DECLINING, Phase.TRANSFERRING)
        if target is None or self._faxes or busy:
            return ()
        if self.tried and not (self.tried[-1].call_sid or self.tried[-1].ended):
            self.tried.pop()  # it was not called yet
        self.phase = Phase.DIALLING
        self.tried.append(Tried(target, at))
        return (leg_to(self.plan, target, self._uri), Hangup())

    def _stopped(self, refusal: Refusal, said: str | None) -> Verbs:
        if self.phase is Phase.CALLING:
            return self._withdraw(refusal)
        if self.phase is Phase.DECLINING:
            return ()
        before = (Play(said),) if said is not None and self.answered is not None else ()
        if self._joined:
            self._refusal = refusal
            return (*before, Hangup())
        return (*before, *self._decline(refusal))

    def _mistake(self) -> Verbs:
        if self._joined:
            self._refusal = OUR_BUG
            return (Hangup(),)
        if self.phase is Phase.DECLINING:
            return ()
        if self.phase is Phase.CALLING:
            return self._withdraw(OUR_BUG)
        return self._decline(OUR_BUG)

    # -- the person, of a call that we begin ----------------------------------------------------

    @property
    def registers_now(self) -> bool:
        """Whether Retell is to be told of the call by now: from when the person's phone rings, as
        the registration is good for minutes only."""
        if self.phase is Phase.REGISTERING:
            return True
        rings = self.phase is Phase.CALLING and self.person is not None and self.person.rings
        early = rings or self.phase is Phase.LISTENING
        return early and self._unregistered and self._refusal is None

    @property
    def _unregistered(self) -> bool:
        """Whether it cannot be dialled before Retell is told of it."""
        return self._registers and self._uri is None

    @property
    def legs(self) -> list[Tried]:
        """Every leg that was dialled, the person's first."""
        return self.tried if self.person is None else [*self.person.called, *self.tried]

    def _of_person(
        self, event: PersonPlaced | PersonNotPlaced | PersonAnswered | PersonHeard
    ) -> Verbs:
        person = self.person
        match event:
            case _ if person is None:
                return ()
            case PersonPlaced(at=at, call_sid=call_sid) if self.phase is Phase.CALLING:
                person.placed(at, call_sid)
            case PersonNotPlaced() if self.phase is Phase.CALLING:
                if not person.not_placed(event.at, event.code, event.cause, event.detail):
                    self._over(event.at, self._not_reached)
            case PersonAnswered(at=at) if self.phase is Phase.CALLING:
                self.answered = at
                if self._refusal is not None:  # it answered while it was given up
                    return self._decline(self._refusal)
                self.phase = Phase.LISTENING
                return person.answered(at) or self._bring_agent(at)
            case PersonHeard(at=at, heard=heard) if self.phase is Phase.LISTENING:
                verbs = person.told(heard)
                if person.stage is Stage.HERE:
                    return self._bring_agent(at)
                if person.who is not None:
                    self._refusal = no_person(person.who)
                return verbs
        return ()

    def _bring_agent(self, at: float) -> Verbs:
        """The person is there: the verbs that bring the agent."""
        if self._unregistered:
            self.phase = Phase.REGISTERING
            return (Config(),)
        return self._dial(at)

    def _withdraw(self, refusal: Refusal) -> Verbs:
        """The call is not to be, or not to go on: the verbs that end it once it is answered; before
        that the person's leg is given up (`Person.withdrawn`)."""
        if self.phase is Phase.CALLING and self.person is not None:
            self._refusal = self._refusal or refusal
            self.person.withdraw()
            return ()
        if self.phase in (Phase.DECLINING, Phase.NEW):
            return ()
        self._refusal = refusal
        return (Hangup(),)

    @property
    def _not_reached(self) -> Ending:
        """The verdict where nobody answered."""
        if self._refusal is not None:
            return self._refusal.ending()
        tried = self.person.tried if self.person is not None else None
        if tried is None:
            return OUR_BUG.ending()
        word, code, why = "failed", tried.code, tried.cause
        return dial_refusal(Role.CARRIER, word, code, tried.reason, why=why).ending()

    # -- transfers ----------------------------------------------------------------------------

    def _transfer_asked(self, event: TransferAsked) -> Verbs:
        if self.phase is not Phase.TALKING:
            return ()
        self._partner = self.connected
        self._first_stays = event.first_stays
        return self._hand_over(event.order, event.at)

    def _hand_over(self, order: TransferOrder, at: float) -> Verbs:
        self.phase = Phase.TRANSFERRING
        transfer = Transfer(order, self.tried, at)
        transfer.person = None if self._first_stays else self._partner
        self.transfers.append(transfer)
        return transfer.begin(at)

    def _of_transfer(self, event: TransferEvent) -> Verbs:
        """Something of the last transfer; of none, there is nobody to join."""
        if isinstance(event, TransferDialEnded):
            result = event.result
            tried = of_leg(self.tried, result.call_sid, result.sip_call_id)
            if tried is not None:
                tried.note_result(result)
            if self._of_an_older(tried):
                return ()  # its dial has given way, and has no say any more
        if not self._begun:
            return (Hangup(),) if isinstance(event, CalleeAsked | CalleePressed) else ()
        had = self._transfer.state
        verbs = self._transfer.step(event)
        self._part(event.at)
        return verbs if self._transfer.state is had else self._settle(event.at) or verbs

    def _part(self, at: float) -> None:
        """Whether who takes the call is all that the caller has: the agent's leg stays until the
        two are joined."""
        alone = self._partner is None or self._partner.ended
        if alone or not self._first_stays:  # whose own end is told at the call's end only
            self._transfer.parted(at)
            if self._transfer.state is State.TAKEN:
                self._settle(at)

    def _settle(self, at: float) -> Verbs:
        """Where the last transfer has left the caller."""
        match self._transfer.state:
            case State.REFERRING | State.BRIDGING | State.SAYING:
                self.phase = Phase.TRANSFERRING
            case State.TAKEN | State.AWAY:
                self.phase = Phase.TALKING
                self._talking(at)
            case State.BACK if self._partner is None:
                return self._decline(self._nobody)
            case State.BACK:
                self.phase = Phase.TALKING
                if self._partner is not None and self._partner.ended:
                    return self._bring_back(at, self._agent_lost) or (Hangup(),)
            case State.LEFT:
                self.phase = Phase.TALKING
                after = self._transfer.after
                return self._bring_back(at, "agent" if after == "agent" else "end") or (Hangup(),)
        return ()

    def _bring_back(self, at: float, to: AgentLost) -> Verbs:
        """A caller has nobody to talk to: the verbs that bring it to the agent anew, or to the
        fallback; none where it is to end."""
        agent = bool(self._attempts) and self._attempts[0].role in AGENTS
        if to == "agent" and agent and self._revivals < MAX_REVIVALS:
            self._revivals += 1
            self._used = 0
            if not self._registers:
                return self._dial(at)
            self.phase = Phase.REGISTERING
            return (Config(),)  # in place of the verbs that are left: others follow by command
        if to == "fallback" and self._more and self._attempts[self._used].role is Role.FALLBACK:
            return self._dial(at)
        return ()

    # -- parts --------------------------------------------------------------------------------

    @property
    def _begun(self) -> list[Transfer]:
        """The transfers that were not refused."""
        return [each for each in self.transfers if each.attempt]

    @property
    def _transfer(self) -> Transfer:
        """The last one that was begun."""
        return self._begun[-1]

    def _of_an_older(self, tried: Tried | None) -> bool:
        """Whether that attempt was made by a transfer before the last one."""
        older = [each for transfer in self._begun[:-1] for each in transfer.own]
        return tried is not None and any(each is tried for each in older)

    @property
    def _transferring(self) -> bool:
        return self.phase is Phase.TRANSFERRING

    @property
    def _joined(self) -> bool:
        """Whether two talk, or did."""
        talked = self._transferring and self.answered is not None
        return talked or self.phase is Phase.TALKING

    @property
    def _attempts(self) -> tuple[Attempt, ...]:
        return self.plan.attempts if isinstance(self.plan, Dialling) else ()

    @property
    def _more(self) -> bool:
        """Whether the plan has an attempt that was not made."""
        return self._used < len(self._attempts)

    @property
    def _last_of_plan(self) -> Tried | None:
        return next(
            (each for each in reversed(self.tried) if each.attempt.role is not Role.TRANSFER), None
        )

    @property
    def _nobody(self) -> Refusal:
        """Why a call that came out of hours found nobody."""
        verdict = self._transfer.verdict
        assert verdict is not None, "it is over"
        if verdict.stage == State.SAYING.value:
            return CLOSED
        return dial_refusal(Role.TRANSFER, "failed", verdict.code or 480, verdict.reason)

    @property
    def _agent_lost(self) -> AgentLost:
        return self.plan.agent_lost if isinstance(self.plan, Dialling) else "end"

    def _lost(self, tried: Tried) -> bool:
        """Whether that was the agent's leg, and it was cut off."""
        return self._joined and tried.attempt.role in AGENTS and is_lost(tried)

    def _dial(self, at: float) -> Verbs:
        """The next attempt. Its hangup serves the call that was answered."""
        attempt = self._attempts[self._used]
        self._used += 1
        self.phase = Phase.DIALLING
        before = () if self.tried else before_first(self.plan)
        self.tried.append(Tried(attempt, at))
        return (*before, leg_to(self.plan, attempt, self._uri), Hangup())

    @property
    def _faxes(self) -> bool:
        """Whether the caller is a fax machine, and its target was called."""
        return bool(self.tried) and self.tried[-1].attempt.role is Role.FAX

    def _decline(self, refusal: Refusal) -> Verbs:
        self.phase = Phase.DECLINING
        self._refusal = refusal
        if self.answered is not None:
            return (Hangup(),)
        reason, headers = refusal.reason or None, refusal.headers
        return (Decline(refusal.status, reason, refusal.retry_after_s, headers),)

    @property
    def _outbound(self) -> bool:
        return self.plan.direction is Direction.OUTBOUND

    @property
    def _answered_before(self) -> bool:
        """Whether the first leg may be up although nobody was dialled yet."""
        return self._outbound or answers_first(self.plan)

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

    def _take_up(self, past: Past) -> None:
        """Go on where the record ends."""
        self.tried, self.transfers = past.tried, past.transfers
        planned = [each for each in self.tried if each.attempt.role in _OF_PLAN]
        self._used = min(len(planned), len(self._attempts))
        if self._begun and self._transfer.running:
            self.phase = Phase.TRANSFERRING
            self._partner = self._last_of_plan
        if self.answered is None or not self.tried:
            return
        last, up = self.tried[-1], [each for each in self.tried if each.code // 100 == 2]
        if self._transferring:
            talker = self._partner
        elif last.attempt.role is Role.TRANSFER:
            self.phase = Phase.TALKING
            talker = up[-1] if up else self._last_of_plan
        elif last in up or not (up or self._answered_before or self._faxes):
            self.phase = Phase.TALKING
            talker = last
        else:  # who was answered before has gone
            return
        if talker is not None:
            talker.answered = self.answered

    @property
    def _course(self) -> Course:
        return Course(
            tried=self.tried,
            outbound=self._outbound,
            answered=self.answered is not None,
            joined=self._joined,
            transferred=any(each.away for each in self.transfers),
            refusal=self._refusal,
        )

    def _over(self, at: float, ending: Ending) -> None:
        self.phase = Phase.OVER
        self.ended = at
        self.ending = ending
