"""Retell's SDK, as far as a call needs it: one try at register-phone-call.

Importing it takes most of a second, so only `gateway.retell.client` does, where there is a key.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Final, Literal

import httpx
from retell import (
    APIConnectionError,
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncRetell,
    DefaultAioHttpClient,
)

from gateway.retell.failures import RegistrationError, RetellFailure
from gateway.retell.replies import ReplyTooLongError, bounded

#: The words of a 404 or 422 that is about the agent.
_ABOUT_AGENT: Final = re.compile(r"\bagent(?:_id|s)?\b", re.IGNORECASE)
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
_MARKS: Final = str.maketrans("", "", "_-")


class Sdk:
    """One connection pool to Retell's API."""

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
        # The SDK imports its resources at first use, 0.2 s that no caller should wait for.
        _ = self._client.call.with_raw_response.register_phone_call

    async def close(self) -> None:
        await self._client.close()

    async def register(
        self,
        timeout_s: float,
        call_id: str,
        direction: Literal["inbound", "outbound"],
        agent: str,
        from_number: str,
        to_number: str,
        variables: Mapping[str, str],
    ) -> str:
        """Retell's id for the call. Raises RegistrationError."""
        try:
            # The SDK's timeout is per read; this one bounds the whole request.
            async with asyncio.timeout(timeout_s):
                # Raw: only the id is read, so the other fields are not validated.
                response = await self._client.call.with_raw_response.register_phone_call(
                    agent_id=agent,
                    direction=direction,
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
            if isinstance(cause, ReplyTooLongError):
                failure = RetellFailure.SERVER_ERROR
                raise RegistrationError(failure, cause.status, str(cause)) from None
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
