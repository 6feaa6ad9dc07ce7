"""Call records: one row a call, written when it starts, whenever it gets on, and at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import orjson
import structlog
from sqlalchemy import Dialect, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import Columns, check_writable, database_file, open_engine, upsert
from gateway.storage.errors import StorageError, as_storage_error
from gateway.storage.file_watch import watching
from gateway.storage.retention import KEEP_ALL, Keep, deleting_old
from gateway.storage.spool import Line, Spool, spool_folder
from gateway.storage.tables import calls
from gateway.storage.texts import Bounds, as_json, fit
from gateway.storage.write_behind import WriteBehind

log = structlog.get_logger(__name__)

State = Literal["live", "ended", "interrupted"]

#: Retell counts a call that it places from some moment between its INVITE and the answer, by a
#: clock of its own: this far, in milliseconds, the two may be apart.
RING_MS: Final = 180_000
SKEW_MS: Final = 60_000
#: Records kept in memory while the database refuses; at 20 calls a second an hour's worth.
MAX_WAITING: Final = 72_000
#: For how long the answer to whether the store takes records stands, in seconds.
KNOWN_S: Final = 0.5


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


def _replacing(new: Columns) -> Columns:
    """What the later state of a call changes in its row."""
    changed = {name: column for name, column in new.items() if name not in _WEBHOOK}
    # with method 1 only a webhook knows it, and may have said so while the call was up
    known = func.coalesce(new["retell_call_id"], calls.c.retell_call_id)
    return changed | {"retell_call_id": known}


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which records to list, newest first. `before` is the cursor: the last call_id seen."""

    limit: int = 50
    before: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    equal: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What Retell says of a call that it placed, which brought us nothing of its own: the numbers
    in E.164, and when it began, in milliseconds since 1970. `from_number` None: any."""

    to_number: str
    from_number: str | None
    at_ms: int

    @property
    def where(self) -> Any:
        """The calls that may be meant: none that is joined already."""
        about = calls.c.started_ms.between(self.at_ms - RING_MS, self.at_ms + SKEW_MS)
        same = (calls.c.direction == "retell", calls.c.to_number == self.to_number, about)
        who = () if self.from_number is None else (calls.c.from_number == self.from_number,)
        return and_(calls.c.retell_call_id.is_(None), *same, *who)

    def distance(self, record: CallRecord) -> int:
        """How far apart the two are; Retell may count from the INVITE or from the answer."""
        moments = (record.started_ms, record.answered_ms)
        return min(abs(self.at_ms - moment) for moment in moments if moment is not None)


Row: TypeAlias = dict[str, Any]


class _CallRows:
    """Records as rows; a row is made of its record when it is written."""

    def __init__(self, dialect: Dialect) -> None:
        self._upsert = upsert(dialect, calls, _replacing)

    async def write(self, connection: AsyncConnection, batch: Mapping[str, CallRecord]) -> None:
        await connection.execute(self._upsert, [_row(record) for record in batch.values()])

    def line(self, key: str, value: CallRecord) -> Line:
        return {"row": _row(value)}

    def of_line(self, line: Line) -> tuple[str, CallRecord]:
        record = _record(line["row"])
        return record.call_id, record


class CallStore:
    """The table of calls. Open with `open_store`; `save` returns at once."""

    def __init__(self, engine: AsyncEngine, spool: Spool) -> None:
        self.engine = engine
        self.writer = WriteBehind(
            engine, _CallRows(engine.dialect), "records", spool, most=MAX_WAITING
        )
        self._asking = asyncio.Lock()
        self._known_until = float("-inf")
        self._writable = False

    @property
    def waiting(self) -> int:
        """Records accepted and not yet stored."""
        return len(self.writer)

    def save(self, record: CallRecord) -> None:
        """Keep a call's record, as it will be when it is written."""
        self.writer.note(record.call_id, record)

    async def flush(self) -> None:
        """Store everything noted so far. Raises StorageError, having lost nothing."""
        await self.writer.flush()

    async def ok(self) -> bool:
        """Whether records reach the store: for /readyz, however often it is asked."""
        async with self._asking:
            if (now := asyncio.get_running_loop().time()) >= self._known_until:
                self._known_until = now + KNOWN_S
                self._writable = False  # also where whoever asks does not wait for the answer
                try:
                    with as_storage_error():
                        await check_writable(self.engine)
                    self._writable = True
                except StorageError as error:
                    self.writer.tell(error)
        return self._writable and self.writer.healthy

    async def get(self, call_id: str) -> CallRecord | None:
        """One call by our id. Raises StorageError."""
        await self._settle()
        return self.writer.get(call_id) or await self._one(calls.c.call_id == call_id)

    async def by_call_sid(self, call_sid: str) -> CallRecord | None:
        """The newest call with that jambonz id. Raises StorageError."""
        await self._settle()
        return await self._one(calls.c.call_sid == call_sid)

    async def page(self, query: Query) -> list[CallRecord]:
        """A page of records, newest first: call ids begin with the time. Raises StorageError."""
        await self._settle()
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
        with as_storage_error():
            async with self.engine.connect() as connection:
                rows = (await connection.execute(statement)).mappings().all()
            return [_record(row) for row in rows]

    async def count(self) -> int:
        """How many calls are on record. Raises StorageError."""
        await self._settle()
        with as_storage_error():
            async with self.engine.connect() as connection:
                result = await connection.execute(select(func.count()).select_from(calls))
                return int(result.scalar_one())

    async def note_retell(
        self,
        *,
        call_id: str | None,
        retell_call_id: str,
        disconnection_reason: str | None,
        placed: Placed | None = None,
    ) -> CallRecord | None:
        """Join what a webhook says to its call, found by our id, by Retell's, or as `placed`.

        The call's record as it is then; None where there is no such call.
        Raises StorageError.
        """
        await self.flush()
        known = calls.c.retell_call_id == retell_call_id
        if call_id is not None:
            known = calls.c.call_id == call_id
        record = await self._one(known)
        if record is None and call_id is None and placed is not None:
            record = await self._nearest(placed)
        if record is None:
            return None
        record.retell_call_id = retell_call_id
        record.disconnection_reason = disconnection_reason or record.disconnection_reason
        values: Row = {"retell_call_id": retell_call_id}
        if disconnection_reason is not None:
            values["disconnection_reason"] = disconnection_reason
        changed = update(calls).where(calls.c.call_id == record.call_id)
        with as_storage_error():
            async with self.writer.writing, self.engine.begin() as connection:
                await connection.execute(changed.values(fit(values, _BOUNDS)))
        return record

    async def interrupt_live(self) -> int:
        """Mark calls that a former run of the program left open; how many there were.

        They ended by now, as far as anybody knows. Raises StorageError.
        """
        ending = {"cause": "interrupted", "fault": "gateway", "ended_by": "gateway"}
        left_open = update(calls).where(calls.c.state == "live")
        ended_ms = round(time.time() * 1000)
        with as_storage_error():
            async with self.engine.begin() as connection:
                result = await connection.execute(
                    left_open.values(state="interrupted", ended_ms=ended_ms, **ending)
                )
        return int(result.rowcount)

    async def _settle(self) -> None:
        """Store what waits, so that a reader finds it, unless the database refuses."""
        if self.writer.healthy:
            with suppress(StorageError):
                await self.flush()

    async def _nearest(self, placed: Placed) -> CallRecord | None:
        statement = select(calls).where(placed.where).order_by(calls.c.call_id.desc()).limit(100)
        with as_storage_error():
            async with self.engine.connect() as connection:
                rows = (await connection.execute(statement)).mappings().all()
            return min(map(_record, rows), key=placed.distance, default=None)

    async def _one(self, where: Any) -> CallRecord | None:
        statement = select(calls).where(where).order_by(calls.c.call_id.desc()).limit(1)
        with as_storage_error():
            async with self.engine.connect() as connection:
                row = (await connection.execute(statement)).mappings().first()
            return None if row is None else _record(row)


@asynccontextmanager
async def open_store(
    url: str, *, spool: Path | None = None, keep: Keep = KEEP_ALL
) -> AsyncIterator[CallStore]:
    """The store at a `sqlite:///` or `postgresql://` URL, its writer running.

    On exit everything noted is stored, or put by in the folder `spool` (`spool_folder` says which
    one where it is None). Records that are older, or more, than `keep` says are deleted. Raises
    StorageError when it cannot be opened.
    """
    async with open_engine(url) as engine:
        store = CallStore(engine, Spool(spool_folder(url, spool), calls.name))
        async with store.writer.running():
            interrupted = await store.interrupt_live()
            if interrupted:
                log.warning("records.interrupted", calls=interrupted)
            async with watching(engine, database_file(url)), deleting_old(engine, keep):
                yield store


_BOUNDS: Final = Bounds.of(calls)
_FIELDS: Final = tuple(item.name for item in fields(CallRecord))
_values: Final = attrgetter(*_FIELDS)


def _row(record: CallRecord) -> dict[str, Any]:
    row = dict(zip(_FIELDS, _values(record), strict=True))
    for name in _JSON:
        value = row[name]
        row[name] = None if value is None else as_json(value)
    return fit(row, _BOUNDS)


def _record(row: Mapping[Any, Any]) -> CallRecord:
    values = dict(row)
    for name in _JSON:
        if values[name] is not None:
            values[name] = orjson.loads(values[name])
    return CallRecord(**values)


def sip_call_ids(record: CallRecord) -> Sequence[str]:
    """Every SIP Call-ID of a call: the caller's leg first, then the dialled ones in order."""
    found = [record.a_sip_call_id]
    for item in record.attempts:
        found += [*item.get("sip_call_ids", ()), item.get("sip_call_id")]
    return list(dict.fromkeys(sip_call_id for sip_call_id in found if sip_call_id))
