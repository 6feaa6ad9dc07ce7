"""Stops the gateway without cutting anybody off: begun once, hurried by a second signal."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import structlog

from config.settings import Settings

log = structlog.get_logger(__name__)

#: Seconds between two lines of the log about calls that still talk.
TOLD_EVERY_S: Final = 10.0


class Drained(Protocol):
    """What has calls: the softswitch, and the application."""

    @property
    def open_calls(self) -> int: ...

    def drain(self) -> None:
        """Take no new call, for good."""
        ...

    async def none_left(self) -> None:
        """Returns when no call is left."""
        ...


class Drain:
    """From taking calls to having none.

    New calls, and those that ring, get 503 with Retry-After; those that talk may go on for
    `drain_s` seconds. Whoever has calls is `add`ed when it takes them.
    """

    def __init__(self, drain_s: float) -> None:
        #: how long, if nothing else is said when it begins
        self.drain_s = drain_s
        self._parties: list[Drained] = []
        self._begun = asyncio.Event()
        self._hurried = asyncio.Event()
        self._ends_at = 0.0

    def configure(self, settings: Settings) -> Callable[[], Awaitable[None]]:
        """After a reload, `limits.drain_s` is what it is then."""

        async def take() -> None:
            self.drain_s = settings.limits.drain_s

        return take

    @property
    def begun(self) -> bool:
        """Whether no new calls are taken any more."""
        return self._begun.is_set()

    @property
    def open_calls(self) -> int:
        """How many calls are in progress; the softswitch and its own application count the same
        ones."""
        return max((party.open_calls for party in self._parties), default=0)

    def add(self, party: Drained) -> None:
        """It takes calls from now on, unless the end has begun already."""
        self._parties.append(party)
        if self.begun:
            party.drain()

    def signalled(self) -> None:
        """SIGTERM or SIGINT: the first begins, the second ends it at once."""
        if self.begun:
            log.warning("gateway.hurried", calls=self.open_calls)
            self._hurried.set()
        else:
            self.begin()

    def begin(self, within_s: float | None = None) -> None:
        """Take no new calls. Once begun, only a shorter time changes anything."""
        within_s = self.drain_s if within_s is None else within_s
        ends_at = _now() + within_s
        if self.begun:
            self._ends_at = min(self._ends_at, ends_at)
            return
        self._ends_at = ends_at
        self._begun.set()
        for party in self._parties:
            party.drain()
        self._tell()

    def view(self) -> dict[str, Any]:
        """For the operator: whether it has begun, the calls, and the seconds that they have."""
        left_s = max(0.0, self._ends_at - _now())
        return {
            "draining": self.begun,
            "calls": self.open_calls,
            "ends_in_s": round(left_s, 1) if self.begun else None,
        }

    async def over(self) -> None:
        """Returns when it has begun, and no call is left, the time is over, or it was hurried."""
        await self._begun.wait()
        none_left = asyncio.create_task(self._none_left(), name="drain")
        hurried = asyncio.create_task(self._hurried.wait(), name="drain hurried")
        waited = {none_left, hurried}
        try:
            while (left_s := self._ends_at - _now()) > 0:
                done, _ = await asyncio.wait(
                    waited, timeout=min(left_s, TOLD_EVERY_S), return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    return
                self._tell()
            log.warning("gateway.drain-over", calls=self.open_calls, key="limits.drain_s")
        finally:
            for task in waited:
                task.cancel()
            await asyncio.gather(*waited, return_exceptions=True)

    def _tell(self) -> None:
        view = self.view()
        log.info("gateway.draining", calls=view["calls"], ends_in_s=view["ends_in_s"])

    async def _none_left(self) -> None:
        for party in self._parties:
            await party.none_left()


def _now() -> float:
    return asyncio.get_running_loop().time()
