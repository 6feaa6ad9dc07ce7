"""Events that Retell's webhooks told: a row each, from before they are answered on.

`waiting` ones are still to be acted on. The row stays when that is done, so that the same event is
known when it comes again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import insert_if_absent
from gateway.storage.errors import as_storage_error
from gateway.storage.tables import retell_events
from gateway.storage.texts import Bounds, fit

State: TypeAlias = Literal["waiting", "done", "broken"]
_BOUNDS: Final = Bounds.of(retell_events)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetellEvent:
    """One event. `event_id` is the same however often Retell sends it; `place` sorts by the time
    when it came, `received_ms` since 1970. `call_id` is ours, once it is known. `body` is what
    Retell signed. One that is `broken` could not be acted on: the log has why."""

    event_id: str
    place: str
    event: str
    retell_call_id: str | None
    call_id: str | None = None
    workspace: str
    received_ms: int
    state: State = "waiting"
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetellEventQuery:
    """Which to list, newest first. `before` is the cursor: the last place seen."""

    limit: int = 50
    before: str | None = None
    equal: Mapping[str, str] | None = None


class RetellEventStore:
    """The table of events. What takes no connection raises StorageError; what does, whatever the
    driver does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def add(self, events: Sequence[RetellEvent]) -> set[str]:
        """Store them, all in one transaction; the ids of those that were not there before."""
        rows = {event.event_id: fit(asdict(event), _BOUNDS) for event in events}
        known = select(retell_events.c.event_id).where(retell_events.c.event_id.in_(rows))
        with as_storage_error():
            async with self.engine.begin() as connection:
                there = set((await connection.execute(known)).scalars())
                new = [row for event_id, row in rows.items() if event_id not in there]
                if new:
                    await connection.execute(
                        insert_if_absent(connection.dialect, retell_events), new
                    )
        return rows.keys() - there

    async def waiting(self, most: int) -> list[RetellEvent]:
        """The oldest that nobody has acted on."""
        waits = select(retell_events).where(retell_events.c.state == "waiting")
        return await self._rows(waits.order_by(retell_events.c.place).limit(most))

    async def claim(self, connection: AsyncConnection, event_id: str) -> bool:
        """Whether it still is to be acted on; from the end of the transaction on it is not, and
        another process waits until then."""
        done = update(retell_events).where(*_waiting(event_id)).values(state="done")
        return (await connection.execute(done)).rowcount == 1

    async def note(self, connection: AsyncConnection, event_id: str, **values: Any) -> None:
        """Store what became known of it."""
        one = retell_events.c.event_id == event_id
        row = fit(dict(values), _BOUNDS)
        await connection.execute(update(retell_events).where(one).values(row))

    async def broken(self, event_id: str) -> None:
        """It cannot be acted on."""
        with as_storage_error():
            async with self.engine.begin() as connection:
                aside = update(retell_events).where(*_waiting(event_id))
                await connection.execute(aside.values(state="broken"))

    async def again(self, event_id: str) -> RetellEvent | None:
        """Have one that was broken acted on once more; None where there is none of that id."""
        one = retell_events.c.event_id == event_id
        with as_storage_error():
            async with self.engine.begin() as connection:
                waits = update(retell_events).where(one, retell_events.c.state == "broken")
                await connection.execute(waits.values(state="waiting"))
        return await self.get(event_id)

    async def get(self, event_id: str) -> RetellEvent | None:
        """The one of that id."""
        one = select(retell_events).where(retell_events.c.event_id == event_id)
        found = await self._rows(one)
        return found[0] if found else None

    async def page(self, query: RetellEventQuery) -> list[RetellEvent]:
        """A page, newest first."""
        where: list[ColumnElement[bool]] = [
            retell_events.c[name] == value for name, value in (query.equal or {}).items()
        ]
        if query.before is not None:
            where.append(retell_events.c.place < query.before)
        newest_first = select(retell_events).where(and_(True, *where))
        return await self._rows(
            newest_first.order_by(retell_events.c.place.desc()).limit(query.limit)
        )

    async def counts(self) -> dict[str, int]:
        """How many are not done, by state."""
        undone = retell_events.c.state != "done"
        by_state = select(retell_events.c.state, func.count()).where(undone)
        with as_storage_error():
            async with self.engine.connect() as connection:
                rows = await connection.execute(by_state.group_by(retell_events.c.state))
                return {str(state): int(count) for state, count in rows}

    async def _rows(self, statement: Any) -> list[RetellEvent]:
        with as_storage_error():
            async with self.engine.connect() as connection:
                rows = await connection.execute(statement)
                return [RetellEvent(**row) for row in rows.mappings()]


def _waiting(event_id: str) -> tuple[ColumnElement[bool], ...]:
    return retell_events.c.event_id == event_id, retell_events.c.state == "waiting"
