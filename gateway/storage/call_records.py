"""Call records: one row a call, written when it starts and again when it ends."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

import orjson
import structlog
from sqlalchemy import and_, bindparam, func, insert, select, text, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import open_engine
from gateway.storage.tables import calls
from gateway.storage.texts import fit, lengths
from gateway.storage.write_behind import WriteBehind

log = structlog.get_logger(__name__)

State = Literal["live", "ended", "interrupted"]

#: Records kept while the database refuses; at 20 calls a second an hour's worth.
MAX_WAITING: Final = 72_000


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call, as it is stored. Times are milliseconds since 1970, UTC.

    `a_sip_call_id` is the leg that reached us, `b_sip_call_id` the one connected or tried last.
    `duration_s` counts from the answer. `media` and `retell_headers` are whatever was reported.
    """

    call_id: str
    call_sid: str
    direction: str
    trunk: str
    from_number: str
    to_number: str
    method: str | None
    agent: str | None
    state: State = "live"
    retell_call_id: str | None = None
    a_sip_call_id: str | None = None
    b_sip_call_id: str | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    started_ms: int
    answered_ms: int | None = None
    ended_ms: int | None = None
    duration_s: float | None = None
    ended_by: str | None = None
    cause: str | None = None
    sip_status: int | None = None
    fault: str | None = None
    media: Mapping[str, Any] | None = None
    retell_headers: dict[str, str] = field(default_factory=dict)
    disconnection_reason: str | None = None


_JSON: Final = ("attempts", "media", "retell_headers")
#: The columns that Retell's webhooks write, at their own time: a call's end must not undo them.
_WEBHOOK: Final = ("disconnection_reason",)
_NAMES: Final = tuple(column.name for column in calls.columns)
_UPDATE: Final = (
    update(calls)
    .where(calls.c.call_id == bindparam("key"))
    .values({name: bindparam(name) for name in _NAMES if name not in ("call_id", *_WEBHOOK)})
    # with method 1 only a webhook knows it, and may have said so while the call was up
    .values(retell_call_id=func.coalesce(bindparam("retell_call_id"), calls.c.retell_call_id))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records to list, newest first. `before` is the cursor: the last call_id seen."""

    limit: int = 50
    before: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    equal: Mapping[str, str | int] = field(default_factory=dict)


Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = dict[str, Row]


class _Backlog:
    """Rows to insert and rows to update, by call id."""

    def __init__(self) -> None:
        self._inserts: Rows = {}
        self._updates: Rows = {}

    def __len__(self) -> int:
        return len(self._inserts) + len(self._updates)

    def start(self, row: Row) -> None:
        self._inserts[row["call_id"]] = row

    def end(self, row: Row) -> None:
        """Both at once, when the start is not stored yet."""
        call_id = row["call_id"]
        if call_id in self._inserts:
            self._inserts[call_id] = row
            return
        for name in ("call_id", *_WEBHOOK):
            row.pop(name)
        self._updates[call_id] = row | {"key": call_id}

    def take(self) -> tuple[Rows, Rows]:
        batch = self._inserts, self._updates
        self._inserts, self._updates = {}, {}
        return batch

    def put_back(self, batch: tuple[Rows, Rows]) -> None:
        inserts, updates = batch
        for call_id in [key for key in self._updates if key in inserts]:
            row = self._updates.pop(call_id)
            inserts[call_id] |= {name: row[name] for name in row if name != "key"}
        self._inserts = inserts | self._inserts
        self._updates = updates | self._updates

    async def write(self, connection: AsyncConnection, batch: tuple[Rows, Rows]) -> None:
        inserts, updates = batch
        if inserts:
            await connection.execute(insert(calls), list(inserts.values()))
        if updates:
            await connection.execute(_UPDATE, list(updates.values()))


class CallStore:
    """The table of calls. Open with `open_store`; `start` and `end` return at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._backlog = _Backlog()
        self.writer = WriteBehind(engine, self._backlog, "records")

    @property
    def waiting(self) -> int:
        """Records accepted and not yet stored."""
        return len(self._backlog)

    def start(self, record: CallRecord) -> None:
        """Note a new call."""
        if self.waiting >= MAX_WAITING:
            log.error("records.dropped", call_id=record.call_id)
            return
        self._backlog.start(_row(record))
        self.writer.wake()

    def end(self, record: CallRecord) -> None:
        """Note how it ended."""
        self._backlog.end(_row(record))
        self.writer.wake()

    async def flush(self) -> None:
        """Store everything noted so far. Raises SQLAlchemyError, having lost nothing."""
        await self.writer.flush()

    async def ok(self) -> bool:
        """Whether records reach the store: for /readyz."""
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("select 1"))
        except (SQLAlchemyError, OSError):
            return False
        return self.writer.healthy

    async def get(self, call_id: str) -> CallRecord | None:
        """One call by our id."""
        await self.flush()
        return await self._one(calls.c.call_id == call_id)

    async def by_call_sid(self, call_sid: str) -> CallRecord | None:
        """The newest call with that jambonz id."""
        await self.flush()
        return await self._one(calls.c.call_sid == call_sid)

    async def page(self, query: Query) -> list[CallRecord]:
        """A page of records, newest first: call ids begin with the time."""
        await self.flush()
        where = [calls.c[name] == value for name, value in query.equal.items()]
        if query.before is not None:
            where.append(calls.c.call_id < query.before)
        if query.since_ms is not None:
            where.append(calls.c.started_ms >= query.since_ms)
        if query.until_ms is not None:
            where.append(calls.c.started_ms < query.until_ms)
        statement = (
            select(calls).where(and_(True, *where)).order_by(calls.c.call_id.desc())
        ).limit(query.limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return [_record(row) for row in rows]

    async def count(self) -> int:
        """How many calls are on record."""
        await self.flush()
        async with self._engine.connect() as connection:
            result = await connection.execute(select(func.count()).select_from(calls))
            return int(result.scalar_one())

    async def note_retell(
        self,
        *,
        call_id: str | None,
        retell_call_id: str,
        disconnection_reason: str | None,
    ) -> str | None:
        """Join what a webhook says to its call, found by our id or Retell's; our id, or None."""
        await self.flush()
        known = calls.c.retell_call_id == retell_call_id
        if call_id is not None:
            known = calls.c.call_id == call_id
        record = await self._one(known)
        if record is None:
            return None
        values: Row = {"retell_call_id": retell_call_id}
        if disconnection_reason is not None:
            values["disconnection_reason"] = disconnection_reason
        async with self.writer.writing, self._engine.begin() as connection:
            await connection.execute(
                update(calls).where(calls.c.call_id == record.call_id).values(fit(values, _LENGTHS))
            )
        return record.call_id

    async def interrupt_live(self) -> int:
        """Mark calls that a former run of the program left open; how many there were."""
        async with self._engine.begin() as connection:
            result = await connection.execute(
                update(calls)
                .where(calls.c.state == "live")
                .values(
                    state="interrupted", cause="interrupted", fault="gateway", ended_by="gateway"
                )
            )
        return int(result.rowcount)

    async def _one(self, where: Any) -> CallRecord | None:
        statement = select(calls).where(where).order_by(calls.c.call_id.desc()).limit(1)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).mappings().first()
        return None if row is None else _record(row)


@asynccontextmanager
async def open_store(url: str) -> AsyncIterator[CallStore]:
    """The store at a `sqlite:///` or `postgresql://` URL, its writer running.

    On exit everything noted is stored. Raises StorageError when it cannot be opened.
    """
    async with open_engine(url) as engine:
        store = CallStore(engine)
        interrupted = await store.interrupt_live()
        if interrupted:
            log.warning("records.interrupted", calls=interrupted)
        async with store.writer.running():
            yield store


_LENGTHS: Final = lengths(calls)
_FIELDS: Final = tuple(item.name for item in fields(CallRecord))
_values: Final = attrgetter(*_FIELDS)


def _row(record: CallRecord) -> dict[str, Any]:
    row = dict(zip(_FIELDS, _values(record), strict=True))
    for name in _JSON:
        value = row[name]
        row[name] = None if value is None else orjson.dumps(value).decode()
    return fit(row, _LENGTHS)


def _record(row: RowMapping) -> CallRecord:
    values = dict(row)
    for name in _JSON:
        if values[name] is not None:
            values[name] = orjson.loads(values[name])
    return CallRecord(**values)


def sip_call_ids(record: CallRecord) -> Sequence[str]:
    """Every SIP Call-ID of a call: the caller's leg first, then the dialled ones in order."""
    found = [record.a_sip_call_id, *(item.get("sip_call_id") for item in record.attempts)]
    return list(dict.fromkeys(sip_call_id for sip_call_id in found if sip_call_id))
