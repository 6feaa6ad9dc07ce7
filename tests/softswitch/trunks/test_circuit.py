"""The circuit of a gateway, pair by pair."""

import itertools

import pytest

from sip.softswitch.trunks.circuit import Circuit, CircuitInput, CircuitState

MOVES = {
    (CircuitState.CLOSED, CircuitInput.ENOUGH): CircuitState.OPEN,
    (CircuitState.OPEN, CircuitInput.ALIVE): CircuitState.CLOSED,
    (CircuitState.OPEN, CircuitInput.COOLED): CircuitState.HALF_OPEN,
    (CircuitState.HALF_OPEN, CircuitInput.TAKEN): CircuitState.TRYING,
    (CircuitState.HALF_OPEN, CircuitInput.ALIVE): CircuitState.CLOSED,
    (CircuitState.HALF_OPEN, CircuitInput.DEAD): CircuitState.OPEN,
    (CircuitState.TRYING, CircuitInput.ALIVE): CircuitState.CLOSED,
    (CircuitState.TRYING, CircuitInput.DEAD): CircuitState.OPEN,
    (CircuitState.TRYING, CircuitInput.RETURNED): CircuitState.HALF_OPEN,
}


@pytest.mark.parametrize(("state", "given"), list(itertools.product(CircuitState, CircuitInput)))
def test_every_pair_has_its_outcome(state: CircuitState, given: CircuitInput) -> None:
    circuit = Circuit(failures=3)
    circuit.state = state
    expected = MOVES.get((state, given), state)
    assert circuit.step(given) is (expected is not state)
    assert circuit.state is expected


def test_failures_count_only_in_a_row() -> None:
    circuit = Circuit(failures=3)
    dead, alive = CircuitInput.DEAD, CircuitInput.ALIVE
    for given in (dead, dead, alive, dead, dead):
        assert circuit.step(given) is False
    assert circuit.step(CircuitInput.DEAD) is True
    assert circuit.state is CircuitState.OPEN


@pytest.mark.parametrize(
    ("state", "passing"),
    [
        (CircuitState.CLOSED, [True, True, True]),
        (CircuitState.OPEN, [False, False, False]),
        (CircuitState.HALF_OPEN, [True, False, False]),
        (CircuitState.TRYING, [False, False, False]),
    ],
)
def test_who_passes(state: CircuitState, passing: list[bool]) -> None:
    circuit = Circuit(failures=1)
    circuit.state = state
    assert [circuit.take() for _ in passing] == passing
