"""Call records: one row a call, written when it starts and again when it ends.

A single writer gathers what happened in a moment and stores it in one transaction, so that a
burst of calls costs a few commits and no call waits for the disk.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

import orjson
import structlog
from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    bindparam,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage.database import open_engine, plain

log = structlog.get_logger(__name__)

State = Literal["live", "ended", "interrupted"]

# A burst of calls becomes one transaction; a crash loses at most this much.
GATHER_S: Final = 0.2
RETRY_S: Final = 1.0
# Records kept while the store fails; at 20 calls a second an hour's worth.
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
# The columns that Retell's webhooks write, at their own time: a call's end must not undo them.
_WEBHOOK: Final = ("disconnection_reason",)

_metadata = MetaData()
calls: Final = Table(
    "calls",
    _metadata,
    Column("call_id", String(64), primary_key=True),
    Column("call_sid", String(64), nullable=False),
    Column("direction", String(16), nullable=False),
    Column("trunk", String(128), nullable=False),
    Column("from_number", String(255), nullable=False),
    Column("to_number", String(255), nullable=False),
    Column("method", String(16)),
    Column("agent", String(128)),
    Column("state", String(16), nullable=False),
    Column("retell_call_id", String(128)),
    Column("a_sip_call_id", String(255)),
    Column("b_sip_call_id", String(255)),
    Column("attempts", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("answered_ms", BigInteger),
    Column("ended_ms", BigInteger),
    Column("duration_s", Float),
    Column("ended_by", String(16)),
    Column("cause", String(64)),
    Column("sip_status", Integer),
    Column("fault", String(16)),
    Column("media", Text),
    Column("retell_headers", Text, nullable=False),
    Column("disconnection_reason", String(64)),
    Index("calls_call_sid", "call_sid"),
    Index("calls_retell_call_id", "retell_call_id"),
    Index("calls_state", "state"),
)
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


class CallStore:
    """The table of calls. Open with `open_store`; `start` and `end` return at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._inserts: dict[str, dict[str, Any]] = {}
        self._updates: dict[str, dict[str, Any]] = {}
        self._pending = asyncio.Event()
        self._writing = asyncio.Lock()
        self.healthy = True

    @property
    def waiting(self) -> int:
        """Records accepted and not yet stored."""
        return len(self._inserts) + len(self._updates)

    def start(self, record: CallRecord) -> None:
        """Note a new call."""
        if self.waiting >= MAX_WAITING:
            log.error("records.dropped", call_id=record.call_id)
            return
        self._inserts[record.call_id] = _row(record)
        self._pending.set()

    def end(self, record: CallRecord) -> None:
        """Note how it ended. Both at once, when the start is not stored yet."""
        row = _row(record)
        if record.call_id in self._inserts:
            self._inserts[record.call_id] = row
        else:
            for name in ("call_id", *_WEBHOOK):
                row.pop(name)
            self._updates[record.call_id] = row | {"key": record.call_id}
        self._pending.set()

    async def flush(self) -> None:
        """Store everything noted so far. Raises SQLAlchemyError, having lost nothing."""
        async with self._writing:
            if not self.waiting:
                return
            inserts, updates = self._inserts, self._updates
            self._inserts, self._updates = {}, {}
            try:
                async with self._engine.begin() as connection:
                    if inserts:
                        await connection.execute(insert(calls), list(inserts.values()))
                    if updates:
                        await connection.execute(_UPDATE, list(updates.values()))
            except BaseException:
                self._put_back(inserts, updates)
                raise
            self.healthy = True

    def _put_back(self, inserts: dict[str, Any], updates: dict[str, Any]) -> None:
        """Nothing was stored: what came meanwhile is newer and wins."""
        for call_id in [key for key in self._updates if key in inserts]:
            row = self._updates.pop(call_id)
            inserts[call_id] |= {name: row[name] for name in row if name != "key"}
        self._inserts = inserts | self._inserts
        self._updates = updates | self._updates
        self._pending.set()

    async def write_forever(self) -> None:
        """The writer task: gathers for a moment, stores, and tries again when it cannot."""
        while True:
            await self._pending.wait()
            await asyncio.sleep(GATHER_S)
            self._pending.clear()
            try:
                await self.flush()
            except SQLAlchemyError as error:
                self.healthy = False
                log.error("records.store-failed", error=plain(error), waiting=self.waiting)
                await asyncio.sleep(RETRY_S)

    def quiet(self) -> asyncio.Lock:
        """Held while nothing is being stored."""
        return self._writing

    async def ok(self) -> bool:
        """Whether records reach the store: for /readyz."""
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("select 1"))
        except (SQLAlchemyError, OSError):
            return False
        return self.healthy

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
        values = {"retell_call_id": retell_call_id}
        if disconnection_reason is not None:
            values["disconnection_reason"] = disconnection_reason
        async with self._writing, self._engine.begin() as connection:
            await connection.execute(
                update(calls).where(calls.c.call_id == record.call_id).values(values)
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
    """The store at a `sqlite:///` or `postgresql://` URL, its table made, its writer running.

    On exit everything noted is stored. Raises OSError or SQLAlchemyError when it cannot be opened.
    """
    async with open_engine(url, _metadata) as engine:
        store = CallStore(engine)
        interrupted = await store.interrupt_live()
        if interrupted:
            log.warning("records.interrupted", calls=interrupted)
        writer = asyncio.create_task(store.write_forever(), name="call-records")
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
                log.error("records.lost", error=plain(error), calls=store.waiting)


_FIELDS: Final = tuple(item.name for item in fields(CallRecord))


def _row(record: CallRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _FIELDS}
    for name in _JSON:
        value = row[name]
        row[name] = None if value is None else orjson.dumps(value).decode()
    return row


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
