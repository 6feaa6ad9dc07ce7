"""The last half minute of transactions: waits that nothing cuts short."""

from collections import deque
from typing import Protocol

from sip.clock import Clock
from sip.clock import Timer as Running
from sip.core.timers import Timer

#: Waits that end within this time of each other end together, in seconds: less than a tick of the
#: clock, more than what rounding takes from a sum of seconds.
_TOGETHER_S = 1e-6


class Waits(Protocol):
    """A transaction that is over but for this wait."""

    def fire(self, timer: Timer) -> None:
        """The wait is over."""
        ...


class Lingering:
    """Every wait that nothing cuts short: a call leaves four."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[float, _Queue] = {}

    def add(self, who: Waits, timer: Timer, wait_s: float) -> None:
        """Fire `timer` of `who` in `wait_s` seconds."""
        queue = self._queues.get(wait_s)
        if queue is None:
            queue = self._queues[wait_s] = _Queue(self._clock, wait_s)
        queue.add(who, timer)

    def stop(self) -> None:
        """Forget them all."""
        for queue in self._queues.values():
            queue.stop()


class _Queue:
    """Waits of one length. They end in the order in which they began, so that a single timer of
    the loop serves them all."""

    def __init__(self, clock: Clock, wait_s: float) -> None:
        self._clock = clock
        self._wait_s = wait_s
        self._waiting: deque[tuple[float, Waits, Timer]] = deque()
        self._next: Running | None = None

    def add(self, who: Waits, timer: Timer) -> None:
        self._waiting.append((self._clock.now() + self._wait_s, who, timer))
        if self._next is None:
            self._next = self._clock.call_later(self._wait_s, self._due)

    def stop(self) -> None:
        self._waiting.clear()
        if self._next is not None:
            self._next.cancel()

    def _due(self) -> None:
        waiting, now = self._waiting, self._clock.now()
        while waiting and waiting[0][0] <= now + _TOGETHER_S:
            _, who, timer = waiting.popleft()
            who.fire(timer)
        if waiting:
            self._next = self._clock.call_later(waiting[0][0] - now, self._due)
        else:
            self._next = None
