"""Delivers events: each at least once, those of one stream one after another.

The table says what is to be done; nothing else is remembered over a restart. A receiver that is
slow or gone has a bounded part of the tries that run at once, so that others are told in time.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog

from config.callback_settings import CallbackSettings
from gateway.callbacks.backoff import after_failure
from gateway.callbacks.sender import Heard, Sender
from gateway.storage.callbacks import Callback, CallbackStore
from gateway.storage.errors import StorageError

log = structlog.get_logger(__name__)

#: Tries that run at once, and those of one receiver.
MOST: Final = 64
MOST_OF_ONE: Final = 8
#: Results of tries that are stored at once.
WRITERS: Final = 2
#: Seconds between two looks at the table where nobody says that there is something.
LOOK_S: Final = 5.0
#: How much longer than a look took it rests after it, so that a long table leaves others time.
REST: Final = 2.0
#: Seconds between two lines of the log about tries that fail at one receiver.
TOLD_EVERY_S: Final = 30.0
#: Seconds after which a database that is away is asked again.
RETRY_S: Final = 1.0


class Deliveries:
    """The one who delivers. `async with deliveries.running()`."""

    def __init__(
        self,
        store: CallbackStore,
        settings: CallbackSettings,
        now: Callable[[], float],
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`now` is seconds since 1970; `chance` gives numbers from 0 to 1."""
        self._store = store
        self._settings = settings
        self._now = now
        self._chance = chance
        self._sender = Sender(settings)
        self._woken = asyncio.Event()
        #: by stream
        self._running: dict[str, asyncio.Task[None]] = {}
        self._of_origin: Counter[str] = Counter()
        # the connections are those of the queue and of records too
        self._writing = asyncio.Semaphore(WRITERS)
        self._counted_at = float("-inf")
        #: by origin, when it was last told that tries fail there
        self._told_at: dict[str, float] = {}
        #: since the start: heard, tries that failed, given up
        self.heard = 0
        self.failed = 0
        self.given_up = 0
        #: as of the last look at the table
        self.waiting = 0
        self.dead = 0

    def wake(self) -> None:
        """There may be something to deliver."""
        self._woken.set()

    def configure(self, settings: CallbackSettings) -> None:
        """Go on by other settings, from the next try on."""
        self._settings = settings
        self._sender.configure(settings)
        self.wake()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while entered. What is under way on leaving is tried again another time."""
        async with self._sender:
            looking = asyncio.create_task(self._look_forever(), name="callbacks")
            try:
                yield
            finally:
                tasks = [looking, *self._running.values()]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _look_forever(self) -> None:
        while True:
            self._woken.clear()
            began = asyncio.get_running_loop().time()
            try:
                pause_s = await self._look()
            except StorageError as error:
                log.warning("callback.store-away", error=str(error))
                pause_s = RETRY_S
            took_s = asyncio.get_running_loop().time() - began
            await asyncio.sleep(min(REST * took_s, RETRY_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()

    async def _look(self) -> float:
        """Begin what is due; how many seconds until it is worth to look again."""
        while (room := MOST - len(self._running)) > 0:
            full = [one for one, count in self._of_origin.items() if count >= MOST_OF_ONE]
            found = await self._store.due(
                self._now_ms(), room, streams=list(self._running), origins=full
            )
            for callback in found:
                if self._of_origin[callback.origin] < MOST_OF_ONE:
                    self._begin(callback)
            if len(found) < room:
                break
        await self._count()
        # what is due already is begun when a try ends, and there is room for it
        due_ms = await self._store.next_due_ms(self._now_ms())
        return LOOK_S if due_ms is None else min(LOOK_S, (due_ms - self._now_ms()) / 1000)

    async def _count(self) -> None:
        """For the metrics, now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._counted_at >= LOOK_S:
            self._counted_at = now
            counts = await self._store.counts()
            self.waiting, self.dead = counts.get("waiting", 0), counts.get("dead", 0)

    def _begin(self, callback: Callback) -> None:
        self._of_origin[callback.origin] += 1
        task = asyncio.create_task(self._deliver(callback), name="callback")
        self._running[callback.stream] = task
        task.add_done_callback(lambda _: self._ended(callback))

    def _ended(self, callback: Callback) -> None:
        del self._running[callback.stream]
        self._of_origin -= Counter((callback.origin,))
        self.wake()

    async def _deliver(self, callback: Callback) -> None:
        heard = await self._sender.send(callback, self._now())
        told: dict[str, Any] = {
            "event_id": callback.callback_id,
            "kind": callback.kind,
            "to": callback.origin,
        }
        if heard.error is None:
            self.heard += 1
            log.debug("callback.delivered", **told, status=heard.status, tries=callback.tries + 1)
            await self._insist(lambda: self._store.delivered(callback.callback_id))
            return
        after = self._after(callback, heard)
        self.failed += 1
        told |= {"status": heard.status, "error": heard.error, "tries": after.tries}
        if after.state == "dead":
            self.given_up += 1
            log.error("callback.given-up", **told)
        else:
            self._tell(callback.origin, told, (after.due_ms - self._now_ms()) / 1000)
        await self._insist(lambda: self._store.failed(after))

    def _after(self, callback: Callback, heard: Heard) -> Callback:
        return after_failure(
            callback,
            now_ms=self._now_ms(),
            status=heard.status,
            error=heard.error or "",
            retry_after_s=heard.retry_after_s,
            keep_trying_days=self._settings.keep_trying_days,
            chance=self._chance(),
        )

    def _tell(self, origin: str, told: dict[str, Any], again_s: float) -> None:
        now = asyncio.get_running_loop().time()
        often = now - self._told_at.get(origin, float("-inf")) < TOLD_EVERY_S
        if not often:
            self._told_at = {
                one: at for one, at in self._told_at.items() if now - at < TOLD_EVERY_S
            } | {origin: now}
        write = log.debug if often else log.warning
        write("callback.failed", **told, again_s=round(again_s, 1))

    async def _insist(self, store: Callable[[], Awaitable[None]]) -> None:
        """What came of a try is stored before the next one, however long the database is away."""
        while True:
            try:
                async with self._writing:
                    await store()
                return
            except StorageError as error:
                log.warning("callback.store-away", error=str(error))
                await asyncio.sleep(RETRY_S)

    def _now_ms(self) -> int:
        return round(self._now() * 1000)
