"""Which agent answers a call of Twilio's, or why none does: the rules of every call that comes, and
Twilio's own. Pure, but for the counts of callers."""

from typing import Final

from config.settings import NumberSettings, Settings
from config.twilio_settings import TWILIO
from gateway.calls.endings import CLOSED, NO_AGENT, NOT_CONFIGURED, Fault, Refusal, Role
from gateway.calls.entries import entry_of
from gateway.calls.incoming import Incoming, Rules
from gateway.calls.no_way import NoWay
from gateway.calls.plan import Elsewhere
from gateway.calls.planner import Planner
from gateway.calls.routing import Refusing
from gateway.jambonz.messages import NewCall
from gateway.retell.wishes import ToRegister
from gateway.twilio.requests import Asked
from gateway.value import frozen

#: The trunk that these calls are on record under.
TRUNK: Final = TWILIO
#: How Retell's ids of agents begin.
_AGENT: Final = "agent_"
#: An agent of another house is called by our own SIP side alone.
NOT_AT_RETELL: Final = Refusal(480, "Temporarily Unavailable", "agent-elsewhere", Fault.OPERATOR)


@frozen(kw_only=True)
class Wish:
    """Retell is to be asked for `register`, in `workspace`; `rules` hold for the caller."""

    register: ToRegister
    workspace: str
    rules: Rules


@frozen
class Nobody:
    """No agent answers; `why` is a sentence for log and record."""

    refusal: Refusal
    why: str


def wish_of(
    settings: Settings, planner: Planner, incoming: Incoming, asked: Asked, call_id: str
) -> Wish | Nobody:
    """What is asked of Retell for that call, now."""
    agent = asked.dialled if asked.dialled.startswith(_AGENT) else None
    ours = asked.from_number if asked.outbound else asked.to_number
    number, entry = entry_of(settings, ours if agent else asked.dialled or ours, TRUNK)
    rules = incoming.rules(entry)
    if agent is None:
        chosen = _agent_of(planner, asked, number, entry, call_id)
        if isinstance(chosen, Nobody):
            return chosen
        agent = chosen
    elif not asked.outbound:
        barred = incoming.judge(asked.from_number, number, rules)
        if barred is not None:
            return _nobody(barred)
    retell_number = (entry and entry.retell_number) or number
    register = ToRegister(
        call_id=call_id,
        direction="outbound" if asked.outbound else "inbound",
        agent=agent,
        from_number=retell_number if asked.outbound else asked.from_number,
        to_number=asked.to_number if asked.outbound else retell_number,
        variables={} if entry is None else entry.variables,
        metadata={"twilio_call_sid": asked.call_sid},
    )
    workspace = settings.retell.workspace_of(retell_number).name
    return Wish(register=register, workspace=workspace, rules=rules)


def _agent_of(
    planner: Planner, asked: Asked, number: str, entry: NumberSettings | None, call_id: str
) -> str | Nobody:
    """The agent that the rules of every call choose."""
    if entry is None:
        return Nobody(NOT_CONFIGURED, f"numbers has no entry for {number}")
    new = NewCall(
        call_sid=asked.call_sid,
        sip_call_id="",
        from_number=number if asked.outbound else asked.from_number,
        to_number=asked.to_number if asked.outbound else number,
        trunk=TRUNK,
        authenticated_user="",
        headers={},
        outbound=asked.outbound,
    )
    plan = planner.plan(new, call_id)
    if isinstance(plan, Refusing):
        return Nobody(plan.refusal, plan.why or plan.refusal.cause)
    if isinstance(plan, Elsewhere):
        return Nobody(CLOSED, f"{number} is closed at this hour (numbers.{number}.schedule)")
    if plan.attempts[0].role is not Role.RETELL:
        why = f"{plan.agent} is no agent of Retell's: twilio.answer: edge reaches it"
        return Nobody(NOT_AT_RETELL, why)
    if plan.agent is None:
        return Nobody(NO_AGENT, f"set numbers.{number}.agent, or retell.agent")
    return plan.agent


def _nobody(no_way: NoWay) -> Nobody:
    return Nobody(no_way.refusal, no_way.words)
