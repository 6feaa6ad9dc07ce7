"""Who waits for an engine that is gone waits no longer, and loses nothing else by it."""

import asyncio
import gc
import weakref
from collections.abc import Callable

import pytest

from sip.media.plane import MediaError
from sip.media.pool.member import Engine, Member
from tests.fakes.media import FakeMedia


@pytest.fixture
def engine() -> Engine:
    return Engine(Member(name="relay-1", plane=FakeMedia()))


async def _waiting(engine: Engine) -> "asyncio.Task[None]":
    forever: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(engine.asked(forever))
    await asyncio.sleep(0)
    return task


async def test_each_hears_that_the_engine_is_gone(engine: Engine) -> None:
    tasks = [await _waiting(engine) for _ in range(3)]
    engine.fall()
    for found in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(found, MediaError)
        assert found.slug == "timeout"
    assert [task.cancelling() for task in tasks] == [0, 0, 0]


async def test_who_asks_afterwards_waits_for_the_engine_as_it_is_then(engine: Engine) -> None:
    engine.fall()
    task = await _waiting(engine)
    assert not task.done()
    engine.fall()
    with pytest.raises(MediaError):
        await task


async def test_who_is_cancelled_stays_so(engine: Engine) -> None:
    task = await _waiting(engine)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("first", ["cancelled", "gone"])
async def test_who_is_cancelled_as_the_engine_goes_stays_so(engine: Engine, first: str) -> None:
    task = await _waiting(engine)
    steps: list[Callable[[], object]] = [task.cancel, engine.fall]
    for step in steps if first == "cancelled" else reversed(steps):
        step()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_reply_counts_that_came_before(engine: Engine) -> None:
    async def reply() -> int:
        return 7

    assert await engine.asked(reply()) == 7
    engine.fall()


async def test_who_is_cancelled_leaves_nothing_for_the_collector(engine: Engine) -> None:
    """Not even where nobody asks what became of the task: with its frames goes a whole call."""
    gc.collect()
    gc.disable()
    try:
        task = await _waiting(engine)
        task.cancel()
        await asyncio.wait([task])
        gone = weakref.ref(task)
        del task
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()
