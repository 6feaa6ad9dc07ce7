"""Somebody's REST API: JSON answers, patience with those that fail, and nothing made twice."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from gateway.provisioning.changes import Ask, Made
from gateway.provisioning.failures import ApiError

TRIES: Final = 4
TIMEOUT_S: Final = 30.0
#: The pause before the second try, doubled from one to the next.
PAUSE_S: Final = 0.5
#: Nobody waits longer at a prompt because an API says so.
LONGEST_PAUSE_S: Final = 30.0
#: Octets of an answer: a page of numbers is a tenth of it.
LONGEST_ANSWER: Final = 4_000_000

Sleep = Callable[[float], Awaitable[object]]


class Api:
    """One account's view of an API.

    `bases` has the URL of each of its services; bodies are JSON, or forms. What is in `secrets` is
    in no error's text.
    """

    def __init__(
        self,
        name: str,
        session: aiohttp.ClientSession,
        bases: Mapping[str, str],
        *,
        authorization: str,
        secrets: Iterable[str] = (),
        form: bool = False,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.name = name
        self._session = session
        self._bases = bases
        self._headers = {"Authorization": authorization, "Accept": "application/json"}
        self._secrets = tuple(sorted((one for one in secrets if one), key=len, reverse=True))
        self._form = form
        self._sleep = sleep

    async def read(self, service: str, target: str) -> dict[str, Any]:
        """The JSON object at a path, which may have a query. Raises ApiError."""
        return await self._repeated("GET", self._bases[service] + target, None, again=True)

    async def perform(self, ask: Ask, made: dict[str, str]) -> None:
        """Send a request; the id of what it makes is put into `made`. Raises ApiError.

        A request that makes something is sent again only where the first one made nothing.
        """
        parts = (made[part.name] if isinstance(part, Made) else part for part in ask.path)
        url = "/".join((self._bases[ask.service], *(quote(part, safe="+") for part in parts)))
        body = {
            key: made[value.name] if isinstance(value, Made) else value
            for key, value in ask.body.items()
        }
        answer = await self._repeated(ask.method, url, body, again=not ask.gives)
        if ask.gives:
            sid = answer.get("sid") or answer.get("phone_number")
            if not isinstance(sid, str):
                raise ApiError(self.name, 200, "the answer names nothing that it made")
            made[ask.gives] = sid

    async def _repeated(
        self, method: str, url: str, body: Mapping[str, Any] | None, *, again: bool
    ) -> dict[str, Any]:
        pause_s = PAUSE_S
        for tries_left in reversed(range(TRIES)):
            try:
                return await self._once(method, url, body)
            except _PassingError as failure:
                # throttled, or never sent: nothing was done
                if tries_left == 0 or not (again or failure.undone):
                    uncertain = not (again or failure.undone)
                    text = failure.text
                    raise ApiError(self.name, failure.status, text, uncertain=uncertain) from None
                wait_s = max(pause_s, failure.retry_after_s)
            await self._sleep(min(wait_s, LONGEST_PAUSE_S))
            pause_s *= 2
        raise AssertionError("the last try raises")

    async def _once(self, method: str, url: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        sent: dict[str, Any] = {}
        if body:
            sent = {"data": _form(body)} if self._form else {"json": dict(body)}
        try:
            async with self._session.request(
                method,
                url,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
                allow_redirects=False,
                **sent,
            ) as response:
                raw = await _whole(response)
                status, headers = response.status, response.headers
        except aiohttp.ClientConnectorError as error:
            raise _PassingError(0, self._clean(str(error)), undone=True) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _PassingError(0, self._clean(str(error) or type(error).__name__)) from None
        if status == 404 and method == "DELETE":
            return {}  # gone already: by the first try, or by somebody else
        answer = _object(raw)
        if 200 <= status < 300:
            return answer
        text = self._clean(_message(answer, raw))
        if status == 429:
            retry_after_s = _seconds(headers.get("Retry-After", ""))
            raise _PassingError(status, text, undone=True, retry_after_s=retry_after_s)
        if status >= 500:
            raise _PassingError(status, text)
        raise ApiError(self.name, status, text)

    def _clean(self, text: str) -> str:
        """One line without a secret."""
        for secret in self._secrets:
            for form in (secret, quote(secret, safe="")):
                text = text.replace(form, "(hidden)")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


class _PassingError(Exception):
    """What may pass. `undone`: the request had no effect."""

    def __init__(
        self, status: int, text: str, *, undone: bool = False, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(text)
        self.status, self.text, self.undone = status, text, undone
        self.retry_after_s = retry_after_s


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    chunks = bytearray()
    async for chunk in response.content.iter_any():
        chunks += chunk
        if len(chunks) > LONGEST_ANSWER:
            raise aiohttp.ClientPayloadError("the answer is too long")
    return bytes(chunks)


def _form(body: Mapping[str, Any]) -> dict[str, str]:
    words = {True: "true", False: "false"}
    return {k: words[v] if isinstance(v, bool) else str(v) for k, v in body.items()}


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _message(answer: Mapping[str, Any], raw: bytes) -> str:
    """The API's own sentence, with its code if it has one."""
    text = answer.get("message") or raw[:200].decode(errors="replace") or "no reason is given"
    code = answer.get("code")
    return f"{text} (error {code})" if isinstance(code, int) else str(text)


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 6 else 0.0
