"""Keeps Python's garbage collector from pausing calls.

A gateway at 200 calls/s holds some 300,000 objects in ended transactions, which RFC 3261 has it
remember for 32 s. The collector's runs over old objects walk all of them, for up to a quarter of a
second, and find nothing of ours: calls free themselves by reference counts. So what lives at the
start is frozen, only what was made a moment ago is looked at while calls are up, and full runs wait
for moments without calls. In such moments, memory that a storm of messages has left unused goes
back to the system too.

Python would look at new objects when enough of them were made: in the middle of a message, and
mostly of an INVITE, which makes the most. They are looked at between messages instead.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable

#: How often to look whether there are many new objects, in seconds.
YOUNG_S = 0.25
#: Allocations before the youngest objects are looked at. A call leaves some fifty for the half
#: minute of its transactions, so this is every hundredth call; while it is up it has hundreds, of
#: which a run less often has the fewer to look at. At four times as many, the pause would be twenty
#: milliseconds where calls are long.
YOUNG = 5_000
#: Allocations before they are looked at in the middle of whatever goes on.
MOST_YOUNG = 50_000
#: Runs of one generation before the next older is looked at too: never of itself.
NEVER = 1_000_000_000
#: How often to look whether there is a moment without calls, in seconds.
EVERY_S = 60.0
#: A full run after this many looks, calls or not: libraries leave a few cycles behind.
AT_LATEST = 10


def spare() -> None:
    """Collect once, freeze what is left, and seldom look at old objects from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(MOST_YOUNG, NEVER, NEVER)


async def collect(busy: Callable[[], bool]) -> None:
    """Run the collector between messages, and in full when no call is up, for ever."""
    missed = 0
    while True:
        await _collect_young(EVERY_S)
        if busy() and missed < AT_LATEST:
            missed += 1
            continue
        missed = 0
        gc.collect()
        if not busy():
            give_back()


async def _collect_young(for_s: float) -> None:
    """Look at new objects whenever they are many, for `for_s` seconds."""
    for _ in range(round(for_s / YOUNG_S)):
        await asyncio.sleep(YOUNG_S)
        if gc.get_count()[0] > YOUNG:
            gc.collect(0)


def give_back() -> None:
    """Return freed memory to the system: glibc keeps it wherever something small lies above it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # other C libraries have no such need
        trim(0)
