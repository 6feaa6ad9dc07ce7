"""What a plan says of its call's verbs: how it opens, and how one of its attempts is dialled."""

from typing import Final

from gateway.calls.plan import Plan
from gateway.calls.routing import Attempt, Dialling
from gateway.calls.transfer_verbs import REFER_HOOK
from gateway.jambonz.verbs import Config, Dial, Play, SipTarget, Verbs

DIAL_HOOK: Final = "/dial-action"
FAX_HOOK: Final = "/fax-heard"


def leg_to(plan: Plan, attempt: Attempt, uri: str | None) -> Dial:
    """Dial an attempt; `uri` is where a registered call is."""
    return Dial(
        targets=(attempt.target or SipTarget(uri or ""),),
        action_hook=DIAL_HOOK,
        timeout_s=attempt.timeout_s,
        caller_id=attempt.caller_id,
        music=plan.ringing if isinstance(plan, Dialling) else None,
        headers=attempt.headers,
        encrypted=attempt.encrypted,
        time_limit_s=attempt.time_limit_s,
        refer_hook=REFER_HOOK,
    )


def before_first(plan: Plan) -> Verbs:
    """What comes before the first attempt: what is wanted of the call, what its caller hears."""
    if not isinstance(plan, Dialling):
        return ()
    # of a call that had to be registered first, the tone was asked for while it was
    config = Config(plan.recording, None if plan.registration is not None else fax_hook(plan))
    said = plan.announcement
    announced = () if said is None else (Play(said.file, early=said.before == "answer"),)
    return announced if config == Config() else (config, *announced)


def while_registering(plan: Dialling) -> Verbs:
    """What the caller hears before anybody can be dialled."""
    config = Config(fax_hook=fax_hook(plan))
    music = None if plan.waiting is None else plan.waiting.music
    return (config,) if music is None else (config, Play(music, early=True, forever=True))


def fax_hook(plan: Plan) -> str | None:
    """What is called where the caller is a fax machine, if there is anywhere to send it."""
    return FAX_HOOK if isinstance(plan, Dialling) and plan.fax is not None else None


def answers_first(plan: Plan) -> bool:
    """Whether the caller is answered before anybody is called."""
    said = plan.announcement if isinstance(plan, Dialling) else None
    return said is not None and said.before == "agent"
