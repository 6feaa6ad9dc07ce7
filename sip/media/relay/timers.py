"""Timers of the relay's loop: a heap, looked at once a turn."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

NEVER: Final = float("inf")


class Timer:
    """A started timer."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callable[[float], None]) -> None:
        self.due = due
        self.callback: Callable[[float], None] | None = callback

    def cancel(self) -> None:
        """It will not fire; harmless after it did. What it would have called is let go."""
        self.callback = None


class Timers:
    """Those of one loop."""

    def __init__(self) -> None:
        self._count = 0
        self._heap: list[tuple[float, int, Timer]] = []

    @property
    def next_due(self) -> float:
        """When `run` has something to do, in monotonic seconds, or `NEVER`.

        Most timers are cancelled long before they are due: nobody wakes up for one.
        """
        heap = self._heap
        while heap and heap[0][2].callback is None:
            heapq.heappop(heap)
        return heap[0][0] if heap else NEVER

    def at(self, due: float, callback: Callable[[float], None]) -> Timer:
        """Calls `callback(now)` once, at `due` or as soon after it as the loop turns."""
        timer = Timer(due, callback)
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, timer))
        return timer

    def run(self, now: float) -> None:
        """Calls what is due. What is started meanwhile and due by then is called too.

        A callback's fault stops the others until the next run.
        """
        heap = self._heap
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback(now)
