"""Callers that an operator has blocked while the gateway ran. All of them are in memory, too."""

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage.errors import as_storage_error
from gateway.storage.tables import blocked_callers
from gateway.storage.texts import Bounds, fit

_BOUNDS = Bounds.of(blocked_callers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocked:
    """A caller as `inbound.block` names one, kept from `number`, or from all where that is empty,
    until a moment, or for good. Times are milliseconds since 1970."""

    block_id: str
    caller: str
    number: str = ""
    note: str = ""
    by: str | None = None
    since_ms: int
    until_ms: int | None = None

    def holds(self, now_ms: int) -> bool:
        """Whether it does at that time."""
        return self.until_ms is None or now_ms < self.until_ms


class BlockedCallers:
    """The table of them. Call `load` before anything else."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], float]) -> None:
        """`now` is seconds since 1970."""
        self._engine = engine
        self._now = now
        self._held: dict[str, Blocked] = {}

    async def load(self) -> None:
        """Read them, and delete those that are over. Raises StorageError."""
        over = blocked_callers.c.until_ms <= self._now_ms
        with as_storage_error():
            async with self._engine.begin() as connection:
                await connection.execute(delete(blocked_callers).where(over))
                rows = (await connection.execute(select(blocked_callers))).mappings().all()
        self._held = {row["block_id"]: Blocked(**row) for row in rows}

    def held(self) -> Iterator[Blocked]:
        """Those that hold, in any order."""
        now_ms = self._now_ms
        return (one for one in self._held.values() if one.holds(now_ms))

    def all(self) -> list[Blocked]:
        """Those that hold, the newest first."""
        return sorted(self.held(), key=lambda one: one.block_id, reverse=True)

    async def add(
        self,
        caller: str,
        *,
        number: str = "",
        note: str = "",
        by: str | None = None,
        until_ms: int | None = None,
    ) -> Blocked:
        """Block a caller; it is stored when this returns. Raises StorageError, and changes nothing
        then."""
        since_ms = self._now_ms
        blocked = Blocked(
            block_id=f"{since_ms:012x}{os.urandom(10).hex()}",
            caller=caller,
            number=number,
            note=note,
            by=by,
            since_ms=since_ms,
            until_ms=until_ms,
        )
        with as_storage_error():
            async with self._engine.begin() as connection:
                row = fit(asdict(blocked), _BOUNDS)
                await connection.execute(insert(blocked_callers).values(row))
        self._held = {one.block_id: one for one in (*self.held(), blocked)}
        return blocked

    async def remove(self, block_id: str) -> Blocked | None:
        """Let that caller through again; None if there is no such block. Raises StorageError."""
        blocked = self._held.get(block_id)
        if blocked is None:
            return None
        with as_storage_error():
            async with self._engine.begin() as connection:
                gone = delete(blocked_callers).where(blocked_callers.c.block_id == block_id)
                await connection.execute(gone)
        self._held.pop(block_id, None)
        return blocked

    @property
    def _now_ms(self) -> int:
        return round(self._now() * 1000)
