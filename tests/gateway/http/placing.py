"""The queue of calls that go out in a gateway whose tries are placed by nobody but the test."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.calls.no_way import NoWay
from gateway.http.app_keys import METRICS, SETTINGS
from gateway.http.rules.route import PREFIX
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.ports import Answered, Ended, EventSink, News, Result, Ringing, Wanted
from tests.gateway.conftest import TOKEN, Gateway, Json

#: Numbers of nobody.
PERSON, OURS = "+12125550123", "+14155550100"


@dataclass
class Placing:
    """A `Placer` that waits to be told what comes of each try; `no_way` is its judgement."""

    begun: dict[str, tuple[Wanted, Callable[[News], None]]] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    no_way: NoWay | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def begin(
        self, call_id: str, queued_id: str, wanted: Wanted, on_news: Callable[[News], None]
    ) -> None:
        self.begun[queued_id] = (wanted, on_news)
        self._changed.set()

    def cancel(self, call_id: str) -> bool:
        self.cancelled.append(call_id)
        return True

    def judge(self, wanted: Wanted) -> NoWay | None:
        return self.no_way

    def trunks(self, wanted: Wanted) -> tuple[str, ...]:
        return ("carrier",)

    async def until_begun(self, queued_id: str) -> Wanted:
        """A try of that call has begun."""
        async with asyncio.timeout(10):
            while queued_id not in self.begun:
                self._changed.clear()
                await self._changed.wait()
        return self.begun[queued_id][0]

    async def any_begun(self) -> str:
        """A try has begun: the id of its call."""
        async with asyncio.timeout(10):
            while not self.begun:
                self._changed.clear()
                await self._changed.wait()
        return next(iter(self.begun))

    async def talks(self, queued_id: str, result: Result = Result.ANSWERED) -> None:
        """Somebody answers, talks, and hangs up."""
        await self.until_begun(queued_id)
        now, tell = time.time(), self.begun[queued_id][1]
        tell(Ringing(now))
        tell(Answered(now))
        tell(Ended(at=now, result=result, sip_status=200, duration_s=12.5))

    @asynccontextmanager
    async def open(
        self, app: web.Application, engine: AsyncEngine, sink: EventSink
    ) -> AsyncIterator[CallQueue]:
        """As `make_app` takes it."""
        metrics = QueueMetrics(app[METRICS].registry)
        settings = app[SETTINGS].settings
        queue = CallQueue(settings, engine, self, metrics, now=time.time, sink=sink)
        async with queue.running():
            yield queue


async def ask(
    gateway: Gateway, method: str, path: str, *, token: str = TOKEN, **more: Any
) -> tuple[int, Json]:
    """A request to the API; what it answers."""
    headers = {"Authorization": f"Bearer {token}", **more.pop("headers", {})}
    url = f"{gateway.url}{PREFIX}{path}"
    async with gateway.http.request(method, url, headers=headers, **more) as response:
        if response.content_type in ("application/json", "application/problem+json"):
            found = await response.json()
            assert isinstance(found, dict)
            return response.status, found
        return response.status, {"text": await response.text()}


async def until_is(gateway: Gateway, queued_id: str, state: str) -> Json:
    """The queued call, once it is in that state."""
    for _ in range(1000):
        _, found = await ask(gateway, "GET", f"/queue/{queued_id}")
        if found["state"] == state:
            return found
        await asyncio.sleep(0.005)
    raise AssertionError(f"it is {found['state']}")
