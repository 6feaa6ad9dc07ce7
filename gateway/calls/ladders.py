"""The ladder of each call: in memory while the call is up, stored soon after it is over."""

import asyncio
from collections import deque
from collections.abc import Iterable
from operator import itemgetter
from typing import Final, Protocol

import structlog

from gateway.storage.call_records import CallRecord, parts_of, sip_call_ids
from gateway.storage.ladders import LadderStore, Messages

log = structlog.get_logger(__name__)

#: Ends that are this near, in seconds, are seen to together.
_RESOLUTION_S: Final = 0.01
#: Seconds after a call's end for what still passes: the answer to a BYE, and its repetitions.
SETTLE_S: Final = 5.0


class SipMessages(Protocol):
    """What is remembered of the messages of late, by SIP Call-ID, without secrets."""

    def ladder(self, sip_call_ids: Iterable[str]) -> Messages:
        """The messages of these dialogs in the order they passed."""
        ...

    def forget(self, sip_call_ids: Iterable[str]) -> None:
        """They are stored, and need not be remembered any more."""
        ...


class Ladders:
    """Keeps the ladders of calls. `close` it to store those that still wait."""

    def __init__(self, messages: SipMessages, store: LadderStore) -> None:
        self._messages = messages
        self._store = store
        #: calls that are over, and when each is stored, in this order
        self._over: deque[tuple[float, CallRecord]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def call_over(self, record: CallRecord) -> None:
        """This call has ended."""
        loop = asyncio.get_running_loop()
        self._over.append((loop.time() + SETTLE_S, record))
        if self._timer is None:
            self._timer = loop.call_later(SETTLE_S, self._due)

    async def of(self, record: CallRecord) -> Messages:
        """The ladder of a call, as far as it is kept, with those of the calls that are part of it.
        Raises StorageError."""
        messages = await self._kept(record.call_id, sip_call_ids(record))
        for part in parts_of(record):
            messages = messages + await self._kept(part["call_id"], part["sip_call_ids"])
        return sorted(messages, key=itemgetter("at"))

    async def _kept(self, call_id: str, names: Iterable[str]) -> Messages:
        stored = await self._store.get(call_id)
        return self._messages.ladder(names) if stored is None else stored

    def close(self) -> None:
        """Store what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._over:
            self._keep(self._over.popleft()[1])

    def _due(self) -> None:
        loop = asyncio.get_running_loop()
        while self._over and self._over[0][0] <= loop.time() + _RESOLUTION_S:
            self._keep(self._over.popleft()[1])
        self._timer = loop.call_at(self._over[0][0], self._due) if self._over else None

    def _keep(self, record: CallRecord) -> None:
        names = sip_call_ids(record)
        try:
            self._store.save(record.call_id, self._messages.ladder(names))
        except Exception:  # one odd ladder must not stop those that follow
            log.exception("ladder.not-stored", call_id=record.call_id)
        self._messages.forget(names)
