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
    """A sample is looked at; what comes after it waits for a moment without calls, and is looked at
    then if it is much."""
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    monkeypatch.setattr(collector, "EVERY_S", 0.2)
    collector.spare()
    busy = True
    collecting = asyncio.create_task(collector.collect(lambda: busy))
    kept = _many()
    async with asyncio.timeout(10):
        await _until(lambda: gc.get_count()[0] < collector.YOUNG)  # the sample
        put_aside = gc.get_freeze_count()
        garbage = [weakref.ref(Cycle()) for _ in range(collector.MUCH_ASIDE)]
        kept += _many()
        await _until(lambda: gc.get_freeze_count() > put_aside + collector.MUCH_ASIDE)
        assert all(each() is not None for each in garbage)
        busy = False
        await _until(lambda: all(each() is None for each in garbage))
    collecting.cancel()
    assert len(kept) > collector.YOUNG


async def test_much_that_ended_of_itself_is_not_counted_for_ever(
    monkeypatch: pytest.MonkeyPatch, calm_looks: list[int]
) -> None:
    """A storm's transactions are looked at in a moment without calls, while they still live."""
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    collector.spare()
    at_start = gc.get_freeze_count()
    stormy = [[] for _ in range(4 * collector.MUCH_ASIDE)]  # type: ignore[var-annotated]
    gc.freeze()
    collecting = asyncio.create_task(collector.collect(lambda: False))
    async with asyncio.timeout(10):
        await _until(lambda: len(calm_looks) > 2)
        assert gc.get_freeze_count() > at_start + collector.MUCH_ASIDE
        stormy.clear()
        looked = len(calm_looks)
        await _until(lambda: len(calm_looks) > looked + 2)
        garbage = [weakref.ref(Cycle()) for _ in range(2 * collector.MUCH_ASIDE)]
        gc.freeze()
        await _until(lambda: all(each() is None for each in garbage))
    collecting.cancel()


async def test_a_calm_moment_is_no_reason_to_look_at_all_that_lives(
    monkeypatch: pytest.MonkeyPatch, calm_looks: list[int]
) -> None:
    """An idle gateway does not pause once a minute."""
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    collector.spare()
    calm_looks.clear()
    garbage, freed = Cycle(), asyncio.Event()
    weakref.finalize(garbage, freed.set)
    del garbage
    collecting = asyncio.create_task(collector.collect(lambda: False))
    async with asyncio.timeout(10):
        await freed.wait()
        await _until(lambda: len(calm_looks) > 40)
    collecting.cancel()
    assert 0 not in calm_looks


@pytest.fixture
def calm_looks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How much is put aside at each run of the collector, in the moments without calls that follow
    each other at once. Memory stays with the process: its tests before have left it much."""
    monkeypatch.setattr(collector, "EVERY_S", 0.001)
    monkeypatch.setattr(collector, "give_back", lambda: None)
    found: list[int] = []

    def ran(phase: str, _: object) -> None:
        found.append(gc.get_freeze_count())

    gc.callbacks.append(ran)
    yield found
    gc.callbacks.remove(ran)


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
