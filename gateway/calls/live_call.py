"""One call in progress: its machine, and the connection, record and tasks around it."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from gateway.calls.call_clock import CallClock
from gateway.calls.call_machine import CallMachine
from gateway.jambonz.messages import NewCall, redirect
from gateway.jambonz.session import Given
from gateway.jambonz.verbs import Verbs
from gateway.storage.call_records import CallRecord


class Session(Protocol):
    """The connection that carries the call at present."""

    def send(self, text: str, lost: Callable[[str], None]) -> None:
        """Send a frame; `lost(text)` is called where that fails, at once or later."""
        ...

    def give(self, call: Any, verbs: Verbs) -> None:
        """Give the call other verbs, by command."""
        ...

    async def close(self) -> None:
        """Close with 1000: the call needs no more messages."""
        ...


class LiveCall:
    """A call, by jambonz's `call_sid` and by our `call_id`."""

    __slots__ = (
        "call_sid",
        "clock",
        "machine",
        "on_record",
        "outbox",
        "record",
        "registration",
        "session",
        "timer",
        "unproved",
    )

    def __init__(
        self,
        new: NewCall,
        machine: CallMachine,
        session: Session,
        record: CallRecord,
        clock: CallClock,
    ) -> None:
        self.clock = clock
        self.call_sid = new.call_sid
        self.machine = machine
        self.session: Session | None = session
        self.record = record
        #: whether there is no former run's record that may have to take the place of this one
        self.on_record = False
        self.registration: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.outbox: list[str] = []
        self.unproved: Given | None = None

    @property
    def call_id(self) -> str:
        """Ours, under which the call is on record."""
        return self.record.call_id

    def say(self, text: str) -> None:
        """Send a frame, now or when jambonz comes back."""
        if self.session is None:
            self.outbox.append(text)
        else:
            self.session.send(text, self.outbox.append)

    def command(self, verbs: Verbs) -> None:
        """Redirect the call to these verbs, now or when jambonz comes back."""
        if not verbs:
            return
        if self.session is None:
            self.outbox.append(redirect(verbs))
        else:
            self.session.give(self, verbs)
