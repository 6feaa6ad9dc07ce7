"""Starts the queue of calls that go out, and whoever places them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from gateway.calls.switch import Switch
from gateway.http.app_keys import CALLS, METRICS, ROOMS, STORE, WORKSPACES
from gateway.http.twilio_placed import PLACED_CALLS
from gateway.outbound.by_retell import ByRetell
from gateway.outbound.by_twilio import ByTwilio
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.callee_first import CalleeFirst
from gateway.outbound.interrupted import mend_record
from gateway.outbound.metrics import QueueMetrics
from gateway.outbound.modes import Modes
from gateway.outbound.ports import EventSink
from gateway.storage.torn_records import torn_tries


class Outbound:
    """Calls that go out. They wait until there is a `switch`, where one is to come."""

    def __init__(self, settings: Settings, now: Callable[[], float]) -> None:
        """`now` is seconds since 1970."""
        self._settings = settings
        self._now = now
        self._first: CalleeFirst | None = None
        self._modes: Modes | None = None

    def place_by(self, switch: Switch) -> None:
        """Have the people called by that softswitch from now on."""
        if self._first is not None:
            self._first.switch = switch

    def prepare(self, settings: Settings) -> Callable[[], Awaitable[None]]:
        """Go on with other settings, once that is called."""

        async def take() -> None:
            if self._modes is not None:
                self._modes.configure(settings)

        return take

    @asynccontextmanager
    async def open(
        self, app: web.Application, engine: AsyncEngine, sink: EventSink
    ) -> AsyncIterator[CallQueue]:
        """The queue, its tries being made. Raises StorageError."""
        settings, calls, store = self._settings, app[CALLS], app[STORE]
        self._first = CalleeFirst(settings, calls)
        retell = ByRetell(settings, calls, app[WORKSPACES], store, app[ROOMS])
        twilio = ByTwilio(settings, calls, app[PLACED_CALLS])
        modes = self._modes = Modes(
            {"callee_first": self._first, "retell": retell, "twilio": twilio}
        )
        queue = CallQueue(
            settings,
            engine,
            modes,
            QueueMetrics(app[METRICS].registry),
            now=self._now,
            sink=sink,
            room=app[ROOMS],
        )

        try:
            async with queue.running():
                for call, attempt in await torn_tries(engine):
                    await mend_record(store, call, attempt)
                yield queue
        finally:
            await modes.close()
