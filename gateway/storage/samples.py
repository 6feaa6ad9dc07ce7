"""How good the legs of calls that are over were, over their time: one row a call."""

import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import Dialect, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import as_storage_error
from gateway.storage.spool import Line, Spool
from gateway.storage.tables import samples
from gateway.storage.write_behind import WriteBehind

#: Rows kept in memory while the database refuses, of a kilobyte each; older ones go to a file.
MAX_WAITING: Final = 20_000

#: By leg, `a` and `b`: lists of equal length, as the API shows them.
Samples: TypeAlias = Mapping[str, Any]


class _Rows:
    """Samples by call id, packed: a third of their JSON."""

    def __init__(self, dialect: Dialect) -> None:
        self._upsert = upsert(dialect, samples)

    async def write(self, connection: AsyncConnection, batch: Mapping[str, bytes]) -> None:
        rows = [{"call_id": call_id, "legs": packed} for call_id, packed in batch.items()]
        if rows:
            await connection.execute(self._upsert, rows)

    def line(self, key: str, value: bytes) -> Line:
        """As a file of what the database did not take has it."""
        return {"call_id": key, "legs": b64encode(value).decode()}

    def of_line(self, line: Line) -> tuple[str, bytes]:
        """What `line` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return str(line["call_id"]), b64decode(line["legs"], validate=True)


class SampleStore:
    """The table of samples. Open with `open_samples`; `save` returns at once."""

    def __init__(self, engine: AsyncEngine, spool: Spool) -> None:
        self._engine = engine
        self.writer = WriteBehind(engine, _Rows(engine.dialect), "samples", spool, most=MAX_WAITING)

    def save(self, call_id: str, legs: Samples) -> None:
        """Keep the samples of a call that is over."""
        if legs:
            self.writer.note(call_id, zlib.compress(orjson.dumps(legs), 1))

    async def get(self, call_id: str) -> Samples | None:
        """Those of one call; None where there are none. Raises StorageError."""
        packed = self.writer.get(call_id)
        if packed is None:
            statement = select(samples.c.legs).where(samples.c.call_id == call_id)
            with as_storage_error():
                async with self._engine.connect() as connection:
                    packed = (await connection.execute(statement)).scalar()
        if packed is None:
            return None
        legs: Samples = orjson.loads(zlib.decompress(packed))
        return legs


@asynccontextmanager
async def open_samples(engine: AsyncEngine, spool_folder: Path) -> AsyncIterator[SampleStore]:
    """The store, its writer running; on exit all that was noted is stored. Raises StorageError."""
    store = SampleStore(engine, Spool(spool_folder, "samples"))
    async with store.writer.running():
        yield store
