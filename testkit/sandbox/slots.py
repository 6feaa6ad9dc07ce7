"""Concurrency: who holds one of the workspace's slots, and who rings until one is free."""

import asyncio
from collections import deque


class Slots:
    """`limit` calls at once; outbound calls leave `reserved_inbound` of them alone."""

    def __init__(self, limit: int, *, reserved_inbound: int = 0, burst: bool = False) -> None:
        self.limit = limit
        self.reserved_inbound = reserved_inbound
        self.burst = burst
        self._held: set[str] = set()
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._held)

    @property
    def burst_limit(self) -> int:
        """Retell's rule for bursts: three times the limit, at most 300 more; 0 without bursts."""
        return min(3 * self.limit, self.limit + 300) if self.burst else 0

    def take(self, call_id: str, *, outbound: bool = False) -> bool:
        """Hold a slot for this call if there is one; a call that holds one keeps it."""
        if call_id in self._held:
            return True
        allowed = self.burst_limit or self.limit
        if len(self._held) >= allowed - (self.reserved_inbound if outbound else 0):
            return False
        self._held.add(call_id)
        return True

    async def wait(self, call_id: str, timeout_s: float) -> bool:
        """Hold a slot, waiting for one in turn; False if none became free in time."""
        if self.take(call_id):
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (call_id, turn)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(timeout_s):
                await turn
        except TimeoutError:
            # the turn may have come in the same instant: then the slot is ours
            return call_id in self._held
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        return True

    def release(self, call_id: str) -> None:
        """Give the slot to who waits longest; harmless for a call that holds none."""
        if call_id not in self._held:
            return
        self._held.remove(call_id)
        while self._waiting:
            waiting, turn = self._waiting[0]
            if not turn.done():
                if self.take(waiting):
                    turn.set_result(None)
                    self._waiting.popleft()
                return
            self._waiting.popleft()
