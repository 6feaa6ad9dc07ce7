"""The ladders of calls that are over: their SIP messages, without secrets, one row a call."""

import zlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson
from sqlalchemy import Dialect, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import StorageError, as_storage_error
from gateway.storage.spool import Line, Spool
from gateway.storage.tables import ladders
from gateway.storage.write_behind import WriteBehind

#: Ladders kept in memory while the database refuses; older ones go to a file.
MAX_WAITING: Final = 5_000
#: A surplus of this part is deleted at once: to look for it costs more than to store one.
SURPLUS: Final = 0.01
#: zlib looks back 8 KiB for what repeats, and remembers 8,192 places.
_WINDOW_BITS: Final = 13
_MEMORY_LEVEL: Final = 6

#: The messages of a call, as the API shows them.
Messages: TypeAlias = list[dict[str, Any]]


class _Rows:
    """Ladders by call id, packed: about a tenth of what the messages take."""

    def __init__(self, dialect: Dialect, most: int) -> None:
        self._upsert = upsert(dialect, ladders)
        self._most = most
        self._written = int(most * SURPLUS)  # so that the first batch looks

    async def write(self, connection: AsyncConnection, batch: Mapping[str, bytes]) -> None:
        rows = [{"call_id": call_id, "messages": packed} for call_id, packed in batch.items()]
        if not rows:
            return
        await connection.execute(self._upsert, rows)
        self._written += len(rows)
        if self._written >= self._most * SURPLUS:
            self._written = 0
            await self._delete_surplus(connection)

    def line(self, key: str, value: bytes) -> Line:
        """As a file of what the database did not take has it."""
        return {"call_id": key, "messages": b64encode(value).decode()}

    def of_line(self, line: Line) -> tuple[str, bytes]:
        """What `line` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        return str(line["call_id"]), b64decode(line["messages"], validate=True)

    async def _delete_surplus(self, connection: AsyncConnection) -> None:
        """Call ids begin with the time, so that the smallest are the oldest."""
        newest = ladders.c.call_id.desc()
        oldest_kept = select(ladders.c.call_id).order_by(newest).offset(self._most - 1).limit(1)
        last = (await connection.execute(oldest_kept)).scalar()
        if last is not None:
            await connection.execute(delete(ladders).where(ladders.c.call_id < last))


def _packed(text: bytes) -> bytes:
    """As `zlib.compress` at its fastest, with a window and tables that fit a call's few kilobytes:
    to clear the usual ones takes three times as long as to compress."""
    packer = zlib.compressobj(1, zlib.DEFLATED, _WINDOW_BITS, _MEMORY_LEVEL)
    return packer.compress(text) + packer.flush()


class LadderStore:
    """The table of ladders. Open with `open_ladders`; `save` returns at once."""

    def __init__(self, engine: AsyncEngine, most: int, spool: Spool) -> None:
        self._engine = engine
        self._most = most
        self.writer = WriteBehind(
            engine, _Rows(engine.dialect, most), "ladders", spool, most=MAX_WAITING
        )

    def save(self, call_id: str, messages: Messages) -> None:
        """Keep the ladder of a call that is over."""
        if self._most and messages:
            self.writer.note(call_id, _packed(orjson.dumps(messages)))

    async def get(self, call_id: str) -> Messages | None:
        """The ladder of one call; None where there is none. Raises StorageError."""
        packed = self.writer.get(call_id)
        if packed is None:
            statement = select(ladders.c.messages).where(ladders.c.call_id == call_id)
            with as_storage_error():
                async with self._engine.connect() as connection:
                    packed = (await connection.execute(statement)).scalar()
        if packed is None:
            return None
        messages: Messages = orjson.loads(zlib.decompress(packed))
        return messages

    async def count(self) -> int:
        """How many ladders are stored. Raises StorageError."""
        with suppress(StorageError):
            await self.writer.flush()
        with as_storage_error():
            async with self._engine.connect() as connection:
                result = await connection.execute(select(func.count()).select_from(ladders))
                return int(result.scalar_one())


@asynccontextmanager
async def open_ladders(
    engine: AsyncEngine, most: int, spool_folder: Path
) -> AsyncIterator[LadderStore]:
    """The store of the newest `most` ladders, its writer running; on exit all noted are stored.

    Raises StorageError.
    """
    store = LadderStore(engine, most, Spool(spool_folder, "ladders"))
    async with store.writer.running():
        yield store
