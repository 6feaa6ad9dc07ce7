"""Leaves an API alone that fails again and again: pure, the time is given.

    CLOSED ──`failures` in a row──> OPEN ──`pause_s` later──> HALF_OPEN ──success──> CLOSED
                                      ^                           │
                                      └─────────failure───────────┘

Half open, one request is let through at a time.
"""

from enum import StrEnum

from config.retell_api_settings import BreakerSettings


class Circuit(StrEnum):
    """Whether requests are sent."""

    CLOSED = "closed"
    """they are"""
    OPEN = "open"
    """they are not"""
    HALF_OPEN = "half-open"
    """one is, and decides"""


class Breaker:
    """Counts failures in a row. Times are monotonic seconds."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    def configure(self, settings: BreakerSettings) -> None:
        """Judge by these from now on; what was counted stands."""
        self._settings = settings

    def state(self, now: float) -> Circuit:
        """Where it stands."""
        if self._open_until is None:
            return Circuit.CLOSED
        return Circuit.OPEN if now < self._open_until else Circuit.HALF_OPEN

    def wait_s(self, now: float) -> float:
        """0 where a request may be sent, which is then to be told of by `succeeded`, `failed` or
        `given_up`; else the seconds until one may."""
        match self.state(now):
            case Circuit.CLOSED:
                return 0.0
            case Circuit.HALF_OPEN if not self._probing:
                self._probing = True
                return 0.0
            case Circuit.HALF_OPEN:
                return 1.0  # what was let through decides within about that time
            case Circuit.OPEN:
                return max(0.0, (self._open_until or now) - now)

    def succeeded(self) -> bool:
        """There was an answer, whatever it says. Whether that closes the circuit."""
        opened = self._open_until is not None
        self._failures = 0
        self._open_until = None
        self._probing = False
        return opened

    def failed(self, now: float) -> bool:
        """There was none, or 5xx. Whether that opens the circuit."""
        self._failures += 1
        was = self.state(now)
        if was is Circuit.OPEN:  # sent before it opened
            return False
        if was is Circuit.CLOSED and self._failures < self._settings.failures:
            return False
        self._open_until = now + self._settings.pause_s
        self._probing = False
        return True

    def given_up(self) -> None:
        """Nobody waits for the answer any more."""
        self._probing = False
