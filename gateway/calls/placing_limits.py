"""How many calls Retell may place: of each workspace, and from each of its numbers.

A trunk's own limits keep a carrier from too many calls; these keep one workspace, or one number
that went mad, from taking what the others need.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final, TypeAlias

from config.settings import Settings
from config.workspace_settings import PlacedSettings, WorkspaceSettings
from gateway.calls.endings import Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.calls.numbers import e164
from gateway.calls.plan import Plan
from gateway.calls.routing import Refusing, workspace_of_call
from gateway.jambonz.messages import NewCall

#: Retell takes 503 for trouble of the provider, which passes; 486 would be a busy callee.
_STATUS: Final = (503, "Service Unavailable")
RETRY_AFTER_S: Final = 5
WORKSPACE_FULL: Final = Refusal(*_STATUS, "workspace-full", Fault.OPERATOR, RETRY_AFTER_S)
NUMBER_FULL: Final = Refusal(*_STATUS, "number-full", Fault.OPERATOR, RETRY_AFTER_S)

#: A workspace by its name, or one of its numbers.
_Key: TypeAlias = tuple[str, str]
#: Windows of a second that are kept before those that are over are forgotten.
_MANY: Final = 1000


class Placed:
    """A call that counts. Give it back when the call is over; twice does no harm."""

    __slots__ = ("_counts", "_keys")

    def __init__(self, counts: Counter[_Key], keys: tuple[_Key, ...]) -> None:
        self._counts = counts
        self._keys = keys
        counts.update(keys)

    def give_back(self) -> None:
        self._counts.subtract(self._keys)
        for key in self._keys:
            if not self._counts[key]:
                del self._counts[key]
        self._keys = ()


class PlacingLimits:
    """Counts the calls that are up, and those of the last second."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        """`clock` is monotonic seconds."""
        self._clock = clock
        self._counts: Counter[_Key] = Counter()
        self._recent: dict[_Key, deque[float]] = {}
        self.configure(settings)

    def configure(self, settings: Settings) -> None:
        """Other limits count from now on; what is up stays up."""
        self._first = settings.retell.trunk

    def admitted(
        self,
        settings: Settings,
        new: NewCall,
        chosen: Plan,
        *,
        anyway: bool = False,
        expected: bool = False,
    ) -> tuple[Plan, Placed | None]:
        """The plan of a call that begins, or its refusal where there is no room for it, and what
        counts it; `anyway`: it is counted and not refused. `expected`: likewise, and we had Retell
        place it, so that its second has counted it (`take`). A call that is not Retell's, or is
        refused already, does not count."""
        workspace = workspace_of_call(settings, new)
        if workspace is None or isinstance(chosen, Refusing):
            return chosen, None
        number = e164(new.from_number, settings.outbound.default_country) or new.from_number
        no_way = None if anyway or expected else self.full(workspace, number)
        if no_way is None:
            return chosen, self.take(workspace, number, begun=expected)
        refusing = Refusing(
            direction=chosen.direction,
            from_number=chosen.from_number,
            to_number=chosen.to_number,
            refusal=no_way.refusal,
            why=no_way.words,
        )
        return refusing, None

    def full(self, workspace: WorkspaceSettings, number: str) -> NoWay | None:
        """Why that workspace may not place one more call from this number; None if it may."""
        limits, name = workspace.limits, workspace.name
        key = "retell" if name == self._first else f"retell.workspaces ({name})"
        whole = self._reached((name, ""), limits, f"{key}.limits")
        if whole is not None:
            return NoWay(WORKSPACE_FULL, f"workspace {name}: {whole}")
        one = self._reached((name, number), limits.number, f"{key}.limits.number")
        return None if one is None else NoWay(NUMBER_FULL, f"calls from {number}: {one}")

    def take(self, workspace: WorkspaceSettings, number: str, *, begun: bool = False) -> Placed:
        """Count a call, whether there is room or not; one that was `begun` before is no new one of
        this second."""
        keys = ((workspace.name, ""), (workspace.name, number))
        now = self._clock()
        for key in () if begun else keys:
            self._window(key, now).append(now)
        return Placed(self._counts, keys)

    def _reached(self, key: _Key, limits: PlacedSettings, name: str) -> str | None:
        if limits.calls is not None and self._counts[key] >= limits.calls:
            return f"{limits.calls} calls are up already ({name}.calls)"
        limit = limits.calls_per_second
        if limit is not None and len(self._window(key, self._clock())) >= limit:
            return f"{limit} calls came within a second ({name}.calls_per_second)"
        return None

    def _window(self, key: _Key, now: float) -> deque[float]:
        """The moments of the calls in the second before `now`."""
        if len(self._recent) > _MANY:
            quiet = [key for key, last in self._recent.items() if not last or last[-1] <= now - 1]
            for one in quiet:
                del self._recent[one]
        recent = self._recent.setdefault(key, deque())
        while recent and recent[0] <= now - 1.0:
            recent.popleft()
        return recent
