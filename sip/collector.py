"""Keeps Python's garbage collector from pausing calls.

A gateway at 200 calls/s holds some 300,000 objects in ended transactions, which RFC 3261 has it
remember for 32 s. The collector's runs over old objects walk all of them, for up to a quarter of a
second, and find nothing of ours: calls free themselves by reference counts. So what lives at the
start is put aside, and what is made while calls are up soon after: `gc.freeze` takes the same time
for one object as for a million. A sample is looked at; only where it holds garbage, as libraries
leave some, is all that follows looked at while it is new. What is put aside and not freed is looked
at once it is much, in a moment without calls. In such moments, memory that a storm of messages has
left unused goes back to the system too.

Python would look at new objects when enough of them were made: in the middle of a message, and
mostly of an INVITE, which makes the most. It is done between messages instead.
"""

import asyncio
import ctypes
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

#: How often to look whether there are many new objects, in seconds.
YOUNG_S = 0.25
#: Allocations before the youngest objects are put aside, or looked at. A call leaves some fifty for
#: the half minute of its transactions; while it is up it has hundreds. To look at what fifty calls
#: a quarter of a second have made takes four milliseconds.
YOUNG = 5_000
#: Of so many times the one is a sample, and looked at.
SAMPLED = 16
#: The share of garbage in a sample from which on all that follows is looked at.
MUCH = 0.02
#: Allocations before they are looked at in the middle of whatever goes on.
MOST_YOUNG = 50_000
#: Runs of one generation before the next older is looked at too: never of itself.
NEVER = 1_000_000_000
#: How often to look whether there is a moment without calls, in seconds.
EVERY_S = 60.0
#: So many objects more than lived after the last time are looked at together with all that lives,
#: if there is no call: it takes a fifth of a second.
MUCH_ASIDE = 20_000
#: The same, calls or not, after so many looks that found some put aside.
AT_LATEST = 60


@asynccontextmanager
async def spared(busy: Callable[[], bool]) -> AsyncIterator[None]:
    """While entered, no call waits for the collector; `busy` says whether there is one. To be
    entered when all that lives as long as the program is there."""
    spare()
    task = asyncio.create_task(collect(busy), name="collector")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def spare() -> None:
    """Collect once, put aside what is left, and seldom look at old objects from now on."""
    _collect_all()
    gc.set_threshold(MOST_YOUNG, NEVER, NEVER)


async def collect(busy: Callable[[], bool]) -> None:
    """Run the collector between messages, and in full when no call is up, for ever."""
    lived, looks = gc.get_freeze_count(), 0
    while True:
        looks += await _collect_young(EVERY_S)
        calm = not busy()
        if calm or looks >= AT_LATEST:
            looks = 0
            aside = gc.get_freeze_count()
            if aside - lived > MUCH_ASIDE:
                _collect_all()
                lived = gc.get_freeze_count()
            else:
                lived = min(lived, aside)
        if calm:
            gc.collect()
            give_back()


async def _collect_young(for_s: float) -> bool:
    """Put new objects aside whenever they are many, or look at them, for `for_s` seconds. Returns
    whether any were put aside."""
    unseen, put_aside = 0, False
    for _ in range(round(for_s / YOUNG_S)):
        await asyncio.sleep(YOUNG_S)
        many = gc.get_count()[0]
        if many <= YOUNG:
            continue
        if unseen:
            unseen -= 1
            put_aside = True
            gc.freeze()
        elif gc.collect(0) < many * MUCH:
            unseen = SAMPLED - 1
    return put_aside


def _collect_all() -> None:
    """Look at everything, also at what was put aside, and put aside what is left."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Return freed memory to the system: glibc keeps it wherever something small lies above it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # other C libraries have no such need
        trim(0)
