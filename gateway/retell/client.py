"""Retell's REST API, as far as calls need it: each request within a budget of time, tried again
only where that can make no second call, and none at all while one after another fails."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from config.settings import RetellSettings
from gateway.retell.answers import Concurrency, PhoneCall
from gateway.retell.breaker import Breaker, Circuit
from gateway.retell.failures import PASSING, RetellError, RetellFailure
from gateway.retell.wishes import ToPlace, ToRegister

if TYPE_CHECKING:
    from gateway.retell.sdk import Sdk

log = structlog.get_logger(__name__)

T = TypeVar("T")
#: One request, and the seconds that it may take.
Once = Callable[[float], Awaitable[T]]

#: The caller hears ringing meanwhile; a longer wait sounds like a dead line.
BUDGET_S: Final = 2.0
#: The first try gets this much, so that the one retry has time to succeed.
FIRST_TRY_S: Final = 1.2
#: A retry with less than this left cannot succeed over the internet.
LEAST_RETRY_S: Final = 0.3
PAUSE_S: Final = 0.1
#: Nobody listens yet while Retell is asked to place a call: it may take its time.
PLACE_TRY_S: Final = 10.0
PLACE_BUDGET_S: Final = 30.0
#: The pause before the second try at it, doubled from one to the next.
PLACE_PAUSE_S: Final = 0.5
#: For a question about a call, and for its end.
ASK_S: Final = 5.0

#: What leaves Retell's API in doubt; all else is an answer.
_FAILED: Final = frozenset(
    {RetellFailure.SERVER_ERROR, RetellFailure.TIMEOUT, RetellFailure.UNREACHABLE}
)


class RetellClient:
    """Asks Retell. Use as `async with`; every method raises RetellError."""

    def __init__(
        self,
        settings: RetellSettings,
        *,
        clock: Callable[[], float],
        budget_s: float = BUDGET_S,
        count: Callable[[str, str], None] = lambda operation, outcome: None,
    ) -> None:
        """`clock` is monotonic seconds; `budget_s` is that of a registration. `count(operation,
        outcome)` is told of every request: `ok`, or the failure."""
        self._settings = settings
        self._clock = clock
        self._budget_s = budget_s
        self._count = count
        self._breaker = Breaker(settings.breaker)
        self._sdk: Sdk | None = None
        #: of earlier settings, with calls that may still be under way
        self._replaced: list[Sdk] = []

    async def __aenter__(self) -> "RetellClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave_sdk()
        for sdk in self._replaced:
            await sdk.close()

    async def read_sdk(self) -> None:
        """Read Retell's SDK now, where there is a key: else the first request waits for it."""
        if self.usable:
            await self._usable()

    def configure(self, settings: RetellSettings) -> None:
        """Ask by these settings; requests under way go on by the old ones."""
        before, self._settings = self._settings, settings
        self._breaker.configure(settings.breaker)
        if (before.api_key, before.base_url) == (settings.api_key, settings.base_url):
            return
        self._leave_sdk()
        self._breaker.succeeded()  # what failed was asked of somebody else

    @property
    def circuit(self) -> Circuit:
        """Whether requests are sent."""
        return self._breaker.state(self._clock())

    @property
    def usable(self) -> bool:
        """Whether there is a key to ask with."""
        return self._settings.api_key is not None

    async def register(self, wish: ToRegister) -> str:
        """Register a call and return Retell's call id, to be dialled within 5 minutes.

        At most two requests and `budget_s` seconds in all. A first try that timed out may have
        registered a call that is never dialled: Retell ends it as registered_call_timeout.
        """
        sdk = await self._usable()

        async def once(timeout_s: float) -> str:
            return await sdk.register(timeout_s, wish)

        operation = "register-phone-call"
        deadline = self._clock() + self._budget_s
        try:
            return await self._ask(operation, once, FIRST_TRY_S / BUDGET_S * self._budget_s)
        except RetellError as first:
            left = deadline - self._clock() - PAUSE_S
            registered = 200 <= first.status < 300  # the body was odd, but the call exists
            if registered or first.failure not in PASSING or left < LEAST_RETRY_S:
                raise
            log.info(
                "retell.retry", call_id=wish.call_id, failure=first.failure, status=first.status
            )
        await asyncio.sleep(PAUSE_S)
        return await self._ask(operation, once, deadline - self._clock())

    async def create_phone_call(self, wish: ToPlace) -> PhoneCall:
        """Have Retell place a call.

        The wish's `idempotency_key` makes every further try the same call for an hour, so that
        what is uncertain is asked again: within `PLACE_BUDGET_S` seconds in all. What is
        `uncertain` after that may have placed a call. What Retell refused, throttled, or never got
        is not repeated here.
        """
        sdk = await self._usable()

        async def once(timeout_s: float) -> PhoneCall:
            return await sdk.create(timeout_s, wish)

        deadline = self._clock() + PLACE_BUDGET_S
        pause_s = PLACE_PAUSE_S
        doubted = False
        while True:
            left = deadline - self._clock()
            try:
                return await self._ask("create-phone-call", once, min(PLACE_TRY_S, left))
            except RetellError as error:
                # one try in doubt leaves all in doubt, unless Retell says what became of it
                doubted = error.uncertain or (doubted and error.failure in _UNTOLD)
                left = deadline - self._clock() - pause_s
                again = error.uncertain and left >= LEAST_RETRY_S
                if not again:
                    error.uncertain = doubted
                    raise
                log.info(
                    "retell.retry",
                    call_id=wish.idempotency_key,
                    failure=error.failure,
                    status=error.status,
                )
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def stop_call(self, retell_call_id: str) -> None:
        """End an ongoing call; UNPROCESSABLE where Retell has none of that id, or it is over. To
        say it twice does no harm, so a passing failure is followed by another try."""
        sdk = await self._usable()

        async def once(timeout_s: float) -> None:
            await sdk.stop(timeout_s, retell_call_id)

        await self._twice("stop-call", once)

    async def get_call(self, retell_call_id: str) -> PhoneCall:
        """A call as it is now; UNPROCESSABLE where there is none of that id."""
        sdk = await self._usable()

        async def once(timeout_s: float) -> PhoneCall:
            return await sdk.call(timeout_s, retell_call_id)

        return await self._twice("get-call", once)

    async def get_concurrency(self) -> Concurrency:
        """How many calls there are at once, and may be. One request: whoever asks, asks again."""
        sdk = await self._usable()
        return await self._ask("get-concurrency", sdk.concurrency, ASK_S)

    # -- parts --------------------------------------------------------------------------------

    async def _usable(self) -> "Sdk":
        """The SDK is read at its first use: with method 1 alone there is none."""
        if self._sdk is None and self.usable:
            kind = await asyncio.to_thread(_sdk_class)  # most of a second, and calls are up
            key = self._settings.api_key
            if self._sdk is None and key is not None:
                self._sdk = kind(key.get_secret_value(), self._settings.base_url)
        if self._sdk is None:
            raise RetellError(RetellFailure.UNAUTHORIZED, 0, "retell.api_key is not set")
        return self._sdk

    def _leave_sdk(self) -> None:
        if self._sdk is not None:
            self._replaced.append(self._sdk)
            self._sdk = None

    async def _twice(self, operation: str, once: Once[T]) -> T:
        try:
            return await self._ask(operation, once, ASK_S)
        except RetellError as error:
            if error.failure not in PASSING:
                raise
            wait_s = min(max(error.retry_after_s or 0.0, PLACE_PAUSE_S), ASK_S)
        await asyncio.sleep(wait_s)
        return await self._ask(operation, once, ASK_S)

    async def _ask(self, operation: str, once: Once[T], timeout_s: float) -> T:
        """One request, where the circuit lets it through."""
        wait_s = self._breaker.wait_s(self._clock())
        if wait_s > 0:
            self._count(operation, RetellFailure.NOT_ASKED)
            raise RetellError(
                RetellFailure.NOT_ASKED,
                0,
                f"Retell's API failed time after time, and is asked again in {wait_s:.0f} s",
                retry_after_s=wait_s,
            )
        try:
            found = await once(timeout_s)
        except RetellError as error:
            self._count(operation, error.failure)
            if error.failure in _FAILED:
                self._failed(operation, error)
            else:
                self._answered()
            raise
        except BaseException:
            self._breaker.given_up()
            raise
        self._count(operation, "ok")
        self._answered()
        return found

    def _answered(self) -> None:
        if self._breaker.succeeded():
            log.info("retell.back")

    def _failed(self, operation: str, error: RetellError) -> None:
        if self._breaker.failed(self._clock()):
            log.error(
                "retell.left-alone",
                operation=operation,
                failure=error.failure,
                error=error.detail,
                for_s=self._settings.breaker.pause_s,
                fault="retell",
            )


#: Failures that say nothing of an earlier request with the same key.
_UNTOLD: Final = frozenset({*_FAILED, RetellFailure.THROTTLED, RetellFailure.NOT_ASKED})


def _sdk_class() -> "type[Sdk]":
    from gateway.retell.sdk import Sdk

    return Sdk
