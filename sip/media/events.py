"""What the media plane says of its own accord.

`party` is a party's tag, `at` the time of the clock (monotonic seconds) at which we learned of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sip.media.detection.found import Found


@dataclass(frozen=True, slots=True, kw_only=True)
class Digit:
    """The party pressed a key, told once, when it let go (RFC 4733).

    `digit` is one of 0-9, ``*``, ``#``, A-D; `duration_ms` how long it was held.
    """

    party: str
    digit: str
    duration_ms: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A play to the party is over. `finished` is false if it was stopped or another took over."""

    party: str
    play_id: int
    finished: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """The party may send and has sent nothing for `since_s` seconds. Told once a silence."""

    party: str
    since_s: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OneWay:
    """As `Silent`, while the other party does send: the call has audio in one direction only."""

    party: str
    since_s: float
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The party is heard again after it was told to be silent."""

    party: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FaxTone:
    """The party is a fax machine that calls: its calling tone (CNG, T.30) was heard. Told once."""

    party: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """Something was found of who the party is, by the detection of that number.

    Its times are of the audio that came since that began.
    """

    party: str
    detection: int
    found: Found
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The engine knows nothing of the call any more; its audio has ended."""

    at: float


PartyEvent: TypeAlias = Digit | Played | Silent | OneWay | Heard | FaxTone | Detected
MediaEvent: TypeAlias = PartyEvent | Lost

#: Gets the events of one call. It must not block; what it raises is logged.
Listener: TypeAlias = Callable[[MediaEvent], None]
