"""How many calls Retell would take now: asked of Retell while somebody wants to know, and counted
on from there.

Retell's figure is some seconds old, so calls of ours that reached Retell since count besides.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from config.retell_api_settings import ConcurrencySettings
from gateway.retell.answers import Concurrency
from gateway.retell.breaker import Circuit
from gateway.retell.failures import RetellError, RetellFailure
from gateway.value import frozen

log = structlog.get_logger(__name__)

#: The longest pause between two questions after failures, in seconds.
LONGEST_PAUSE_S: Final = 60.0
#: Nobody who wanted to know for so many polls: Retell is asked no more.
IDLE_POLLS: Final = 3
#: An answer that is older says nothing any more, in seconds.
STALE_S: Final = 30.0
#: For how long there is no room after a 429 that does not say so itself, in seconds.
THROTTLED_S: Final = 5.0


class Asked(Protocol):
    """Retell's API, as far as it is asked here."""

    @property
    def usable(self) -> bool:
        """Whether there is a key to ask with."""
        ...

    @property
    def circuit(self) -> Circuit:
        """Whether requests are sent at all."""
        ...

    async def get_concurrency(self) -> Concurrency:
        """Raises RetellError."""
        ...


@frozen(kw_only=True)
class RoomView:
    """What is known, for whoever looks on. `free` None: not known; `age_s` None: never asked.
    `taken` are calls of ours that came to Retell since."""

    current: int | None
    limit: int | None
    reserved: int | None
    free: int | None
    taken: int
    age_s: float | None
    error: str | None


class RetellRoom:
    """Retell's own limit of calls at once. Close it to end what it started."""

    def __init__(
        self,
        retell: Asked,
        settings: ConcurrencySettings,
        *,
        clock: Callable[[], float],
    ) -> None:
        """`clock` is monotonic seconds."""
        #: who is asked
        self.retell = retell
        self._settings = settings
        self._clock = clock
        self._known: Concurrency | None = None
        self._answered_at = float("-inf")
        self._wanted_at = float("-inf")
        self._full_until = float("-inf")
        self._error: str | None = None
        #: when calls of ours reached Retell that the figure cannot have
        self._taken: list[float] = []
        self._watched = False
        self._polling: asyncio.Task[None] | None = None

    def configure(self, settings: ConcurrencySettings) -> None:
        """Go on by these."""
        self._settings = settings

    def watch(self, *, on: bool) -> None:
        """Whether to ask Retell all the time: callers come when they like."""
        self._watched = on
        if on:
            self._ask_on()

    @property
    def full_for_callers(self) -> bool:
        """Whether Retell would let a caller ring now: all that it may have are up. What is kept
        free for callers is theirs; of what is not known Retell is left to decide."""
        now, known = self._clock(), self._known
        if now < self._full_until:
            return True
        if known is None or now - self._answered_at > self._stale_s:
            return False
        return self._limit(known) - known.current - len(self._taken) <= 0

    def free(self) -> int | None:
        """How many calls more Retell would take; None where that is not known, and nothing speaks
        against one. Retell is asked from now on, as long as this is called; there is no room until
        the first answer, nor while Retell's API is left alone."""
        now = self._clock()
        self._wanted_at = now
        self._ask_on()
        return self._free(now)

    @property
    def full(self) -> bool:
        """Whether Retell is known to have no room."""
        return self._known is not None and self._free(self._clock()) == 0

    def took(self) -> None:
        """Retell has a call of ours from now on: one less until a figure counts it."""
        self._taken.append(self._clock())

    def throttled(self, retry_after_s: float | None) -> None:
        """Retell refused a call for want of room: there is none for a while."""
        wait_s = THROTTLED_S if retry_after_s is None else min(retry_after_s, LONGEST_PAUSE_S)
        self._full_until = max(self._full_until, self._clock() + wait_s)

    def view(self) -> RoomView:
        """What is known now; looking asks nothing of Retell."""
        now, known = self._clock(), self._known
        reserve = self._settings.reserve
        return RoomView(
            current=None if known is None else known.current,
            limit=None if known is None else self._limit(known),
            reserved=None if known is None else known.reserved_inbound + reserve,
            free=self._free(now),
            taken=len(self._taken),
            age_s=None if known is None else now - self._answered_at,
            error=self._error,
        )

    async def close(self) -> None:
        """Ask no more."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    # -- parts --------------------------------------------------------------------------------

    def _ask_on(self) -> None:
        if self._asks and (self._polling is None or self._polling.done()):
            self._polling = asyncio.create_task(self._poll(), name="retell concurrency")

    @property
    def _stale_s(self) -> float:
        return max(STALE_S, self._settings.poll_s * 2)

    @property
    def _asks(self) -> bool:
        return self._settings.poll_s > 0 and self.retell.usable

    def _free(self, now: float) -> int | None:
        if now < self._full_until or self.retell.circuit is Circuit.OPEN:
            return 0
        if not self._asks:
            return None
        known = self._known
        if known is None or now - self._answered_at > self._stale_s:
            # a question that is under way is worth the wait
            return 0 if self._error is None and self._polling is not None else None
        reserved = known.reserved_inbound + self._settings.reserve
        return max(0, self._limit(known) - reserved - known.current - len(self._taken))

    def _limit(self, known: Concurrency) -> int:
        return max(known.limit, known.burst_limit if self._settings.burst else 0)

    async def _poll(self) -> None:
        """Ask again and again, until nobody wants to know."""
        failures = 0
        while self._asks:
            asked_at = self._clock()
            try:
                known = await self.retell.get_concurrency()
            except RetellError as error:
                failures += 1
                self._failed(error, failures)
                pause_s = min(self._settings.poll_s * 2**failures, LONGEST_PAUSE_S)
                pause_s = max(pause_s, min(error.retry_after_s or 0.0, LONGEST_PAUSE_S))
            else:
                failures = 0
                pause_s = self._settings.poll_s
                self._take(known, asked_at)
            await asyncio.sleep(pause_s)
            if self._watched:
                continue
            if self._clock() - self._wanted_at > IDLE_POLLS * max(pause_s, self._settings.poll_s):
                return

    def _take(self, known: Concurrency, asked_at: float) -> None:
        if self._error is not None:
            log.info("retell.concurrency-known", current=known.current, limit=known.limit)
        self._known, self._error = known, None
        self._answered_at = self._clock()
        self._taken = [at for at in self._taken if at >= asked_at]

    def _failed(self, error: RetellError, failures: int) -> None:
        self._error = error.detail
        if error.failure is RetellFailure.THROTTLED or failures > 1:
            level = log.warning if failures <= 3 else log.debug
            level(
                "retell.concurrency-unknown",
                failure=error.failure,
                error=error.detail,
                failures=failures,
            )
