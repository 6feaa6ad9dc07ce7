"""How many calls left and came on a day, so that a restart begins no day anew."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Dialect, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import as_storage_error
from gateway.storage.spool import Line, Spool
from gateway.storage.tables import day_counts
from gateway.storage.write_behind import WriteBehind

#: Rows kept in memory while the database refuses; a row is a trunk or a number of one day.
MAX_WAITING: Final = 20_000

Scope: TypeAlias = Literal["all", "trunk", "number", "caller", "called"]
_SCOPES: Final[Mapping[str, Scope]] = {
    "all": "all",
    "trunk": "trunk",
    "number": "number",
    "caller": "caller",
    "called": "called",
}


@dataclass(frozen=True, slots=True)
class DayCount:
    """Calls that left on a day: of all (`key` is empty), on the trunk or to the number `key`; or
    that came: of the caller, or to the number of ours, `key`."""

    day: date
    scope: Scope
    key: str
    calls: int


class _Rows:
    """Counts by day, scope and key, the newest of each."""

    def __init__(self, dialect: Dialect) -> None:
        self._upsert = upsert(dialect, day_counts)

    async def write(self, connection: AsyncConnection, batch: Mapping[str, DayCount]) -> None:
        rows = [self.line(key, count) for key, count in batch.items()]
        if rows:
            await connection.execute(self._upsert, rows)

    def line(self, key: str, value: DayCount) -> Line:
        """As the table, or a file of what the database did not take, has it."""
        return {
            "day": value.day.isoformat(),
            "scope": value.scope,
            "key": value.key,
            "calls": value.calls,
        }

    def of_line(self, line: Line) -> tuple[str, DayCount]:
        """What `line` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        count = _count(line)
        return _key(count), count


class DayCountStore:
    """The table of counts. Open with `open_day_counts`; `save` returns at once.

    `kept` are those of the newest day that there are any of, as they were when it was opened.
    """

    def __init__(self, engine: AsyncEngine, spool: Spool) -> None:
        self.writer = WriteBehind(
            engine, _Rows(engine.dialect), "day_counts", spool, most=MAX_WAITING
        )
        self.kept: tuple[DayCount, ...] = ()
        self._engine = engine

    def save(self, count: DayCount) -> None:
        """Keep a count."""
        self.writer.note(_key(count), count)

    async def load(self) -> None:
        """Read the newest day, and delete those before it. Raises StorageError."""
        newest = select(func.max(day_counts.c.day)).scalar_subquery()
        with as_storage_error():
            async with self._engine.begin() as connection:
                await connection.execute(delete(day_counts).where(day_counts.c.day < newest))
                rows = (await connection.execute(select(day_counts))).mappings().all()
        self.kept = tuple(_count(dict(row)) for row in rows)


def _count(row: Mapping[str, Any]) -> DayCount:
    return DayCount(
        date.fromisoformat(row["day"]), _SCOPES[row["scope"]], str(row["key"]), int(row["calls"])
    )


def _key(count: DayCount) -> str:
    return f"{count.day} {count.scope} {count.key}"


@asynccontextmanager
async def open_day_counts(engine: AsyncEngine, spool_folder: Path) -> AsyncIterator[DayCountStore]:
    """The store, its writer running; on exit all that was noted is stored. Raises StorageError."""
    store = DayCountStore(engine, Spool(spool_folder, "day_counts"))
    async with store.writer.running():
        await store.writer.flush()
        await store.load()
        yield store
