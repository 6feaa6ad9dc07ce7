"""How somebody is called whom we call first, and who the agent is: a plan, or why there is none."""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any, Final

from config.choices import choices
from config.settings import Settings
from gateway.calls.endings import NO_AGENT, NO_ROUTE, Role
from gateway.calls.entries import chosen, entry_of
from gateway.calls.no_way import NoWay
from gateway.calls.person import PERSON_HOOK
from gateway.calls.routing import (
    Attempt,
    Dialling,
    Direction,
    Listening,
    PersonFirst,
    Registration,
    dialled,
    recording_of,
    to_agent_headers,
    with_trunk_headers,
    x_headers,
)
from gateway.jambonz.verbs import PhoneTarget
from gateway.value import frozen

#: The key of the tag by which a call of ours is known, wherever jambonz tells of it.
TAG: Final = "gateway_call_id"


@frozen(kw_only=True)
class PersonWish:
    """Somebody is to be called for an agent. Numbers are in E.164; `from_number` is ours.

    `headers` are the agent's side's (X- ones); what is None is as the configuration has it.
    """

    to_number: str
    from_number: str
    agent: str | None = None
    version: int | str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    ring_timeout_s: float | None = None
    time_limit_s: float | None = None
    listening: Listening | None = None


def to_agent(settings: Settings, wish: PersonWish, call_id: str) -> Dialling | NoWay:
    """The agent's part of the plan: for a person whom somebody else calls for us, all of it."""
    number, entry = entry_of(settings, wish.from_number)
    if entry is None and wish.agent is None:
        words = f"name an agent: numbers has no entry for {wish.from_number}, nor for '*'"
        return NoWay(NO_AGENT, words)
    if wish.agent is not None:
        trunk, to, method, agent = settings.retell.trunk, number, "dial", wish.agent
    else:
        assert entry is not None, "else an agent is named"
        choice = chosen(choices(settings, number, entry), call_id)
        trunk, to, agent = choice.trunk, choice.to, choice.agent or ""
        method = choice.method or "other"
    if method == "dial" and not agent:
        words = f"numbers.{number} names no agent, and retell.agent is not set"
        return NoWay(NO_AGENT, words)
    own = {} if entry is None else entry.variables
    variables = {**own, **wish.variables}
    headers = to_agent_headers(
        x_headers(wish.headers), {} if method == "dial" else variables, call_id
    )
    registration = None
    if method == "dial":
        registration = Registration(
            direction="outbound",
            agent=agent,
            from_number=to,
            to_number=wish.to_number,
            variables=variables,
            version=wish.version,
            metadata=wish.metadata,
            workspace=settings.retell.workspace_of(to).name,
        )
    return Dialling(
        direction=Direction.OUTBOUND,
        method="trunk" if method == "other" else method,
        agent=agent or None,
        from_number=number,
        to_number=wish.to_number,
        registration=registration,
        recording=recording_of(settings, entry, call_id),
        attempts=(
            Attempt(
                role=Role.AGENT if method == "other" else Role.RETELL,
                trunk=trunk,
                target=None if method == "dial" else dialled(to, trunk),
                caller_id=wish.to_number,
                timeout_s=settings.retell.ring_timeout_s,
                headers=with_trunk_headers(settings, trunk, headers),
                encrypted=entry is not None and entry.srtp == "required",
            ),
        ),
        agent_lost="agent" if settings.transfer.agent_lost == "agent" else "end",
    )


def person_first(
    settings: Settings, wish: PersonWish, call_id: str, carriers: tuple[str, ...]
) -> Dialling | NoWay:
    """The plan: `carriers` call the person, one after another, and then the agent is called."""
    if not carriers:
        return NoWay(NO_ROUTE, f"no outbound.routes has a prefix for {wish.to_number}")
    plan = to_agent(settings, wish, call_id)
    if isinstance(plan, NoWay):
        return plan
    attempts = tuple(
        Attempt(
            role=Role.CARRIER,
            trunk=carrier,
            target=PhoneTarget(wish.to_number, carrier),
            caller_id=plan.from_number,
            timeout_s=wish.ring_timeout_s or settings.outbound.ring_timeout_s,
            headers=with_trunk_headers(settings, carrier, {}),
        )
        for carrier in carriers
    )
    person = PersonFirst(
        attempts=attempts, listening=wish.listening, time_limit_s=wish.time_limit_s
    )
    return replace(plan, person=person)


def rest_body(plan: Dialling, attempt: Attempt, call_id: str) -> dict[str, Any]:
    """What jambonz's REST API is asked for, to have the person called."""
    person = plan.person
    assert person is not None, "such a plan calls somebody first"
    target = attempt.target
    assert target is not None, "a person has a number"
    body: dict[str, Any] = {
        "from": attempt.caller_id or plan.from_number,
        "to": target.wire(),
        "tag": {TAG: call_id},
        "timeout": max(1, round(attempt.timeout_s)),
    }
    if attempt.headers:
        body["headers"] = dict(attempt.headers)
    limits = [one for one in (person.time_limit_s, attempt.time_limit_s) if one is not None]
    if limits:
        body["timeLimit"] = max(1, round(min(limits)))
    if person.listening is not None:
        amd: dict[str, Any] = {"actionHook": PERSON_HOOK}
        if person.listening.timers:
            amd["timers"] = dict(person.listening.timers)
        body["amd"] = amd
    return body
