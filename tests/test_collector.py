"""The collector runs between messages, and often enough."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from sip import collector
from sip.collector import EVERY_S, MUCH_ASIDE, SAMPLED, YOUNG, YOUNG_S
from tests.virtual import virtual_time

#: Within so many seconds it has looked whether the moment is calm.
LOOK_S = EVERY_S + YOUNG_S
#: Objects that live since the start.
PROGRAM = 250_000


class Heap:
    """Python's `gc`, as far as it is asked: how many objects there are of each age, how many of
    them are garbage, and how many each look had to walk."""

    def __init__(self) -> None:
        self.young = self.old = self.aside = 0
        self.garbage = self.garbage_aside = 0
        self.walked: list[int] = []

    def make(self, count: int, garbage: int = 0) -> None:
        """So many objects, of which some can be reached by nobody."""
        self.young += count
        self.garbage += garbage

    # `gc`

    def get_count(self) -> tuple[int, int, int]:
        return self.young, 0, 0

    def get_freeze_count(self) -> int:
        return self.aside

    def freeze(self) -> None:
        self.aside += self.young + self.old
        self.garbage_aside += self.garbage
        self.young = self.old = self.garbage = 0

    def unfreeze(self) -> None:
        self.old += self.aside
        self.garbage += self.garbage_aside
        self.aside = self.garbage_aside = 0

    def collect(self, generation: int = 2) -> int:
        old = self.old if generation else 0
        self.walked.append(self.young + old)
        freed, self.garbage = self.garbage, 0
        self.old, self.young = self.old + self.young - freed, 0
        return freed


@pytest.fixture
def heap(monkeypatch: pytest.MonkeyPatch) -> Heap:
    heap = Heap()
    heap.aside = PROGRAM
    monkeypatch.setattr(collector, "gc", heap)
    monkeypatch.setattr(collector, "give_back", lambda: None)
    return heap


@asynccontextmanager
async def collecting(*, busy: Callable[[], bool] = lambda: True) -> AsyncIterator[None]:
    task = asyncio.create_task(collector.collect(busy))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()


@virtual_time
async def test_where_little_is_made_nothing_is_done(heap: Heap) -> None:
    async with collecting():
        heap.make(YOUNG)
        await asyncio.sleep(3 * LOOK_S)
    assert heap.walked == []


@virtual_time
async def test_one_time_of_many_new_objects_are_looked_at(heap: Heap) -> None:
    """What comes after a sample without garbage is put aside, for as long as there are calls."""
    async with collecting():
        for _ in range(2 * SAMPLED):
            heap.make(YOUNG + 1, garbage=1)
            await asyncio.sleep(YOUNG_S)
    assert heap.walked == [YOUNG + 1] * 2
    assert heap.garbage_aside == 2 * SAMPLED - 2


@virtual_time
async def test_where_there_is_garbage_it_is_looked_for(heap: Heap) -> None:
    async with collecting():
        for _ in range(2 * SAMPLED):
            heap.make(YOUNG + 1, garbage=YOUNG // 10)
            await asyncio.sleep(YOUNG_S)
    assert len(heap.walked) == 2 * SAMPLED
    assert heap.garbage_aside == 0


@virtual_time
async def test_a_calm_moment_is_no_reason_to_look_at_all_that_lives(heap: Heap) -> None:
    """An idle gateway does not pause once a minute."""
    async with collecting(busy=lambda: False):
        for _ in range(8):
            heap.make(10, garbage=5)
            await asyncio.sleep(LOOK_S)
    assert len(heap.walked) == 8
    assert max(heap.walked) < 1_000
    assert heap.garbage <= 5


@virtual_time
async def test_what_a_storm_leaves_is_freed_in_the_next_calm_moment(heap: Heap) -> None:
    calls = True
    async with collecting(busy=lambda: calls):
        for _ in range(2 * SAMPLED):
            heap.make(2 * YOUNG)
            await asyncio.sleep(YOUNG_S)
        heap.garbage_aside = MUCH_ASIDE  # whoever held it is gone
        await asyncio.sleep(3 * LOOK_S)
        assert heap.garbage_aside == MUCH_ASIDE
        calls = False
        await asyncio.sleep(LOOK_S)
        assert heap.garbage_aside == 0
        walked = len(heap.walked)
        await asyncio.sleep(3 * LOOK_S)
        assert max(heap.walked[walked:]) < MUCH_ASIDE, "once is enough"


@virtual_time
async def test_what_ended_of_itself_does_not_hide_garbage(heap: Heap) -> None:
    """A calm moment soon after a storm sees its transactions, which live for half a minute."""
    async with collecting(busy=lambda: False):
        heap.aside += 10 * MUCH_ASIDE
        await asyncio.sleep(LOOK_S)
        assert max(heap.walked) > 10 * MUCH_ASIDE
        heap.aside -= 10 * MUCH_ASIDE
        await asyncio.sleep(LOOK_S)
        heap.aside += 2 * MUCH_ASIDE
        heap.garbage_aside = 2 * MUCH_ASIDE
        await asyncio.sleep(LOOK_S)
    assert heap.garbage_aside == 0


@virtual_time
async def test_without_a_calm_moment_all_is_looked_at_in_the_end(
    heap: Heap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "AT_LATEST", 2)
    async with collecting():
        for _ in range(round(2 * LOOK_S / YOUNG_S)):
            heap.make(YOUNG + 1)
            await asyncio.sleep(YOUNG_S)
        await asyncio.sleep(LOOK_S)
    assert len([each for each in heap.walked if each > PROGRAM]) == 1


# Python's own


class Cycle:
    """What only the collector frees."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


async def test_what_lives_since_the_start_is_no_reason_to_look(
    as_before: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first calm moment is one like any other."""
    looked: list[None] = []
    calm = asyncio.Event()
    monkeypatch.setattr(collector, "EVERY_S", 0.01)
    monkeypatch.setattr(collector, "YOUNG_S", 0.01)
    monkeypatch.setattr(collector, "give_back", calm.set)
    async with collector.spared(lambda: False), asyncio.timeout(60):
        monkeypatch.setattr(collector, "_collect_all", lambda: looked.append(None))
        await calm.wait()
    assert gc.get_freeze_count() > collector.MUCH_ASIDE
    assert not looked


async def test_new_garbage_is_freed_while_calls_are_up(
    as_before: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "YOUNG_S", 0.001)
    collector.spare()
    garbage, freed = Cycle(), asyncio.Event()
    weakref.finalize(garbage, freed.set)
    del garbage
    kept = [[] for _ in range(YOUNG + 1)]  # type: ignore[var-annotated]
    assert not freed.is_set(), "not in the middle of what goes on"
    async with collecting(), asyncio.timeout(60):
        await freed.wait()
    assert len(kept) > YOUNG


def test_a_storm_is_bounded(as_before: None) -> None:
    """Where no timer gets its turn, new objects are looked at all the same."""
    collector.spare()
    garbage = weakref.ref(Cycle())
    kept = [[] for _ in range(collector.MOST_YOUNG + 1)]  # type: ignore[var-annotated]
    assert garbage() is None
    assert len(kept) > collector.MOST_YOUNG


def test_what_was_put_aside_is_found(as_before: None) -> None:
    collector.spare()
    garbage = weakref.ref(Cycle())
    gc.freeze()
    gc.collect()
    assert garbage() is not None
    collector.spare()
    assert garbage() is None
