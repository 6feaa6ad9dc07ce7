"""Deletes records of calls that are older, or more, than an operator wants to keep, and what the
audit and the queue have of the same days."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage.errors import plain
from gateway.storage.queued_call import OVER
from gateway.storage.tables import (
    audit,
    callbacks,
    calls,
    ladders,
    queued_calls,
    retell_events,
    samples,
    tries,
)

log = structlog.get_logger(__name__)

#: How often it is done, in seconds.
EVERY_S: Final = 3600.0
#: Rows that are deleted at a time, and the pause for who else writes, in seconds.
BATCH: Final = 500
PAUSE_S: Final = 0.05
DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Keep:
    """How long records are kept, in days from the call's start, and how many; 0 for all."""

    days: int = 0
    calls: int = 0


KEEP_ALL: Final = Keep()


@asynccontextmanager
async def deleting_old(engine: AsyncEngine, keep: Keep) -> AsyncIterator[None]:
    """While entered, what `keep` does not want is deleted, an hour late at most."""
    if keep == KEEP_ALL:
        yield
        return
    task = asyncio.create_task(_delete_hourly(engine, keep), name="retention")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def delete_old(engine: AsyncEngine, keep: Keep, *, now_ms: int, batch: int = BATCH) -> int:
    """Delete what is not to be kept, calls in progress excepted; how many records. A record's id
    begins with the call's start. Raises whatever the driver does."""
    too_old = f"{now_ms - keep.days * DAY_MS:012x}" if keep.days else None
    deleted = 0
    for newest in (too_old, await _newest_too_many(engine, keep)):
        if newest is not None:
            deleted += await _delete_up_to(engine, newest, batch)
    if too_old is not None:
        too_old_ms = now_ms - keep.days * DAY_MS
        async with engine.begin() as connection:
            await connection.execute(delete(audit).where(audit.c.audit_id <= too_old))
            given_up = (callbacks.c.state == "dead", callbacks.c.at_ms <= too_old_ms)
            await connection.execute(delete(callbacks).where(*given_up))
            told = (retell_events.c.received_ms <= too_old_ms, retell_events.c.state != "waiting")
            await connection.execute(delete(retell_events).where(*told))
        await _delete_queued(engine, too_old_ms, batch)
    return deleted


async def _delete_queued(engine: AsyncEngine, newest_ms: int, batch: int) -> None:
    """Queued calls that were over then, with their tries. Those that wait, and the do-not-call
    list, stay however old they are."""
    columns = queued_calls.c
    over = columns.state.in_([state.value for state in OVER])
    old = select(columns.queued_id).where(columns.ended_ms <= newest_ms, over).limit(batch)
    while True:
        async with engine.begin() as connection:
            ids = (await connection.execute(old)).scalars().all()
            if ids:
                await connection.execute(delete(tries).where(tries.c.queued_id.in_(ids)))
                await connection.execute(delete(queued_calls).where(columns.queued_id.in_(ids)))
        if len(ids) < batch:
            return
        await asyncio.sleep(PAUSE_S)


async def _delete_up_to(engine: AsyncEngine, newest: str, batch: int) -> int:
    old = select(calls.c.call_id).where(calls.c.call_id <= newest, calls.c.state != "live")
    some = old.order_by(calls.c.call_id).limit(batch).scalar_subquery()
    deleted = 0
    while True:
        async with engine.begin() as connection:
            gone = await connection.execute(delete(calls).where(calls.c.call_id.in_(some)))
        deleted += gone.rowcount
        if gone.rowcount < batch:
            break
        await asyncio.sleep(PAUSE_S)
    async with engine.begin() as connection:
        await connection.execute(delete(ladders).where(ladders.c.call_id <= newest))
        await connection.execute(delete(samples).where(samples.c.call_id <= newest))
    return deleted


async def _newest_too_many(engine: AsyncEngine, keep: Keep) -> str | None:
    if not keep.calls:
        return None
    newest_first = select(calls.c.call_id).order_by(calls.c.call_id.desc())
    async with engine.connect() as connection:
        found = await connection.execute(newest_first.offset(keep.calls).limit(1))
        return found.scalar_one_or_none()


async def _delete_hourly(engine: AsyncEngine, keep: Keep) -> None:
    while True:
        try:
            deleted = await delete_old(engine, keep, now_ms=round(time.time() * 1000))
        except Exception as error:
            log.error("records.not-deleted", error=plain(error))
        else:
            if deleted:
                log.info("records.deleted", calls=deleted, days=keep.days, most=keep.calls)
        await asyncio.sleep(EVERY_S)
