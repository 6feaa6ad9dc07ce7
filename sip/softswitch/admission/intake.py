"""Room for the calls that come: their trunk's first, then that of all.

A trunk is refused for itself before it takes from the others, so that one that goes mad, or
somebody who forges its address, leaves them the rest.
"""

from collections import Counter
from math import ceil

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
    """Counts the calls that came, by trunk and in all, and those of the last second."""

    def __init__(self, limits: LimitSettings, trunks: TrunkLimits) -> None:
        """`trunks` counts the calls of trunks both ways, ours with those that come."""
        self._trunks = trunks
        self._calls: Counter[str] = Counter()
        self.configure(limits)

    def configure(self, limits: LimitSettings) -> None:
        """Other limits, of this and of the trunks, count from now on; who is in stays in."""
        self._limits = limits
        self._all = Window(limits.calls_per_second)
        self._of: dict[str, Window] = {}
        #: what one trunk may have of the two limits
        self._share_of_calls = ceil(limits.calls * limits.trunk_share)
        self._share_of_rate = ceil(limits.calls_per_second * limits.trunk_share)

    @property
    def calls(self) -> int:
        """Calls that came and are not over."""
        return self._calls.total()

    def take(self, trunk: Trunk, now: float) -> Place:
        """Room for a call that `trunk` brings at the time `now`. Raises FullError."""
        name, limits = trunk.name, self._limits
        recent = self._of.get(name)
        if recent is None:
            recent = self._of[name] = Window(trunk.accept_per_second or self._share_of_rate)
        if recent.full(now):
            if trunk.accept_per_second is not None:
                text = f"Trunk {name} Brings {trunk.accept_per_second} New Calls A Second Already"
                raise FullError("trunks[].accept_per_second", text)
            raise FullError("limits.trunk_share", _shared(name, "limits.calls_per_second"))
        if self._calls[name] >= self._share_of_calls:
            raise FullError("limits.trunk_share", _shared(name, "limits.calls"))
        if self.calls >= limits.calls:
            raise FullError("limits.calls", f"limits.calls: {limits.calls} are up")
        if self._all.full(now):
            text = f"limits.calls_per_second: {limits.calls_per_second} came within a second"
            raise FullError("limits.calls_per_second", text)
        try:
            slot = self._trunks.receive(trunk)
        except TrunkFullError as error:
            raise FullError("trunks[].max_calls", str(error)) from None
        recent.add(now)
        self._all.add(now)
        self._calls[name] += 1
        return Place(self, name, slot)

    def leave(self, trunk: str) -> None:
        """A call that `trunk` brought is over."""
        self._calls[trunk] -= 1


def _shared(trunk: str, limit: str) -> str:
    return f"limits.trunk_share: {trunk} has its part of {limit}, and the rest is for others"
