"""Room for the calls that come: their trunk's first, then that of all; and for those we place.

A trunk is refused for itself before it takes from the others, so that one that goes mad, or
somebody who forges its address, leaves them the rest. What it may do alone it may do: only channels
are kept free for others; a call a second or two more, when they come, is no harm.
"""

from collections import Counter
from math import ceil
from typing import Final

from config.settings import LimitSettings
from sip.errors import Fault, SipError
from sip.softswitch.trunks.limits import Slot, TrunkFullError, TrunkLimits, Window
from sip.softswitch.trunks.trunk import Trunk


class FullError(SipError):
    """There is no room for a call. `limit` is the configuration's key that says so."""

    fault = Fault.OPERATOR

    def __init__(self, limit: str, reason: str) -> None:
        super().__init__(reason)
        self.limit = limit


#: Who brings the calls that we place: no trunk, and none has this name.
_OURS: Final = ""


class Place:
    """A call's room. Give it back when the call is over; twice does no harm."""

    __slots__ = ("_intake", "_slot", "_trunk")

    def __init__(self, intake: "Intake", trunk: str, slot: Slot) -> None:
        self._intake: Intake | None = intake
        self._trunk = trunk
        self._slot = slot

    def give_back(self) -> None:
        self._slot.give_back()
        if self._intake is not None:
            self._intake.leave(self._trunk)
            self._intake = None


class Intake:
    """Counts the calls, by the trunk that brings them and in all, and those of the last second."""

    def __init__(self, limits: LimitSettings, trunks: TrunkLimits) -> None:
        """`trunks` counts the calls of trunks both ways, ours with those that come."""
        self._trunks = trunks
        self._calls: Counter[str] = Counter()
        self.configure(limits)

    def configure(self, limits: LimitSettings) -> None:
        """Other limits, of this and of the trunks, count from now on; who is in stays in."""
        self._limits = limits
        self._all = Window(limits.calls_per_second)
        self._accepted: dict[str, Window] = {}
        self._assured: dict[str, Window] = {}
        #: channels that one trunk's calls may take
        self._share = ceil(limits.calls * limits.trunk_share)
        #: calls a second that a trunk may bring whatever the others do
        rest = limits.calls_per_second - ceil(limits.calls_per_second * limits.trunk_share)
        self._part = max(1, rest) if limits.trunk_share < 1 else 0

    @property
    def calls(self) -> int:
        """Calls that came or were placed, and are not over."""
        return self._calls.total()

    def take(self, trunk: Trunk, now: float) -> Place:
        """Room for a call that `trunk` brings at the time `now`. Raises FullError."""
        name, limits = trunk.name, self._limits
        own = self._window(self._accepted, name, trunk.accept_per_second)
        assured = self._window(self._assured, name, self._part)
        if own is not None and own.full(now):
            text = f"Trunk {name} Brings {trunk.accept_per_second} New Calls A Second Already"
            raise FullError("trunks[].accept_per_second", text)
        if self.calls >= limits.calls:
            raise FullError("limits.calls", f"limits.calls: {limits.calls} are up")
        if self._calls[name] >= self._share:
            text = f"limits.trunk_share: {name} has its part of limits.calls"
            raise FullError("limits.trunk_share", text)
        if self._all.full(now) and (assured is None or assured.full(now)):
            text = f"limits.calls_per_second: {limits.calls_per_second} came within a second"
            raise FullError("limits.calls_per_second", text)
        try:
            slot = self._trunks.receive(trunk)
        except TrunkFullError as error:
            raise FullError("trunks[].max_calls", str(error)) from None
        for window in (own, assured, self._all):
            if window is not None:
                window.add(now)
        self._calls[name] += 1
        return Place(self, name, slot)

    def place(self, trunk: Trunk, now: float) -> Place:
        """Room for a call that we place by `trunk` at the time `now`. Raises FullError.

        How many a second is the trunk's to say, and of whoever has them placed.
        """
        if self.calls >= self._limits.calls:
            raise FullError("limits.calls", f"limits.calls: {self._limits.calls} are up")
        try:
            slot = self._trunks.place(trunk, now)
        except TrunkFullError as error:
            raise FullError("trunks[].max_calls", str(error)) from None
        self._calls[_OURS] += 1
        return Place(self, _OURS, slot)

    def leave(self, trunk: str) -> None:
        """A call that `trunk` brought is over."""
        self._calls[trunk] -= 1

    @staticmethod
    def _window(windows: dict[str, Window], trunk: str, limit: int | None) -> Window | None:
        """That of `trunk`; None where it has no limit of this kind."""
        if not limit:
            return None
        window = windows.get(trunk)
        if window is None:
            window = windows[trunk] = Window(limit)
        return window
