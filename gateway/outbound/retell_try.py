"""One call that Retell was asked to place: what SIP and Retell told of it so far."""

import asyncio

from gateway.calls.expected_calls import AtRetell
from gateway.calls.live_call import LiveCall
from gateway.calls.placing_limits import Placed
from gateway.calls.routing import Direction
from gateway.outbound.news import Answered, OnNews, Ringing, each_once
from gateway.retell.failures import RetellError
from gateway.storage.call_records import CallRecord
from gateway.storage.wanted import Wanted


class RetellTry:
    """Takes in what is told, and passes on to the queue what is news to it."""

    def __init__(
        self,
        call_id: str,
        queued_id: str,
        wanted: Wanted,
        on_news: OnNews,
        at: float,
    ) -> None:
        """`at` is seconds since 1970."""
        self.call_id = call_id
        self.queued_id = queued_id
        self.wanted = wanted
        #: its record until its INVITE is here, and where none comes
        self.record = CallRecord(
            call_id=call_id,
            call_sid=call_id,
            direction=Direction.RETELL.value,
            trunk="",
            from_number=wanted.from_number,
            to_number=wanted.to_number,
            method="trunk",
            agent=wanted.agent,
            started_ms=round(at * 1000),
        )
        #: set by whatever is told; whoever waits clears it
        self.changed = asyncio.Event()
        #: the call that came of it
        self.live: LiveCall | None = None
        #: what Retell said of its end
        self.said: AtRetell | None = None
        #: Retell's last word to a request that was in doubt
        self.failed: RetellError | None = None
        self.cancelled = False
        #: its room among the calls that Retell may place, until its INVITE has its own
        self.room: Placed | None = None
        #: has the queue hear of it, each kind once
        self.tell = each_once(on_news)

    @property
    def retell_call_id(self) -> str | None:
        """Retell's id, once it is known."""
        known = None if self.live is None else self.live.retell_call_id
        return known or self.record.retell_call_id

    @property
    def known(self) -> bool:
        """Whether there is such a call for sure."""
        return self.retell_call_id is not None or self.live is not None

    @property
    def answered(self) -> bool:
        """Whether the person did."""
        return self.live is not None and self.live.machine.answered is not None

    @property
    def over(self) -> bool:
        """Whether the call that came of it is over, and its record closed."""
        return self.live is not None and self.live.record.state == "ended"

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be waited for: it is over, or not wanted any more."""
        return self.cancelled or self.over or (self.said is not None and self.live is None)

    # -- what is told -----------------------------------------------------------------------------

    def learnt(self, retell_call_id: str) -> None:
        """Retell's id, perhaps after the call came."""
        self.record.retell_call_id = retell_call_id
        if self.live is not None and self.live.record.retell_call_id is None:
            self.live.record.retell_call_id = retell_call_id

    def came(self, call: LiveCall) -> None:
        """Its INVITE is here."""
        self.live = call
        self.leave_room()
        if call.record.retell_call_id is None:
            call.record.retell_call_id = self.record.retell_call_id
        self.changed.set()

    def watch(self, call: LiveCall) -> None:
        """Something became of it."""
        at = call.clock.now()
        if any(each.rang is not None for each in call.machine.tried):
            self.tell(Ringing(at))
        if call.machine.answered is not None:
            self.tell(Answered(call.machine.answered))
        if self.over:
            self.changed.set()

    def told(self, said: AtRetell) -> None:
        """Retell says that it is over."""
        self.learnt(said.retell_call_id)
        if self.said is None or self.said.disconnection_reason is None:
            self.said = said
        self.changed.set()

    def leave_room(self) -> None:
        """Its INVITE is counted, or none comes any more."""
        if self.room is not None:
            self.room.give_back()

    # -- waiting ----------------------------------------------------------------------------------

    async def heard_within(self, seconds: float) -> bool:
        """Wait until something is told; whether it was."""
        try:
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            return False
        self.changed.clear()
        return True
