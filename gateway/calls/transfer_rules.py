"""The rules of a transfer (`transfer.py`): its states, and what each try may come to."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from gateway.calls.control import Outcome
from gateway.value import frozen


class State(Enum):
    """How far it is."""

    ASKED = "asked"
    REFERRING = "refer"
    BRIDGING = "bridge"
    SAYING = "announcement"
    TAKEN = "taken"
    LEFT = "left"
    BACK = "back"
    AWAY = "away"


class Came(Enum):
    """What came of a try."""

    TAKEN = "a callee took the call"
    REFERRED = "the carrier says that it is done"
    FAILED = "refused, busy, no answer"
    NO_NEWS = "the carrier took the REFER, and told nothing more"
    TOOK_AWAY = "the carrier took the REFER, and then the caller"
    GONE = "the caller hung up"
    LOST = "nothing more is heard of the call"


@frozen
class Rule:
    """Whether another try may follow; where none does, what is said of the transfer, and where
    it ends."""

    more: bool
    outcome: Outcome
    state: State


RULES: Final[Mapping[Came, Rule]] = {
    Came.TAKEN: Rule(False, "transferred", State.TAKEN),
    Came.REFERRED: Rule(False, "transferred", State.AWAY),
    Came.FAILED: Rule(True, "failed", State.BACK),
    Came.NO_NEWS: Rule(True, "failed", State.BACK),
    Came.TOOK_AWAY: Rule(False, "unknown", State.AWAY),
    Came.GONE: Rule(False, "failed", State.AWAY),
    Came.LOST: Rule(False, "unknown", State.AWAY),
}
#: Where a transfer has ended, by its outcome and whether it was bridged.
STATES: Final[Mapping[tuple[Outcome, bool], State]] = {
    ("transferred", True): State.TAKEN,
    ("transferred", False): State.AWAY,
    ("unknown", True): State.AWAY,
    ("unknown", False): State.AWAY,
    ("failed", True): State.BACK,
    ("failed", False): State.BACK,
}
