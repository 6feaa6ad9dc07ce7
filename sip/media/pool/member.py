"""One engine of a pool: what it is, how it does, and which calls are in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from sip.media.plane import MediaError, MediaPlane

_T = TypeVar("_T")

#: Ports of a call: RTP and RTCP, towards either party.
PORTS_OF_A_CALL: Final = 4

#: Seconds that an engine gets no new call after it said that it has no port left.
FULL_S: Final = 1.0


class Health(Enum):
    """How an engine answers; the value is the word in logs."""

    UP = "up"
    DOUBTFUL = "doubtful"
    """it has not answered of late: no new call goes there, and those in it stay"""
    DOWN = "down"
    """it is gone, and the calls in it with it"""


async def _nothing() -> None:
    """Default for `close` of an engine that somebody else closes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An engine that a pool may use.

    `name` is unique in the pool: it stands in logs and metrics, and says on a reload whether the
    engine is the same. `capacity` is how many calls it may have at once; None: as many as its
    ports, where it tells them. `close` is awaited once the pool is done with it. `up` is whether it
    answered when it was last asked.
    """

    name: str
    plane: MediaPlane
    capacity: int | None = None
    close: Callable[[], Awaitable[None]] = _nothing
    up: bool = True


class Engine:
    """A member of a pool and its calls: the ids of their sessions, oldest first."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.plane = member.plane
        self.name = member.name
        self.health = Health.UP if member.up else Health.DOWN
        #: whether it gets no new calls and goes as soon as its last one is over
        self.retiring = False
        self.calls: dict[str, None] = {}
        #: sessions that it may still have although they were given up or are elsewhere now
        self.left_behind: set[str] = set()
        self._full_until = 0.0
        #: who waits for what it says
        self._waiting: set[asyncio.Task[Any]] = set()

    @property
    def capacity(self) -> int | None:
        """How many calls it may have; None where nobody says."""
        if self.member.capacity is not None:
            return self.member.capacity
        ports = self.plane.ports
        return None if ports is None else max(1, ports[1] // PORTS_OF_A_CALL)

    def takes_calls(self, now: float) -> bool:
        """Whether a new call may come."""
        if self.retiring or self.health is not Health.UP or now < self._full_until:
            return False
        ports, capacity = self.plane.ports, self.capacity
        if ports is not None and ports[0] + PORTS_OF_A_CALL > ports[1]:
            return False
        return capacity is None or len(self.calls) < capacity

    def is_full(self, now: float) -> None:
        """It said that it has no port left."""
        self._full_until = now + FULL_S

    async def asked(self, request: Awaitable[_T]) -> _T:
        """What it says to a request; `MediaError` timeout as soon as it is known to be gone."""
        task, waiting = asyncio.current_task(), self._waiting
        assert task is not None, "a request is awaited in a task"
        waiting.add(task)
        try:
            return await request
        except asyncio.CancelledError:
            if task in waiting or task.uncancel():  # by somebody else, perhaps as well
                raise
            raise MediaError("timeout", f"{self.name} is gone") from None
        finally:
            waiting.discard(task)
            del task  # its exception has this frame: together they would wait for the collector

    def fall(self) -> None:
        """It is gone: nobody need wait for it."""
        waiting, self._waiting = self._waiting, set()
        while waiting:
            waiting.pop().cancel()
