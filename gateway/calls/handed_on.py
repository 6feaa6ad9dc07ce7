"""What carriers are told of a caller whom Retell hands on by a call of its own: pure.

Retell shows the caller's number, which is no number of the carrier's customer.
"""

from dataclasses import replace

from config.settings import Settings
from gateway.calls.plan import Plan
from gateway.calls.routing import Attempt, Dialling
from gateway.calls.transfer_ways import shown
from gateway.calls.warm_transfer import Relation


def shown_to_carriers(settings: Settings, chosen: Plan, found: Relation) -> Plan:
    """The same plan, with the caller as each carrier takes it; where it goes is not touched."""
    number = found.number
    if not isinstance(chosen, Dialling) or number is None or settings.outbound.caller_id:
        return chosen
    caller = chosen.from_number
    attempts = tuple(_shown(settings, one, caller, number) for one in chosen.attempts)
    return replace(chosen, attempts=attempts)


def _shown(settings: Settings, attempt: Attempt, caller: str, number: str) -> Attempt:
    peer = settings.trunk(attempt.trunk)
    if peer is None:
        return attempt
    who = shown(peer, caller, number)
    headers = dict(attempt.headers)
    if who.diversion is not None:
        headers["Diversion"] = f"<sip:{who.diversion}@{settings.sip.realm}>;reason=deflection"
    return replace(attempt, caller_id=who.number, headers=headers)
