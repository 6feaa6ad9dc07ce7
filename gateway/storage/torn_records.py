"""Tries of which more was stored than their call records say: a record is written half a second
later, and a killed process does not come to it."""

from typing import Final

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage.errors import as_storage_error
from gateway.storage.queue_rows import call_of, try_of
from gateway.storage.queued_call import QueuedCall, Result, Try
from gateway.storage.tables import calls, queued_calls, tries

#: How long before the newest one a try may have begun whose record was never stored; older records
#: may be gone because nobody keeps them.
RECENT_MS: Final = 600_000


async def torn_tries(engine: AsyncEngine) -> list[tuple[QueuedCall, Try]]:
    """Tries that are over, and whose record is not there or says that the call was interrupted.
    Raises StorageError."""
    newest = select(func.max(tries.c.started_ms)).scalar_subquery()
    statement = (
        select(tries)
        .select_from(tries.outerjoin(calls, calls.c.call_id == tries.c.call_id))
        .where(
            tries.c.result.is_not(None),
            or_(
                and_(calls.c.call_id.is_(None), tries.c.started_ms >= newest - RECENT_MS),
                and_(calls.c.state == "interrupted", tries.c.result != Result.UNKNOWN.value),
            ),
        )
    )
    with as_storage_error():
        async with engine.connect() as connection:
            attempts = [
                try_of(dict(row)) for row in (await connection.execute(statement)).mappings()
            ]
            found = select(queued_calls).where(
                queued_calls.c.queued_id.in_({one.queued_id for one in attempts})
            )
            rows = (await connection.execute(found)).mappings()
            by_id = {row["queued_id"]: call_of(dict(row)) for row in rows}
    return [(by_id[one.queued_id], one) for one in attempts if one.queued_id in by_id]
