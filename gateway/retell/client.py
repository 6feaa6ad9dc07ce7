"""Retell's REST API, as far as a call needs it: register-phone-call within two seconds."""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

import structlog

from config.settings import RetellSettings
from gateway.retell.failures import RegistrationError, RetellFailure

if TYPE_CHECKING:
    from gateway.retell.sdk import Sdk

log = structlog.get_logger(__name__)

#: The caller hears ringing meanwhile; a longer wait sounds like a dead line.
BUDGET_S: Final = 2.0
#: The first try gets this much, so that the one retry has time to succeed.
FIRST_TRY_S: Final = 1.2
#: A retry with less than this left cannot succeed over the internet.
LEAST_RETRY_S: Final = 0.3
PAUSE_S: Final = 0.1

_TEMPORARY: Final = frozenset(
    {
        RetellFailure.THROTTLED,
        RetellFailure.SERVER_ERROR,
        RetellFailure.TIMEOUT,
        RetellFailure.UNREACHABLE,
    }
)


class RetellClient:
    """Registers calls within a budget of time. Use as `async with`."""

    def __init__(
        self, settings: RetellSettings, *, clock: Callable[[], float], budget_s: float = BUDGET_S
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._budget_s = budget_s
        self._sdk: Sdk | None = None
        #: of earlier settings, with calls that may still be under way
        self._replaced: list[Sdk | None] = []

    async def __aenter__(self) -> "RetellClient":
        self._sdk = _sdk_of(self._settings)
        return self

    async def __aexit__(self, *_: object) -> None:
        for sdk in (*self._replaced, self._sdk):
            if sdk is not None:
                await sdk.close()

    async def configure(self, settings: RetellSettings) -> None:
        """Register calls by these settings; registrations under way go on by the old ones."""
        before, self._settings = self._settings, settings
        if (before.api_key, before.base_url) == (settings.api_key, settings.base_url):
            return
        if settings.api_key is not None:
            await asyncio.to_thread(_sdk_class)  # most of a second, and calls are up
        self._replaced.append(self._sdk)
        self._sdk = _sdk_of(settings)

    async def register(
        self,
        *,
        call_id: str,
        direction: Literal["inbound", "outbound"],
        agent: str,
        from_number: str,
        to_number: str,
        variables: Mapping[str, str],
    ) -> str:
        """Register a call and return Retell's call id, to be dialled within 5 minutes.

        At most two requests and `budget_s` seconds in all. A first try that timed out may have
        registered a call that is never dialled: Retell ends it as registered_call_timeout.
        Raises RegistrationError.
        """
        if self._sdk is None:
            raise RegistrationError(RetellFailure.UNAUTHORIZED, 0, "retell.api_key is not set")
        once = self._sdk.register
        deadline = self._clock() + self._budget_s
        share = FIRST_TRY_S / BUDGET_S * self._budget_s
        try:
            return await once(share, call_id, direction, agent, from_number, to_number, variables)
        except RegistrationError as first:
            left = deadline - self._clock() - PAUSE_S
            registered = 200 <= first.status < 300  # the body was odd, but the call exists
            if registered or first.failure not in _TEMPORARY or left < LEAST_RETRY_S:
                raise
            log.info("retell.retry", call_id=call_id, failure=first.failure, status=first.status)
        await asyncio.sleep(PAUSE_S)
        left = deadline - self._clock()
        return await once(left, call_id, direction, agent, from_number, to_number, variables)


def _sdk_of(settings: RetellSettings) -> "Sdk | None":
    """The SDK is read only where there is a key: with method 1 alone it is never used."""
    if settings.api_key is None:
        return None
    return _sdk_class()(settings.api_key.get_secret_value(), settings.base_url)


def _sdk_class() -> "type[Sdk]":
    from gateway.retell.sdk import Sdk

    return Sdk
