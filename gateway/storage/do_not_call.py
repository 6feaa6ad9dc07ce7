"""The table of numbers that are never called."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import as_storage_error
from gateway.storage.tables import do_not_call
from gateway.storage.texts import Bounds, fit

#: Numbers that are named in one statement, or written at a time.
BATCH: Final = 500
_BOUNDS: Final = Bounds.of(do_not_call)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoNotCall:
    """`number` is E.164; `by` the name of the token that entered it, `at_ms` milliseconds since
    1970."""

    number: str
    reason: str = ""
    by: str = ""
    at_ms: int = 0


class DoNotCallStore:
    """The list. Every method raises StorageError; one with a connection, what the driver does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._upsert = upsert(engine.dialect, do_not_call)

    async def put(self, connection: AsyncConnection, entries: Sequence[DoNotCall]) -> None:
        """Enter numbers; what was said of one before gives way."""
        for start in range(0, len(entries), BATCH):
            rows = [fit(asdict(entry), _BOUNDS) for entry in entries[start : start + BATCH]]
            await connection.execute(self._upsert, rows)

    async def remove(self, connection: AsyncConnection, number: str) -> bool:
        """Take a number off; whether it was there."""
        gone = await connection.execute(delete(do_not_call).where(do_not_call.c.number == number))
        return gone.rowcount > 0

    async def among(self, connection: AsyncConnection, numbers: Iterable[str]) -> set[str]:
        """Which of these numbers are on it."""
        asked, found = list(set(numbers)), set[str]()
        for start in range(0, len(asked), BATCH):
            some = do_not_call.c.number.in_(asked[start : start + BATCH])
            rows = await connection.execute(select(do_not_call.c.number).where(some))
            found |= {str(one) for one in rows.scalars()}
        return found

    async def page(self, after: str | None, limit: int) -> list[DoNotCall]:
        """Some of it by number, beginning after `after`."""
        statement = select(do_not_call).order_by(do_not_call.c.number).limit(limit)
        if after is not None:
            statement = statement.where(do_not_call.c.number > after)
        with as_storage_error():
            async with self._engine.connect() as connection:
                rows = await connection.execute(statement)
                return [DoNotCall(**row) for row in rows.mappings()]

    async def count(self) -> int:
        """How many numbers are on it."""
        with as_storage_error():
            async with self._engine.connect() as connection:
                return int(
                    (
                        await connection.execute(select(func.count(do_not_call.c.number)))
                    ).scalar_one()
                )
