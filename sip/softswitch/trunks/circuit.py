"""The circuit of one gateway: calls pass while it is closed, none while it is open.

Pure: whoever runs it brings what happened, and starts the timers that the states speak of.
"""

from enum import Enum, auto
from typing import Final


class CircuitState(Enum):
    """What a circuit lets pass."""

    __hash__ = object.__hash__  # members are singletons

    CLOSED = "closed"
    """everything"""
    OPEN = "open"
    """nothing, until the cool-down is over"""
    HALF_OPEN = "half-open"
    """one try, whose outcome decides"""
    TRYING = "trying"
    """nothing: that try is on its way"""


class CircuitInput(Enum):
    """What can happen to a circuit."""

    __hash__ = object.__hash__  # members are singletons

    ALIVE = auto()
    """the gateway answered"""
    DEAD = auto()
    """it was silent, or said that it is of no use now"""
    ENOUGH = auto()
    """it did not, as many times in a row as open the circuit"""
    COOLED = auto()
    """the cool-down is over"""
    TAKEN = auto()
    """a call took the one try"""
    RETURNED = auto()
    """the outcome of the try says nothing of the gateway, or never came"""


#: An unlisted pair leaves the state as it is.
_NEXT: Final = {
    (CircuitState.CLOSED, CircuitInput.ENOUGH): CircuitState.OPEN,
    # by a call or an OPTIONS that was under way
    (CircuitState.OPEN, CircuitInput.ALIVE): CircuitState.CLOSED,
    (CircuitState.OPEN, CircuitInput.COOLED): CircuitState.HALF_OPEN,
    (CircuitState.HALF_OPEN, CircuitInput.TAKEN): CircuitState.TRYING,
    (CircuitState.HALF_OPEN, CircuitInput.ALIVE): CircuitState.CLOSED,
    (CircuitState.HALF_OPEN, CircuitInput.DEAD): CircuitState.OPEN,
    (CircuitState.TRYING, CircuitInput.ALIVE): CircuitState.CLOSED,
    (CircuitState.TRYING, CircuitInput.DEAD): CircuitState.OPEN,
    (CircuitState.TRYING, CircuitInput.RETURNED): CircuitState.HALF_OPEN,
}


class Circuit:
    """One circuit; it opens at `failures` in a row."""

    __slots__ = ("_failures", "failed", "state")

    def __init__(self, failures: int) -> None:
        self._failures = failures
        self.state = CircuitState.CLOSED
        #: failures since the gateway last answered
        self.failed = 0

    def step(self, given: CircuitInput) -> bool:
        """Take one input; True if the state is another one now."""
        if given is CircuitInput.ALIVE:
            self.failed = 0
        elif given is CircuitInput.DEAD:
            self.failed += 1
            if self.state is CircuitState.CLOSED and self.failed >= self._failures:
                given = CircuitInput.ENOUGH
        before, self.state = self.state, _NEXT.get((self.state, given), self.state)
        return self.state is not before

    def take(self) -> bool:
        """Whether one more call may pass; a half-open circuit gives its one try away by it."""
        if self.state is CircuitState.HALF_OPEN:
            return self.step(CircuitInput.TAKEN)
        return self.state is CircuitState.CLOSED
