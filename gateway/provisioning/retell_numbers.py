"""The numbers that Retell shall have of us, and what is to change there: pure.

Retell calls out by a number's termination URI with its login; the agents of a number answer calls
that come to it (https://docs.retellai.com/api-references/import-phone-number).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.choices import choices
from config.settings import NumberSettings, Settings
from config.texts import is_e164
from config.workspace_settings import WorkspaceSettings
from gateway.provisioning.changes import (
    Ask,
    Change,
    Conflict,
    FieldChange,
    Plan,
    Stray,
    Wishes,
    differing,
)
from gateway.provisioning.sip_uris import OwnUri

SERVICE: Final = "retell"
NUMBER: Final = "number"
#: Where Retell asks us about a call that comes to one of its numbers.
WEBHOOK: Final = "/webhooks/retell/inbound"
#: A number that Retell rents out is no trunk's.
CUSTOM: Final = "custom"
#: Decimals of an agent's share.
_DECIMALS: Final = 3


@dataclass(frozen=True, slots=True)
class WantedNumber:
    """A number as it shall be at Retell. What is None is left as it is there."""

    number: str
    agent: str | None
    uri: OwnUri
    username: str | None
    password: str | None
    codecs: tuple[str, ...] | None
    webhook: str | None

    def properties(self) -> dict[str, Any]:
        """What can be compared: all but the password, which Retell does not tell."""
        told: dict[str, Any] = {
            "termination_uri": self.uri.host_port,
            "transport": self.uri.transport.upper(),
        }
        if self.username is not None:
            told["auth_username"] = self.username
        if self.codecs is not None:
            told["codecs"] = self.codecs
        if self.webhook is not None:
            told["inbound_webhook_url"] = self.webhook
        if self.agent is not None:
            told["inbound_agents"] = told["outbound_agents"] = ((self.agent, 1.0),)
        return told


def wanted_numbers(settings: Settings, workspace: WorkspaceSettings) -> dict[str, WantedNumber]:
    """Those of one workspace, by number: where calls to Retell go by method `trunk`, those of
    `retell.workspaces[].numbers`, and those of `provision.retell.numbers`."""
    agents: dict[str, str | None] = {}
    for key, entry in settings.numbers.items():
        for number, agent in _called(settings, key, entry).items():
            # what a number's own entry says counts before what others say of it
            agents[number] = agent if number == key else agents.get(number, agent)
    for number in (*workspace.numbers, *settings.provision.retell.numbers):
        known = settings.numbers.get(number)
        agent = (known and known.agent) or settings.retell.workspace_of(number).agent
        agents.setdefault(number, agent)
    return {
        number: _wanted(settings, workspace, number, agent)
        for number, agent in agents.items()
        if settings.retell.workspace_of(number).name == workspace.name
    }


def _called(settings: Settings, key: str, entry: NumberSettings) -> dict[str, str | None]:
    """The numbers by which calls of an entry reach Retell, each with its agent. Of several that an
    entry shares its calls among (`agents[].to`), the agent is Retell's own setting."""
    dialled = key.partition("/")[2] or key
    own = entry.retell_number or dialled
    called: dict[str, str | None] = {}
    for choice in choices(settings, dialled, entry):
        if choice.method == "trunk" and is_e164(choice.to):
            known = settings.numbers.get(choice.to)
            its_own = None if known is None else known.agent
            called[choice.to] = choice.agent if choice.to == own else its_own
    return called


def _wanted(
    settings: Settings, workspace: WorkspaceSettings, number: str, agent: str | None
) -> WantedNumber:
    provision, login = settings.provision, workspace.login
    password = None if login is None or login.password is None else login.password
    return WantedNumber(
        number=number,
        agent=agent,
        uri=OwnUri.of(provision.sip_uris[0]),
        username=None if login is None or password is None else login.username,
        password=None if password is None else password.get_secret_value(),
        codecs=provision.retell.codecs or None,
        webhook=f"{settings.http.public_url}{WEBHOOK}"
        if provision.retell.inbound_webhook and settings.http.public_url
        else None,
    )


def plan(
    wanted: Mapping[str, WantedNumber],
    found: Sequence[Mapping[str, Any]],
    mark: str,
    wishes: Wishes,
) -> Plan:
    """What makes Retell have the wanted numbers, and no other one of ours."""
    there = {str(one.get("phone_number")): one for one in found}
    ours = {number: one for number, one in there.items() if _is_ours(one, mark)}
    if wishes.destroy:
        left = sorted(wanted.keys() & there.keys() - ours.keys())
        notes = tuple(f"number {one} stays: it was not imported by us" for one in left)
        return Plan(tuple(_remove(one) for one in sorted(ours)), notes=notes)
    changes: list[Change] = []
    conflicts: list[Conflict] = []
    for number, one in sorted(wanted.items()):
        now = there.get(number)
        if now is None:
            changes.append(_import(one, mark))
            continue
        if (conflict := _conflict(one, now, number in ours or wishes.take_over)) is not None:
            conflicts.append(conflict)
        else:
            changes.extend(_update(one, now, wishes))
    strays = sorted(ours.keys() - wanted.keys())
    if wishes.prune:
        changes.extend(_remove(number) for number in strays)
        strays = []
    return Plan(tuple(changes), tuple(conflicts), tuple(Stray(NUMBER, one) for one in strays))


def _is_ours(found: Mapping[str, Any], mark: str) -> bool:
    return found.get("nickname") == mark and found.get("phone_number_type") == CUSTOM


def _conflict(one: WantedNumber, now: Mapping[str, Any], may: bool) -> Conflict | None:
    kind = now.get("phone_number_type")
    if kind != CUSTOM:
        reason = f"is a number that Retell itself rents out ({kind}), which has no trunk"
        return Conflict(NUMBER, one.number, reason, "take it out of numbers")
    changed = ", ".join(each.name for each in _differences(one, now))
    if not changed or may:
        return None
    reason = f"was imported by somebody else, with another {changed}"
    return Conflict(NUMBER, one.number, reason, "--take-over changes it all the same")


def _import(one: WantedNumber, mark: str) -> Change:
    body = dict(_body(one.properties()))
    if "auth_username" in body:
        body["sip_trunk_auth_username"] = body.pop("auth_username")
        body["sip_trunk_auth_password"] = one.password
    body |= {"phone_number": one.number, "nickname": mark, "ignore_e164_validation": False}
    ask = Ask(SERVICE, "POST", ("import-phone-number",), body, gives=f"number {one.number}")
    return Change("make", NUMBER, one.number, ask, differing(_readable(one.properties()), {}))


def _update(one: WantedNumber, now: Mapping[str, Any], wishes: Wishes) -> Iterator[Change]:
    fields = _differences(one, now)
    names = {each.name for each in fields}
    body = dict(_body({k: v for k, v in one.properties().items() if k in names}))
    # Retell does not tell the password: it goes with the name, or when the operator says so
    if one.username is not None and ("auth_username" in names or wishes.passwords):
        body |= {"auth_username": one.username, "auth_password": one.password}
        fields = (*fields, FieldChange("auth_password", "(hidden)", "(hidden)"))
    if body:
        ask = Ask(SERVICE, "PATCH", ("update-phone-number", one.number), body)
        yield Change("change", NUMBER, one.number, ask, fields)


def _remove(number: str) -> Change:
    return Change("remove", NUMBER, number, Ask(SERVICE, "DELETE", ("delete-phone-number", number)))


def _differences(one: WantedNumber, now: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    return differing(_readable(one.properties()), _readable(_found(now)))


def _found(now: Mapping[str, Any]) -> dict[str, Any]:
    """What Retell tells of a number, as `properties` has it."""
    trunk = now.get("sip_outbound_trunk_config") or {}
    return {
        "termination_uri": _host_port(str(trunk.get("termination_uri") or "")),
        "transport": trunk.get("transport") or "TCP",
        "auth_username": trunk.get("auth_username"),
        "codecs": tuple(trunk.get("codecs") or ()),
        "inbound_webhook_url": now.get("inbound_webhook_url"),
        "inbound_agents": _agents(now.get("inbound_agents")),
        "outbound_agents": _agents(now.get("outbound_agents")),
    }


def _host_port(uri: str) -> str:
    """Retell takes a host, host:port or a SIP URI, and gives back what it was given."""
    return uri.strip().removeprefix("sip:").partition(";")[0].lower()


def _agents(told: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(told, list):
        return ()
    each = (one for one in told if isinstance(one, dict))
    pairs = ((str(one.get("agent_id")), float(one.get("weight") or 0)) for one in each)
    return tuple(sorted((agent, round(weight, _DECIMALS)) for agent, weight in pairs))


def _readable(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Agents as `ID` or `ID 25 %`; all else as it is."""
    return {
        name: tuple(a if share == 1 else f"{a} {share * 100:g} %" for a, share in value)
        if name.endswith("_agents")
        else value
        for name, value in properties.items()
    }


def _body(properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The same as Retell wants it."""
    for name, value in properties.items():
        if name.endswith("_agents"):
            yield name, [{"agent_id": agent, "weight": share} for agent, share in value]
        else:
            yield name, list(value) if isinstance(value, tuple) else value
