"""A table of frozen records, one row each: what the softswitch's `RecordStore` ports keep here."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Table, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import as_storage_error
from gateway.storage.spool import Line, Spool
from gateway.storage.texts import Bounds, fit, fitting
from gateway.storage.write_behind import WriteBehind
from sip.softswitch.shared import Key, Keyed

#: Changes kept in memory while the database refuses; older ones go to a file.
MAX_WAITING: Final = 100_000

R = TypeVar("R", bound=Keyed)


class RecordTable(Generic[R]):
    """A `RecordStore` in a table whose columns are the fields of `kind`, its key the primary key.

    Open with `open_table`.
    """

    def __init__(self, engine: AsyncEngine, table: Table, kind: type[R], spool: Spool) -> None:
        self._engine = engine
        self._table = table
        self._kind = kind
        self._names = tuple(column.name for column in table.columns)
        self._bounds = Bounds.of(table)
        self._keys = tuple(column.name for column in table.primary_key)
        conditions = (table.c[name] == bindparam(f"key_{name}") for name in self._keys)
        self._delete = delete(table).where(*conditions)
        self._upsert = upsert(engine.dialect, table)
        self.writer: WriteBehind[Key, R | None] = WriteBehind(
            engine, self, table.name, spool, most=MAX_WAITING
        )

    async def load(self) -> list[R]:
        """Every record that was saved and not deleted. Raises StorageError."""
        await self.writer.flush()
        with as_storage_error():
            async with self._engine.connect() as connection:
                rows = (await connection.execute(select(self._table))).mappings()
                return [self._kind(**row) for row in rows]

    def save(self, record: R) -> None:
        """Keep `record` in place of an earlier one with the same key."""
        self.writer.note(record.key, record)

    def delete(self, *key: str) -> None:
        """Drop the record with that key; it is fine if there is none."""
        self.writer.note(key, None)

    # the writer's rows

    async def write(self, connection: AsyncConnection, batch: Mapping[Key, R | None]) -> None:
        gone = [self._key_parameters(key) for key, record in batch.items() if record is None]
        rows = [self._row(record) for record in batch.values() if record is not None]
        if gone:
            await connection.execute(self._delete, gone)
        if rows:
            await connection.execute(self._upsert, rows)

    def line(self, key: Key, value: R | None) -> Line:
        row = None if value is None else {name: getattr(value, name) for name in self._names}
        return {"key": key, "row": row}

    def of_line(self, line: Line) -> tuple[Key, R | None]:
        key = tuple(map(str, line["key"]))
        if len(key) != len(self._keys):
            raise ValueError(f"a key of {len(key)} parts")
        return key, None if line["row"] is None else self._kind(**line["row"])

    def _key_parameters(self, key: Key) -> Mapping[str, str]:
        parts = zip(self._keys, key, strict=True)
        return {f"key_{name}": fitting(part, self._bounds.letters[name]) for name, part in parts}

    def _row(self, record: R) -> dict[str, Any]:
        return fit({name: getattr(record, name) for name in self._names}, self._bounds)


@asynccontextmanager
async def open_table(
    engine: AsyncEngine, table: Table, kind: type[R], spool: Path
) -> AsyncIterator[RecordTable[R]]:
    """The store in `table`, its writer running; on exit everything noted is stored, or put by in
    the folder `spool`."""
    store = RecordTable(engine, table, kind, Spool(spool, table.name))
    async with store.writer.running():
        yield store
