"""Acts on Retell's events, behind their answers: each once, whatever comes between.

What an event changes is one transaction: that it is done, what the call's record says, and the
callback to whoever wants to hear of it. So a process that is killed has done all of it or nothing,
and the next start goes on from there.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from config.settings import Settings
from gateway.callbacks.outbox import Outbox
from gateway.calls.live_calls import LiveCalls
from gateway.retell.models import Event, EventCall, parse_event
from gateway.storage.call_records import CallRecord, CallStore
from gateway.storage.errors import StorageError, is_of_the_database, plain
from gateway.storage.retell_events import RetellEvent, RetellEventStore
from gateway.storage.retell_facts import facts_of
from gateway.storage.retell_joins import Told, join
from gateway.webhooks.forwarding import RETELL, forwarded
from gateway.webhooks.placed import placed

log = structlog.get_logger("gateway.retell")

#: Events of one transaction.
BATCH: Final = 50
#: Seconds between two looks where nobody says that there is something: what another process took
#: and did not come to.
LOOK_S: Final = 5.0
#: Seconds after which a database that is away is asked again.
RETRY_S: Final = 1.0
#: Seconds that what has been begun may take at the end.
CLOSE_S: Final = 5.0
#: An event of which each later one has all, and more: its body is not kept.
_OUTDATED: Final = "transcript_updated"


@dataclass(frozen=True, slots=True)
class _Done:
    event: RetellEvent
    call: EventCall | None
    record: CallRecord | None


class EventWork:
    """The one who acts. `async with work.running()`."""

    def __init__(
        self,
        events: RetellEventStore,
        store: CallStore,
        calls: LiveCalls,
        outbox: Outbox,
        settings: Callable[[], Settings],
        now: Callable[[], float],
        count: Callable[[str, str], None],
        tell: Callable[[str, str, Mapping[str, Any]], None],
    ) -> None:
        """`now` is seconds since 1970; `count` hears of each event what came of it, and `tell`, for
        those who look on, that it was there: its kind, what it is about, and its ids."""
        self._events = events
        self._store = store
        self._calls = calls
        self._outbox = outbox
        self._settings = settings
        self._now = now
        self._count = count
        self._tell_others = tell
        self._woken = asyncio.Event()
        self._idle = asyncio.Event()
        self._leaving = asyncio.Event()
        #: how many wait, and are broken, as of the last look
        self.waiting = 0
        self.broken = 0

    def wake(self) -> None:
        """There are events to act on."""
        self._idle.clear()
        self._woken.set()

    async def idle(self) -> None:
        """Wait until all that is stored was acted on."""
        await self._idle.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Act while entered. On leaving, what has been begun is ended; the next start does the
        rest."""
        task = asyncio.create_task(self._work_on(), name="retell event work")
        try:
            yield
        finally:
            self._leaving.set()
            self._woken.set()
            await asyncio.wait((task,), timeout=CLOSE_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _work_on(self) -> None:
        while not self._leaving.is_set():
            self._woken.clear()
            pause_s = LOOK_S
            try:
                while not self._leaving.is_set() and (batch := await self._events.waiting(BATCH)):
                    await self._act_on_each(batch)
                counts: Counter[str] = Counter(await self._events.counts())
                self.waiting, self.broken = counts["waiting"], counts["broken"]
                if not self.waiting and not self._woken.is_set():
                    self._idle.set()
            except StorageError as error:
                log.warning("retell.events-store-away", error=str(error))
                self._woken.clear()  # more events make it come back no sooner
                pause_s = RETRY_S
            if self._leaving.is_set():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()

    async def _act_on_each(self, batch: Sequence[RetellEvent]) -> None:
        """Together; where one of them cannot be, one by one. Raises StorageError."""
        await self._store.flush()
        try:
            await self._act_on(batch)
        except Exception as error:
            if is_of_the_database(error):
                raise StorageError(plain(error)) from error
            if len(batch) > 1:
                for event in batch:
                    await self._act_on_each([event])
                return
            [event] = batch
            log.exception("retell.event-broken", event_id=event.event_id, event_name=event.event)
            self._count(event.event, "broken")
            await self._events.broken(event.event_id)

    async def _act_on(self, batch: Sequence[RetellEvent]) -> None:
        settings, done = self._settings(), []
        async with self._store.writer.writing, self._events.engine.begin() as connection:
            callbacks = []
            for event in batch:
                if not await self._events.claim(connection, event.event_id):
                    continue  # another process had it
                told: dict[str, Any] = orjson.loads(event.body)
                parsed = parse_event(event.body)
                call = None if parsed is None else parsed.call
                record = None
                if parsed is not None and call is not None:
                    record = await join(connection, self._told(settings, event, parsed, told))
                call_id = None if record is None else record.call_id
                body = "" if event.event == _OUTDATED else event.body
                values = {"call_id": call_id, "body": body}
                await self._events.note(connection, event.event_id, **values)
                callback = forwarded(settings.retell.webhooks, event, told, call_id)
                if callback is not None:
                    callbacks.append(callback)
                done.append(_Done(event, call, record))
            await self._outbox.note_all(connection, callbacks)
        self._outbox.wake()
        for one in done:
            self._tell(one)

    def _told(
        self, settings: Settings, event: RetellEvent, parsed: Event, told: dict[str, Any]
    ) -> Told:
        call = parsed.call
        assert call is not None, "only an event of a call is joined"
        return Told(
            call_id=call.gateway_call_id(),
            retell_call_id=call.call_id,
            disconnection_reason=call.disconnection_reason,
            placed=placed(settings.outbound, call, self._now),
            facts=facts_of(event.event, event.event_id, told),
        )

    def _tell(self, done: _Done) -> None:
        """Those who know the call while it is up, and the operator."""
        event, call, record = done.event, done.call, done.record
        self._calls.joined(record)
        if event.event == "call_ended" and call is not None:
            self._calls.over_at_retell(
                call.gateway_call_id(), call.call_id, call.disconnection_reason
            )
        self._count(event.event, "unknown-call" if record is None else "joined")
        ids = {
            "event_id": event.event_id,
            "call_id": None if record is None else record.call_id,
            "retell_call_id": event.retell_call_id,
            "workspace": event.workspace,
        }
        self._tell_others(f"{RETELL}{event.event}", event.retell_call_id or event.event_id, ids)
        log.info(
            "retell.event",
            event_name=event.event,
            event_id=event.event_id,
            call_id=None if record is None else record.call_id,
            retell_call_id=event.retell_call_id,
            disconnection_reason=None if call is None else call.disconnection_reason,
            workspace=event.workspace,
        )
