"""The digits that a party enters, until they are enough or too long in coming: without a clock."""

from enum import Enum
from typing import Final

from sip.core.value import frozen


@frozen(kw_only=True)
class Wanted:
    """What is to be entered.

    At least `least` digits; `most` end it, and so does the key `finish`, which is no digit then. A
    digit has to come within `first_s` seconds, each after it within `between_s`; None is for ever.
    """

    least: int = 1
    most: int | None = None
    finish: str | None = None
    first_s: float | None = 5.0
    between_s: float | None = 5.0


@frozen
class Collected:
    """What was entered. It is not `complete` where the time was over before it was enough."""

    digits: str
    complete: bool


class State(Enum):
    """How far a party is."""

    __hash__ = object.__hash__  # members are singletons

    PROMPTED = "prompted"
    """it hears what it is to enter; no time runs"""
    EMPTY = "empty"
    SHORT = "short"
    ENOUGH = "enough"
    """more may follow"""
    COMPLETE = "complete"
    TIMED_OUT = "timed out"


class Input(Enum):
    """What happens."""

    __hash__ = object.__hash__

    PROMPT_OVER = "prompt over"
    TOO_FEW = "a digit, and more are needed"
    SUFFICES = "a digit, and no more are needed"
    LAST = "a digit, and no more are taken"
    FINISH = "the key that ends it"
    TIME_OVER = "time over"
    GIVEN_UP = "given up"


_OPEN: Final = (State.PROMPTED, State.EMPTY, State.SHORT, State.ENOUGH)

#: What is not listed changes nothing.
_NEXT: Final = {
    (State.PROMPTED, Input.PROMPT_OVER): State.EMPTY,
    **{(state, Input.TOO_FEW): State.SHORT for state in _OPEN},
    **{(state, Input.SUFFICES): State.ENOUGH for state in _OPEN},
    **{(state, Input.LAST): State.COMPLETE for state in _OPEN},
    **{(state, Input.FINISH): State.COMPLETE for state in _OPEN},
    **{(state, Input.GIVEN_UP): State.TIMED_OUT for state in _OPEN},
    (State.EMPTY, Input.TIME_OVER): State.TIMED_OUT,
    (State.SHORT, Input.TIME_OVER): State.TIMED_OUT,
    (State.ENOUGH, Input.TIME_OVER): State.COMPLETE,
}


class Digits:
    """One party's entering."""

    def __init__(self, wanted: Wanted, *, prompted: bool = False) -> None:
        self._wanted = wanted
        self.state = State.PROMPTED if prompted else State.EMPTY
        self.entered = ""

    def press(self, key: str) -> None:
        """A key came: 0-9, ``*``, ``#``, A-D."""
        if self.over:
            return
        if key == self._wanted.finish:
            self._step(Input.FINISH)
            return
        self.entered += key
        count, most = len(self.entered), self._wanted.most
        if most is not None and count >= most:
            self._step(Input.LAST)
        else:
            self._step(Input.SUFFICES if count >= self._wanted.least else Input.TOO_FEW)

    def prompt_over(self) -> None:
        """The party has heard what it is to enter."""
        self._step(Input.PROMPT_OVER)

    def time_over(self) -> None:
        """No key came for `wait_s` seconds."""
        self._step(Input.TIME_OVER)

    def give_up(self) -> None:
        """No more is wanted."""
        self._step(Input.GIVEN_UP)

    @property
    def wait_s(self) -> float | None:
        """How long the next key may take from now; None is for ever."""
        if self.state is State.EMPTY:
            return self._wanted.first_s
        return self._wanted.between_s if self.state in (State.SHORT, State.ENOUGH) else None

    @property
    def over(self) -> bool:
        """Whether no key is taken any more."""
        return self.state not in _OPEN

    @property
    def collected(self) -> Collected:
        """What was entered so far."""
        return Collected(self.entered, self.state is State.COMPLETE)

    def _step(self, what: Input) -> None:
        self.state = _NEXT.get((self.state, what), self.state)
