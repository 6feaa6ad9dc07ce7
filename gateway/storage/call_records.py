"""Call records: one row a call, written when it starts, whenever it gets on, and at its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Literal

import orjson
import structlog
from sqlalchemy import Dialect, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.call_query import Query
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

#: Records kept in memory while the database refuses; at 20 calls a second an hour's worth.
MAX_WAITING: Final = 72_000
#: For how long the answer to whether the store takes records stands, in seconds.
KNOWN_S: Final = 0.5


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call, as it is stored. Times are milliseconds since 1970, UTC.

    `a_sip_call_id` is the leg that reached us, `b_sip_call_id` the one connected or tried last.
    `duration_s` counts from the answer. `media` and `retell_headers` are whatever was reported.
    `related` are calls that hand this one on, or that it hands on; `part_of` is the call of which
    it is but a leg. `cost_estimate` is in the currency of `outbound.spend`. `headers` are what the
    INVITE said of itself, by names in lower case; `retell` is what Retell said of its own call.
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
    transfers: list[dict[str, Any]] = field(default_factory=list)
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
    part_of: str | None = None
    related: list[dict[str, Any]] = field(default_factory=list)
    cost_estimate: float | None = None
    headers: dict[str, str] = field(default_factory=dict)
    retell: dict[str, Any] = field(default_factory=dict)


_JSON: Final = ("attempts", "transfers", "media", "retell_headers", "related", "headers", "retell")
#: The columns that Retell's webhooks write, at their own time: a call's end must not undo them.
_WEBHOOK: Final = ("disconnection_reason", "retell")


def _replacing(new: Columns) -> Columns:
    """What the later state of a call changes in its row."""
    changed = {name: column for name, column in new.items() if name not in _WEBHOOK}
    # with method 1 only a webhook knows it, and may have said so while the call was up
    known = func.coalesce(new["retell_call_id"], calls.c.retell_call_id)
    return changed | {"retell_call_id": known}


class _CallRows:
    """Records as rows; a row is made of its record when it is written."""

    def __init__(self, dialect: Dialect) -> None:
        self._upsert = upsert(dialect, calls, _replacing)

    async def write(self, connection: AsyncConnection, batch: Mapping[str, CallRecord]) -> None:
        await connection.execute(self._upsert, [_row(record) for record in batch.values()])

    def line(self, key: str, value: CallRecord) -> Line:
        return {"row": _row(value)}

    def of_line(self, line: Line) -> tuple[str, CallRecord]:
        record = record_of(line["row"])
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
        #: calls that a former run of the program left open, as it left them
        self.interrupted: tuple[CallRecord, ...] = ()

    @property
    def waiting(self) -> int:
        """Records accepted and not yet stored."""
        return len(self.writer)

    def save(self, record: CallRecord) -> None:
        """Keep a call's record, as it will be when it is written."""
        self.writer.note(record.call_id, record)

    async def forget(self, call_id: str) -> None:
        """A call that never came to be has no record. Raises StorageError."""
        await self.flush()
        with as_storage_error():
            async with self.writer.writing, self.engine.begin() as connection:
                await connection.execute(delete(calls).where(calls.c.call_id == call_id))

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

    async def by_call_sid(self, call_sid: str, *, settled: bool = True) -> CallRecord | None:
        """The newest call with that jambonz or Twilio id. With `settled` False what waits to be
        written is not waited for. Raises StorageError."""
        if settled:
            await self._settle()
        return await self._one(calls.c.call_sid == call_sid)

    async def page(self, query: Query) -> list[CallRecord]:
        """A page of records, newest first: call ids begin with the time. Raises StorageError."""
        await self._settle()
        found = select(calls).where(query.where(self.engine.dialect))
        statement = found.order_by(calls.c.call_id.desc()).limit(query.limit)
        with as_storage_error():
            async with self.engine.connect() as connection:
                rows = (await connection.execute(statement)).mappings().all()
            return [record_of(row) for row in rows]

    async def count(self) -> int:
        """How many calls are on record. Raises StorageError."""
        await self._settle()
        with as_storage_error():
            async with self.engine.connect() as connection:
                result = await connection.execute(select(func.count()).select_from(calls))
                return int(result.scalar_one())

    async def interrupt_live(self) -> None:
        """Mark calls that a former run of the program left open (`interrupted`).

        They ended by now, as far as anybody knows. Raises StorageError.
        """
        ending = {"cause": "interrupted", "fault": "gateway", "ended_by": "gateway"}
        is_open = calls.c.state == "live"
        ended_ms = round(time.time() * 1000)
        with as_storage_error():
            async with self.engine.begin() as connection:
                rows = (await connection.execute(select(calls).where(is_open))).mappings().all()
                change = update(calls).where(is_open)
                await connection.execute(
                    change.values(state="interrupted", ended_ms=ended_ms, **ending)
                )
            self.interrupted = tuple(record_of(row) for row in rows)

    async def _settle(self) -> None:
        """Store what waits, so that a reader finds it, unless the database refuses."""
        if self.writer.healthy:
            with suppress(StorageError):
                await self.flush()

    async def _one(self, where: Any) -> CallRecord | None:
        statement = select(calls).where(where).order_by(calls.c.call_id.desc()).limit(1)
        with as_storage_error():
            async with self.engine.connect() as connection:
                row = (await connection.execute(statement)).mappings().first()
            return None if row is None else record_of(row)


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
            await store.interrupt_live()
            if store.interrupted:
                log.warning("records.interrupted", calls=len(store.interrupted))
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


def record_of(row: Mapping[Any, Any]) -> CallRecord:
    """The record that a row has."""
    values = dict(row)
    for name in _JSON:
        if values.get(name) is not None:
            values[name] = orjson.loads(values[name])
    return CallRecord(**values)


def parts_of(record: CallRecord) -> list[dict[str, Any]]:
    """The entries of `related` that are legs of this call: its transfers, where that is certain."""
    return [
        entry
        for entry in record.related
        if entry["role"] == "transfer" and entry["certainty"] == "certain"
    ]


def sip_call_ids(record: CallRecord) -> Sequence[str]:
    """Every SIP Call-ID of a call: the caller's leg first, then the dialled ones in order."""
    found = [record.a_sip_call_id]
    for item in record.attempts:
        found += [*item.get("sip_call_ids", ()), item.get("sip_call_id")]
    return list(dict.fromkeys(sip_call_id for sip_call_id in found if sip_call_id))
