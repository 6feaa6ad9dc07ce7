"""A process with a queue, which a test kills: `python -m tests.gateway.outbound.killed URL LOG`.

It writes a line about every try that begins, and waits until it is on the disk, as an INVITE is on
the wire.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import IO

from prometheus_client import CollectorRegistry

from gateway.calls.no_way import NoWay
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.ports import Ended, News, Result, Ringing, Wanted
from gateway.outbound.wish import Wish
from gateway.storage.database import open_engine
from tests.gateway.outbound.desk import number, settings, wanted

CALLS = 1000
PER_SECOND = 200


class Wire:
    """A placer whose calls last for a tenth of a second."""

    def __init__(self, log: IO[str]) -> None:
        self._log = log

    async def begin(
        self, call_id: str, queued_id: str, wanted: Wanted, on_news: Callable[[News], None]
    ) -> None:
        self._log.write(f"{time.time()} {wanted.to_number} {call_id} {queued_id}\n")
        self._log.flush()
        os.fsync(self._log.fileno())
        loop = asyncio.get_running_loop()
        loop.call_later(0.02, lambda: on_news(Ringing(time.time())))
        ended = Ended(at=time.time() + 0.1, result=Result.BUSY, cause="busy")
        loop.call_later(0.1, lambda: on_news(ended))

    def cancel(self, call_id: str) -> bool:
        return False

    def judge(self, wanted: Wanted) -> NoWay | None:
        return None

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        return ()


async def run(url: str, log: IO[str]) -> None:
    configured = settings({"calls": 50, "calls_per_second": PER_SECOND})
    metrics = QueueMetrics(CollectorRegistry())
    async with open_engine(url) as engine:
        queue = CallQueue(configured, engine, Wire(log), metrics, now=time.time)
        async with queue.running():
            if not await queue.counts():
                wishes = [Wish(wanted=wanted(number(index))) for index in range(CALLS)]
                await queue.add_many(wishes)
            over = asyncio.Event()
            queue.on_event(lambda event: None if queue.waiting or queue.calling else over.set())
            await over.wait()


if __name__ == "__main__":
    with open(sys.argv[2], "a", encoding="ascii") as file:
        asyncio.run(run(sys.argv[1], file))
