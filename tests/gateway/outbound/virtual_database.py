"""Virtual time that stands while SQLite's threads work, so that no test hears of their speed."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any
from unittest.mock import patch

from aiosqlite.core import Connection

from tests.virtual import VirtualLoop


class _Threads:
    """How many of a database's threads have something to do."""

    def __init__(self) -> None:
        self.busy = 0

    def wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def run(*args: Any, **kwargs: Any) -> Any:
            self.busy += 1
            try:
                return await method(*args, **kwargs)
            finally:
                self.busy -= 1

        return run


class DatabaseLoop(VirtualLoop):
    """A virtual loop whose clock jumps only while no database works."""

    def __init__(self, threads: _Threads) -> None:
        super().__init__()
        jump = self._jumping.select

        def select(timeout: float | None = None) -> Any:
            if threads.busy and timeout != 0:
                # they wake the loop when they are done
                return super(type(self._jumping), self._jumping).select(5.0)
            return jump(timeout)

        self._jumping.select = select  # type: ignore[method-assign]


def virtual_database(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine test on a `DatabaseLoop`; fixtures stay as they are."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        threads = _Threads()
        with (
            patch.object(Connection, "_execute", threads.wrapped(Connection._execute)),
            patch.object(Connection, "_connect", threads.wrapped(Connection._connect)),
            asyncio.Runner(loop_factory=lambda: DatabaseLoop(threads)) as runner,
        ):
            runner.run(test(*args, **kwargs))

    run.__signature__ = inspect.signature(test)  # type: ignore[attr-defined]
    return run
