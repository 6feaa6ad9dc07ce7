"""Signed webhooks and custom functions: made, sent, retried, kept in order (Retell's pages
webhook-overview, secure-webhook, inbound-call-webhook, custom-function).
"""

import asyncio
import hashlib
import hmac
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp
import structlog
from pydantic import ValidationError

from testkit.sandbox.models import InboundAnswer, InboundOverride
from testkit.sandbox.settings import Function, SandboxSettings
from testkit.sandbox.store import Call, Outcome, ToolUse

log = structlog.get_logger(__name__)

#: Deliveries that `GET /sandbox/webhooks` can still show.
MAX_DELIVERIES = 1000

_VARIABLE = re.compile(r"\{\{\s*([^{}\s]+)\s*\}\}")


def sign(body: str, api_key: str, now_ms: int) -> str:
    """`X-Retell-Signature`: HMAC-SHA256 over the raw body and, right after it, the time."""
    digest = hmac.new(api_key.encode(), f"{body}{now_ms}".encode(), hashlib.sha256).hexdigest()
    return f"v={now_ms},d={digest}"


def fill(url: str, variables: Mapping[str, str]) -> str:
    """A webhook URL with its `{{variables}}` replaced; an unknown one stays as it is."""
    return _VARIABLE.sub(lambda found: variables.get(found[1], found[0]), url)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt. `status` is None when no answer came."""

    event: str
    call_id: str
    url: str
    attempt: int
    status: int | None
    error: str
    at_ms: int


class Reply(NamedTuple):
    """The last attempt, and the body of its answer."""

    last: Delivery
    body: bytes

    @property
    def good(self) -> bool:
        return self.last.status is not None and 200 <= self.last.status < 300


class Webhooks:
    """Sends webhooks; events of one call go one after another, calls do not wait for each other."""

    def __init__(
        self, settings: SandboxSettings, http: aiohttp.ClientSession, epoch: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._http = http
        self._epoch = epoch
        self._last: dict[str, asyncio.Task[None]] = {}
        self._functions: set[asyncio.Task[None]] = set()
        self.deliveries: deque[Delivery] = deque(maxlen=MAX_DELIVERIES)

    def event(
        self,
        event: str,
        call: Call,
        *,
        after_s: float = 0.0,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        """Queue an event of `call`, as the call is now, behind those queued before.

        `beside` are the siblings of `call` that some events have.
        """
        url = self._url(event, call)
        if url is None:
            return
        payload = {"event": event, "call": call.to_json(), **(beside or {})}
        before = self._last.get(call.call_id)
        task = asyncio.get_running_loop().create_task(
            self._deliver_after(before, after_s, event, call, fill(url, call.variables), payload)
        )
        self._last[call.call_id] = task
        task.add_done_callback(lambda done: self._forget(call.call_id, done))

    async def inbound(
        self, url: str, number: Mapping[str, Any], call_id: str
    ) -> InboundOverride | None:
        """Ask what to do with an inbound call; None when every attempt failed.

        An answer with any invalid field counts as empty: it voids `reject` as well.
        """
        payload = {
            "event": "call_inbound",
            "event_timestamp": self._now_ms(),
            "call_inbound": {**number, "call_id": call_id},
        }
        reply = await self._send(
            "call_inbound",
            call_id,
            url,
            payload,
            self._settings.inbound_webhook_timeout_s,
            self._settings.webhook_retries,
        )
        if not reply.good:
            return None
        try:
            return InboundAnswer.model_validate_json(reply.body or b"{}").call_inbound
        except ValidationError as error:
            log.warning("sandbox.inbound-answer-invalid", call_id=call_id, errors=error.errors())
            return InboundOverride()

    def function(self, call: Call, order: Function, use: ToolUse) -> None:
        """Call a custom function of the agent; what comes of it is written into `use`.

        It outlasts the call: a function that ends the call still has its answer read.
        """
        task = asyncio.get_running_loop().create_task(self._call_function(call, order, use))
        self._functions.add(task)
        task.add_done_callback(self._functions.discard)

    async def drain(self) -> None:
        """Wait until everything that is queued now has been delivered or given up."""
        await asyncio.gather(*self._last.values(), *self._functions, return_exceptions=True)

    async def close(self) -> None:
        """Drop what is queued."""
        tasks = [*self._last.values(), *self._functions]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _url(self, event: str, call: Call) -> str | None:
        if event not in call.agent.webhook_events:
            return None
        return call.agent.webhook_url or self._settings.webhook_url

    def _forget(self, call_id: str, done: asyncio.Task[None]) -> None:
        if self._last.get(call_id) is done:
            del self._last[call_id]

    async def _deliver_after(
        self,
        before: asyncio.Task[None] | None,
        after_s: float,
        event: str,
        call: Call,
        url: str,
        payload: Mapping[str, Any],
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        if after_s:
            await asyncio.sleep(after_s)
        timeout_s = call.agent.webhook_timeout_ms / 1000
        retries = self._settings.webhook_retries
        await self._send(event, call.call_id, url, payload, timeout_s, retries)

    async def _call_function(self, call: Call, order: Function, use: ToolUse) -> None:
        payload = {"name": order.name, "call": call.to_json(), "args": order.args}
        retries = self._settings.function_retries
        url, name = fill(order.url, call.variables), f"function:{order.name}"
        reply = await self._send(name, call.call_id, url, payload, order.timeout_s, retries)
        use.status, use.attempts = reply.last.status, reply.last.attempt
        use.told = reply.body.decode(errors="replace") if reply.good else reply.last.error or None
        use.outcome = Outcome.DONE if reply.good else Outcome.FAILED

    async def _send(
        self,
        event: str,
        call_id: str,
        url: str,
        payload: Mapping[str, Any],
        timeout_s: float,
        retries: int,
    ) -> Reply:
        """The first 2xx answer, else the last attempt; at most 1 + `retries` attempts."""
        body = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
        wait_s = self._settings.webhook_retry_delay_s
        for attempt in range(1, retries + 2):
            if attempt > 1:
                await asyncio.sleep(wait_s)
                wait_s *= 2
            status, error, answer = await self._attempt(url, body, timeout_s)
            reply = Reply(
                Delivery(event, call_id, url, attempt, status, error, self._now_ms()), answer
            )
            self.deliveries.append(reply.last)
            if reply.good:
                return reply
        log.warning("sandbox.webhook-failed", webhook=event, call_id=call_id, error=error)
        return reply

    async def _attempt(
        self, url: str, body: str, timeout_s: float
    ) -> tuple[int | None, str, bytes]:
        headers = {
            "Content-Type": "application/json",
            # signed anew each time: the receiver refuses old times
            "X-Retell-Signature": sign(body, self._settings.api_key, self._now_ms()),
        }
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._http.post(
                    url, data=body.encode(), headers=headers, allow_redirects=False
                ) as response,
            ):
                return response.status, "", await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return None, str(error) or type(error).__name__, b""

    def _now_ms(self) -> int:
        return round(self._epoch() * 1000)
