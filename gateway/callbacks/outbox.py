"""Events that somebody outside wants to hear of: written down here, told by `deliveries`.

    {"id": "q-1-0-queued", "kind": "call.queued", "at": "2026-12-01T08:00:00.000Z",
     "subject": "q-1", "data": {…}}

`id` stays the same however often an event is told; `subject` is what it is about, and the events of
one subject are told in their order.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import Connection
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config.callback_settings import CallbackSettings
from gateway.callbacks.receivers import origin_of, why_not
from gateway.feed import Feed
from gateway.iso import iso
from gateway.storage.callbacks import MAX_WAITING, Callback, PostedRows, add
from gateway.storage.spool import Spool
from gateway.storage.texts import as_json
from gateway.storage.write_behind import WriteBehind
from gateway.value import frozen

log = structlog.get_logger(__name__)

#: Bytes of a body; of a longer one `data` is left out, and the API tells it.
MAX_BODY: Final = 64 << 10
#: Seconds from the writing of a row until it can be read by others.
SOON_S: Final = 0.2
#: Events that are made at a time; then others have their turn.
AT_ONCE: Final = 200


@frozen(kw_only=True)
class Event:
    """`kind` is a dotted slug such as `call.done`. `url` hears of it, else the receiver of the
    configuration. `event_id` is told; without one it gets one of its own. What is `private` is for
    its receiver alone: those who look on are told of it by others, or not at all."""

    kind: str
    subject: str
    data: Mapping[str, Any]
    url: str | None = None
    event_id: str | None = None
    at_ms: int | None = None
    private: bool = False


class Outbox:
    """Takes events: `note_all` in a transaction of the caller's, `post` in one of its own."""

    def __init__(
        self,
        engine: AsyncEngine,
        spool: Path,
        settings: CallbackSettings,
        now: Callable[[], float],
        wake: Callable[[], None],
        feed: Feed | None = None,
    ) -> None:
        """`now` is seconds since 1970; `wake` is told that there is something to deliver, and
        `feed` of each event, whether or not anybody is to be told by a URL."""
        self._settings = settings
        self._now = now
        self._wake = wake
        self._feed = feed
        self._last = (0, 0)
        self.writer: WriteBehind[str, Callback] = WriteBehind(
            engine,
            PostedRows(self._wake_soon),
            "callbacks",
            Spool(spool, "callbacks"),
            most=MAX_WAITING,
        )

    def configure(self, settings: CallbackSettings) -> None:
        """Go on by other settings."""
        self._settings = settings

    def why_not(self, url: str) -> str | None:
        """Why that URL will be told of nothing, in words; None if it may be."""
        return why_not(url, self._settings)

    def wake(self) -> None:
        """What was noted is committed."""
        self._wake()

    async def note_all(self, connection: AsyncConnection, events: Iterable[Event]) -> None:
        """Write events in the transaction of `connection`; one whose id is there already stays as
        it is. Raises whatever the driver does. Call `wake` after the commit."""
        rest = iter(events)
        while some := list(islice(rest, AT_ONCE)):
            self._show_once_stored(connection, [each for each in some if not each.private])
            made = [self._callback(event) for event in some]
            await add(connection, [one for one in made if one is not None])
            await asyncio.sleep(0)

    def post(
        self, kind: str, subject: str, data: Mapping[str, Any], url: str | None = None
    ) -> str | None:
        """Tell of an event that no transaction stores: an alarm. It returns at once; the event is
        stored behind it, over a database that is away too. Its id; None where there is no
        receiver."""
        if self._feed is not None:
            self._feed.tell(kind, subject, data)
        callback = self._callback(Event(kind=kind, subject=subject, data=data, url=url))
        if callback is None:
            return None
        self.writer.note(callback.callback_id, callback)
        return callback.callback_id

    def _show_once_stored(self, connection: AsyncConnection, events: list[Event]) -> None:
        """What is rolled back never was."""
        feed = self._feed
        if feed is None:
            return

        def show(_: Connection) -> None:
            for event in events:
                feed.tell(event.kind, event.subject, event.data)

        listen(connection.sync_connection, "commit", show, once=True)

    def _callback(self, event: Event) -> Callback | None:
        url = event.url or self._settings.url
        if url is None:
            return None
        reason = why_not(url, self._settings)
        if reason is not None:
            told = {"kind": event.kind, "subject": event.subject, "reason": reason}
            log.error("callback.forbidden", **told)
            return None
        now_ms, place = self._next_place()
        callback_id = event.event_id or f"{place}{os.urandom(6).hex()}"
        at_ms = now_ms if event.at_ms is None else event.at_ms
        return Callback(
            callback_id=callback_id,
            place=place,
            stream=event.subject,
            kind=event.kind,
            url=url,
            origin=origin_of(url),
            body=_body(callback_id, at_ms, event),
            at_ms=at_ms,
            since_ms=now_ms,
            due_ms=now_ms,
        )

    def _next_place(self) -> tuple[int, str]:
        """The time, and a place behind every earlier one, though the clock be set back."""
        now_ms, (last_ms, number) = round(self._now() * 1000), self._last
        self._last = (now_ms, 0) if now_ms > last_ms else (last_ms, number + 1)
        return now_ms, f"{self._last[0]:012x}{self._last[1]:08x}"

    def _wake_soon(self) -> None:
        asyncio.get_running_loop().call_later(SOON_S, self._wake)


def _body(callback_id: str, at_ms: int, event: Event) -> str:
    told = {"id": callback_id, "kind": event.kind, "at": iso(at_ms), "subject": event.subject}
    body = as_json({**told, "data": dict(event.data)})
    if len(body.encode()) <= MAX_BODY:
        return body
    log.warning("callback.too-large", event_id=callback_id, kind=event.kind, subject=event.subject)
    return orjson.dumps({**told, "data": None}).decode()
