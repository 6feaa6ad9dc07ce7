"""The collector runs between messages, and often enough."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

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
    kept = [[] for _ in range(collector.YOUNG + 1)]  # type: ignore[var-annotated]
    assert not freed.is_set(), "not in the middle of what goes on"
    collecting = asyncio.create_task(collector.collect(lambda: True))
    async with asyncio.timeout(10):
        await freed.wait()
    collecting.cancel()
    assert len(kept) > collector.YOUNG


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
