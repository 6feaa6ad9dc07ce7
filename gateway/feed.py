"""What happens, for whoever looks on: the latest events in a ring, and a bounded queue a reader.

It is a view, kept in memory: events that must be heard are told by `gateway.callbacks`. An event's
id is `RUN-NUMBER`: RUN is this run of the program, NUMBER counts from 1 without a gap.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from gateway.iso import iso
from gateway.value import frozen

#: Events that are kept for readers who come back, and their bytes in all.
KEPT: Final = 2000
KEPT_BYTES: Final = 4 << 20
#: Events that wait for one reader: all that is kept, as it may begin with that, and some more.
WAITING: Final = KEPT + 500
#: Readers at once.
READERS: Final = 32


class FullError(Exception):
    """There are as many readers as there may be."""


class EndedError(Exception):
    """A reader hears nothing more: `reason` is `too-slow` or `closing`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@frozen
class Told:
    """An event: `kind` is a dotted slug, `text` its JSON in one line."""

    number: int
    event_id: str
    kind: str
    text: str


class Reader:
    """Who looks on. `missed`: events that it asked for are not kept any more."""

    def __init__(self, beginning: list[Told], *, missed: bool, wants: str) -> None:
        """`beginning` is told first; `wants` is how the kinds begin that it hears of."""
        self.missed = missed
        self._wants = wants
        self._ended = ""
        self._waiting = deque(one for one in beginning if one.kind.startswith(wants))
        self._news = asyncio.Event()

    def hear(self, told: Told) -> bool:
        """An event; False where too many wait, which ends it: what it has not read is forgotten."""
        if self._ended or not told.kind.startswith(self._wants):
            return True
        if len(self._waiting) >= WAITING:
            self.end("too-slow")
            return False
        self._waiting.append(told)
        self._news.set()
        return True

    def end(self, reason: str) -> None:
        """It hears nothing more."""
        self._ended = self._ended or reason
        self._waiting.clear()
        self._news.set()

    async def next(self, within_s: float) -> Told | None:
        """The next event; None where there was none for so long. Raises EndedError."""
        if not self._waiting and not self._ended:
            self._news.clear()
            try:
                async with asyncio.timeout(within_s):
                    await self._news.wait()
            except TimeoutError:
                return None
        if self._ended:
            raise EndedError(self._ended)
        return self._waiting.popleft()


class Feed:
    """Takes events, keeps the latest, and tells its readers. It never waits."""

    def __init__(self, now: Callable[[], float]) -> None:
        """`now` is seconds since 1970."""
        self._now = now
        self._run = f"{round(now() * 1000):x}"
        self._kept: deque[Told] = deque()
        self._bytes = 0
        self._readers: set[Reader] = set()
        #: events since the start, and readers that were ended since they were too slow
        self.told = 0
        self.dropped = 0

    def __len__(self) -> int:
        """How many look on."""
        return len(self._readers)

    def tell(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        """An event. `subject` is what it is about; its events are in their order."""
        self.told += 1
        event_id = f"{self._run}-{self.told}"
        at = iso(round(self._now() * 1000))
        event = {"id": event_id, "kind": kind, "at": at, "subject": subject, "data": dict(data)}
        told = Told(self.told, event_id, kind, _line(event))
        self._keep(told)
        for reader in self._readers:
            self.dropped += not reader.hear(told)

    def follow(self, after: str | None = None, wants: str = "") -> Reader:
        """A new reader, who hears what follows the event of the id `after`. Raises FullError."""
        if len(self._readers) >= READERS:
            raise FullError
        beginning, missed = ([], False) if after is None else self._since(after)
        reader = Reader(beginning, missed=missed, wants=wants)
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Somebody does not look on any more."""
        self._readers.discard(reader)

    def close(self) -> None:
        """End every reader."""
        for reader in self._readers:
            reader.end("closing")

    def _keep(self, told: Told) -> None:
        self._kept.append(told)
        self._bytes += len(told.text)
        while len(self._kept) > KEPT or (self._bytes > KEPT_BYTES and len(self._kept) > 1):
            self._bytes -= len(self._kept.popleft().text)

    def _since(self, after: str) -> tuple[list[Told], bool]:
        run, _, number = after.rpartition("-")
        known = run == self._run and number.isascii() and number.isdecimal() and len(number) < 19
        if not known or int(number) > self.told:
            return list(self._kept), True
        rest = [one for one in self._kept if one.number > int(number)]
        return rest, len(rest) < self.told - int(number)


def _line(event: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(event).decode()
    except TypeError:  # half characters, numbers beyond 64 bits
        return json.dumps(event, default=str)
