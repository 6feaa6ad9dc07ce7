"""The contacts of PBXs and phones that registered with us, kept over a restart.

Rows come from the softswitch and go back to it; nothing here knows what they mean. A burst (all
phones of an office after a power cut) is gathered and stored in one transaction, in the background.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    delete,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage.database import open_engine, plain

log = structlog.get_logger(__name__)

Row = Mapping[str, Any]
Key = tuple[str, str, str]

# A crash loses at most this much.
GATHER_S: Final = 0.2
RETRY_S: Final = 1.0

_metadata = MetaData()
bindings: Final = Table(
    "sip_bindings",
    _metadata,
    Column("trunk", String(128), primary_key=True),
    Column("aor", String(255), primary_key=True),
    Column("contact", String(512), primary_key=True),
    Column("params", Text, nullable=False),
    Column("q", Float, nullable=False),
    Column("instance", Text, nullable=False),
    Column("source", String(64), nullable=False),
    Column("path", Text, nullable=False),
    Column("sip_call_id", String(255), nullable=False),
    Column("cseq", BigInteger, nullable=False),
    Column("user_agent", String(128), nullable=False),
    Column("registered_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)
_KEY: Final = ("trunk", "aor", "contact")
_DELETE: Final = delete(bindings).where(
    *(bindings.c[name] == bindparam(f"key_{name}") for name in _KEY)
)


class BindingsStore:
    """The table of bindings. Open with `open_bindings`; `save` and `delete` return at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        #: the newest wish for each key: a row to have, or None for none
        self._wanted: dict[Key, Row | None] = {}
        self._pending = asyncio.Event()
        self._writing = asyncio.Lock()

    async def load(self) -> list[Row]:
        """Every row that was saved and not deleted. Raises SQLAlchemyError."""
        await self.flush()
        async with self._engine.connect() as connection:
            return [dict(row) for row in (await connection.execute(select(bindings))).mappings()]

    def save(self, row: Row) -> None:
        """Keep `row` in place of an earlier one with the same trunk, aor and contact."""
        self._wanted[row["trunk"], row["aor"], row["contact"]] = row
        self._pending.set()

    def delete(self, trunk: str, aor: str, contact: str) -> None:
        """Drop a row; none is fine."""
        self._wanted[trunk, aor, contact] = None
        self._pending.set()

    async def flush(self) -> None:
        """Store everything noted so far. Raises SQLAlchemyError, having lost nothing."""
        async with self._writing:
            wanted, self._wanted = self._wanted, {}
            if not wanted:
                return
            keys = [
                {f"key_{name}": part for name, part in zip(_KEY, key, strict=True)}
                for key in wanted
            ]
            rows = [dict(row) for row in wanted.values() if row is not None]
            try:
                async with self._engine.begin() as connection:
                    await connection.execute(_DELETE, keys)
                    if rows:
                        await connection.execute(insert(bindings), rows)
            except BaseException:
                self._wanted = wanted | self._wanted  # what came meanwhile is newer
                self._pending.set()
                raise

    async def write_forever(self) -> None:
        """The writer task: gathers for a moment, stores, and tries again when it cannot."""
        while True:
            await self._pending.wait()
            await asyncio.sleep(GATHER_S)
            self._pending.clear()
            try:
                await self.flush()
            except SQLAlchemyError as error:
                log.error("bindings.store-failed", error=plain(error), waiting=len(self._wanted))
                await asyncio.sleep(RETRY_S)

    def quiet(self) -> asyncio.Lock:
        """Held while nothing is being stored."""
        return self._writing


@asynccontextmanager
async def open_bindings(url: str) -> AsyncIterator[BindingsStore]:
    """The store in the database at `url`, its table made, its writer running.

    On exit everything noted is stored. Raises OSError or SQLAlchemyError when it cannot be opened.
    """
    async with open_engine(url, _metadata) as engine:
        store = BindingsStore(engine)
        writer = asyncio.create_task(store.write_forever(), name="bindings")
        try:
            yield store
        finally:
            async with store.quiet():  # never in the middle of a commit
                writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer
            try:
                await store.flush()
            except SQLAlchemyError as error:
                log.error("bindings.lost", error=plain(error))
