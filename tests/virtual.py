"""An event loop whose clock jumps to the next timer as soon as nothing else is left to do.

Sockets are real: on loopback what was sent can be read at once, so minutes pass in milliseconds and
always in the same order.
"""

import asyncio
import functools
import inspect
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

#: Real seconds to wait for the kernel before the clock jumps.
_GRACE_S = 0.0005


class _JumpingSelector(selectors.DefaultSelector):
    """Reports ready sockets; if there is none, lets the clock jump instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        ready = super().select(_GRACE_S if timeout is not None else 5.0)
        if not ready and timeout is not None:
            self.skipped_s += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is virtual seconds since the loop was made."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.skipped_s


def virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine test on a `VirtualLoop`; fixtures stay as they are."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop, debug=True) as runner:
            runner.run(test(*args, **kwargs))

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run
