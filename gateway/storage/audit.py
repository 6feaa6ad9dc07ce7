"""Who had the gateway do what over its API: one row a request that was to change something."""

import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Dialect, and_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import StorageError, as_storage_error
from gateway.storage.spool import Line, Spool
from gateway.storage.tables import audit
from gateway.storage.texts import Bounds, fit
from gateway.storage.write_behind import WriteBehind

#: Rows kept in memory while the database refuses; older ones go to a file.
MAX_WAITING: Final = 10_000
_BOUNDS: Final = Bounds.of(audit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One request. `by` is the token's name, None where none was shown; `what` is what was wanted,
    and `status` what it was answered with. Ids sort by time, which is milliseconds since 1970."""

    audit_id: str
    at_ms: int
    by: str | None
    client: str
    method: str
    path: str
    request_id: str
    status: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditQuery:
    """Which rows to list, newest first. `before` is the cursor: the last audit_id seen."""

    limit: int = 50
    before: str | None = None
    by: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class _Rows:
    def __init__(self, dialect: Dialect) -> None:
        self._upsert = upsert(dialect, audit)

    async def write(self, connection: AsyncConnection, batch: Mapping[str, Write]) -> None:
        rows = [fit(asdict(write), _BOUNDS) for write in batch.values()]
        if rows:
            await connection.execute(self._upsert, rows)

    def line(self, key: str, value: Write) -> Line:
        """As a file of what the database did not take has it."""
        return asdict(value)

    def of_line(self, line: Line) -> tuple[str, Write]:
        """What `line` wrote. Raises TypeError for anything else."""
        write = Write(**line)
        return write.audit_id, write


class AuditStore:
    """The table of writes. Open with `open_audit`; `note` returns at once."""

    def __init__(self, engine: AsyncEngine, spool: Spool, now: Callable[[], float]) -> None:
        self._engine = engine
        self._now = now
        #: the moment of the row before, and how many there were of it: rows keep their order
        self._last = (0, 0)
        self.writer = WriteBehind(engine, _Rows(engine.dialect), "audit", spool, most=MAX_WAITING)

    def note(self, **told: Any) -> None:
        """Keep one request: `told` are the fields of `Write` but for its id and time."""
        at_ms, (last_ms, count) = round(self._now() * 1000), self._last
        self._last = (at_ms, 0 if at_ms != last_ms else count + 1)
        audit_id = f"{at_ms:012x}{self._last[1]:08x}{os.urandom(6).hex()}"
        self.writer.note(audit_id, Write(audit_id=audit_id, at_ms=at_ms, **told))

    async def page(self, query: AuditQuery) -> list[Write]:
        """A page of rows, newest first. Raises StorageError."""
        if self.writer.healthy:
            with suppress(StorageError):
                await self.writer.flush()
        where = []
        if query.before is not None:
            where.append(audit.c.audit_id < query.before)
        if query.by is not None:
            where.append(audit.c.by == query.by)
        if query.since_ms is not None:
            where.append(audit.c.at_ms >= query.since_ms)
        if query.until_ms is not None:
            where.append(audit.c.at_ms < query.until_ms)
        newest_first = select(audit).where(and_(True, *where)).order_by(audit.c.audit_id.desc())
        with as_storage_error():
            async with self._engine.connect() as connection:
                rows = await connection.execute(newest_first.limit(query.limit))
                return [Write(**row) for row in rows.mappings()]


@asynccontextmanager
async def open_audit(
    engine: AsyncEngine, spool_folder: Path, now: Callable[[], float] = time.time
) -> AsyncIterator[AuditStore]:
    """The store, its writer running; on exit all that was noted is stored. `now` is seconds since
    1970. Raises StorageError."""
    store = AuditStore(engine, Spool(spool_folder, "audit"), now)
    async with store.writer.running():
        yield store
