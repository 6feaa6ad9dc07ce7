"""Retell's SDK, as far as calls need it: one request a method, and nothing tried twice.

Importing it takes most of a second and 50 MB, so only `gateway.retell.client` does, at its first
request.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, cast

import aiohttp
import httpx
from retell import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncRetell,
    DefaultAioHttpClient,
    omit,
)
from retell.resources.call import AsyncCallResourceWithRawResponse
from retell.resources.concurrency import AsyncConcurrencyResourceWithRawResponse

from gateway.retell.answers import Concurrency, PhoneCall, concurrency, phone_call
from gateway.retell.failures import RetellError, RetellFailure
from gateway.retell.replies import ReplyTooLongError, bounded
from gateway.retell.wishes import ToPlace, ToRegister

#: The words of a 404 or 422 that is about the agent.
_ABOUT_AGENT: Final = re.compile(r"\bagent(?:_id|s)?\b", re.IGNORECASE)
#: The same about the number to call from.
_ABOUT_NUMBER: Final = re.compile(r"\b(?:phone[ _-]?numbers?|from_number)\b", re.IGNORECASE)
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
#: What there is no connection for was not sent; httpx says less of it than aiohttp below it.
_UNSENT: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
#: Nobody waits longer because somebody's Retry-After says so, in seconds.
_LONGEST_WAIT_S: Final = 3600.0


class _Raw(Protocol):
    """A raw answer of the SDK's: its body was read, and nothing of it validated."""

    @property
    def http_response(self) -> httpx.Response: ...


class Sdk:
    """One connection pool to Retell's API. Every method raises RetellError."""

    def __init__(self, api_key: str, base_url: str) -> None:
        """The SDK's own retries are off: they know nothing of a budget, and each retry of a
        registration that did succeed would leave a second call behind (there is no idempotency
        key)."""
        self._client = AsyncRetell(
            api_key=api_key,
            base_url=base_url,
            max_retries=0,
            http_client=DefaultAioHttpClient(
                event_hooks={"response": [bounded]}, headers={"Accept-Encoding": "identity"}
            ),
        )
        self._calls: AsyncCallResourceWithRawResponse = self._client.call.with_raw_response
        self._concurrency: AsyncConcurrencyResourceWithRawResponse = (
            self._client.concurrency.with_raw_response
        )

    async def close(self) -> None:
        await self._client.close()

    async def register(self, timeout_s: float, wish: ToRegister) -> str:
        """Register a call, to be dialled; Retell's id for it."""
        version = wish.agent_version
        asked = self._calls.register_phone_call(
            agent_id=wish.agent,
            agent_version=omit if version is None else version,
            direction=wish.direction,
            from_number=wish.from_number,
            to_number=wish.to_number,
            metadata={**wish.metadata, "gateway_call_id": wish.call_id},
            retell_llm_dynamic_variables=dict(wish.variables),
        )
        return _call(await _answer(timeout_s, asked)).call_id

    async def create(self, timeout_s: float, wish: ToPlace) -> PhoneCall:
        """Have Retell place a call; the same `idempotency_key` within an hour makes no second
        one."""
        version = wish.agent_version
        asked = self._calls.create_phone_call(
            from_number=wish.from_number,
            to_number=wish.to_number,
            override_agent_id=wish.agent or omit,
            override_agent_version=omit if version is None else version,
            agent_override=cast(Any, dict(wish.agent_override)) or omit,
            retell_llm_dynamic_variables=dict(wish.variables) or omit,
            custom_sip_headers=dict(wish.headers) or omit,
            metadata=dict(wish.metadata),
            ignore_e164_validation=False,
            idempotency_key=wish.idempotency_key,
        )
        return _call(await _answer(timeout_s, asked))

    async def stop(self, timeout_s: float, call_id: str) -> None:
        """End a call that is ongoing."""
        await _answer(timeout_s, self._calls.stop(call_id))

    async def call(self, timeout_s: float, call_id: str) -> PhoneCall:
        """A call, as Retell has it now."""
        return _call(await _answer(timeout_s, self._calls.retrieve(call_id)))

    async def concurrency(self, timeout_s: float) -> Concurrency:
        """How many calls there are at once, and may be."""
        response = await _answer(timeout_s, self._concurrency.retrieve())
        found = concurrency(_body(response))
        if found is None:
            text = "the answer holds no concurrency_limit and current_concurrency"
            raise RetellError(RetellFailure.SERVER_ERROR, response.status_code, text)
        return found


async def _answer(timeout_s: float, asked: Awaitable[_Raw]) -> httpx.Response:
    """What was answered to one request. Raises RetellError."""
    try:
        # The SDK's timeout is per read; this one bounds the whole request.
        async with asyncio.timeout(timeout_s):
            return (await asked).http_response
    except TimeoutError:
        text = f"no answer within {timeout_s:.1f} s"
        raise RetellError(RetellFailure.TIMEOUT, 0, text, uncertain=True) from None
    except APIStatusError as error:
        raise _of_status(error) from None
    except APIConnectionError as error:
        cause = error.__cause__
        if isinstance(cause, ReplyTooLongError):
            failure = RetellFailure.SERVER_ERROR
            raise RetellError(failure, cause.status, str(cause), uncertain=True) from None
        # httpx-aiohttp calls a refused connection a ConnectTimeout
        connected = isinstance(error, APITimeoutError) and not isinstance(
            cause, httpx.ConnectTimeout
        )
        failure = RetellFailure.TIMEOUT if connected else RetellFailure.UNREACHABLE
        unsent = isinstance(cause and cause.__cause__, _UNSENT)
        raise RetellError(failure, 0, str(cause or error), uncertain=not unsent) from None
    except APIError as error:
        raise RetellError(RetellFailure.SERVER_ERROR, 0, str(error), uncertain=True) from None


def _of_status(error: APIStatusError) -> RetellError:
    status, text = error.status_code, _message(error)
    failure = _FAILURES.get(status, RetellFailure.SERVER_ERROR)
    if 400 <= status < 500 and status not in _FAILURES:
        failure = RetellFailure.BAD_REQUEST
    if failure is RetellFailure.UNPROCESSABLE and _ABOUT_AGENT.search(text):
        failure = RetellFailure.UNKNOWN_AGENT
    elif failure is RetellFailure.UNPROCESSABLE and _ABOUT_NUMBER.search(text):
        failure = RetellFailure.UNKNOWN_NUMBER
    return RetellError(
        failure,
        status,
        text,
        retry_after_s=_retry_after_s(error.response.headers),
        uncertain=failure in (RetellFailure.SERVER_ERROR, RetellFailure.TIMEOUT),
    )


def _call(response: httpx.Response) -> PhoneCall:
    found = phone_call(_body(response))
    if found is None:
        text = "the answer holds no usable call_id"
        status = response.status_code
        raise RetellError(RetellFailure.SERVER_ERROR, status, text, uncertain=True)
    return found


def _body(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds (RFC 9110 10.2.3: or a date), or the SDK's own `retry-after-ms`."""
    after_ms = headers.get("retry-after-ms", "")
    if after_ms.isdecimal():
        return min(int(after_ms) / 1000, _LONGEST_WAIT_S)
    text = headers.get("retry-after", "")
    try:
        wait_s = float(text)
    except ValueError:
        try:
            wait_s = parsedate_to_datetime(text).timestamp() - time.time()
        except ValueError:
            return None
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S) if wait_s == wait_s else None


def _message(error: APIStatusError) -> str:
    """Retell's own sentence, one line."""
    body = error.body
    text = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(text or error.message).split())[:200]
