"""What came of a call that Twilio placed: from its course, one word."""

from collections.abc import Mapping
from typing import Final

from gateway.calls.endings import ANSWERED_BY_CALLEE, WITHDRAWN
from gateway.calls.person import Who
from gateway.outbound.results import unanswered
from gateway.storage.queued_call import Result
from gateway.twilio.placed_call import CALLED_OFF, UNHEARD, PlacedCall

#: What answered and got no agent.
_NO_PERSON: Final[Mapping[Who | None, Result]] = {
    Who.MACHINE: Result.MACHINE,
    Who.FAX: Result.FAX,
    Who.UNKNOWN: Result.SILENCE,
}


def result_of(call: PlacedCall) -> Result:
    """The result of a call that is over."""
    ending = call.ending
    if ending.cause == WITHDRAWN.cause:
        return Result.CANCELLED
    if not call.answered:
        if ending == UNHEARD:
            return Result.UNKNOWN
        return Result.CANCELLED if ending == CALLED_OFF else unanswered(ending.cause)
    if call.message_left:
        return Result.MESSAGE_LEFT
    if call.then != "agent" and call.who in _NO_PERSON:
        return _NO_PERSON[call.who]
    if call.agent_answered:
        return Result.ANSWERED
    # who hangs up before the agent is there was a person all the same
    return Result.ANSWERED if ending == ANSWERED_BY_CALLEE else Result.AGENT_FAILED
