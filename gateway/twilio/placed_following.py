"""Follows a call that we have Twilio place to its end: by its callbacks, or, where none comes, by
asking; and has it end where that is wanted."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from config.twilio_settings import TwilioSettings
from gateway.twilio.placed_call import QUEUED, PlacedCall
from gateway.twilio.placing import ToCall
from gateway.twilio.requests import told_of_call
from gateway.twilio.rest import TwilioError, TwilioRest

log = structlog.get_logger("gateway.twilio")

#: How often Twilio is asked about a call of which nothing is heard, in seconds.
ASK_EVERY_S: Final = 60.0
#: The same while its end must come, as it was told to end, or its agent is gone.
END_S: Final = 5.0
#: How long nothing may be heard of a call, neither by a callback nor by an answer.
LOST_S: Final = 600.0
#: How long a callback is waited for where nobody knows whether there is such a call.
DOUBT_S: Final = 60.0
#: After the end of a call, callbacks that were on their way are waited for.
SETTLE_S: Final = 2.0
#: Seconds beyond its time for ringing after which a call that does not ring is called off.
NOT_RUNG_S: Final = 60.0


class Follower:
    """Asks about calls, and ends them."""

    def __init__(
        self,
        rest: TwilioRest,
        twilio: Callable[[], TwilioSettings],
        now: Callable[[], float],
        changed: Callable[[PlacedCall], None],
    ) -> None:
        """`now` is seconds since 1970; `changed` is told where something became of a call."""
        self._rest = rest
        self._twilio = twilio
        self._now = now
        self._changed = changed

    async def to_its_end(self, call: PlacedCall, wish: ToCall) -> None:
        """Returns when the call is over, or nothing more is heard of it."""
        clock = asyncio.get_running_loop().time  # the one on the wall may be set meanwhile
        quiet_s = 0.0
        told_to_end = False
        rings_by = clock() + wish.ring_timeout_s + NOT_RUNG_S
        while call.final is None:
            if call.stopped is not None and call.call_sid and not told_to_end:
                told_to_end = await self._end(call, wish)
            wait_s = END_S if call.let_go or call.stopped or not call.call_sid else ASK_EVERY_S
            if await _heard_within(call, wait_s):
                quiet_s = 0.0
                continue
            quiet_s += wait_s
            told_to_end = False  # one that goes on all the same is told so again
            if call.call_sid and await self._ask(call, wish):
                quiet_s = 0.0
            if quiet_s >= (LOST_S if call.call_sid else DOUBT_S):
                return
            if not call.rang and call.call_sid and clock() > rings_by:
                call.stop(QUEUED, "Twilio did not begin to call: see twilio.calls_per_second")
        give_up = clock() + SETTLE_S
        while not call.settled and (left_s := give_up - clock()) > 0:
            await _heard_within(call, left_s)

    async def _ask(self, call: PlacedCall, wish: ToCall) -> bool:
        """Ask Twilio how the call is; whether it said so."""
        try:
            found = await self._rest.read(self._twilio(), wish.account_sid, call.call_sid)
        except TwilioError as error:
            log.info("call.unread", call_id=call.call_id, error=error.detail)
            return False
        told = told_of_call(found)
        if told is None:
            return False
        now_ms = round(self._now() * 1000)
        call.status(told, now_ms if told.at_ms is None else min(told.at_ms, now_ms))
        call.changed.clear()
        self._changed(call)
        return True

    async def _end(self, call: PlacedCall, wish: ToCall) -> bool:
        """Have Twilio end it; whether it has taken that."""
        end = self._rest.hang_up if call.answered else self._rest.call_off
        try:
            await end(self._twilio(), wish.account_sid, call.call_sid)
        except TwilioError as error:
            log.error(
                "twilio.call-not-changed",
                call_sid=call.call_sid,
                http_status=error.status or None,
                error=error.detail,
            )
            return False
        return True


async def _heard_within(call: PlacedCall, seconds: float) -> bool:
    """Wait until something is told; whether it was."""
    try:
        async with asyncio.timeout(seconds):
            await call.changed.wait()
    except TimeoutError:
        return False
    call.changed.clear()
    return True
