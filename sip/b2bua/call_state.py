"""A call as a value: its legs, which of them are joined, what is going on, who ended it.

Every transition makes a new state. It holds no object of the running call, so that it can be
written down (`to_json`) and read back (`from_json`) at any of them, and the two are equal.
"""

from enum import Enum
from typing import Any

from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Direction
from sip.core.value import changed, frozen

#: Reports that are kept of legs that are over, beside the first leg's.
MAX_ENDED = 8


class EndedBy(Enum):
    """Who hung up; the value is the word in a stored state."""

    CALLER = "caller"
    """the peer of a leg that came to us"""
    CALLEE = "callee"
    """the peer of a leg that we placed"""
    APPLICATION = "application"
    """we: by command, by a limit of ours, or because a peer fell silent"""


#: Who is at the other end of a leg.
PEER_OF = {Direction.INBOUND: EndedBy.CALLER, Direction.OUTBOUND: EndedBy.CALLEE}


@frozen(kw_only=True)
class Doing:
    """One activity: its name, the legs that it is about, and since when it runs."""

    activity: str
    legs: tuple[str, ...]
    since: float


@frozen(kw_only=True)
class CallState:
    """One call. Times are the clock's monotonic seconds.

    `legs` are in the order in which they came to the call; the call lasts as long as its `first`.
    A leg of which every attempt failed keeps its name. `joined` are pairs of legs that hear each
    other. `doing` is empty where the call waits for what the application wants next.
    """

    first: str
    legs: dict[str, LegReport]
    joined: tuple[tuple[str, str], ...] = ()
    doing: tuple[Doing, ...] = ()
    ended_by: EndedBy | None = None

    @property
    def over(self) -> bool:
        """Whether the first leg is gone."""
        return self.legs[self.first].final

    def partner(self, leg: str) -> str | None:
        """The leg that `leg` is joined to."""
        for one, other in self.joined:
            if leg == one:
                return other
            if leg == other:
                return one
        return None

    # transitions

    def reported(self, leg: str, report: LegReport) -> "CallState":
        """`leg` is new, or has got further."""
        legs = {**self.legs, leg: report}
        if leg not in self.legs and len(legs) > MAX_ENDED:
            ended = [name for name, one in legs.items() if one.final and name != self.first]
            for name in ended[:-MAX_ENDED]:
                del legs[name]
        return changed(self, legs=legs)

    def join(self, one: str, other: str) -> "CallState":
        """`one` and `other` hear each other; neither may be joined yet."""
        assert self.partner(one) is self.partner(other) is None, "a leg has one partner at a time"
        return changed(self, joined=(*self.joined, (one, other)))

    def part(self, one: str, other: str) -> "CallState":
        """`one` and `other` do not hear each other any more."""
        return changed(self, joined=tuple(pair for pair in self.joined if pair != (one, other)))

    def began(self, doing: Doing) -> "CallState":
        """An activity began."""
        return changed(self, doing=(*self.doing, doing))

    def finished(self, doing: Doing) -> "CallState":
        """An activity is over."""
        return changed(self, doing=tuple(one for one in self.doing if one is not doing))

    def hung_up(self, by: EndedBy) -> "CallState":
        """A leg that was up was hung up."""
        return changed(self, ended_by=by)

    # written down

    def to_json(self) -> dict[str, Any]:
        """As an object of JSON."""
        return {
            "first": self.first,
            "legs": {name: report.to_json() for name, report in self.legs.items()},
            "joined": [list(pair) for pair in self.joined],
            "doing": [{**one.__dict__, "legs": list(one.legs)} for one in self.doing],
            "ended_by": self.ended_by.value if self.ended_by is not None else None,
        }

    @staticmethod
    def from_json(told: dict[str, Any]) -> "CallState":
        """What `to_json` made. Raises KeyError, TypeError or ValueError for anything else."""
        ended_by = told["ended_by"]
        return CallState(
            first=told["first"],
            legs={name: LegReport.from_json(one) for name, one in told["legs"].items()},
            joined=tuple((one, other) for one, other in told["joined"]),
            doing=tuple(
                Doing(activity=one["activity"], legs=tuple(one["legs"]), since=one["since"])
                for one in told["doing"]
            ),
            ended_by=EndedBy(ended_by) if ended_by is not None else None,
        )
