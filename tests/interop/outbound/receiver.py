"""The operator's server that hears what becomes of queued calls: it takes some events only when
they come again, as servers do."""

import json
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Json = dict[str, Any]

#: One event in so many is refused when it first comes.
REFUSED = 17


class Receiver:
    """Async context manager: counts every event by its id."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._runner: web.AppRunner | None = None
        self.url = ""
        #: how often each event came, and what it said
        self.times: dict[str, int] = {}
        self.events: dict[str, Json] = {}

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/events", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0)
        await site.start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}/events"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        event_id = request.headers["X-Gateway-Event-Id"]
        body = json.loads(await request.text())
        times = self.times[event_id] = self.times.get(event_id, 0) + 1
        if times == 1 and len(self.times) % REFUSED == 0:
            return web.Response(status=503)
        assert self.events.setdefault(event_id, body) == body, "one id is one event"
        return web.Response(status=204)
