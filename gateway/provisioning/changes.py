"""What is to be done at somebody's API so that it has what the configuration says: pure values.

A plan is made of what is wanted and what was found there, nothing else. So one that was broken off
needs no memory: what it did is found the next time.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Action = Literal["make", "change", "remove"]


@dataclass(frozen=True, slots=True)
class Made:
    """The id of something that an earlier request of the same plan makes."""

    name: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. `path` is in parts, `gives` the name by which later ones mean what it makes."""

    service: str
    method: Literal["POST", "PATCH", "DELETE"]
    path: tuple[str | Made, ...]
    body: Mapping[str, Any] = field(default_factory=dict)
    gives: str = ""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One property, as an operator may read it: no secret is in it."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """A request and what it is for."""

    action: Action
    what: str
    name: str
    ask: Ask
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Conflict:
    """Something that is not ours, and not as the configuration wants it: left alone."""

    what: str
    name: str
    reason: str
    fix: str


@dataclass(frozen=True, slots=True)
class Stray:
    """Something that we made, and that the configuration no longer has."""

    what: str
    name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """In the order in which it is done. `notes` are for the operator."""

    changes: tuple[Change, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    strays: tuple[Stray, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether there is anything that is not as the configuration says."""
        return bool(self.changes or self.conflicts or self.strays)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the operator says beside the configuration. `release` are numbers to be given back."""

    release: tuple[str, ...] = ()
    destroy: bool = False
    take_over: bool = False
    prune: bool = False
    passwords: bool = False


def differing(
    wanted: Mapping[str, Any], found: Mapping[str, Any], secret: Iterable[str] = ()
) -> tuple[FieldChange, ...]:
    """The properties of `wanted` that are otherwise in `found`; of `secret` ones no value."""
    hidden = frozenset(secret)
    return tuple(
        FieldChange(name, "(hidden)", "(hidden)")
        if name in hidden
        else FieldChange(name, shown(found.get(name)), shown(value))
        for name, value in wanted.items()
        if found.get(name) != value
    )


def shown(value: Any) -> str:
    """A property as a cell of a table."""
    if value is None or value == "" or value == ():
        return "-"
    if isinstance(value, tuple | list):
        return ", ".join(map(shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def joined(plans: Iterable[Plan]) -> Plan:
    """Several plans, one after the other."""
    every = tuple(plans)
    return Plan(
        tuple(one for plan in every for one in plan.changes),
        tuple(one for plan in every for one in plan.conflicts),
        tuple(one for plan in every for one in plan.strays),
        tuple(one for plan in every for one in plan.notes),
    )
