"""The collector runs between messages, and often enough."""

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterator

import pytest

from sip import collector


class Cycle:
    """What only the collector frees."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def test_new_garbage_is_freed_while_calls_are_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    collector.spare()
    garbage, freed = Cycle(), asyncio.Event()
    weakref.finalize(garbage, freed.set)
    del garbage
    kept = _many()
    assert not freed.is_set(), "not in the middle of what goes on"
    collecting = asyncio.create_task(collector.collect(lambda: True))
    async with asyncio.timeout(10):
        await freed.wait()
    collecting.cancel()
    assert len(kept) > collector.YOUNG


async def test_new_objects_without_garbage_are_put_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is looked at; what comes after it waits for a moment without calls."""
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    monkeypatch.setattr(collector, "EVERY_S", 0.2)
    monkeypatch.setattr(collector, "SELDOM", 2)
    collector.spare()
    busy = True
    collecting = asyncio.create_task(collector.collect(lambda: busy))
    kept = _many()
    async with asyncio.timeout(10):
        await _until(lambda: gc.get_count()[0] < collector.YOUNG)  # the sample
        put_aside = gc.get_freeze_count()
        garbage = weakref.ref(Cycle())
        kept += _many()
        await _until(lambda: gc.get_freeze_count() > put_aside + collector.YOUNG)
        assert garbage() is not None
        busy = False
        await _until(lambda: garbage() is None)
    collecting.cancel()
    assert len(kept) > collector.YOUNG


async def test_a_calm_moment_is_no_reason_to_look_at_all_that_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An idle gateway does not pause once a minute."""
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    monkeypatch.setattr(collector, "EVERY_S", 0.001)
    collector.spare()
    garbage, freed = Cycle(), asyncio.Event()
    weakref.finalize(garbage, freed.set)
    del garbage
    put_aside: list[int] = []
    gc.callbacks.append(lambda phase, _: put_aside.append(gc.get_freeze_count()))
    collecting = asyncio.create_task(collector.collect(lambda: False))
    try:
        async with asyncio.timeout(10):
            await freed.wait()
            await _until(lambda: len(put_aside) > 4 * collector.SELDOM)
    finally:
        gc.callbacks.pop()
        collecting.cancel()
    assert 0 not in put_aside


async def test_where_there_is_garbage_it_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    collector.spare()
    collecting = asyncio.create_task(collector.collect(lambda: True))
    async with asyncio.timeout(10):
        for _ in range(2 * collector.SAMPLED):
            garbage = [Cycle() for _ in range(collector.YOUNG + 1)]
            ended = asyncio.Event()
            weakref.finalize(garbage[-1], ended.set)
            del garbage
            await ended.wait()
    collecting.cancel()


def _many() -> list[list[object]]:
    return [[] for _ in range(collector.YOUNG + 1)]


async def _until(condition: Callable[[], bool]) -> None:
    """Nothing tells what the collector does but its figures."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)


async def test_few_new_objects_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle gateway does nothing."""
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    collector.spare()
    runs: list[str] = []
    gc.callbacks.append(lambda phase, _: runs.append(phase))
    collecting = asyncio.create_task(collector.collect(lambda: True))
    try:
        await asyncio.sleep(0.05)
    finally:
        gc.callbacks.pop()
        collecting.cancel()
    assert runs == []


def test_a_storm_is_bounded() -> None:
    """Where no timer gets its turn, new objects are looked at all the same."""
    collector.spare()
    garbage = weakref.ref(Cycle())
    kept = [[] for _ in range(collector.MOST_YOUNG + 1)]  # type: ignore[var-annotated]
    assert garbage() is None
    assert len(kept) > collector.MOST_YOUNG
