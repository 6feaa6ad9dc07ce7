"""How late the event loop is: a loop that lags answers calls late, whatever else is well."""

import asyncio
from collections.abc import Callable
from typing import Final

#: Seconds between two looks.
EVERY_S: Final = 0.5


class LoopLag:
    """Tells `observe` the seconds by which a timer came late, twice a second, until `close`."""

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._timer = self._next()

    def _next(self) -> asyncio.TimerHandle:
        due = self._loop.time() + EVERY_S
        return self._loop.call_at(due, self._look, due)

    def _look(self, due: float) -> None:
        self._observe(max(0.0, self._loop.time() - due))
        self._timer = self._next()

    def close(self) -> None:
        self._timer.cancel()
