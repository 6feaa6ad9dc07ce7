"""What only the garbage collector would free, which a gateway keeps out of calls."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

#: asyncio's own, in Python 3.11: a group that is cancelled keeps the frames that it is awaited in.
_GROUP: Final = asyncio.TaskGroup.__aexit__.__code__


@contextmanager
def freed(*kinds: type) -> Iterator[None]:
    """What is made and ended within frees itself: the collector would find none of these kinds.

    Raises AssertionError with their names.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(type(each).__name__ for each in gc.garbage if isinstance(each, kinds))
        groups = any(isinstance(each, FrameType) and each.f_code is _GROUP for each in gc.garbage)
        assert not left or groups, f"left for the garbage collector: {dict(left)}"
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()  # what was shown
        gc.unfreeze()
        gc.enable()
