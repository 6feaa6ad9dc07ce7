"""Stores Retell's events before they are answered: those that come at once, in one transaction."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.storage.errors import StorageError
from gateway.storage.retell_events import RetellEvent, RetellEventStore

#: Events of one transaction.
MOST: Final = 200


class Journal:
    """Takes events. Close it to have all that were taken stored."""

    def __init__(
        self, store: RetellEventStore, now: Callable[[], float], stored: Callable[[], None]
    ) -> None:
        """`now` is seconds since 1970; `stored` is told that there are new ones."""
        self._store = store
        self._now = now
        self._stored = stored
        self._waiting: list[tuple[RetellEvent, asyncio.Future[bool]]] = []
        self._storing: asyncio.Task[None] | None = None
        self._last = (0, 0)

    async def keep(
        self, event_id: str, *, event: str, retell_call_id: str | None, workspace: str, body: str
    ) -> bool:
        """Store an event; False where it is there already. It is on the disk when this returns.
        Raises StorageError."""
        now_ms, place = self._next_place()
        row = RetellEvent(
            event_id=event_id,
            place=place,
            event=event,
            retell_call_id=retell_call_id,
            workspace=workspace,
            received_ms=now_ms,
            body=body,
        )
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_all(), name="retell events")
        return await future

    async def close(self) -> None:
        """Wait until nothing is being stored."""
        if self._storing is not None:
            await asyncio.gather(self._storing, return_exceptions=True)

    async def _store_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            try:
                new = await self._store.add([event for event, _ in batch])
            except StorageError as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(StorageError(str(error)))
                continue
            if new:
                self._stored()
            for event, future in batch:
                if not future.done():
                    future.set_result(event.event_id in new)
                new.discard(event.event_id)  # the same one, twice in a batch

    def _next_place(self) -> tuple[int, str]:
        """The time, and a place behind every earlier one, though the clock be set back."""
        now_ms, (last_ms, number) = round(self._now() * 1000), self._last
        self._last = (now_ms, 0) if now_ms > last_ms else (last_ms, number + 1)
        return now_ms, f"{self._last[0]:012x}{self._last[1]:08x}"
