"""A plan, carried out: read, plan, change one after the other, and look again."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from gateway.provisioning.api import Api
from gateway.provisioning.changes import Change, Plan, Wishes


class Target(Protocol):
    """An account at somebody's API and what it shall have."""

    @property
    def api(self) -> Api: ...

    async def plan(self, wishes: Wishes) -> Plan:
        """By what is found there now. Raises ApiError."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """`done` changes were made; `left` is what a last look finds, which has no changes left if
    the API keeps what it is told."""

    done: int
    left: Plan


async def carry_out(
    target: Target, plan: Plan, wishes: Wishes, told: Callable[[Change], None]
) -> Outcome:
    """Make the changes of a plan, and say which one is next. Raises ApiError, with the changes
    before it made."""
    made: dict[str, str] = {}
    for change in plan.changes:
        told(change)
        await target.api.perform(change.ask, made)
    return Outcome(len(plan.changes), await target.plan(replace(wishes, passwords=False)))
