"""How many calls a trunk carries at a time, and how fast we place new ones on it."""

from collections import deque
from types import TracebackType
from typing import Final, Self

from sip.errors import Fault, SipError
from sip.softswitch.shared import MemorySlots, Slots
from sip.softswitch.trunks.trunk import Trunk

#: When to try again after a 503, in seconds (RFC 3261 21.5.4).
RETRY_AFTER_S: Final = 5


class TrunkFullError(SipError):
    """A trunk takes no further call now; the text is fit for a reason phrase."""

    fault = Fault.OPERATOR


class Slot:
    """One call's room on a trunk. Give it back when the call is over; twice does no harm."""

    __slots__ = ("_name", "_slots")

    def __init__(self, slots: Slots, name: str) -> None:
        self._slots = slots
        self._name: str | None = name
        slots.take(name)

    def give_back(self) -> None:
        if self._name is not None:
            self._slots.give_back(self._name)
            self._name = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_back()


class Window:
    """So many in any second."""

    __slots__ = ("_limit", "_recent")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._recent: deque[float] = deque()

    def full(self, now: float) -> bool:
        """Whether the second before `now` had its fill."""
        recent = self._recent
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        return len(recent) >= self._limit

    def add(self, now: float) -> None:
        """One more."""
        self._recent.append(now)


class TrunkLimits:
    """Counts the calls of every trunk: `max_calls` both ways, `calls_per_second` as we place."""

    def __init__(self, slots: Slots | None = None) -> None:
        self._slots: Slots = slots if slots is not None else MemorySlots()
        self._placed: dict[str, Window] = {}

    def calls(self, trunk: str) -> int:
        """How many calls it carries now."""
        return self._slots.taken(trunk)

    def receive(self, trunk: Trunk) -> Slot:
        """Room for a call that comes from `trunk`. Raises TrunkFullError."""
        if trunk.max_calls is not None and self._slots.taken(trunk.name) >= trunk.max_calls:
            raise TrunkFullError(f"Trunk {trunk.name} Carries {trunk.max_calls} Calls Already")
        return Slot(self._slots, trunk.name)

    def place(self, trunk: Trunk, now: float) -> Slot:
        """Room for a call that goes to `trunk` at the time `now`. Raises TrunkFullError."""
        limit = trunk.calls_per_second
        if limit is None:
            return self.receive(trunk)
        placed = self._placed.get(trunk.name)
        if placed is None:
            placed = self._placed[trunk.name] = Window(limit)
        if placed.full(now):
            raise TrunkFullError(f"Trunk {trunk.name} Takes {limit} New Calls A Second")
        slot = self.receive(trunk)
        placed.add(now)
        return slot
