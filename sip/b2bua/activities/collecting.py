"""A leg's peer is to enter digits. Keys are secrets: they stand in no log."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sip.b2bua.call_events import Disconnect, Event
from sip.b2bua.digits import Collected, Digits, Wanted
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.clock import Timer
from sip.media.events import Digit


class Collecting:
    """Takes a leg's keys until they are enough. The outcome is what was `Collected`."""

    name = "collecting"

    def __init__(
        self,
        leg: str,
        wanted: Wanted,
        *,
        prompted: bool = False,
        heard: Callable[[], object] | None = None,
    ) -> None:
        """`leg` is its name. While it is `prompted` no time runs, until `prompt_over` is called.

        `heard` is called with each key.
        """
        self.legs = (leg,)
        self._digits = Digits(wanted, prompted=prompted)
        self._heard = heard
        self._timer: Timer | None = None

    def start(self, call: Hub) -> None:
        """From now on the keys are ours."""
        self._call = call
        self._wait()

    def on(self, leg: Leg, event: Event) -> bool:
        """The leg's keys, and its end; all else is for others."""
        if self._call.name_of(leg) != self.legs[0]:
            return False
        if isinstance(event, Disconnect):
            self._call.finish(self, self.stop())
        elif isinstance(event, Digit):
            self._digits.press(event.digit)
            if self._heard is not None:
                self._heard()
            self._go_on()
            return True
        return False

    def prompt_over(self) -> None:
        """The peer has heard what it is to enter: it is waited for from now on."""
        before = self._digits.state
        self._digits.prompt_over()
        if self._digits.state is not before:
            self._wait()

    def stop(self) -> Collected:
        """Give up."""
        if self._timer is not None:
            self._timer.cancel()
        self._digits.give_up()
        return self._digits.collected

    def _go_on(self) -> None:
        if self._digits.over:
            self._call.finish(self, self.stop())
        else:
            self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait_s = self._digits.wait_s
        if wait_s is not None:
            self._timer = self._call.ua.clock.call_later(wait_s, self._time_over)

    def _time_over(self) -> None:
        self._digits.time_over()
        self._go_on()


async def prompted(
    call: Hub,
    wanted: Wanted,
    leg: str,
    prompt: Callable[[], Coroutine[Any, Any, object]] | None,
    *,
    barge_in: bool,
) -> Collected:
    """Collect from a leg while `prompt`, if there is one, says what is to be entered."""
    if prompt is None:
        return await _outcome(call, Collecting(leg, wanted))
    async with asyncio.TaskGroup() as group:
        saying = group.create_task(prompt())
        heard = saying.cancel if barge_in else None
        collecting = Collecting(leg, wanted, prompted=True, heard=heard)
        saying.add_done_callback(lambda _: collecting.prompt_over())
        collected = await _outcome(call, collecting)
        saying.cancel()
    return collected


async def _outcome(call: Hub, collecting: Collecting) -> Collected:
    outcome = call.begin(collecting)
    try:
        collected: Collected = await outcome
        return collected
    finally:  # cancelled: something else takes its place
        call.stop_for(outcome)
