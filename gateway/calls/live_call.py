"""One call in progress: its machine, and the connection, record and tasks around it."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from gateway.calls.call_clock import CallClock
from gateway.calls.call_machine import CallMachine
from gateway.calls.control import Leg, TransferVerdict
from gateway.calls.incoming import Longest
from gateway.calls.leaving import Leaving
from gateway.calls.placing_limits import Placed
from gateway.calls.warm_transfer import Relation
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
        "came",
        "clock",
        "given_up",
        "handed_on",
        "held",
        "leaving",
        "limit",
        "longest",
        "machine",
        "muted",
        "on_record",
        "outbox",
        "placed",
        "record",
        "registration",
        "session",
        "timer",
        "told",
        "unproved",
        "verdicts",
        "watch",
    )

    def __init__(
        self,
        new: NewCall,
        machine: CallMachine,
        session: Session | None,
        record: CallRecord,
        clock: CallClock,
    ) -> None:
        self.clock = clock
        self.call_sid = new.call_sid
        self.machine = machine
        self.session = session
        self.record = record
        #: whether there is no former run's record that may have to take the place of this one
        self.on_record = False
        #: the calls that Retell hands on by this one
        self.handed_on: Relation | None = None
        self.registration: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        #: whether the two are kept from hearing each other, and who is besides
        self.held = False
        self.muted: set[Leg] = set()
        #: its legs that leave for a carrier and are up
        self.leaving: list[Leaving] = []
        #: the caller and the number of ours, while it is counted (`incoming.py`)
        self.came: tuple[str, str] | None = None
        #: how long it may last once it is answered, and what ends it then
        self.longest: Longest | None = None
        self.limit: asyncio.TimerHandle | None = None
        #: how many of its transfers came to an end that was told
        self.told = 0
        #: who waits for the verdict on a transfer, by its id
        self.verdicts: dict[str, asyncio.Future[TransferVerdict]] = {}
        #: hears of each change, of a call that we begin
        self.watch: Callable[[LiveCall], None] | None = None
        #: its person's leg was given up before it was answered
        self.given_up = False
        self.outbox: list[str] = []
        #: it counts among those that Retell placed
        self.placed: Placed | None = None
        self.unproved: Given | None = None

    def rename(self, call_sid: str) -> None:
        """Its first leg has that id."""
        self.call_sid = self.record.call_sid = call_sid

    @property
    def call_id(self) -> str:
        """Ours, under which the call is on record."""
        return self.record.call_id

    @property
    def retell_call_id(self) -> str | None:
        """Retell's, once it is known: registered, or told by a webhook."""
        return self.machine.retell_call_id or self.record.retell_call_id

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
