"""Tests that run on the standard library's event loop and on uvloop, which production uses."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_each_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a coroutine test once on each loop."""

    @functools.wraps(test)
    def run(*args: Any, event_loop_of: str, **kwargs: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[event_loop_of]) as runner:
            runner.run(test(*args, **kwargs))

    signature = inspect.signature(test)
    loop = inspect.Parameter("event_loop_of", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*signature.parameters.values(), loop]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize("event_loop_of", list(LOOPS))(run)
    return marked
