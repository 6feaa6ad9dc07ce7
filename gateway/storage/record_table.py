"""A table of frozen records, one row each: what the softswitch's `RecordStore` ports keep here."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeAlias, TypeVar

import structlog
from sqlalchemy import Table, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.texts import fit, fitting, lengths
from gateway.storage.write_behind import WriteBehind
from sip.softswitch.shared import Key, Keyed

log = structlog.get_logger(__name__)

#: Changes kept while the database refuses; later ones of further keys are dropped.
MAX_WAITING: Final = 100_000

R = TypeVar("R", bound=Keyed)
#: The newest wish for each key: a record to have, or None for none.
Wishes: TypeAlias = dict[Key, R | None]


class RecordTable(Generic[R]):
    """A `RecordStore` in a table whose columns are the fields of `kind`, its key the primary key.

    Open with `open_table`.
    """

    def __init__(self, engine: AsyncEngine, table: Table, kind: type[R]) -> None:
        self._engine = engine
        self._table = table
        self._kind = kind
        self._names = tuple(column.name for column in table.columns)
        self._lengths = lengths(table)
        self._keys = tuple(column.name for column in table.primary_key)
        conditions = (table.c[name] == bindparam(f"key_{name}") for name in self._keys)
        self._delete = delete(table).where(*conditions)
        self._upsert = upsert(engine.dialect, table)
        self._wishes: Wishes[R] = {}
        self._dropping = False
        self.writer: WriteBehind[Wishes[R]] = WriteBehind(engine, self, table.name)

    async def load(self) -> list[R]:
        """Every record that was saved and not deleted. Raises SQLAlchemyError."""
        await self.writer.flush()
        async with self._engine.connect() as connection:
            rows = (await connection.execute(select(self._table))).mappings()
            return [self._kind(**row) for row in rows]

    def save(self, record: R) -> None:
        """Keep `record` in place of an earlier one with the same key."""
        self._wish(record.key, record)

    def delete(self, *key: str) -> None:
        """Drop the record with that key; it is fine if there is none."""
        self._wish(key, None)

    def _wish(self, key: Key, record: R | None) -> None:
        if len(self._wishes) >= MAX_WAITING and key not in self._wishes:
            if not self._dropping:
                self._dropping = True
                log.error(f"{self._table.name}.dropped", waiting=len(self._wishes))
            return
        self._wishes[key] = record
        self.writer.wake()

    # the writer's backlog

    def __len__(self) -> int:
        return len(self._wishes)

    def take(self) -> Wishes[R]:
        wishes, self._wishes = self._wishes, {}
        return wishes

    def put_back(self, batch: Wishes[R]) -> None:
        self._wishes = batch | self._wishes

    async def write(self, connection: AsyncConnection, batch: Wishes[R]) -> None:
        gone = [self._key_parameters(key) for key, record in batch.items() if record is None]
        rows = [self._row(record) for record in batch.values() if record is not None]
        if gone:
            await connection.execute(self._delete, gone)
        if rows:
            await connection.execute(self._upsert, rows)
        self._dropping = False

    def _key_parameters(self, key: Key) -> Mapping[str, str]:
        parts = zip(self._keys, key, strict=True)
        return {f"key_{name}": fitting(part, self._lengths[name]) for name, part in parts}

    def _row(self, record: R) -> dict[str, Any]:
        return fit({name: getattr(record, name) for name in self._names}, self._lengths)


@asynccontextmanager
async def open_table(
    engine: AsyncEngine, table: Table, kind: type[R]
) -> AsyncIterator[RecordTable[R]]:
    """The store in `table`, its writer running; on exit everything noted is stored."""
    store = RecordTable(engine, table, kind)
    async with store.writer.running():
        yield store
