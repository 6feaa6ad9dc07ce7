"""Work that is asked for twice, at once or later, is done once."""

import asyncio

import pytest

from gateway.http.rules.once import Once


class Work:
    """Counts; waits until it is let go."""

    def __init__(self) -> None:
        self.done = 0
        self.go = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.done += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return self.done


async def test_who_asks_meanwhile_waits_for_the_first() -> None:
    once, work = Once[int](60, 10, lambda: 0.0), Work()
    asking = [asyncio.create_task(once.run("key", work)) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()
    assert await asyncio.gather(*asking) == [(1, False), (1, True), (1, True)]


async def test_what_failed_is_done_anew_by_who_waits() -> None:
    once, work = Once[int](60, 10, lambda: 0.0), Work()
    work.error = ValueError("no")
    first = asyncio.create_task(once.run("key", work))
    await asyncio.sleep(0)
    second = asyncio.create_task(once.run("key", work))
    await asyncio.sleep(0)
    work.go.set()
    with pytest.raises(ValueError, match="no"):
        await first
    work.error = None
    assert await second == (2, False)


async def test_it_is_forgotten_in_time() -> None:
    now = 0.0
    once, work = Once[int](60, 10, lambda: now), Work()
    work.go.set()
    assert await once.run("key", work) == (1, False)
    now = 59.0
    assert await once.run("key", work) == (1, True)
    now = 61.0
    assert await once.run("key", work) == (2, False)


async def test_no_more_are_kept_than_there_may_be() -> None:
    once, work = Once[int](60, 2, lambda: 0.0), Work()
    work.go.set()
    for key in "abcd":
        await once.run(key, work)
    assert len(once) <= 3
    assert await once.run("d", work) == (4, True)
    assert await once.run("a", work) == (5, False)
