"""Events on their way to a URL: a row each, from the moment when they happen until they are heard.

A row is written in the transaction that stores what happened, so that no crash comes between the
two. It is deleted once its receiver has said yes; what is given up stays, as `dead`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import ColumnElement, and_, delete, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import insert_if_absent
from gateway.storage.errors import as_storage_error
from gateway.storage.spool import Line
from gateway.storage.tables import callbacks
from gateway.storage.texts import Bounds, fit

State: TypeAlias = Literal["waiting", "dead"]
#: Rows kept in memory while the database refuses; older ones go to a file.
MAX_WAITING: Final = 10_000
_BOUNDS: Final = Bounds.of(callbacks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One event for one receiver. Those of a `stream` are told one after another, by their `place`,
    which sorts by time; `origin` is scheme, host and port of `url`. It happened at `at_ms`, has
    been tried `tries` times since `since_ms`, and is due at `due_ms`, all in milliseconds since
    1970. `status` and `error` say why the last try failed: what the receiver answered, or why it
    did not."""

    callback_id: str
    place: str
    stream: str
    kind: str
    url: str
    origin: str
    body: str
    state: State = "waiting"
    tries: int = 0
    at_ms: int
    since_ms: int
    due_ms: int
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackQuery:
    """Which rows to list, newest first. `before` is the cursor: the last place seen."""

    limit: int = 50
    before: str | None = None
    state: str | None = None
    stream: str | None = None


async def add(connection: AsyncConnection, several: Collection[Callback]) -> None:
    """Store them, in the transaction of `connection`; what is there already stays as it is. Raises
    whatever the driver does."""
    rows = [fit(asdict(callback), _BOUNDS) for callback in several]
    if rows:
        await connection.execute(insert_if_absent(connection.dialect, callbacks), rows)


class CallbackStore:
    """The table of callbacks. All raise StorageError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def due(
        self, now_ms: int, most: int, *, streams: Collection[str], origins: Collection[str]
    ) -> list[Callback]:
        """Those to be told now, of each stream the oldest, without `streams` and `origins`."""
        where = [*_first(), callbacks.c.due_ms <= now_ms]
        if streams:
            where.append(callbacks.c.stream.not_in(streams))
        if origins:
            where.append(callbacks.c.origin.not_in(origins))
        order = (callbacks.c.due_ms, callbacks.c.place)
        return await self._rows(select(callbacks).where(*where).order_by(*order).limit(most))

    async def next_due_ms(self, now_ms: int) -> int | None:
        """When the next one is due that is not yet; None if there is none."""
        later = select(callbacks.c.due_ms).where(*_first(), callbacks.c.due_ms > now_ms)
        with as_storage_error():
            async with self.engine.connect() as connection:
                found = await connection.execute(later.order_by(callbacks.c.due_ms).limit(1))
                due_ms = found.scalar_one_or_none()
        return None if due_ms is None else int(due_ms)

    async def delivered(self, callback_id: str) -> None:
        """It was heard: forget it."""
        gone = delete(callbacks).where(callbacks.c.callback_id == callback_id)
        with as_storage_error():
            async with self.engine.begin() as connection:
                await connection.execute(gone)

    async def failed(self, callback: Callback) -> None:
        """Store what came of a try."""
        values = {
            name: getattr(callback, name)
            for name in ("state", "tries", "due_ms", "status", "error")
        }
        one = callbacks.c.callback_id == callback.callback_id
        with as_storage_error():
            async with self.engine.begin() as connection:
                row = fit(values, _BOUNDS)
                await connection.execute(update(callbacks).where(one).values(row))

    async def resend(self, callback_id: str, now_ms: int) -> Callback | None:
        """Tell one again that was given up, from now on as if it were new; None if there is none
        of that id. One that waits is due at once."""
        found = await self.get(callback_id)
        if found is None:
            return None
        anew: Mapping[str, Any] = {"state": "waiting", "due_ms": now_ms}
        if found.state == "dead":
            anew = {**anew, "tries": 0, "since_ms": now_ms}
        with as_storage_error():
            async with self.engine.begin() as connection:
                one = callbacks.c.callback_id == callback_id
                await connection.execute(update(callbacks).where(one).values(anew))
        return replace(found, **anew)

    async def resend_dead(self, now_ms: int) -> int:
        """Tell all of them again that were given up, each as if it were new; how many there are."""
        dead = update(callbacks).where(callbacks.c.state == "dead")
        anew = dead.values(state="waiting", due_ms=now_ms, tries=0, since_ms=now_ms)
        with as_storage_error():
            async with self.engine.begin() as connection:
                return int((await connection.execute(anew)).rowcount)

    async def get(self, callback_id: str) -> Callback | None:
        """The one of that id; None if it was heard, or never was."""
        found = await self._rows(select(callbacks).where(callbacks.c.callback_id == callback_id))
        return found[0] if found else None

    async def page(self, query: CallbackQuery) -> list[Callback]:
        """A page of rows, newest first."""
        where: list[ColumnElement[bool]] = []
        if query.before is not None:
            where.append(callbacks.c.place < query.before)
        if query.state is not None:
            where.append(callbacks.c.state == query.state)
        if query.stream is not None:
            where.append(callbacks.c.stream == query.stream)
        newest_first = select(callbacks).where(and_(True, *where))
        return await self._rows(newest_first.order_by(callbacks.c.place.desc()).limit(query.limit))

    async def counts(self) -> Mapping[str, int]:
        """How many there are, by state."""
        statement = select(callbacks.c.state, func.count()).group_by(callbacks.c.state)
        with as_storage_error():
            async with self.engine.connect() as connection:
                rows = await connection.execute(statement)
                return {str(state): int(count) for state, count in rows}

    async def _rows(self, statement: Any) -> list[Callback]:
        with as_storage_error():
            async with self.engine.connect() as connection:
                rows = await connection.execute(statement)
                return [Callback(**row) for row in rows.mappings()]


class PostedRows:
    """How callbacks that no transaction of others stores are written behind."""

    def __init__(self, stored: Callable[[], None]) -> None:
        """`stored` is told that there is something to deliver, as soon as it can be read."""
        self._stored = stored

    async def write(self, connection: AsyncConnection, batch: Mapping[str, Callback]) -> None:
        if batch:
            await add(connection, batch.values())
            self._stored()

    def line(self, key: str, value: Callback) -> Line:
        """As a file of what the database did not take has it."""
        return asdict(value)

    def of_line(self, line: Line) -> tuple[str, Callback]:
        """What `line` wrote. Raises TypeError for anything else."""
        callback = Callback(**line)
        return callback.callback_id, callback


def _first() -> tuple[ColumnElement[bool], ...]:
    """Of each stream, the oldest that waits."""
    older = callbacks.alias("older")
    earlier = exists().where(
        older.c.stream == callbacks.c.stream,
        older.c.state == "waiting",
        older.c.place < callbacks.c.place,
    )
    return callbacks.c.state == "waiting", ~earlier
