"""Callers while Retell has no room: it would let each ring for forty seconds, and hang up."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from config.settings import Settings
from gateway.calls.endings import Role
from gateway.calls.plan import Plan
from gateway.calls.routing import Dialling, Direction, Waiting
from gateway.jambonz.verbs import PhoneTarget

#: Seconds between two looks of a caller who waits.
LOOK_S: Final = 0.25


class Room(Protocol):
    """What is known of a workspace's room."""

    @property
    def full_for_callers(self) -> bool:
        """Whether a caller would ring in vain."""
        ...

    def took(self) -> None:
        """A call more goes there."""
        ...


class AgentRoom:
    """Sends callers elsewhere at once, or has them wait, each in turn."""

    def __init__(
        self,
        settings: Settings,
        room_for: Callable[[str], Room],
        count: Callable[[str], None],
        clock: Callable[[], float],
    ) -> None:
        """`room_for` gives the room for calls of a number (E.164); `clock` is monotonic seconds.

        `count` hears what became of a caller who found none: `fallback`; `rings` where there is
        none; `waits`, then `waited` or `waited-in-vain`.
        """
        self._settings = settings
        self._room_for = room_for
        self._count = count
        self._clock = clock
        #: those who wait, by whose room it is
        self._lines: dict[int, deque[object]] = {}

    def configure(self, settings: Settings) -> None:
        """Go on by these."""
        self._settings = settings

    def found(self, plan: Plan) -> tuple[Plan, str | None]:
        """The plan for a caller, and what is to be told of it where Retell is full."""
        retell = self._settings.retell
        if retell.when_full == "ring" or not isinstance(plan, Dialling) or not _asks_retell(plan):
            return plan, None
        room = self._room_for(_called_at_retell(plan))
        if not room.full_for_callers and not self._lines.get(id(room)):
            room.took()
            return plan, None
        if retell.when_full == "wait":
            self._count("waits")
            return replace(plan, waiting=Waiting(retell.waiting_music)), "waits"
        rest = plan.attempts[1:]
        outcome = "fallback" if rest else "rings"
        self._count(outcome)
        if not rest:
            return plan, outcome
        return replace(plan, attempts=rest, registration=None, agent=None), outcome

    async def wait(self, plan: Dialling, gone: Callable[[], bool]) -> bool:
        """Whether there was room for a caller in time, whose turn it was; `gone` says whether the
        caller has hung up."""
        room, own = self._room_for(_called_at_retell(plan)), object()
        until = self._clock() + self._settings.retell.wait_for_room_s
        line = self._lines.setdefault(id(room), deque())
        line.append(own)
        try:
            while not gone() and self._clock() < until:
                if line[0] is own and not room.full_for_callers:
                    room.took()
                    self._count("waited")
                    return True
                await asyncio.sleep(LOOK_S)
        finally:
            line.remove(own)
        self._count("waited-in-vain")
        return False


def _called_at_retell(plan: Dialling) -> str:
    """The number by which its workspace is known."""
    if plan.registration is not None:
        return plan.registration.to_number
    target = plan.attempts[0].target
    return target.number if isinstance(target, PhoneTarget) else plan.to_number


def _asks_retell(plan: Dialling) -> bool:
    inbound = plan.direction is Direction.INBOUND
    return inbound and bool(plan.attempts) and plan.attempts[0].role is Role.RETELL
