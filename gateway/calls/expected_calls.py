"""Calls that Retell was asked to place: each comes to us as an INVITE of Retell's, and is then
known as the call that it is.

What makes it known is a header of ours, which Retell puts on the INVITE
(docs.retellai.com/build/telephony/sip-headers); where it has none, its numbers, as long as one call
alone can be meant.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.calls.endings import NO_ROUTE
from gateway.calls.live_call import LiveCall
from gateway.calls.numbers import e164
from gateway.calls.plan import Plan
from gateway.calls.routing import Dialling, Refusing
from gateway.jambonz.messages import NewCall
from gateway.value import frozen

#: The header that carries our id of the call.
QUEUED_HEADER: Final = "X-Gateway-Queued-Call"
#: Calls that are not wanted any more, and may come all the same: so many are remembered.
MOST_UNWANTED: Final = 10_000


@frozen
class AtRetell:
    """What Retell says of a call that is over there."""

    retell_call_id: str
    disconnection_reason: str | None
    duration_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Expected:
    """A call that Retell was asked to place. Numbers are in E.164.

    It may go by `trunk` alone, where that is said, and talk for `time_limit_s` seconds. `came` is
    called when its INVITE is here, before anything becomes of it; `watch` hears of each change
    after that, and `over` what Retell says of its end.
    """

    call_id: str
    from_number: str
    to_number: str
    agent: str | None
    came: Callable[[LiveCall], None]
    watch: Callable[[LiveCall], None]
    over: Callable[[AtRetell], None]
    trunk: str | None = None
    time_limit_s: float | None = None
    retell_call_id: str | None = None
    #: nobody wants it any more
    unwanted: bool = False


class ExpectedCalls:
    """Those that did not end yet, by our id."""

    def __init__(self) -> None:
        self._expected: dict[str, Expected] = {}
        #: those whose INVITE is here
        self._here: set[str] = set()
        self._unwanted: OrderedDict[str, Expected] = OrderedDict()

    def expect(self, one: Expected) -> None:
        """Retell is about to be asked for it."""
        self._expected[one.call_id] = one

    def forget(self, call_id: str) -> None:
        """It is over, or never was."""
        self._expected.pop(call_id, None)
        self._here.discard(call_id)

    def refuse(self, call_id: str) -> None:
        """Nobody wants it any more; its INVITE may come all the same."""
        one = self._expected.get(call_id)
        if one is not None and call_id not in self._here:
            one.unwanted = True
            self._unwanted[call_id] = one
            if len(self._unwanted) > MOST_UNWANTED:
                self._unwanted.popitem(last=False)
        self.forget(call_id)

    def claim(self, new: NewCall, country: str | None) -> Expected | None:
        """Which of them a call from Retell is, once; None where it is another one."""
        named = next(
            (value for name, value in new.headers.items() if name.lower() == _HEADER), None
        )
        if named is None:
            one = self._by_numbers(new, country)
        elif named in self._here:
            return None
        else:
            one = self._expected.get(named) or self._unwanted.pop(named, None)
        if one is not None and not one.unwanted:
            self._here.add(one.call_id)
        return one

    def told(self, call_id: str | None, said: AtRetell) -> None:
        """Retell says that a call is over, to which it has our id."""
        one = self._expected.get(call_id or "")
        if one is not None:
            one.over(said)

    def _by_numbers(self, new: NewCall, country: str | None) -> Expected | None:
        numbers = e164(new.from_number, country), e164(new.to_number, country)
        fitting = [
            each
            for each in self._expected.values()
            if (each.from_number, each.to_number) == numbers and each.call_id not in self._here
        ]
        return fitting[0] if len(fitting) == 1 else None


_HEADER: Final = QUEUED_HEADER.lower()


def bounded(chosen: Plan, one: Expected) -> Plan:
    """The plan within what was wanted of that call."""
    if not isinstance(chosen, Dialling):
        return chosen
    attempts = tuple(
        replace(each, time_limit_s=_least(each.time_limit_s, one.time_limit_s))
        for each in chosen.attempts
        if one.trunk in (None, each.trunk)
    )
    if attempts:
        return replace(chosen, agent=one.agent, attempts=attempts)
    tried = ", ".join(each.trunk for each in chosen.attempts)
    return Refusing(
        direction=chosen.direction,
        from_number=chosen.from_number,
        to_number=chosen.to_number,
        refusal=NO_ROUTE,
        why=f"it was wanted by trunk {one.trunk} alone, and outbound.routes leads to {tried}",
    )


def _least(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)
