"""The events of one call, in the order they came."""

import asyncio
from collections import deque

from sip.b2bua.call_events import Event
from sip.b2bua.leg import Leg


class Inbox:
    """What legs tell their call, until it is read; one reader at a time."""

    def __init__(self) -> None:
        self._events: deque[tuple[Leg, Event]] = deque()
        self._arrival: asyncio.Future[None] | None = None

    def put(self, leg: Leg, event: Event) -> None:
        """`leg` says what happened."""
        self._events.append((leg, event))
        arrival = self._arrival
        if arrival is not None and not arrival.done():
            arrival.set_result(None)

    async def get(self) -> tuple[Leg, Event]:
        """The next event; waits for it."""
        while not self._events:
            self._arrival = asyncio.get_running_loop().create_future()
            try:
                await self._arrival
            finally:
                self._arrival = None
        return self._events.popleft()

    def take(self) -> tuple[Leg, Event] | None:
        """The next event, if it has already come."""
        return self._events.popleft() if self._events else None
