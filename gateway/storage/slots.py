"""The calls of every trunk over a cluster, in the table of slots.

Each gateway writes its own counts, and reads the others', once in `SYNC_S`. So a call's set-up
waits for no database, and two gateways that take a trunk's last slot within the same second may
both have it. What a dead gateway had taken is free again after `LASTS_S`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage.database import now_ms
from gateway.storage.errors import plain
from gateway.storage.tables import slots

log = structlog.get_logger(__name__)

#: How old the other gateways' counts may be, in seconds.
SYNC_S: Final = 1.0
#: How long the counts of a gateway that has stopped without a word still stand, in seconds.
LASTS_S: Final = 6.0


class TableSlots:
    """The `Slots` of one gateway of a cluster, `owner`. Open with `open_slots`."""

    def __init__(self, engine: AsyncEngine, owner: str) -> None:
        self._engine = engine
        self._owner = owner
        self._own: Counter[str] = Counter()
        self._others: Counter[str] = Counter()

    def taken(self, trunk: str) -> int:
        """How many calls the trunk carries now: ours exactly, the others' as last read."""
        return self._own[trunk] + self._others[trunk]

    def take(self, trunk: str) -> None:
        """One more call of this gateway's."""
        self._own[trunk] += 1

    def give_back(self, trunk: str) -> None:
        """One call fewer, which this gateway had taken."""
        self._own[trunk] -= 1

    async def sync(self) -> None:
        """Write our counts, read the others'. Raises SQLAlchemyError; the counts stay then."""
        async with self._engine.begin() as connection:
            now = await now_ms(connection)
            expires_ms = now + round(LASTS_S * 1000)
            await connection.execute(delete(slots).where(slots.c.owner == self._owner))
            own = [
                {"trunk": trunk, "owner": self._owner, "calls": calls, "expires_ms": expires_ms}
                for trunk, calls in self._own.items()
                if calls
            ]
            if own:
                await connection.execute(insert(slots), own)
            others = await connection.execute(
                select(slots.c.trunk, func.sum(slots.c.calls))
                .where(slots.c.owner != self._owner, slots.c.expires_ms > now)
                .group_by(slots.c.trunk)
            )
            self._others = Counter({trunk: int(calls) for trunk, calls in others})

    async def leave(self) -> None:
        """Take our counts out, and those of the dead. Raises SQLAlchemyError."""
        async with self._engine.begin() as connection:
            now = await now_ms(connection)
            gone = (slots.c.owner == self._owner) | (slots.c.expires_ms <= now)
            await connection.execute(delete(slots).where(gone))


@asynccontextmanager
async def open_slots(engine: AsyncEngine, owner: str) -> AsyncIterator[TableSlots]:
    """The slots that `owner` shares with the other gateways of `engine`'s database.

    Raises SQLAlchemyError when the others' counts cannot be read.
    """
    shared = TableSlots(engine, owner)
    await shared.sync()
    task = asyncio.create_task(_sync_forever(shared), name="slots")
    try:
        yield shared
    finally:
        task.cancel()
        await asyncio.wait([task])
        try:
            await shared.leave()
        except Exception as error:
            log.error("slots.not-left", error=plain(error))


async def _sync_forever(shared: TableSlots) -> None:
    while True:
        await asyncio.sleep(SYNC_S)
        try:
            await shared.sync()
        except Exception as error:
            log.error("slots.sync-failed", error=plain(error))
