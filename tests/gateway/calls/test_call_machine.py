"""The call's state machine: every phase with every event, and what must never happen."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ReferEnded,
    ReferSucceeded,
    Registered,
    RegistrationFailed,
    RoomFound,
    Stopped,
    TransferAsked,
    TransferDialEnded,
    TransferRefused,
    TransferSaid,
    TransferUntold,
    Withdrawn,
)
from gateway.calls.call_machine import CallMachine, Phase
from gateway.calls.endings import NOT_CONFIGURED, Ending, Fault, Role
from gateway.calls.incoming import OVER_TIME
from gateway.calls.opening import DIAL_HOOK
from gateway.calls.past import Past
from gateway.calls.routing import (
    Attempt,
    Dialling,
    Direction,
    Listening,
    PersonFirst,
    Refusing,
    Registration,
)
from gateway.calls.transfer_order import Callee, RingTry, TransferOrder, Try
from gateway.calls.tried import Tried
from gateway.jambonz.messages import AmdHeard, AmdKind, DialResult, LegStatus, ReferResult
from gateway.jambonz.verbs import Config, Decline, Dial, Hangup, PhoneTarget, Verb
from gateway.retell.failures import RetellFailure

A, B = "a-sid", "b-sid"


def attempt(role: Role, trunk: str) -> Attempt:
    target = PhoneTarget("+14155550100", trunk) if trunk else None
    return Attempt(role=role, trunk=trunk, target=target, caller_id=None, timeout_s=30)


def dialling(*attempts: Attempt, register: bool = False) -> Dialling:
    registration = Registration(
        direction="inbound",
        agent="a",
        from_number="1",
        to_number="2",
        variables={},
        workspace="retell",
    )
    return Dialling(
        direction=Direction.INBOUND,
        method="dial" if register else "trunk",
        from_number="1",
        to_number="2",
        attempts=attempts,
        registration=registration if register else None,
    )


def leg(status: str, code: int, *, call_sid: str = B, **more: Any) -> LegStatus:
    return LegStatus(
        call_sid=call_sid,
        parent_call_sid="" if call_sid == A else A,
        sip_call_id=f"{call_sid}@host",
        status=status,
        code=code,
        reason="",
        terminated_by=more.pop("by", ""),
        **more,
    )


def ended(status: str, code: int, *, gone: bool = False, call_sid: str = B) -> DialEnded:
    result = DialResult(
        status=status,
        code=code,
        reason="",
        cause="",
        detail="",
        call_sid=call_sid,
        sip_call_id="",
        caller=leg("no-answer" if gone else "trying", 487 if gone else 100, call_sid=A),
    )
    return DialEnded(at=3.0, result=result)


def order_of_transfer(*tries: Try, **more: Any) -> TransferOrder:
    rest = {"by": "refer", "policy": "bridge", "target": "sales"} | more
    return TransferOrder(transfer_id="t1", tries=tries, **rest)


RING = RingTry(callees=(Callee(attempt=attempt(Role.TRANSFER, "pbx")),), ring_s=20)
ASKED = TransferAsked(at=2.0, order=order_of_transfer(RING))


def referred(status: int, final: int, *, gone: bool = False) -> ReferEnded:
    caller = leg("completed" if gone else "in-progress", 200, call_sid=A)
    return ReferEnded(
        at=3.0, result=ReferResult(status=status, final=final, reason="", caller=caller)
    )


LISTENING = Listening()


def calling(*carriers: str, listening: Listening | None = LISTENING) -> CallMachine:
    """A call that we begin, its person's leg on the way by the first of the carriers."""
    plan = replace(
        dialling(attempt(Role.RETELL, ""), register=True),
        direction=Direction.OUTBOUND,
        person=PersonFirst(
            attempts=tuple(attempt(Role.CARRIER, name) for name in carriers or ("carrier",)),
            listening=listening,
        ),
    )
    machine = CallMachine(plan)
    assert machine.begin(0.0) == ()
    machine.step(PersonPlaced(at=0.0, call_sid=A))
    return machine


def in_phase(phase: Phase) -> CallMachine:
    """A machine brought there by the shortest story."""
    retell = attempt(Role.RETELL, "retell")
    if phase is Phase.NEW:
        return CallMachine(dialling(retell))
    if phase is Phase.REGISTERING:
        machine = CallMachine(dialling(attempt(Role.RETELL, ""), register=True))
        machine.begin(0.0)
    elif phase in (Phase.CALLING, Phase.LISTENING):
        machine = calling()
        if phase is Phase.LISTENING:
            machine.step(PersonAnswered(at=2.0))
    elif phase is Phase.DECLINING:
        machine = CallMachine(
            Refusing(
                direction=Direction.INBOUND,
                from_number="1",
                to_number="2",
                refusal=NOT_CONFIGURED,
            )
        )
        machine.begin(0.0)
    else:
        machine = CallMachine(dialling(retell))
        machine.begin(0.0)
        if phase in (Phase.TALKING, Phase.TRANSFERRING, Phase.OVER):
            machine.step(LegChanged(at=1.0, status=leg("in-progress", 200)))
            machine.step(CallChanged(at=1.0, status=leg("in-progress", 200, call_sid=A)))
        if phase is Phase.TRANSFERRING:
            machine.step(ASKED)
        if phase is Phase.OVER:
            over = leg("completed", 200, call_sid=A, by="caller")
            machine.step(CallChanged(at=2.0, status=over))
    assert machine.phase is phase
    return machine


OVER = CallChanged(at=3.0, status=leg("completed", 200, call_sid=A, by="caller"))
EVENTS: list[Event] = [
    Registered(at=3.0, retell_call_id="call_1", uri="sip:call_1@host"),
    RoomFound(at=3.0),
    RegistrationFailed(at=3.0, failure=RetellFailure.TIMEOUT),
    LegChanged(at=3.0, status=leg("in-progress", 200)),
    ended("busy", 486),
    OVER,
    FaxHeard(at=3.0),
    ASKED,
    TransferRefused(at=3.0, order=order_of_transfer(), code=404, reason="Not Found"),
    TransferUntold(at=3.0),
    referred(202, 200),
    ReferSucceeded(at=3.0),
    TransferDialEnded(at=3.0, result=ended("busy", 486, call_sid="c-sid").result),
    TransferSaid(at=3.0),
    CalleeAsked(at=3.0, number=0),
    CalleePressed(at=3.0, number=0, digits="1"),
    PersonPlaced(at=3.0, call_sid=A),
    PersonNotPlaced(at=3.0, code=503, cause="over-limit", detail=""),
    PersonAnswered(at=3.0),
    PersonHeard(at=3.0, heard=AmdHeard(kind=AmdKind.HUMAN)),
    MessageSaid(at=3.0, whole=True),
    Withdrawn(at=3.0),
    Stopped(at=3.0, refusal=OVER_TIME, said="bye.wav"),
    Failed(at=3.0),
    Lost(at=3.0),
]

C, L, R, D, T, F, X, O = (  # noqa: E741
    Phase.CALLING,
    Phase.LISTENING,
    Phase.REGISTERING,
    Phase.DIALLING,
    Phase.TALKING,
    Phase.TRANSFERRING,
    Phase.DECLINING,
    Phase.OVER,
)

# Where each event leads from each phase, in the order of EVENTS. NEW is left by `begin` alone.
WALK = {
    C: (C, C, C, C, C, O, C, *(C,) * 10, O, L, C, C, C, C, C, O),
    L: (L, L, L, L, L, O, L, *(L,) * 9, L, L, L, R, L, L, X, X, O),
    R: (D, R, X, R, R, O, R, *(R,) * 15, X, X, O),
    D: (D, D, D, T, X, O, D, *(D,) * 15, X, X, O),
    T: (T, T, T, T, T, O, T, F, *(T,) * 15, T, O),
    F: (F, F, F, F, F, O, F, F, F, T, F, F, T, *(F,) * 11, O),
    X: (X, X, X, X, X, O, X, *(X,) * 16, X, O),
    O: (O,) * 25,
}


def test_every_event_is_walked() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    assert set(WALK) | {Phase.NEW} == set(Phase)


@pytest.mark.parametrize("phase", WALK, ids=lambda phase: phase.value)
@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_phase_after_event(phase: Phase, event: Event) -> None:
    machine = in_phase(phase)
    machine.step(event)
    assert machine.phase is WALK[phase][EVENTS.index(event)]


# -- a caller that is a fax machine, of a number that has a target for faxes


def of_a_fax(phase: Phase) -> CallMachine:
    """As `in_phase`, with a target for faxes, a leg that was dialled, and a fallback."""
    machine = in_phase(phase)
    assert isinstance(machine.plan, Dialling)
    fallback, fax = attempt(Role.FALLBACK, "second"), attempt(Role.FAX, "fax-line")
    machine.plan = replace(machine.plan, attempts=(*machine.plan.attempts, fallback), fax=fax)
    if phase is Phase.DIALLING:
        machine.step(LegChanged(at=1.0, status=leg("trying", 100)))
    return machine


def dialled(verbs: tuple[Verb, ...]) -> list[str]:
    """The trunks that are called."""
    targets = [target for verb in verbs if isinstance(verb, Dial) for target in verb.targets]
    return [target.trunk for target in targets if isinstance(target, PhoneTarget)]


HEARD = FaxHeard(at=3.0)
FAX = "fax-sid"


def trunks(machine: CallMachine) -> list[str]:
    return [tried.attempt.trunk for tried in machine.tried]


@pytest.mark.parametrize(
    ("phase", "tried"),
    [(T, ["retell", "fax-line"]), (D, ["retell", "fax-line"]), (R, ["fax-line"])],
)
def test_a_fax_is_sent_to_its_target_once(phase: Phase, tried: list[str]) -> None:
    machine = of_a_fax(phase)
    verbs = machine.step(HEARD)
    assert dialled(verbs) == ["fax-line"]
    assert verbs[-1] == Hangup()
    assert machine.phase is Phase.DIALLING
    assert machine.step(HEARD) == ()
    assert trunks(machine) == tried


def test_an_agent_that_was_not_called_yet_was_not_tried() -> None:
    """The announcement was still being played."""
    machine = of_a_fax(Phase.NEW)
    machine.begin(0.0)
    assert dialled(machine.step(HEARD)) == ["fax-line"]
    assert trunks(machine) == ["fax-line"]


def test_the_agents_leg_that_gave_way_ends_nothing() -> None:
    machine = of_a_fax(Phase.TALKING)
    machine.step(HEARD)
    machine.step(LegChanged(at=3.0, status=leg("completed", 200)))
    assert machine.step(ended("completed", 200)) == ()
    assert machine.phase is Phase.DIALLING
    machine.step(LegChanged(at=4.0, status=leg("in-progress", 200, call_sid=FAX)))
    assert machine.progress[0] is Phase.TALKING
    assert machine.connected is machine.tried[-1]
    assert machine.step(ended("completed", 200, call_sid=FAX)) == ()
    machine.step(CallChanged(at=9.0, status=leg("completed", 200, call_sid=A, by="callee")))
    assert machine.ending == Ending("callee", "hangup", 200, Fault.NOBODY)
    assert [tried.code for tried in machine.tried] == [200, 200]


def test_one_that_rang_still_and_was_cancelled_brings_no_fallback() -> None:
    machine = of_a_fax(Phase.DIALLING)
    machine.step(HEARD)
    machine.step(LegChanged(at=3.0, status=leg("no-answer", 487)))
    assert machine.step(ended("no-answer", 487)) == ()
    assert trunks(machine) == ["retell", "fax-line"]


def test_a_target_that_fails_ends_the_call_with_its_cause() -> None:
    machine = of_a_fax(Phase.TALKING)
    machine.step(HEARD)
    machine.step(ended("completed", 200))
    machine.step(LegChanged(at=4.0, status=leg("busy", 486, call_sid=FAX)))
    assert machine.step(ended("busy", 486, call_sid=FAX)) == (Hangup(),)
    machine.step(CallChanged(at=5.0, status=leg("completed", 200, call_sid=A, by="jambonz")))
    assert machine.ending == Ending("callee", "busy", 200, Fault.CALLEE)


def test_a_target_that_fails_before_the_answer_is_what_the_caller_is_told() -> None:
    machine = of_a_fax(Phase.DIALLING)
    machine.step(HEARD)
    machine.step(LegChanged(at=4.0, status=leg("failed", 503, call_sid=FAX)))
    (verb,) = machine.step(ended("failed", 503, call_sid=FAX))
    assert verb == Decline(503)


@pytest.mark.parametrize(("code", "phase"), [(0, D), (200, T)])
def test_a_restart_while_the_target_is_called_or_talks(code: int, phase: Phase) -> None:
    """The caller was answered long before; whether the fax was, its own code says."""
    machine = of_a_fax(Phase.NEW)
    machine.resume(5.0)
    agent = Tried(attempt(Role.RETELL, "retell"), 1.0, code=200)
    fax = Tried(attempt(Role.FAX, "fax-line"), 4.0, code=code)
    machine.restore(Past(tried=[agent, fax], answered=2.0, retell_call_id=None, uri=None))
    assert machine.phase is phase
    assert machine.step(HEARD) == ()


@pytest.mark.parametrize("register", [False, True])
def test_the_tone_is_asked_for_once_and_before_anybody_is_called(register: bool) -> None:
    plain = dialling(attempt(Role.RETELL, "" if register else "retell"), register=register)
    for fax in (None, attempt(Role.FAX, "fax-line")):
        machine = CallMachine(replace(plain, fax=fax))
        verbs = machine.begin(0.0)
        if register:
            verbs += machine.step(EVENTS[0])
        asked = [verb.fax_hook for verb in verbs if isinstance(verb, Config)]
        if fax is not None:
            assert asked == ["/fax-heard"]
            assert isinstance(verbs[0], Config)
        else:
            assert asked == ([None] if register else [])


def test_event_after_the_end_changes_nothing() -> None:
    for event in EVENTS:
        machine = in_phase(Phase.OVER)
        ending, tried = machine.ending, list(machine.tried)
        assert machine.step(event) == ()
        assert (machine.ending, machine.tried) == (ending, tried)


def test_first_ack_is_never_empty() -> None:
    for phase in (Phase.NEW, Phase.REGISTERING, Phase.DECLINING):
        machine = CallMachine(in_phase(phase).plan)
        assert machine.begin(0.0) != ()


def test_late_registration_finds_nobody_to_dial() -> None:
    machine = in_phase(Phase.REGISTERING)
    gone = leg("no-answer", 487, call_sid=A, by="caller")
    machine.step(CallChanged(at=1.0, status=gone))
    assert machine.step(EVENTS[0]) == ()
    assert machine.retell_call_id is None


def test_leg_that_answers_after_we_gave_it_up_is_a_conversation() -> None:
    """The hook said no answer, the 200 crossed it: the caller is connected all the same."""
    machine = in_phase(Phase.DIALLING)
    verbs = machine.step(ended("no-answer", 487))
    assert [type(verb) for verb in verbs] == [Decline]
    machine.step(CallChanged(at=4.0, status=leg("in-progress", 200, call_sid=A)))
    over = leg("completed", 200, call_sid=A, by="caller")
    machine.step(CallChanged(at=5.0, status=over))
    assert machine.ending is not None
    assert (machine.ending.cause, machine.ending.sip_status) == ("hangup", 200)


def events() -> st.SearchStrategy[Event]:
    words = st.sampled_from(
        ["trying", "ringing", "early-media", "in-progress", "completed", "busy", "failed", "odd"]
    )
    codes = st.sampled_from([0, 100, 180, 183, 200, 302, 401, 408, 486, 487, 500, 503, 603, 700])
    sids = st.sampled_from([B, "b2", "b3", ""])
    changed = st.builds(lambda w, c, s: leg(w, c, call_sid=s), words, codes, sids)
    return st.one_of(
        st.sampled_from(EVENTS[:3] + EVENTS[6:15]),
        st.builds(lambda status: LegChanged(at=1.0, status=status), changed),
        st.builds(
            lambda w, c, g, s: ended(w, c, gone=g, call_sid=s), words, codes, st.booleans(), sids
        ),
        st.builds(
            lambda w, c: CallChanged(at=1.0, status=leg(w, c, call_sid=A)),
            st.sampled_from(["trying", "ringing", "in-progress"]),
            codes,
        ),
    )


@given(
    st.lists(events(), max_size=30),
    st.sampled_from([Role.RETELL, Role.CARRIER]),
    st.integers(0, 2),
    st.booleans(),
)
def test_whatever_comes(story: list[Event], role: Role, more: int, register: bool) -> None:
    """No attempt is made twice, no verb is illegal, one ending: whatever the peer says."""
    follow = Role.FALLBACK if role is Role.RETELL else role
    first = attempt(role, "" if register else "t0")
    plan = dialling(first, *(attempt(follow, f"t{n + 1}") for n in range(more)), register=register)
    machine = CallMachine(plan)
    given_verbs: list[Verb] = list(machine.begin(0.0))
    for event in story:
        given_verbs += machine.step(event)
    dials = [verb for verb in given_verbs if isinstance(verb, Dial)]
    dials = [dial for dial in dials if dial.action_hook == DIAL_HOOK]
    declines = [verb for verb in given_verbs if isinstance(verb, Decline)]
    assert len(dials) <= len(plan.attempts)
    assert len(declines) <= 1
    ours = [each for each in machine.tried if each.attempt.role is not Role.TRANSFER]
    assert len(ours) <= len(plan.attempts)
    assert sum(isinstance(verb, Config) for verb in given_verbs) == register
    assert machine.phase is not Phase.OVER
    machine.step(OVER)
    assert machine.ending is not None


@pytest.mark.parametrize(
    ("code", "why", "cause", "fault", "retry_after_s"),
    [
        (488, "media", "bad-sdp", "caller", None),
        (503, "media", "media", "gateway", 5),
        (503, "no-ports", "no-ports", "operator", 5),
    ],
)
def test_media_that_fails_before_anybody_is_asked_is_nobody_elses_fault(
    code: int, why: str, cause: str, fault: str, retry_after_s: int | None
) -> None:
    """No fallback follows: its media would fail the same way."""
    plan = dialling(attempt(Role.RETELL, "retell"), attempt(Role.FALLBACK, "pbx"))
    machine = CallMachine(plan)
    machine.begin(0.0)
    told = ended("failed", code)
    result = replace(told.result, cause=why, reason="No Media")
    declined = Decline(code, "No Media", retry_after_s)
    assert machine.step(replace(told, result=result)) == (declined,)
    machine.step(CallChanged(at=4.0, status=leg("failed", code, call_sid=A)))
    assert machine.ending is not None
    assert (machine.ending.cause, machine.ending.fault) == (cause, fault)


def test_a_call_that_is_lost_in_a_transfer_leaves_one_verdict() -> None:
    """Whoever waits for it hears of it."""
    machine = in_phase(Phase.TRANSFERRING)
    machine.step(Lost(at=9.0))
    [one] = machine.transfers
    assert machine.phase is Phase.OVER
    assert one.verdict is not None
    assert (one.verdict.outcome, one.verdict.code) == ("unknown", None)
