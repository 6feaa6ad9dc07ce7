"""The tables of queued calls and their tries.

Nothing here is written behind: a call that is to be placed is stored first, and whoever asked for
one hears of it when it is stored. A method that takes a connection runs in that transaction.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    CursorResult,
    and_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import as_storage_error
from gateway.storage.queue_rows import call_of, call_row, try_of, try_row
from gateway.storage.queued_call import QueuedCall, QueueState, Result, Try
from gateway.storage.tables import queue_pauses, queued_calls, tries

#: Rows that are read, or named in one statement, at a time.
BATCH: Final = 500
#: The name under which the whole queue is paused: no campaign has it.
WHOLE: Final = ""

#: What a queue in memory knows of a call that waits.
KEYS: Final = (
    *("queued_id", "priority", "created_ms", "not_before_ms", "due_ms", "expires_ms"),
    *("window", "time_zones", "campaign"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueQuery:
    """Which queued calls, newest first: `before` is the id of the last one of the page before."""

    limit: int = 50
    before: str | None = None
    state: QueueState | None = None
    campaign: str | None = None
    to_number: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


class QueueStore:
    """Reads and writes them. Every method raises StorageError, one with a connection whatever the
    driver does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._upsert_try = upsert(engine.dialect, tries)
        self._upsert_pause = upsert(engine.dialect, queue_pauses)
        changed = [each.name for each in queued_calls.columns if each.name != "queued_id"]
        self._update = (
            update(queued_calls)
            .where(queued_calls.c.queued_id == bindparam("this_id"))
            .values({name: bindparam(name) for name in changed})
        )

    @asynccontextmanager
    async def transaction(self, *, durable: bool = False) -> AsyncIterator[AsyncConnection]:
        """All that is done with the connection, or nothing. What is `durable` outlasts a power cut
        as well: SQLite waits for the disk. Raises StorageError."""
        with as_storage_error():
            async with self._engine.connect() as connection:
                if durable and connection.dialect.name == "sqlite":
                    await _wait_for_the_disk(connection)
                yield connection
                await connection.commit()

    # writing

    async def insert(self, connection: AsyncConnection, calls: Sequence[QueuedCall]) -> None:
        """Store new ones."""
        for start in range(0, len(calls), BATCH):
            rows = [call_row(call) for call in calls[start : start + BATCH]]
            await connection.execute(insert(queued_calls), rows)

    async def put(self, connection: AsyncConnection, call: QueuedCall, *states: QueueState) -> bool:
        """Store it as it is now, if it is in one of `states` (in any, where none is said);
        whether it was."""
        row = call_row(call)
        statement = self._update
        if states:
            statement = statement.where(queued_calls.c.state.in_([one.value for one in states]))
        done = await connection.execute(statement, {**row, "this_id": row.pop("queued_id")})
        return _rows(done) > 0

    async def take(self, connection: AsyncConnection, call: QueuedCall, attempt: Try) -> bool:
        """Store `attempt` and its `call`, now calling, if it waits; whether it did. The same once
        more is fine, as after a commit whose answer was lost."""
        row = call_row(call)
        waits = queued_calls.c.state == QueueState.WAITING.value
        ours = and_(
            queued_calls.c.state == QueueState.CALLING.value,
            queued_calls.c.call_id == attempt.call_id,
        )
        statement = self._update.where(or_(waits, ours))
        done = await connection.execute(statement, {**row, "this_id": row.pop("queued_id")})
        if _rows(done) == 0:
            return False
        await self.put_try(connection, attempt)
        return True

    async def end_waiting(
        self,
        connection: AsyncConnection,
        ids: Sequence[str],
        state: QueueState,
        ended_ms: int,
        *,
        words: tuple[Result, str],
        keep: bool = False,
    ) -> list[QueuedCall]:
        """End those of these that wait, `words` being their result and its detail; with `keep` what
        an earlier try brought stands. Those that it ended, as they are then."""
        found: list[QueuedCall] = []
        columns = queued_calls.c
        result, detail = words
        for start in range(0, len(ids), BATCH):
            some = ids[start : start + BATCH]
            waits = and_(columns.queued_id.in_(some), columns.state == QueueState.WAITING.value)
            told = {"result": result.value, "detail": detail}
            end = {"state": state.value, "ended_ms": ended_ms}
            where = and_(waits, columns.result.is_(None)) if keep else waits
            await connection.execute(update(queued_calls).where(where).values({**told, **end}))
            if keep:
                await connection.execute(update(queued_calls).where(waits).values(end))
            # nobody else changes them before the commit
            found += [
                call
                for call in await self.load(connection, some)
                if call.state is state and call.ended_ms == ended_ms
            ]
        return found

    async def put_try(self, connection: AsyncConnection, attempt: Try) -> None:
        """Store a try as it is now."""
        await connection.execute(self._upsert_try, [try_row(attempt)])

    async def drop_try(self, connection: AsyncConnection, call_id: str) -> None:
        """Forget a try of which nothing was sent."""
        await connection.execute(delete(tries).where(tries.c.call_id == call_id))

    async def pause(self, campaign: str, by: str, at_ms: int) -> None:
        """Remember that it is paused."""
        async with self.transaction(durable=True) as connection:
            row = {"campaign": campaign, "by": by[:128], "at_ms": at_ms}
            await connection.execute(self._upsert_pause, [row])

    async def resume(self, campaign: str) -> None:
        """Forget that it is paused."""
        async with self.transaction(durable=True) as connection:
            mine = queue_pauses.c.campaign == campaign
            await connection.execute(delete(queue_pauses).where(mine))

    # reading

    async def pauses(self) -> set[str]:
        """What is paused."""
        async with self._reading() as connection:
            return set((await connection.execute(select(queue_pauses.c.campaign))).scalars())

    async def load(self, connection: AsyncConnection, ids: Sequence[str]) -> list[QueuedCall]:
        """Those that there are of these, in any order."""
        found: list[QueuedCall] = []
        for start in range(0, len(ids), BATCH):
            some = queued_calls.c.queued_id.in_(ids[start : start + BATCH])
            rows = await connection.execute(select(queued_calls).where(some))
            found += [call_of(dict(row)) for row in rows.mappings()]
        return found

    async def several(self, ids: Sequence[str]) -> list[QueuedCall]:
        """As `load`, in a transaction of its own."""
        async with self._reading() as connection:
            return await self.load(connection, ids)

    async def in_state(self, state: QueueState, after: str = "") -> list[QueuedCall]:
        """A batch of those in a state, by id, beginning after `after`."""
        where = and_(queued_calls.c.state == state.value, queued_calls.c.queued_id > after)
        statement = select(queued_calls).where(where).order_by(queued_calls.c.queued_id)
        async with self._reading() as connection:
            rows = await connection.execute(statement.limit(BATCH))
            return [call_of(dict(row)) for row in rows.mappings()]

    async def waiting_keys(self) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        """`KEYS` of all that wait, in batches."""
        last = ""
        keys = [queued_calls.c[name] for name in KEYS]
        waits = queued_calls.c.state == QueueState.WAITING.value
        while True:
            where = and_(waits, queued_calls.c.queued_id > last)
            statement = select(*keys).where(where).order_by(queued_calls.c.queued_id)
            async with self._reading() as connection:
                rows = (await connection.execute(statement.limit(10 * BATCH))).mappings().all()
            if not rows:
                return
            yield [dict(row) for row in rows]
            last = str(rows[-1]["queued_id"])

    async def ids_of(self, campaign: str, *states: QueueState) -> list[str]:
        """The calls of a campaign in these states."""
        where = and_(
            queued_calls.c.campaign == campaign,
            queued_calls.c.state.in_([one.value for one in states]),
        )
        statement = select(queued_calls.c.queued_id).where(where).order_by(queued_calls.c.queued_id)
        async with self._reading() as connection:
            return [str(one) for one in (await connection.execute(statement)).scalars()]

    async def page(self, query: QueueQuery) -> list[QueuedCall]:
        """Some of them, newest first."""
        columns = queued_calls.c
        order = tuple_(columns.created_ms, columns.queued_id)
        where: list[Any] = []
        if query.before is not None:
            last = select(columns.created_ms).where(columns.queued_id == query.before)
            where.append(order < tuple_(last.scalar_subquery(), query.before))
        for column, value in (
            (columns.state, None if query.state is None else query.state.value),
            (columns.campaign, query.campaign),
            (columns.to_number, query.to_number),
        ):
            if value is not None:
                where.append(column == value)
        if query.since_ms is not None:
            where.append(columns.created_ms >= query.since_ms)
        if query.until_ms is not None:
            where.append(columns.created_ms < query.until_ms)
        statement = select(queued_calls).where(and_(True, *where))
        newest_first = statement.order_by(columns.created_ms.desc(), columns.queued_id.desc())
        async with self._reading() as connection:
            rows = await connection.execute(newest_first.limit(query.limit))
            return [call_of(dict(row)) for row in rows.mappings()]

    async def tries(self, ids: Sequence[str]) -> dict[str, list[Try]]:
        """The tries of these, first to last; a call without one has an empty list."""
        found: dict[str, list[Try]] = {queued_id: [] for queued_id in ids}
        async with self._reading() as connection:
            for start in range(0, len(ids), BATCH):
                some = tries.c.queued_id.in_(ids[start : start + BATCH])
                statement = select(tries).where(some).order_by(tries.c.number, tries.c.call_id)
                for row in (await connection.execute(statement)).mappings():
                    found[row["queued_id"]].append(try_of(dict(row)))
        return found

    async def counts(self, campaign: str | None) -> dict[str, int]:
        """How many by state, and of those that are over by `result:RESULT`."""
        columns = queued_calls.c
        statement = select(columns.state, columns.result, func.count())
        if campaign is not None:
            statement = statement.where(columns.campaign == campaign)
        found: dict[str, int] = {}
        async with self._reading() as connection:
            rows = await connection.execute(statement.group_by(columns.state, columns.result))
            for state, result, count in rows:
                found[state] = found.get(state, 0) + count
                if result is not None and state not in (QueueState.WAITING, QueueState.CALLING):
                    key = f"result:{result}"
                    found[key] = found.get(key, 0) + count
        return found

    async def last_try_ms(self) -> int | None:
        """When the newest try began, in milliseconds since 1970."""
        async with self._reading() as connection:
            newest = await connection.execute(select(func.max(tries.c.started_ms)))
            found = newest.scalar_one_or_none()
            return None if found is None else int(found)

    async def known(self, connection: AsyncConnection, ids: Iterable[str]) -> set[str]:
        """Which of these ids are taken."""
        wanted, found = list(ids), set[str]()
        for start in range(0, len(wanted), BATCH):
            some = queued_calls.c.queued_id.in_(wanted[start : start + BATCH])
            rows = await connection.execute(select(queued_calls.c.queued_id).where(some))
            found |= {str(one) for one in rows.scalars()}
        return found

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        with as_storage_error():
            async with self._engine.connect() as connection:
                yield connection


async def _wait_for_the_disk(connection: AsyncConnection) -> None:
    """From now on, for good: a connection is used again and again, and the others that use it
    write little."""
    if not connection.info.get("durable"):
        await connection.exec_driver_sql("PRAGMA synchronous=FULL")
        connection.info["durable"] = True


def _rows(result: CursorResult[Any]) -> int:
    return result.rowcount
