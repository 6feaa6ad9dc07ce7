"""Work that is done once, however often it is asked for: who asks again gets the same result."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Once(Generic[Value]):
    """Remembers results by key for `for_s` seconds, `most` of them."""

    def __init__(self, for_s: float, most: int, now: Callable[[], float]) -> None:
        """`now` is monotonic, in seconds."""
        self._for_s = for_s
        self._most = most
        self._now = now
        # the oldest first
        self._kept: dict[Hashable, tuple[float, asyncio.Future[Value]]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def run(self, key: Hashable, work: Callable[[], Awaitable[Value]]) -> tuple[Value, bool]:
        """The result, and whether it is that of an earlier run, which may be still under way.

        What raises has not been done: it is not remembered, and whoever waits for it does it anew.
        """
        self._forget()
        while (known := self._kept.get(key)) is not None:
            future = known[1]
            await asyncio.wait((future,))
            if not future.cancelled():
                return future.result(), True
        future = asyncio.get_running_loop().create_future()
        self._kept[key] = (self._now() + self._for_s, future)
        try:
            value = await work()
        except BaseException:
            del self._kept[key]
            future.cancel()
            raise
        future.set_result(value)
        return value, False

    def _forget(self) -> None:
        now = self._now()
        for key, (until, future) in list(self._kept.items()):
            if until > now and len(self._kept) <= self._most:
                break
            if future.done():
                del self._kept[key]
