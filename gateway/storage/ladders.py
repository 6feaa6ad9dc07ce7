"""The ladders of calls that are over: their SIP messages, without secrets, one row a call."""

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import orjson
import structlog
from sqlalchemy import Dialect, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.tables import ladders
from gateway.storage.write_behind import WriteBehind

log = structlog.get_logger(__name__)

#: Ladders kept in memory while the database refuses; later ones are dropped.
MAX_WAITING: Final = 5_000
#: A surplus of this part is deleted at once: to look for it costs more than to store one.
SURPLUS: Final = 0.01

#: The messages of a call, as the API shows them.
Messages: TypeAlias = list[dict[str, Any]]
#: Packed messages by call id.
_Packed: TypeAlias = dict[str, bytes]


class _Backlog:
    """Ladders that are to be written, packed: about a fifth of what the messages take."""

    def __init__(self, dialect: Dialect, most: int) -> None:
        self._upsert = upsert(dialect, ladders)
        self._most = most
        self._written = int(most * SURPLUS)  # so that the first batch looks
        self._packed: _Packed = {}

    def __len__(self) -> int:
        return len(self._packed)

    def add(self, call_id: str, packed: bytes) -> None:
        self._packed[call_id] = packed

    def take(self) -> _Packed:
        batch, self._packed = self._packed, {}
        return batch

    def put_back(self, batch: _Packed) -> None:
        self._packed = batch | self._packed

    async def write(self, connection: AsyncConnection, batch: _Packed) -> None:
        rows = [{"call_id": call_id, "messages": packed} for call_id, packed in batch.items()]
        await connection.execute(self._upsert, rows)
        self._written += len(rows)
        if self._written >= self._most * SURPLUS:
            self._written = 0
            await self._delete_surplus(connection)

    async def _delete_surplus(self, connection: AsyncConnection) -> None:
        """Call ids begin with the time, so that the smallest are the oldest."""
        newest = ladders.c.call_id.desc()
        oldest_kept = select(ladders.c.call_id).order_by(newest).offset(self._most - 1).limit(1)
        last = (await connection.execute(oldest_kept)).scalar()
        if last is not None:
            await connection.execute(delete(ladders).where(ladders.c.call_id < last))


class LadderStore:
    """The table of ladders. Open with `open_ladders`; `save` returns at once."""

    def __init__(self, engine: AsyncEngine, most: int) -> None:
        self._engine = engine
        self._most = most
        self._backlog = _Backlog(engine.dialect, most)
        self.writer = WriteBehind(engine, self._backlog, "ladders")

    def save(self, call_id: str, messages: Messages) -> None:
        """Keep the ladder of a call that is over."""
        if not self._most or not messages:
            return
        if len(self._backlog) >= MAX_WAITING:
            log.error("ladders.dropped", call_id=call_id)
            return
        self._backlog.add(call_id, zlib.compress(orjson.dumps(messages), 1))
        self.writer.wake()

    async def get(self, call_id: str) -> Messages | None:
        """The ladder of one call; None where there is none. Raises SQLAlchemyError."""
        await self.writer.flush()
        statement = select(ladders.c.messages).where(ladders.c.call_id == call_id)
        async with self._engine.connect() as connection:
            packed = (await connection.execute(statement)).scalar()
        if packed is None:
            return None
        messages: Messages = orjson.loads(zlib.decompress(packed))
        return messages

    async def count(self) -> int:
        """How many ladders are stored."""
        await self.writer.flush()
        async with self._engine.connect() as connection:
            result = await connection.execute(select(func.count()).select_from(ladders))
            return int(result.scalar_one())


@asynccontextmanager
async def open_ladders(engine: AsyncEngine, most: int) -> AsyncIterator[LadderStore]:
    """The store of the newest `most` ladders, its writer running; on exit all noted are stored."""
    store = LadderStore(engine, most)
    async with store.writer.running():
        yield store
