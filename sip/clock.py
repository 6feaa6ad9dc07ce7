"""The one place that knows the time and starts timers; tests put a virtual clock in its stead."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A started timer. `cancel` is harmless after it fired."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """Time for everything in `sip`."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        ...

    def epoch(self) -> float:
        """Seconds since 1970, for records and ladders."""
        ...

    def call_later(self, delay_s: float, callback: Callable[..., None], *args: object) -> Timer:
        """Call `callback(*args)` once, `delay_s` seconds from now."""
        ...


class LoopClock:
    """The running event loop's clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        self.epoch = time.time
        self.call_later = self._loop.call_later
