"""Who may answer a number: each agent of its entry, with what the entry and `retell` say of it."""

from dataclasses import dataclass

from config.agent_settings import AgentSettings, Method
from config.settings import NumberSettings, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One agent. `method` is how Retell is called; None: it is another agent, called at `to`."""

    trunk: str
    to: str
    agent: str | None
    method: Method | None
    weight: int = 1


def choices(settings: Settings, number: str, entry: NumberSettings) -> tuple[Choice, ...]:
    """At least one: the agents of `entry`, which is that of `number`."""
    agents = entry.agents or (AgentSettings(trunk=settings.retell.trunk),)
    return tuple(_choice(settings, number, entry, each) for each in agents)


def _choice(settings: Settings, number: str, entry: NumberSettings, each: AgentSettings) -> Choice:
    retell = settings.retell
    if each.trunk == retell.trunk:
        to = each.to or entry.retell_number or number
        return Choice(
            trunk=each.trunk,
            to=to,
            agent=each.agent or entry.agent or retell.workspace_of(to).agent,
            method=each.method or entry.method or retell.method,
            weight=each.weight,
        )
    to = each.to or number
    return Choice(
        trunk=each.trunk,
        to=to,
        agent=each.agent or f"{each.trunk}/{to}",
        method=None,
        weight=each.weight,
    )
