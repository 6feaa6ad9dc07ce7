"""The circuit of a gateway, pair by pair."""

import itertools

import pytest

from sip.softswitch.trunks.circuit import Circuit, Input, State

MOVES = {
    (State.CLOSED, Input.ENOUGH): State.OPEN,
    (State.OPEN, Input.ALIVE): State.CLOSED,
    (State.OPEN, Input.COOLED): State.HALF_OPEN,
    (State.HALF_OPEN, Input.TAKEN): State.TRYING,
    (State.HALF_OPEN, Input.ALIVE): State.CLOSED,
    (State.HALF_OPEN, Input.DEAD): State.OPEN,
    (State.TRYING, Input.ALIVE): State.CLOSED,
    (State.TRYING, Input.DEAD): State.OPEN,
    (State.TRYING, Input.RETURNED): State.HALF_OPEN,
}


@pytest.mark.parametrize(("state", "given"), list(itertools.product(State, Input)))
def test_every_pair_has_its_outcome(state: State, given: Input) -> None:
    circuit = Circuit(failures=3)
    circuit.state = state
    expected = MOVES.get((state, given), state)
    assert circuit.step(given) is (expected is not state)
    assert circuit.state is expected


def test_failures_count_only_in_a_row() -> None:
    circuit = Circuit(failures=3)
    for given in (Input.DEAD, Input.DEAD, Input.ALIVE, Input.DEAD, Input.DEAD):
        assert circuit.step(given) is False
    assert circuit.step(Input.DEAD) is True
    assert circuit.state is State.OPEN


@pytest.mark.parametrize(
    ("state", "passing"),
    [
        (State.CLOSED, [True, True, True]),
        (State.OPEN, [False, False, False]),
        (State.HALF_OPEN, [True, False, False]),
        (State.TRYING, [False, False, False]),
    ],
)
def test_who_passes(state: State, passing: list[bool]) -> None:
    circuit = Circuit(failures=1)
    circuit.state = state
    assert [circuit.take() for _ in passing] == passing
