"""Answering machines that Twilio has found: hung up on, or left a message (twilio.com/docs/voice/
answering-machine-detection)."""

from collections import OrderedDict
from typing import Final

import structlog

from config.twilio_settings import TwilioSettings
from gateway.twilio.answers import Answers
from gateway.twilio.requests import FAX, MACHINES, Told
from gateway.twilio.rest import TwilioError, TwilioRest

log = structlog.get_logger("gateway.twilio")

#: Calls that are remembered, so that each is acted on once.
MOST: Final = 10_000
#: A machine that still speaks its greeting: a message would be said into it.
_GREETING: Final = "machine_start"


class Machines:
    """Acts on what Twilio has heard, once for each call. Close it at the end."""

    def __init__(self) -> None:
        self._rest = TwilioRest()
        self._done: OrderedDict[str, None] = OrderedDict()

    async def close(self) -> None:
        """No more requests."""
        await self._rest.close()

    async def told(self, answers: Answers, twilio: TwilioSettings, told: Told) -> None:
        """Who answered that call. A callback that comes again changes nothing."""
        then = wanted(twilio, told.answered_by)
        log.info("twilio.answered-by", call_sid=told.call_sid, who=told.answered_by[:32], then=then)
        if then == "agent" or told.call_sid in self._done:
            return
        self._done[told.call_sid] = None
        if len(self._done) > MOST:
            self._done.popitem(last=False)
        try:
            if then == "message":
                await self._rest.go_on_with(
                    twilio, told.account_sid, told.call_sid, answers.message()
                )
            else:
                await self._rest.hang_up(twilio, told.account_sid, told.call_sid)
        except TwilioError as error:
            self._done.pop(told.call_sid, None)
            log.error(
                "twilio.call-not-changed",
                call_sid=told.call_sid,
                http_status=error.status or None,
                error=str(error),
            )


def wanted(twilio: TwilioSettings, answered_by: str) -> str:
    """`agent`, `hangup` or `message`: what becomes of a call that this answered."""
    if answered_by == FAX:
        return "hangup"
    if answered_by not in MACHINES:
        return "agent"
    if twilio.machine.then == "message" and answered_by == _GREETING:
        # DetectMessageEnd waits for the greeting's end; without it none is told
        return "hangup"
    return twilio.machine.then
