"""One coroutine after another: what an event asks for waits for what came before it."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

_Job = Callable[[], Coroutine[Any, Any, None]]


class Work:
    """Runs jobs in their order, in a task that exists while there are any."""

    def __init__(self, on_error: Callable[[Exception], None]) -> None:
        """`on_error` hears what a job raised; the jobs after it are dropped."""
        self._on_error = on_error
        self._jobs: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether every job is done."""
        return self._task is None

    def add(self, job: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Run `job(*args)` after the jobs before it."""
        self._jobs.append(partial(job, *args) if args else job)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def done(self) -> None:
        """Wait until every job is."""
        while self._task is not None and self._task is not asyncio.current_task():
            await asyncio.wait([self._task])

    def stop(self) -> None:
        """Drop what is not done, but for a job that calls this itself. Nothing may be added."""
        self._on_error = _ignore
        self._jobs.clear()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
            self._task = None

    async def _run(self) -> None:
        try:
            while self._jobs:
                await self._jobs.popleft()()
        except Exception as error:
            self._jobs.clear()
            self._on_error(error)
        finally:
            if self._task is asyncio.current_task():
                self._task = None


def _ignore(_: Exception) -> None:
    """Default for `on_error` of work that was stopped."""
