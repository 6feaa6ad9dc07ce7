"""Takes records, bindings and bans from one database to another, all of them or none."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Table, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.database import open_engine, open_unchanged, schema_version, upsert
from gateway.storage.errors import SchemaError, StorageError, as_storage_error
from gateway.storage.leases import TableLeases
from gateway.storage.migrations import NEWEST
from gateway.storage.sole_use import sole_use, user_of
from gateway.storage.tables import LASTING
from gateway.storage.texts import Bounds, fit

#: Rows that are read, and written, at a time.
BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class Copied:
    """What a table had at the source, and has at the target now."""

    table: str
    rows: int
    target_rows: int


class NotEmptyError(StorageError):
    """The target has rows of its own, and the operator did not say that they may be mixed."""


async def copy(source_url: str, target_url: str, *, merge: bool = False) -> list[Copied]:
    """Copy every table of `LASTING`; a row takes the place of the one with the same key.

    So a second copy, with `merge`, brings what is new. Raises NotEmptyError without `merge` for a
    target that has rows, StorageError for all else that stands in the way; nothing is copied then.
    """
    version = await schema_version(source_url)
    if version is None:
        raise SchemaError("the source has no tables of a gateway: is it the right one?")
    if version != NEWEST:
        raise SchemaError(
            f"the source has schema version {version}, not {NEWEST}: run `storage upgrade` on it"
        )
    async with open_engine(target_url) as engine, sole_use(TableLeases(engine)):
        with as_storage_error():
            async with _snapshot(source_url) as source, engine.begin() as target:
                if not merge:
                    await _check_empty(target)
                return [await _copy_table(table, source, target) for table in LASTING]


async def user_of_source(url: str) -> str | None:
    """The gateway that uses the source now: what it writes later is not in the copy."""
    with as_storage_error():
        async with open_unchanged(url) as engine:
            return await user_of(TableLeases(engine))


@asynccontextmanager
async def _snapshot(url: str) -> AsyncIterator[AsyncConnection]:
    """The source as it is at one moment, though a gateway may go on writing."""
    async with open_unchanged(url) as engine, engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            await connection.exec_driver_sql("BEGIN")  # the driver begins none for a SELECT
        else:
            await connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


async def _check_empty(target: AsyncConnection) -> None:
    counts = {table.name: await _count(table, target) for table in LASTING}
    found = [f"{rows} in {name}" for name, rows in counts.items() if rows]
    if found:
        raise NotEmptyError(
            f"the target has rows already ({', '.join(found)}): with --merge they stay, and give"
            " way where the source has a row of the same key"
        )


async def _copy_table(table: Table, source: AsyncConnection, target: AsyncConnection) -> Copied:
    """In the order of the primary key, so that each batch begins where the last one ended."""
    statement, limits = upsert(target.dialect, table), Bounds.of(table)
    keys = list(table.primary_key)
    rows = 0
    last: Sequence[Any] | None = None
    while True:
        query = select(table).order_by(*keys).limit(BATCH)
        if last is not None:
            query = query.where(tuple_(*keys) > tuple_(*last))
        batch = [dict(row) for row in (await source.execute(query)).mappings()]
        if batch:
            last = [batch[-1][key.name] for key in keys]
            await target.execute(statement, [fit(row, limits) for row in batch])
            rows += len(batch)
        if len(batch) < BATCH:
            return Copied(table.name, rows, await _count(table, target))


async def _count(table: Table, connection: AsyncConnection) -> int:
    return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())
