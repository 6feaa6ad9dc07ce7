"""Joins what Retell says of a call to the call's record."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage.call_records import CallRecord, CallStore, record_of
from gateway.storage.errors import as_storage_error
from gateway.storage.retell_facts import merged
from gateway.storage.tables import calls
from gateway.storage.texts import Bounds, as_json, fit

#: Retell counts a call that it places from some moment between its INVITE and the answer, by a
#: clock of its own: this far, in milliseconds, the two may be apart.
RING_MS: Final = 180_000
SKEW_MS: Final = 60_000
#: By so much one call must be nearer than another to be told from it.
CLEAR_MS: Final = 500
_BOUNDS: Final = Bounds.of(calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What Retell says of a call that it placed, whose INVITE names no id of Retell's: the numbers
    in E.164, when it began, in milliseconds since 1970, and the headers that it was to bear, by
    names in lower case. `from_number` None: any."""

    to_number: str
    from_number: str | None
    at_ms: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def where(self) -> Any:
        """The calls that may be meant: none that is joined already."""
        about = calls.c.started_ms.between(self.at_ms - RING_MS, self.at_ms + SKEW_MS)
        same = (calls.c.direction == "retell", calls.c.to_number == self.to_number, about)
        who = () if self.from_number is None else (calls.c.from_number == self.from_number,)
        return and_(calls.c.retell_call_id.is_(None), *same, *who)

    def found(self, records: Iterable[CallRecord]) -> CallRecord | None:
        """The call that is meant, of those of `where`; None where nobody can tell.

        Headers that both know of decide first: what differs is another call, what is the same
        counts more than time. Of two at once that are as likely, less than `CLEAR_MS` apart, none
        is.
        """
        ranked = sorted(
            ((-self._agreed(one), self.distance(one), one) for one in records if self._may_be(one)),
            key=lambda each: each[:2],
        )
        if not ranked:
            return None
        agreed, near, best = ranked[0]
        for other_agreed, other_near, other in ranked[1:2]:
            alike = other_agreed == agreed and other_near - near < CLEAR_MS
            if alike and _at_once(best, other):
                return None
        return best

    def _may_be(self, record: CallRecord) -> bool:
        return all(record.headers.get(name, value) == value for name, value in self.headers.items())

    def _agreed(self, record: CallRecord) -> int:
        return sum(record.headers.get(name) == value for name, value in self.headers.items())

    def distance(self, record: CallRecord) -> int:
        """How far apart the two are; Retell may count from the INVITE or from the answer."""
        moments = (record.started_ms, record.answered_ms)
        return min(abs(self.at_ms - moment) for moment in moments if moment is not None)


def _at_once(one: CallRecord, other: CallRecord) -> bool:
    """Whether the two were up at the same time."""
    first, second = sorted((one, other), key=lambda record: record.started_ms)
    return first.ended_ms is None or first.ended_ms > second.started_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What Retell says of a call, which is found by `call_id`, ours, else by Retell's, else as
    `placed`. `facts` are those of `gateway.storage.retell_facts`."""

    call_id: str | None
    retell_call_id: str
    disconnection_reason: str | None = None
    placed: Placed | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


async def note_retell(store: CallStore, told: Told) -> CallRecord | None:
    """Store it, at once. The call's record as it is then; None where there is no such call. Raises
    StorageError."""
    await store.flush()
    with as_storage_error():
        async with store.writer.writing, store.engine.begin() as connection:
            return await join(connection, told)


async def join(connection: AsyncConnection, told: Told) -> CallRecord | None:
    """The same in the transaction of `connection`, once the store was flushed and while its writer
    waits. Raises whatever the driver does."""
    known = calls.c.retell_call_id == told.retell_call_id
    if told.call_id is not None:
        known = calls.c.call_id == told.call_id
    newest_first = select(calls).order_by(calls.c.call_id.desc())
    found = await connection.execute(newest_first.where(known).limit(1).with_for_update())
    row = found.mappings().first()
    record = None if row is None else record_of(row)
    if record is None and told.call_id is None and told.placed is not None:
        rows = await connection.execute(newest_first.where(told.placed.where).limit(100))
        record = told.placed.found(map(record_of, rows.mappings().all()))
    if record is None:
        return None
    record.retell_call_id = told.retell_call_id
    values: dict[str, Any] = {"retell_call_id": told.retell_call_id}
    if told.disconnection_reason is not None:
        values["disconnection_reason"] = record.disconnection_reason = told.disconnection_reason
    if told.facts:
        record.retell = merged(record.retell, told.facts)
        values["retell"] = as_json(record.retell)
    changed = update(calls).where(calls.c.call_id == record.call_id)
    await connection.execute(changed.values(fit(values, _BOUNDS)))
    return record
