"""What calls cost on a day, so that a restart begins no day anew, and a later day can be asked for.

A row has what was spent with what was reserved when it was written: what a process that is killed
had reserved counts as spent.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Dialect, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import StorageError, as_storage_error
from gateway.storage.spool import Line, Spool
from gateway.storage.tables import spend
from gateway.storage.write_behind import WriteBehind

#: Rows kept in memory while the database refuses; a day has one for each trunk, country and rate.
MAX_WAITING: Final = 20_000
#: Days that are kept, to be asked for, and to know which countries were called before.
KEEP_DAYS: Final = 400

SpendScope: TypeAlias = Literal["all", "trunk", "country", "prefix"]
_SCOPES: Final[Mapping[str, SpendScope]] = {
    "all": "all",
    "trunk": "trunk",
    "country": "country",
    "prefix": "prefix",
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What the calls of a day cost, in millionths of the currency: of all (`key` is empty), of
    those on a trunk, to a country, or by the rate of a prefix. `seconds` are those talked."""

    day: date
    scope: SpendScope
    key: str
    micros: int
    calls: int
    seconds: float


class _Rows:
    """Sums by day, scope and key, the newest of each."""

    def __init__(self, dialect: Dialect) -> None:
        self._upsert = upsert(dialect, spend)

    async def write(self, connection: AsyncConnection, batch: Mapping[str, Spent]) -> None:
        rows = [self.line(key, spent) for key, spent in batch.items()]
        if rows:
            await connection.execute(self._upsert, rows)

    def line(self, key: str, value: Spent) -> Line:
        """As the table, or a file of what the database did not take, has it."""
        return {
            "day": value.day.isoformat(),
            "scope": value.scope,
            "key": value.key,
            "micros": value.micros,
            "calls": value.calls,
            "seconds": value.seconds,
        }

    def of_line(self, line: Line) -> tuple[str, Spent]:
        """What `line` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        spent = _spent(line)
        return _key(spent), spent


class SpendStore:
    """The table of what was spent. Open with `open_spend`; `save` returns at once.

    `kept` are the rows of the newest day that there are any of and of the day before, `countries`
    those that were called on any day, as they were when it was opened.
    """

    def __init__(self, engine: AsyncEngine, spool: Spool) -> None:
        self.writer = WriteBehind(engine, _Rows(engine.dialect), "spend", spool, most=MAX_WAITING)
        self.kept: tuple[Spent, ...] = ()
        self.countries: frozenset[str] = frozenset()
        self._engine = engine

    def save(self, spent: Spent) -> None:
        """Keep a sum."""
        self.writer.note(_key(spent), spent)

    async def of_day(self, day: date) -> list[Spent]:
        """What was spent on a day, in no order. Raises StorageError."""
        if self.writer.healthy:
            with suppress(StorageError):
                await self.writer.flush()
        return await self._read(select(spend).where(spend.c.day == day.isoformat()))

    async def load(self) -> None:
        """Read the newest days, and delete those that are too old. Raises StorageError."""
        with as_storage_error():
            async with self._engine.begin() as connection:
                newest = (await connection.execute(select(func.max(spend.c.day)))).scalar_one()
                if newest is None:
                    return
                day = date.fromisoformat(newest)
                too_old = (day - timedelta(days=KEEP_DAYS)).isoformat()
                await connection.execute(delete(spend).where(spend.c.day < too_old))
                called = select(spend.c.key).where(spend.c.scope == "country").distinct()
                self.countries = frozenset((await connection.execute(called)).scalars())
        since = (day - timedelta(days=1)).isoformat()
        self.kept = tuple(await self._read(select(spend).where(spend.c.day >= since)))

    async def _read(self, statement: Any) -> list[Spent]:
        with as_storage_error():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(statement)).mappings().all()
        return [_spent(dict(row)) for row in rows]


def _spent(row: Mapping[str, Any]) -> Spent:
    return Spent(
        date.fromisoformat(row["day"]),
        _SCOPES[row["scope"]],
        str(row["key"]),
        int(row["micros"]),
        int(row["calls"]),
        float(row["seconds"]),
    )


def _key(spent: Spent) -> str:
    return f"{spent.day} {spent.scope} {spent.key}"


@asynccontextmanager
async def open_spend(engine: AsyncEngine, spool_folder: Path) -> AsyncIterator[SpendStore]:
    """The store, its writer running; on exit all that was noted is stored. Raises StorageError."""
    store = SpendStore(engine, Spool(spool_folder, "spend"))
    async with store.writer.running():
        await store.writer.flush()
        await store.load()
        yield store
