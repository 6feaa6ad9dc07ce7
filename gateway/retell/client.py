"""Retell's REST API, as far as a call needs it: register-phone-call within two seconds."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Final

import httpx
import structlog
from retell import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncRetell,
    DefaultAioHttpClient,
)

from config.settings import RetellSettings
from gateway.retell.failures import RetellFailure

log = structlog.get_logger(__name__)

#: The caller hears ringing meanwhile; a longer wait sounds like a dead line.
BUDGET_S: Final = 2.0
#: The first try gets this much, so that the one retry has time to succeed.
FIRST_TRY_S: Final = 1.2
#: A retry with less than this left cannot succeed over the internet.
LEAST_RETRY_S: Final = 0.3
PAUSE_S: Final = 0.1

_FAILURES: Final = {
    400: RetellFailure.BAD_REQUEST,
    401: RetellFailure.UNAUTHORIZED,
    402: RetellFailure.PAYMENT,
    403: RetellFailure.UNAUTHORIZED,
    404: RetellFailure.UNPROCESSABLE,
    408: RetellFailure.TIMEOUT,
    422: RetellFailure.UNPROCESSABLE,
    429: RetellFailure.THROTTLED,
}
#: The words of a 404 or 422 that is about the agent.
_ABOUT_AGENT: Final = re.compile(r"\bagent(?:_id|s)?\b", re.IGNORECASE)
_MARKS: Final = str.maketrans("", "", "_-")
_TEMPORARY: Final = frozenset(
    {
        RetellFailure.THROTTLED,
        RetellFailure.SERVER_ERROR,
        RetellFailure.TIMEOUT,
        RetellFailure.UNREACHABLE,
    }
)


class RegistrationError(Exception):
    """Retell did not register the call. `failure` classifies it; `status` 0: no HTTP answer."""

    def __init__(self, failure: RetellFailure, status: int, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.status = status


class RetellClient:
    """One connection pool to Retell's API. Use as `async with`.

    The SDK's own retries are off: they know nothing of the budget, and each retry of a
    registration that did succeed would leave a second call behind (there is no idempotency key).
    """

    def __init__(
        self, settings: RetellSettings, *, clock: Callable[[], float], budget_s: float = BUDGET_S
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._budget_s = budget_s
        self._http = DefaultAioHttpClient()
        key = settings.api_key
        self._sdk = AsyncRetell(
            # The SDK refuses to exist without a key; with method 1 alone it is never used.
            api_key=key.get_secret_value() if key else "none",
            base_url=settings.base_url,
            max_retries=0,
            http_client=self._http,
        )

    async def __aenter__(self) -> "RetellClient":
        if self._settings.api_key is not None:
            # The SDK imports its resources at first use, 0.2 s that no caller should wait for.
            _ = self._sdk.call.with_raw_response.register_phone_call
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._sdk.close()

    async def register(
        self,
        *,
        call_id: str,
        agent: str,
        from_number: str,
        to_number: str,
        variables: Mapping[str, str],
    ) -> str:
        """Register an inbound call and return Retell's call id, to be dialled within 5 minutes.

        At most two requests and `budget_s` seconds in all. A first try that timed out may have
        registered a call that is never dialled: Retell ends it as registered_call_timeout.
        Raises RegistrationError.
        """
        deadline = self._clock() + self._budget_s
        share = FIRST_TRY_S / BUDGET_S * self._budget_s
        try:
            return await self._once(share, call_id, agent, from_number, to_number, variables)
        except RegistrationError as first:
            left = deadline - self._clock() - PAUSE_S
            registered = 200 <= first.status < 300  # the body was odd, but the call exists
            if registered or first.failure not in _TEMPORARY or left < LEAST_RETRY_S:
                raise
            log.info("retell.retry", call_id=call_id, failure=first.failure, status=first.status)
        await asyncio.sleep(PAUSE_S)
        left = deadline - self._clock()
        return await self._once(left, call_id, agent, from_number, to_number, variables)

    async def _once(
        self,
        timeout_s: float,
        call_id: str,
        agent: str,
        from_number: str,
        to_number: str,
        variables: Mapping[str, str],
    ) -> str:
        try:
            # The SDK's timeout is per read; this one bounds the whole request.
            async with asyncio.timeout(timeout_s):
                # Raw: only the id is read, so the other fields are not validated.
                response = await self._sdk.call.with_raw_response.register_phone_call(
                    agent_id=agent,
                    direction="inbound",
                    from_number=from_number,
                    to_number=to_number,
                    metadata={"gateway_call_id": call_id},
                    retell_llm_dynamic_variables=dict(variables),
                )
        except TimeoutError:
            text = f"no answer within {timeout_s:.1f} s"
            raise RegistrationError(RetellFailure.TIMEOUT, 0, text) from None
        except APIStatusError as error:
            failure = _FAILURES.get(error.status_code, RetellFailure.SERVER_ERROR)
            if 400 <= error.status_code < 500 and error.status_code not in _FAILURES:
                failure = RetellFailure.BAD_REQUEST
            text = _message(error)
            if failure is RetellFailure.UNPROCESSABLE and _ABOUT_AGENT.search(text):
                failure = RetellFailure.UNKNOWN_AGENT
            raise RegistrationError(failure, error.status_code, text) from None
        except APIConnectionError as error:
            cause = error.__cause__
            # httpx-aiohttp calls a refused connection a ConnectTimeout
            connected = isinstance(error, APITimeoutError) and not isinstance(
                cause, httpx.ConnectTimeout
            )
            failure = RetellFailure.TIMEOUT if connected else RetellFailure.UNREACHABLE
            raise RegistrationError(failure, 0, str(cause or error)) from None
        except APIError as error:
            raise RegistrationError(RetellFailure.SERVER_ERROR, 0, str(error)) from None
        return _call_id(response.http_response)


def _call_id(response: httpx.Response) -> str:
    """Retell's id for the call: fit for the user part of a SIP URI as it stands."""
    try:
        body = response.json()
    except ValueError:
        body = None
    call_id = body.get("call_id") if isinstance(body, dict) else None
    if isinstance(call_id, str) and call_id.isascii() and call_id.translate(_MARKS).isalnum():
        return call_id
    text = "the answer holds no usable call_id"
    raise RegistrationError(RetellFailure.SERVER_ERROR, response.status_code, text)


def _message(error: APIStatusError) -> str:
    """Retell's own sentence, one line."""
    body = error.body
    text = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(text or error.message).split())[:200]
