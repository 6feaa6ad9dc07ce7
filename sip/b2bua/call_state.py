"""A call as a value: its legs, which of them are joined, what is going on, who ended it.

It is all that a running call knows of itself but for its sockets, timers and media, and holds no
object of it: a state can be taken at every transition, written down (`to_json`) and read back
(`from_json`), and the two are equal.
"""

from enum import Enum
from typing import Any

from sip.b2bua.leg_report import LegReport
from sip.b2bua.legs.leg import Direction
from sip.core.value import frozen


class EndedBy(Enum):
    """Who hung up; the value is the word in a stored state."""

    CALLER = "caller"
    """the peer of a leg that came to us, or of the one that the call began with"""
    CALLEE = "callee"
    """the peer of another leg that we placed"""
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

    `legs` are in the order in which they came to the call; the call lasts as long as its `first`:
    the one that it began with, until that has brought its guest to somebody else and left.
    Legs that are over stay, the last few of them. `joined` are pairs of legs that hear each
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
