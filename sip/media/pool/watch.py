"""Whether an engine is there: it is asked four times a second.

A port at which nobody listens says so at once (`MediaError` refused). One that does not answer is
doubted first: where it is on another host, the way to its control may be lost for a moment while
audio goes on, and its calls had better stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sip.clock import Clock
from sip.media.plane import MediaError
from sip.media.pool.member import Engine, Health

#: Seconds between two questions, and those that an answer may take.
PING_EVERY_S: Final = 0.25
PING_S: Final = 1.2

#: A question that took so much longer was held up by ourselves, and says nothing of the engine.
OUR_STALL_S: Final = 0.3

_Change = Callable[[Engine, Health], None]

#: What no answer makes of an engine, and what "nobody listens" does.
_UNANSWERED: Final = {
    Health.UP: Health.DOUBTFUL,
    Health.DOUBTFUL: Health.DOWN,
    Health.DOWN: Health.DOWN,
}


async def watch(engine: Engine, clock: Clock, on_change: _Change) -> None:
    """Asks for ever; `on_change` is told of each change of health, and makes it."""
    while True:
        health = await _asked(engine, clock)
        if health is not engine.health:
            on_change(engine, health)
        waited = asyncio.Event()
        clock.call_later(PING_EVERY_S, waited.set)
        await waited.wait()


async def _asked(engine: Engine, clock: Clock) -> Health:
    asked = clock.now()
    try:
        async with asyncio.timeout(PING_S):
            await engine.plane.ping()
    except MediaError as error:
        return Health.DOWN if error.slug == "refused" else _UNANSWERED[engine.health]
    except TimeoutError:
        if (engine.plane.heard_at or 0.0) > asked:
            return Health.UP  # it is busy with what was asked before
        stalled = clock.now() - asked > PING_S + OUR_STALL_S
        return engine.health if stalled else _UNANSWERED[engine.health]
    return Health.UP
