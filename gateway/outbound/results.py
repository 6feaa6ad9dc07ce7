"""What came of a call that the queue had placed: from its course, one word."""

from collections.abc import Mapping
from typing import Final

from gateway.calls.call_machine import CallMachine
from gateway.calls.endings import AGENTS, NO_ROUTE, WITHDRAWN, Ending, Fault
from gateway.calls.no_way import NoWay
from gateway.calls.person import Stage, Who
from gateway.outbound.news import Ended
from gateway.storage.queued_call import Result

#: By the cause of an ending, where nobody answered; whatever is not here is the carrier's trouble.
_CAUSES: Final[Mapping[str, Result]] = {
    "busy": Result.BUSY,
    "no-answer": Result.NO_ANSWER,
    "cancelled": Result.NO_ANSWER,  # by Retell, whose time for ringing was over
    "declined": Result.DECLINED,
    "unknown-destination": Result.INVALID_NUMBER,
    "bad-number": Result.INVALID_NUMBER,
    WITHDRAWN.cause: Result.CANCELLED,
    "jambonz-uncertain": Result.UNKNOWN,  # it may have called
}
#: What answered and is no person.
_SOUNDS: Final[Mapping[Who | None, Result]] = {
    Who.FAX: Result.FAX,
    Who.SILENCE: Result.SILENCE,
    Who.UNKNOWN: Result.SILENCE,
}
#: How causes begin that no call was dialled for, since it is forbidden.
_BARRED: Final = ("guard-", "spend-")


def result_of(machine: CallMachine, ending: Ending) -> Result:
    """The result of a call of ours that is over."""
    person = machine.person
    if machine.answered is None:
        return unanswered(ending.cause)
    if person is not None and person.stage is not Stage.HERE and person.who is not None:
        if person.who is Who.MACHINE:
            return Result.MESSAGE_LEFT if person.message_left else Result.MACHINE
        return _SOUNDS.get(person.who, Result.ANSWERED)
    if ending.cause == WITHDRAWN.cause:
        return Result.CANCELLED
    agents = [each for each in machine.tried if each.attempt.role in AGENTS]
    if any(each.answered is not None for each in agents):
        return Result.ANSWERED
    # who hangs up before the agent is there was a person all the same
    return Result.ANSWERED if ending.by == "callee" else Result.AGENT_FAILED


def unanswered(cause: str) -> Result:
    """The result of a call that nobody answered, by the cause of its ending."""
    if cause.startswith(_BARRED):
        return Result.BARRED
    if cause.startswith("retell-"):
        return Result.AGENT_FAILED
    return _CAUSES.get(cause, Result.FAILED)


def not_begun(at: float, no_way: NoWay) -> Ended:
    """Nobody is called for it."""
    barred = no_way.refusal.fault is Fault.OPERATOR and no_way.refusal.cause != NO_ROUTE.cause
    return Ended(
        at=at,
        result=Result.BARRED if barred else Result.FAILED,
        cause=no_way.refusal.cause,
        detail=no_way.words,
    )
