"""RFC 3261 17, RFC 6026: the four machines, walked pair by pair."""

import itertools

import pytest

from sip.core.timers import Timer, Timers
from sip.core.transaction import LINGERING, TABLES, Action, Input, Kind, Machine, State

EVENTS: list[Input | Timer] = [*Input, *Timer]


def machine(kind: Kind, *, reliable: bool = False) -> Machine:
    return Machine(kind, reliable, Timers())


def actions(result: tuple[Action | Timer, ...]) -> list[Action]:
    return [action for action in result if isinstance(action, Action)]


@pytest.mark.parametrize(("kind", "state", "event"), list(itertools.product(Kind, State, EVENTS)))
def test_a_pair_that_is_not_listed_changes_nothing_and_does_nothing(
    kind: Kind, state: State, event: Input | Timer
) -> None:
    if (state, event) in TABLES[kind]:
        following, _ = TABLES[kind][state, event]
        assert state is not State.TERMINATED
        assert following in State
        return
    subject = machine(kind)
    subject.state = state
    assert subject.step(event) == ()
    assert subject.state is state


def test_every_state_but_the_last_can_be_left() -> None:
    """No transaction lives for ever: from each state a timer or a message leads on."""
    for kind, table in TABLES.items():
        states = {state for state, _ in table}
        for state in states:
            assert any(
                following is not state for (s, _), (following, _) in table.items() if s is state
            ), (
                kind,
                state,
            )


def test_nothing_stops_a_timer_at_whose_end_a_transaction_is_forgotten() -> None:
    """They are started, and then only waited for: by nothing but their end is their state left."""
    started = set()
    for kind, table in TABLES.items():
        for entered, wanted in table.values():
            for timer in LINGERING.intersection(wanted):
                started.add(timer)
                left = {event for (s, event), (to, _) in table.items() if s is entered is not to}
                assert left == {timer}, (kind, entered)
                assert table[entered, timer] == (State.TERMINATED, ())
    assert started == LINGERING


def test_timer_a_doubles_without_bound_until_timer_b() -> None:
    """17.1.1.2: 0.5, 1, 2, 4, 8, 16, 32 s; timer B at 64*T1."""
    invite = machine(Kind.INVITE_CLIENT)
    invite.step(Input.START)
    waits = []
    for _ in range(7):
        waits.append(invite.start_s(Timer.A))
        invite.step(Timer.A)
    assert waits == [0.5, 1, 2, 4, 8, 16, 32]
    assert invite.start_s(Timer.B) == 32
    assert actions(invite.step(Timer.B)) == [Action.TIMEOUT]
    assert invite.state is State.TERMINATED


def test_timer_e_doubles_up_to_t2_and_stays_there_after_a_provisional() -> None:
    """17.1.2.2: 0.5, 1, 2, 4, 4 s; T2 at once in Proceeding."""
    request = machine(Kind.CLIENT)
    request.step(Input.START)
    waits = []
    for _ in range(5):
        waits.append(request.start_s(Timer.E))
        request.step(Timer.E)
    assert waits == [0.5, 1, 2, 4, 4]
    early = machine(Kind.CLIENT)
    early.step(Input.START)
    early.step(Input.PROVISIONAL)
    assert early.start_s(Timer.E) == 4
    assert early.outlives(Timer.F)


def test_nothing_is_resent_over_a_reliable_transport() -> None:
    for kind, timer in ((Kind.INVITE_CLIENT, Timer.A), (Kind.CLIENT, Timer.E)):
        assert machine(kind, reliable=True).start_s(timer) is None
    assert machine(Kind.INVITE_SERVER, reliable=True).start_s(Timer.G) is None
    for timer in (Timer.D, Timer.I, Timer.J, Timer.K):
        assert Timers().delay_s(timer, reliable=True) == 0


def test_a_failure_is_acknowledged_each_time_it_comes() -> None:
    """17.1.1.2: in Completed every retransmitted failure gets the ACK again, and nobody else."""
    invite = machine(Kind.INVITE_CLIENT)
    invite.step(Input.START)
    assert actions(invite.step(Input.FAILURE)) == [Action.ACK, Action.PASS]
    assert actions(invite.step(Input.FAILURE)) == [Action.ACK]
    assert invite.start_s(Timer.D) == 32


def test_every_2xx_is_passed_up_until_timer_m() -> None:
    """RFC 6026 7.2: forks and retransmissions are the user's to acknowledge."""
    invite = machine(Kind.INVITE_CLIENT)
    invite.step(Input.START)
    assert actions(invite.step(Input.SUCCESS)) == [Action.PASS]
    assert actions(invite.step(Input.SUCCESS)) == [Action.PASS]
    assert actions(invite.step(Input.FAILURE)) == []
    invite.step(Timer.M)
    assert invite.state is State.TERMINATED


def test_our_failure_is_repeated_until_its_ack() -> None:
    """17.2.1: G at 0.5, 1, 2, 4, 4 s; H gives up; the ACK silences both."""
    call = machine(Kind.INVITE_SERVER)
    assert call.step(Input.FAILURE) == (Action.SEND, Timer.G, Timer.H)
    assert [call.start_s(Timer.G) for _ in range(5)] == [0.5, 1, 2, 4, 4]
    assert actions(call.step(Timer.G)) == [Action.SEND]
    states = [call.state for event in (Input.ACK, Timer.G, Timer.I) if call.step(event) is not None]
    assert states == [State.CONFIRMED, State.CONFIRMED, State.TERMINATED]


def test_a_repeated_invite_after_our_2xx_is_absorbed() -> None:
    """RFC 6026 7.1."""
    call = machine(Kind.INVITE_SERVER)
    call.step(Input.SUCCESS)
    assert call.step(Input.REQUEST) == ()
    assert actions(call.step(Input.ACK)) == [Action.PASS]


def test_a_repeated_request_gets_the_same_answer() -> None:
    """17.2.2."""
    bye = machine(Kind.SERVER)
    assert bye.step(Input.REQUEST) == ()
    bye.step(Input.SUCCESS)
    assert actions(bye.step(Input.REQUEST)) == [Action.SEND]
    bye.step(Timer.J)
    assert bye.state is State.TERMINATED
