"""One transfer, as a table: what each try may come to, and where that leads."""

from itertools import pairwise

import pytest

from gateway.calls.call_events import (
    CalleeAsked,
    CalleePressed,
    ReferEnded,
    ReferSucceeded,
    TransferDialEnded,
    TransferSaid,
    TransferUntold,
)
from gateway.calls.endings import Role
from gateway.calls.routing import Attempt
from gateway.calls.transfer import Event, Transfer
from gateway.calls.transfer_order import (
    Callee,
    ReferTry,
    RingTry,
    SayTry,
    TransferOrder,
    Try,
)
from gateway.calls.transfer_rules import RULES, Came, State
from gateway.calls.tried import Tried
from gateway.jambonz.messages import DialResult, LegStatus, ReferResult
from gateway.jambonz.verbs import Decline, Dial, Gather, Hangup, PhoneTarget, Play, SipRefer


def leg(status: str, code: int = 200) -> LegStatus:
    return LegStatus(
        call_sid="a",
        parent_call_sid="",
        sip_call_id="a@host",
        status=status,
        code=code,
        reason="",
        terminated_by="",
    )


UP, GONE = leg("in-progress"), leg("completed")


def callee(number: str = "201", **more: object) -> Callee:
    attempt = Attempt(
        role=Role.TRANSFER,
        trunk="pbx",
        target=PhoneTarget(number, "pbx"),
        caller_id=None,
        timeout_s=20,
    )
    return Callee(attempt=attempt, **more)  # type: ignore[arg-type]


REFER = ReferTry(target="+14155550177", refer_to="tel:+14155550177")
RING = RingTry(callees=(callee("201"),), ring_s=20)
NEXT = RingTry(callees=(callee("202"),), ring_s=20)
OVER = RingTry(callees=(callee("202"),), ring_s=20, failover=True)
SAY = SayTry(file="closed.wav", target="Night", code=480, reason="Temporarily Unavailable")


def begun(*tries: Try) -> Transfer:
    order = TransferOrder(transfer_id="t", by="refer", policy="auto", target="sales", tries=tries)
    transfer = Transfer(order, [], 1.0)
    transfer.begin(1.0)
    return transfer


def outcome(transfer: Transfer) -> str | None:
    return None if transfer.verdict is None else transfer.verdict.outcome


def referred(status: int, final: int = 0, caller: LegStatus = UP) -> ReferEnded:
    result = ReferResult(status=status, final=final, reason="", caller=caller)
    return ReferEnded(at=2.0, result=result)


def dialled(status: str, code: int, caller: LegStatus = UP, cause: str = "") -> TransferDialEnded:
    result = DialResult(
        status=status,
        code=code,
        reason="",
        cause=cause,
        detail="",
        call_sid="b",
        sip_call_id="",
        caller=caller,
    )
    return TransferDialEnded(at=2.0, result=result)


#: What is tried, what is told of it; then with nothing left the state, the outcome and the code,
#: and whether another try would have followed.
ENDS: list[tuple[Try, Event, State, str, int, bool]] = [
    (REFER, referred(202, 200), State.AWAY, "transferred", 200, False),
    (REFER, referred(202, 200, GONE), State.AWAY, "transferred", 200, False),
    (REFER, referred(202, 486), State.BACK, "failed", 486, True),
    (REFER, referred(202, 486, GONE), State.AWAY, "failed", 487, False),
    (REFER, referred(202), State.BACK, "failed", 480, True),
    (REFER, referred(202, 0, GONE), State.AWAY, "unknown", 202, False),
    (REFER, referred(403), State.BACK, "failed", 403, True),
    (REFER, referred(405), State.BACK, "failed", 405, True),
    (REFER, referred(603), State.BACK, "failed", 603, True),
    (REFER, referred(603, 0, GONE), State.AWAY, "failed", 487, False),
    (RING, dialled("busy", 486), State.BACK, "failed", 486, True),
    (RING, dialled("no-answer", 487), State.BACK, "failed", 487, True),
    (RING, dialled("failed", 603), State.BACK, "failed", 603, True),
    (RING, dialled("failed", 503), State.BACK, "failed", 503, True),
    (RING, dialled("no-answer", 487, GONE), State.AWAY, "failed", 487, False),
    (RING, dialled("completed", 200, cause="not-joined"), State.BACK, "failed", 488, True),
    # it was answered and is over, and no status had said so
    (RING, dialled("completed", 200), State.LEFT, "transferred", 200, False),
    (RING, dialled("completed", 200, GONE), State.AWAY, "transferred", 200, False),
    (SAY, TransferSaid(at=2.0), State.BACK, "failed", 480, True),
]


@pytest.mark.parametrize(("trying", "event", "state", "outcome", "code", "more"), ENDS)
def test_what_a_try_comes_to(
    trying: Try, event: Event, state: State, outcome: str, code: int, more: bool
) -> None:
    alone = begun(trying)
    alone.step(event)
    assert alone.state is state
    assert alone.verdict is not None
    assert (alone.verdict.outcome, alone.verdict.code) == (outcome, code)
    assert (alone.verdict.attempt, alone.ended) == (1, 2.0)
    first_of_two = begun(trying, NEXT)
    verbs = first_of_two.step(event)
    assert any(isinstance(verb, Dial) for verb in verbs) is more
    assert (first_of_two.verdict is None) is more


def test_every_rule_is_in_the_table_or_has_a_test() -> None:
    ended = {(state, outcome) for _, _, state, outcome, _, _ in ENDS}
    told = {came: (rule.state, rule.outcome) for came, rule in RULES.items()}
    del told[Came.TAKEN]  # `test_who_answers_has_the_caller`
    assert set(told.values()) <= ended


@pytest.mark.parametrize(
    ("trying", "own"),
    [(REFER, ReferEnded), (RING, TransferDialEnded), (SAY, TransferSaid)],
)
def test_what_belongs_to_another_try_changes_nothing(trying: Try, own: type[Event]) -> None:
    others: list[Event] = [referred(603), dialled("busy", 486), TransferSaid(at=2.0)]
    transfer = begun(trying)
    state = transfer.state
    for event in others:
        if not isinstance(event, own):
            assert transfer.step(event) == ()
    assert transfer.state is state
    assert transfer.verdict is None


@pytest.mark.parametrize("trying", [REFER, RING, SAY])
def test_there_is_one_verdict_whatever_comes_after_it(trying: Try) -> None:
    transfer = begun(trying)
    transfer.step(TransferUntold(at=2.0))
    verdict = transfer.verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.code) == ("failed", 603)
    for event in (referred(202, 200), dialled("completed", 200), TransferSaid(at=3.0)):
        transfer.step(event)
    transfer.gone(4.0)
    assert transfer.verdict is verdict


def test_a_refer_that_succeeds_late_ends_what_is_tried_meanwhile() -> None:
    transfer = begun(REFER, RING, NEXT)
    transfer.step(referred(202))
    assert transfer.running
    assert transfer.step(ReferSucceeded(at=3.0)) == ()
    assert transfer.state is State.AWAY
    verdict = transfer.verdict
    assert verdict is not None
    assert (verdict.outcome, verdict.stage, verdict.code) == ("transferred", "refer", 200)
    assert verdict.target == REFER.target
    assert transfer.step(dialled("no-answer", 487, GONE)) == ()
    assert transfer.verdict is verdict


def test_a_refer_that_succeeds_after_the_verdict_changes_where_the_caller_is() -> None:
    transfer = begun(REFER)
    transfer.step(referred(202))
    verdict = transfer.verdict
    transfer.step(ReferSucceeded(at=3.0))
    assert (transfer.verdict, transfer.state, transfer.away) == (verdict, State.AWAY, True)


@pytest.mark.parametrize(
    "before",
    [
        [],  # it is told of before its action hook
        [referred(403)],
        [referred(202, 486)],
        [referred(202), dialled("completed", 200)],  # another has the caller, or had
    ],
)
def test_a_refer_that_was_not_given_up_succeeds_in_time_or_never(before: list[Event]) -> None:
    transfer = begun(REFER, RING)
    for event in before:
        transfer.step(event)
    state, verdict = transfer.state, transfer.verdict
    transfer.step(ReferSucceeded(at=3.0))
    assert (transfer.state, transfer.verdict, transfer.away) == (state, verdict, False)


def test_who_answers_has_the_caller() -> None:
    transfer = begun(RING)
    transfer.answered(transfer.tried[0])
    assert outcome(transfer) is None, "the agent's leg stays until the two are joined"
    transfer.parted(3.0)
    assert transfer.state is State.TAKEN
    assert outcome(transfer) == "transferred"


def test_who_answers_as_the_caller_hangs_up_has_nobody() -> None:
    transfer = begun(RING)
    transfer.answered(transfer.tried[0])
    transfer.step(dialled("completed", 200, GONE, cause="not-joined"))
    assert (outcome(transfer), transfer.state) == ("failed", State.AWAY)


def test_a_leg_of_nobodys_has_no_caller() -> None:
    transfer = begun(RING)
    transfer.answered(Tried(callee().attempt, 1.0))
    transfer.parted(3.0)
    assert transfer.verdict is None


@pytest.mark.parametrize(
    ("code", "then"),
    [(503, "202"), (408, "202"), (486, "203"), (404, "203"), (603, "203")],
)
def test_the_same_number_by_another_trunk_only_where_the_trunk_failed(code: int, then: str) -> None:
    after = RingTry(callees=(callee("203"),), ring_s=20)
    [dial] = begun(RING, OVER, after).step(dialled("failed", code))
    assert isinstance(dial, Dial)
    [target] = dial.targets
    assert isinstance(target, PhoneTarget)
    assert target.number == then


def test_everything_is_tried_in_order_and_each_once() -> None:
    transfer = begun(REFER, RING, NEXT, SAY)
    verbs = [transfer.step(referred(603)), transfer.step(dialled("busy", 486))]
    verbs.append(transfer.step(dialled("failed", 480)))
    kinds = [type(verb) for given in verbs for verb in given]
    assert kinds == [Dial, Dial, Play]
    assert transfer.step(TransferSaid(at=2.0)) == (Decline(480, "Temporarily Unavailable"),)
    assert transfer.verdict is not None
    assert transfer.verdict.attempt == 4
    starts = [each.started for each in transfer.tried]
    assert all(first <= second for first, second in pairwise(starts))


def test_the_first_verb_is_a_refer() -> None:
    order = TransferOrder(transfer_id="t", by="x", policy="refer", target="s", tries=(REFER,))
    [refer] = Transfer(order, [], 1.0).begin(1.0)
    assert isinstance(refer, SipRefer)
    assert refer.refer_to == "tel:+14155550177"


@pytest.mark.parametrize(
    ("asked", "verbs"),
    [
        ({}, ()),
        ({"whisper": "w.wav"}, (Play("w.wav", action_hook="/transfer-accept/0"),)),
        (
            {"confirm": True},
            (Gather(action_hook="/transfer-accept/0", digits=1, timeout_s=10.0),),
        ),
    ],
)
def test_what_a_callee_is_asked(asked: dict[str, object], verbs: tuple[object, ...]) -> None:
    transfer = begun(RingTry(callees=(callee(**asked),), ring_s=20))  # type: ignore[arg-type]
    assert transfer.step(CalleeAsked(at=2.0, number=0)) == verbs
    assert transfer.step(CalleeAsked(at=2.0, number=1)) == (Hangup(),)


def test_only_who_presses_1_gets_the_caller() -> None:
    transfer = begun(RingTry(callees=(callee(), callee("202", confirm=True)), ring_s=20))
    assert transfer.step(CalleePressed(at=2.0, number=1, digits="2")) == (Hangup(),)
    transfer.parted(2.0)
    assert outcome(transfer) is None
    assert transfer.step(CalleePressed(at=2.0, number=1, digits="1")) == ()
    transfer.parted(2.0)
    assert transfer.state is State.TAKEN
    # whom another was faster than
    assert transfer.step(CalleePressed(at=2.0, number=1, digits="1")) == (Hangup(),)
