"""What a queue finds when it begins: calls that wait, and tries that nobody saw the end of."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog

from gateway.outbound.dispatcher import Dispatcher
from gateway.outbound.events import EventKind, QueueEvent
from gateway.outbound.ledger import Ledger
from gateway.outbound.retrying import interrupted
from gateway.outbound.waiting_line import Entry
from gateway.storage.queued_call import QueueState, Result
from gateway.storage.queued_calls import QueueStore

log = structlog.get_logger("gateway.queue")

#: Calls that a former process began may be in the same second as ours, for so long, in seconds.
FORMER_S: Final = 2.0
HOLD_S: Final = 1.1


async def go_on(
    store: QueueStore, ledger: Ledger, dispatcher: Dispatcher, now: Callable[[], float]
) -> None:
    """Mark what was interrupted, and have the rest wait. Raises StorageError."""
    await _mark_interrupted(store, ledger, round(now() * 1000))
    dispatcher.paused |= await store.pauses()
    last_ms = await store.last_try_ms()
    if last_ms is not None and abs(now() - last_ms / 1000) < FORMER_S:
        dispatcher.hold(HOLD_S)
    zones: dict[str, tuple[str, ...]] = {}
    async for rows in store.waiting_keys():
        for row in rows:
            names = row["time_zones"]
            entry = Entry(
                queued_id=row["queued_id"],
                order=(-row["priority"], row["not_before_ms"], row["created_ms"], row["queued_id"]),
                due_ms=row["due_ms"],
                expires_ms=row["expires_ms"],
                window=row["window"],
                zones=zones.setdefault(names, tuple(names.split())),
                campaign=row["campaign"],
            )
            dispatcher.line.add(entry)


async def _mark_interrupted(store: QueueStore, ledger: Ledger, now_ms: int) -> None:
    last = ""
    while calls := await store.in_state(QueueState.CALLING, after=last):
        last = calls[-1].queued_id
        tries = await store.tries([call.queued_id for call in calls])
        events: list[QueueEvent] = []
        async with store.transaction(durable=True) as connection:
            for call in calls:
                over = interrupted(call, now_ms)
                found = [one for one in tries[call.queued_id] if one.call_id == call.call_id]
                attempt = found[-1] if found else None
                if attempt is not None:
                    attempt = replace(
                        attempt, ended_ms=now_ms, result=Result.UNKNOWN, cause="interrupted"
                    )
                    await store.put_try(connection, attempt)
                await store.put(connection, over, QueueState.CALLING)
                events.append(QueueEvent(EventKind.UNKNOWN, now_ms, over, attempt))
            await ledger.write(connection, events)
        ledger.tell(events)
        for event in events:
            log.warning(
                "queue.interrupted", queued_id=event.call.queued_id, call_id=event.call.call_id
            )
