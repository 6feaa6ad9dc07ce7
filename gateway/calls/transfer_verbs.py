"""The verbs of a transfer's tries, and the hooks that tell what came of them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from gateway.calls.transfer_order import Callee, ReferTry, RingTry, SayTry
from gateway.jambonz.verbs import Dial, Gather, Play, SipRefer, Target, Verbs

#: Called where a leg of the call sends REFER.
REFER_HOOK: Final = "/refer"
DIAL_HOOK: Final = "/transfer-dial"
REFERRED_HOOK: Final = "/transfer-refer"
NEWS_HOOK: Final = "/transfer-news"
SAID_HOOK: Final = "/transfer-said"
#: Called where a callee has answered, and when it has heard what it is told; its number follows.
CONFIRM_HOOK: Final = "/transfer-confirm/"
ACCEPT_HOOK: Final = "/transfer-accept/"

#: How long a callee may think about whether it takes the call.
ACCEPT_S: Final = 10.0


def referring(refer: ReferTry) -> SipRefer:
    """Ask the caller's own side."""
    return SipRefer(
        refer_to=refer.refer_to,
        action_hook=REFERRED_HOOK,
        event_hook=NEWS_HOOK,
        referred_by=refer.referred_by,
        headers=refer.headers,
    )


def ringing(ring: RingTry) -> Verbs:
    """Call its callees, having told the caller so."""
    said = () if ring.announcement is None else (Play(ring.announcement),)
    return (*said, _dial(ring))


def saying(say: SayTry) -> Play:
    """Tell the caller."""
    return Play(say.file, action_hook=SAID_HOOK)


def asking(callee: Callee, number: int) -> Verbs:
    """What a callee hears and is asked once it has answered; `number` is its own in its try."""
    hook = f"{ACCEPT_HOOK}{number}"
    if callee.confirm:
        return (Gather(action_hook=hook, digits=1, timeout_s=ACCEPT_S, play=callee.whisper),)
    return () if callee.whisper is None else (Play(callee.whisper, action_hook=hook),)


def _dial(ring: RingTry) -> Dial:
    callers = {callee.attempt.caller_id for callee in ring.callees}
    several = len(callers) > 1
    return Dial(
        targets=tuple(
            _target(number, callee, several) for number, callee in enumerate(ring.callees)
        ),
        action_hook=DIAL_HOOK,
        timeout_s=ring.ring_s,
        caller_id=None if several else callers.pop(),
        music=ring.music,
        time_limit_s=min(_limits(ring), default=None),
        refer_hook=REFER_HOOK,
    )


def _limits(ring: RingTry) -> Iterator[float]:
    """How long those may talk who have a limit: a dial has one for all."""
    for callee in ring.callees:
        if callee.attempt.time_limit_s is not None:
            yield callee.attempt.time_limit_s


def _target(number: int, callee: Callee, own_caller: bool) -> Target:
    """A callee as the dial names it; each has the headers and, where they differ, the caller ID
    that its own trunk wants."""
    attempt = callee.attempt
    target = attempt.target
    assert target is not None, "only a registered call has none"
    return replace(
        target,
        headers=attempt.headers,
        confirm_hook=f"{CONFIRM_HOOK}{number}" if callee.asked else None,
        caller_id=attempt.caller_id if own_caller else None,
    )
