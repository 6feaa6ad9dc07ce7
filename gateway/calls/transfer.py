"""A transfer of a call, as a state machine: what came of each try in, verbs out. No I/O, no clock.

    REFERRING ┐
    BRIDGING  ├─ it came to nothing, another is left ─> REFERRING, BRIDGING, SAYING
    SAYING    ┘
    REFERRING ── taken, or nobody knows ──────────────> AWAY   the carrier has the caller
    any       ── an earlier REFER was taken after all ─> AWAY
    BRIDGING  ── taken ───────────────────────────────> TAKEN  the caller talks to the target
    any       ── it came to nothing, none is left ────> BACK   the caller is where it was before
    any       ── the caller hung up, or is lost ──────> AWAY
    TAKEN     ── the target hung up ──────────────────> BRIDGING if there is a next, else LEFT

Its order is a list of tries, one after another: a REFER to the caller's own side, callees that are
called, or words that are said to the caller. The policies of a trunk are nothing but such lists.
The verdict falls with the first of AWAY, TAKEN and BACK, and stands.
"""

from dataclasses import dataclass, field
from itertools import dropwhile
from typing import Final, TypeAlias, assert_never

from gateway.calls.call_events import (
    CalleeAsked,
    CalleePressed,
    ReferEnded,
    ReferSucceeded,
    TransferDialEnded,
    TransferSaid,
    TransferUntold,
)
from gateway.calls.control import TransferVerdict
from gateway.calls.endings import Role, final_code
from gateway.calls.failover import another_may_follow
from gateway.calls.transfer_order import (
    After,
    Callee,
    ReferTry,
    RingTry,
    SayTry,
    TransferOrder,
    Try,
)
from gateway.calls.transfer_rules import RULES, STATES, Came, State
from gateway.calls.transfer_verbs import asking, referring, ringing, saying
from gateway.calls.tried import Tried
from gateway.jambonz.messages import DialResult, LegStatus, ReferResult
from gateway.jambonz.verbs import (
    Decline,
    Hangup,
    Pause,
    Verbs,
)

#: The softswitch's cause of a callee that answered, and the caller's side would not change over.
NOT_JOINED: Final = "not-joined"
#: The key by which a callee takes a call.
ACCEPT_KEY: Final = "1"

Event: TypeAlias = (
    ReferEnded
    | ReferSucceeded
    | TransferDialEnded
    | TransferSaid
    | TransferUntold
    | CalleeAsked
    | CalleePressed
)


#: Codes and words where no peer has said any.
_OK: Final = (200, "OK")
_NO_NEWS: Final = (202, "Accepted")
_GONE: Final = (487, "Caller Hung Up")
_LOST: Final = (0, "No News Of The Call")
_UNTOLD: Final = (480, "No News Of The Transfer")
_NOT_JOINED: Final = (488, "Caller Not Moved")
_LATE: Final = (603, "Not Decided In Time")


@dataclass(slots=True)
class Transfer:
    """One transfer of a call. `tried` are the attempts of its call, to which it adds its own."""

    order: TransferOrder
    tried: list[Tried]
    #: when it was asked for, since 1970
    asked: float
    state: State = State.ASKED
    #: how many tries there were
    attempt: int = 0
    #: since 1970
    ended: float | None = None
    verdict: TransferVerdict | None = None
    #: who is handed on, if it is not the leg that the call began with
    person: Tried | None = None
    #: what follows when the one who took the call hangs up
    after: After = "end"
    #: the attempts that it made
    own: list[Tried] = field(default_factory=list)
    #: a callee takes the call, and is being joined
    _accepted: bool = False
    _left: list[Try] = field(default_factory=list)
    _trying: Try | None = None
    #: a REFER that the caller's side took, and of which it told nothing in time
    _untold: ReferTry | None = None
    #: it told of it later, when the verdict was spoken
    _late: bool = False

    def begin(self, at: float) -> Verbs:
        """The verbs that carry it out."""
        self._left = list(self.order.tries)
        return self._next(at)

    def refuse(self, at: float, code: int, reason: str) -> None:
        """It is not to be: nothing is tried."""
        self._came(at, Came.FAILED, code, reason)

    @property
    def running(self) -> bool:
        """Whether something is being tried."""
        return self._trying is not None

    @property
    def away(self) -> bool:
        """Whether the caller's own side has taken the caller, or may have."""
        verdict = self.verdict
        told = verdict is not None and verdict.stage == "refer" and verdict.outcome != "failed"
        return told or self._late

    def step(self, event: Event) -> Verbs:
        """Take in one event; the verbs to give now, if any."""
        at = event.at
        match event:
            case CalleeAsked(number=number):
                return self._confirm(number)
            case CalleePressed(number=number, digits=digits):
                return self._pressed(number, digits)
            case TransferDialEnded(result=result):
                return self._dial_ended(at, result)
            case ReferEnded(result=result):
                return self._referred(at, result)
            case ReferSucceeded():
                return self._succeeded_late(at)
            case TransferSaid():
                return self._said(at)
            case TransferUntold():
                self._left = []
                return self._came(at, Came.FAILED, *_LATE) if self.running else ()
            case _:
                assert_never(event)

    def answered(self, tried: Tried) -> None:
        """A leg was answered: a callee that is not asked anything gets the caller now."""
        callee = self._callee_of(tried)
        if callee is not None and not callee.asked:
            self._accepted = True

    def parted(self, at: float) -> None:
        """The caller talks to nobody else any more: whoever takes the call has it."""
        if self._accepted:
            self._came(at, Came.TAKEN, *_OK)

    def lost(self, at: float) -> None:
        """Nothing more will be heard of the call, which may go on."""
        if self.running:
            self._came(at, Came.LOST, *_LOST)

    def gone(self, at: float) -> None:
        """The caller hung up."""
        if self._accepted:
            self._came(at, Came.TAKEN, *_OK)
        elif isinstance(self._trying, ReferTry):  # nobody said that the REFER was refused
            self._came(at, Came.TOOK_AWAY, *_NO_NEWS)
        elif self.running:
            self._came(at, Came.GONE, *_GONE)

    # -- what each event does -----------------------------------------------------------------

    def _referred(self, at: float, result: ReferResult) -> Verbs:
        if not isinstance(trying := self._trying, ReferTry):
            return ()
        came, code, reason = _of_refer(result, gone=self._is_gone(result.caller))
        self._untold = trying if came is Came.NO_NEWS else None
        verbs = self._came(at, came, code, reason)
        after_s = trying.hang_up_after_s
        if came is not Came.REFERRED or after_s is None:
            return verbs
        return (Pause(after_s), Hangup()) if after_s else (Hangup(),)

    def _succeeded_late(self, at: float) -> Verbs:
        """A REFER that was given up has succeeded: the caller is where its own side brought it,
        whatever is tried meanwhile. A verdict that was spoken stands."""
        untold, self._untold = self._untold, None
        if untold is None or self._accepted or not (self.running or self.state is State.BACK):
            return ()
        self._late = self.verdict is not None
        self._trying, self.state = untold, State.REFERRING
        return self._came(at, Came.REFERRED, *_OK)

    def _dial_ended(self, at: float, result: DialResult) -> Verbs:
        for each in self._ringing:
            each.ended = True
        took = self.state is State.TAKEN or (self.running and result.status == "completed")
        if took and result.cause != NOT_JOINED:
            return self._taker_left(at, result)
        self._accepted = self._accepted and result.cause != NOT_JOINED
        if self._is_gone(result.caller):
            self.gone(at)
        if not isinstance(self._trying, RingTry):
            return ()
        code, reason = final_code(result.status, result.code), result.reason
        if result.cause == NOT_JOINED:
            code, reason = _NOT_JOINED
        return self._came(at, Came.FAILED, code, reason)

    def _taker_left(self, at: float, result: DialResult) -> Verbs:
        """Whoever took the call has hung up, or the caller has."""
        self._came(at, Came.TAKEN, *_OK)  # where no status said so
        if self._is_gone(result.caller):
            self.state = State.AWAY
            return ()
        self._left = [each for each in self._left if isinstance(each, RingTry)]
        if self.after == "next" and self._left:
            return self._next(at)
        self.state = State.LEFT
        return ()

    def _said(self, at: float) -> Verbs:
        if not isinstance(trying := self._trying, SayTry):
            return ()
        verbs = self._came(at, Came.FAILED, trying.code, trying.reason)
        return verbs or (Decline(trying.code, trying.reason),)

    def _confirm(self, number: int) -> Verbs:
        """What a callee hears and is asked before it is joined."""
        callee = self._numbered(number)
        if callee is None:
            return (Hangup(),)
        return asking(callee, number)

    def _pressed(self, number: int, digits: str) -> Verbs:
        callee = self._numbered(number)
        if callee is None or (callee.confirm and digits != ACCEPT_KEY):
            return (Hangup(),)
        self._accepted = True
        return ()

    # -- parts --------------------------------------------------------------------------------

    def _came(self, at: float, came: Came, code: int, reason: str) -> Verbs:
        """What is tried is over: the verbs of the next try, or none and the verdict."""
        rule = RULES[came]
        if came is Came.FAILED and not another_may_follow(Role.CARRIER, "failed", code, False):
            self._left = [*dropwhile(_is_failover, self._left)]  # the callee's own word
        if rule.more and self._left:
            return self._next(at)
        trying, self._trying = self._trying, None
        self._accepted = False
        if came is Came.TAKEN and isinstance(trying, RingTry):
            self.after = trying.after
        if self.verdict is not None:  # the caller has left the target that took it
            self.state = State.LEFT if rule.state is State.BACK else rule.state
            return ()
        self.ended = at
        self.verdict = TransferVerdict(
            outcome=rule.outcome,
            stage=self.state.value,
            target=self.order.target if trying is None else trying.target,
            code=code or None,
            reason=reason,
            attempt=self.attempt,
        )
        self.state = rule.state
        return ()

    def _next(self, at: float) -> Verbs:
        trying = self._trying = self._left.pop(0)
        self._accepted = False
        self.attempt += 1
        match trying:
            case ReferTry():
                self.state = State.REFERRING
                return (referring(trying),)
            case RingTry():
                self.state = State.BRIDGING
                made = [
                    Tried(callee.attempt, at, beside=number > 0)
                    for number, callee in enumerate(trying.callees)
                ]
                self.own += made
                self.tried += made
                return ringing(trying)
            case SayTry():
                self.state = State.SAYING
                return (saying(trying),)
            case _:
                assert_never(trying)

    def _is_gone(self, first: LegStatus) -> bool:
        """Whether who is handed on has hung up; `first` is the leg that the call began with."""
        return first.final if self.person is None else self.person.gone

    @property
    def _ringing(self) -> list[Tried]:
        trying = self._trying
        return self.own[-len(trying.callees) :] if isinstance(trying, RingTry) else []

    def _callee_of(self, tried: Tried) -> Callee | None:
        if not isinstance(self._trying, RingTry):
            return None
        pairs = zip(self._ringing, self._trying.callees, strict=True)
        return next((callee for each, callee in pairs if each is tried), None)

    def _numbered(self, number: int) -> Callee | None:
        callees = self._trying.callees if isinstance(self._trying, RingTry) else ()
        return callees[number] if number < len(callees) else None


def _is_failover(trying: Try) -> bool:
    return isinstance(trying, RingTry) and trying.failover


def resumed(
    order: TransferOrder,
    tried: list[Tried],
    asked: float,
    stage: str,
    ended: float | None,
    verdict: TransferVerdict | None,
) -> Transfer:
    """A transfer that a former run of this program began; one that runs ends as its present try
    ends."""
    own = [each for each in tried if each.attempt.role is Role.TRANSFER]
    attempt = 1 if verdict is None else verdict.attempt
    transfer = Transfer(order, tried, asked, State(stage), attempt, ended, verdict, own=own)
    if verdict is not None:
        transfer.state = STATES[verdict.outcome, verdict.stage == State.BRIDGING.value]
        return transfer
    match transfer.state:
        case State.BRIDGING if own:
            transfer._trying = RingTry(callees=(Callee(attempt=own[-1].attempt),), ring_s=0)
            transfer._accepted = own[-1].code // 100 == 2
        case State.SAYING:
            transfer._trying = SayTry(file="", target=order.target, code=480, reason="")
        case _:
            transfer._trying = ReferTry(target=order.target, refer_to="")
    return transfer


def _of_refer(result: ReferResult, *, gone: bool) -> tuple[Came, int, str]:
    """What came of a REFER, with the code and words for it; `gone`: its peer has hung up."""
    if result.accepted and result.final == 0:
        return (Came.TOOK_AWAY, *_NO_NEWS) if gone else (Came.NO_NEWS, *_UNTOLD)
    code = result.final if result.accepted else result.status
    if result.accepted and 200 <= code <= 299:
        return Came.REFERRED, code, result.reason
    return (Came.GONE, *_GONE) if gone else (Came.FAILED, code, result.reason)
