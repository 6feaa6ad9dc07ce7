"""What only the garbage collector would free, which a gateway keeps out of calls."""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import pytest

#: asyncio's own, in Python 3.11: a group that is cancelled keeps the frames that it is awaited in.
_GROUP: Final = asyncio.TaskGroup.__aexit__.__code__
#: A test's own: what `pytest.raises` has caught keeps the frames that it came through.
_CAUGHT: Final = pytest.ExceptionInfo


@contextmanager
def freed(*kinds: type) -> Iterator[None]:
    """What is made and ended within frees itself: the collector would find none of these kinds.

    Raises AssertionError with their names.
    """
    within = not gc.isenabled()  # of another such block
    gc.freeze()
    gc.disable()
    try:
        yield
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(type(each).__name__ for each in gc.garbage if isinstance(each, kinds))
        told = f"left for the garbage collector: {dict(left)}"
        assert not left or any(map(_is_not_ours, gc.garbage)), told
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.collect()  # what was shown
        if not within:
            gc.unfreeze()
            gc.enable()


def _is_not_ours(each: object) -> bool:
    return isinstance(each, _CAUGHT) or (isinstance(each, FrameType) and each.f_code is _GROUP)
