"""One try to tell an event: a POST, and what came of it."""

from dataclasses import dataclass
from typing import Final, Self

import aiohttp
from aiohttp.resolver import ThreadedResolver

from config.callback_settings import CallbackSettings
from gateway.callbacks.receivers import ForbiddenAddressError, GuardedResolver, why_not
from gateway.callbacks.signature import HEADER as SIGNATURE
from gateway.callbacks.signature import sign
from gateway.storage.callbacks import Callback
from gateway.version import NAME, version

EVENT_ID: Final = "X-Gateway-Event-Id"
#: Which try this is, from 1.
ATTEMPT: Final = "X-Gateway-Attempt"


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of a try: `status` is what the receiver answered, None where it did not; `error`
    says why it was not heard, None where it was."""

    status: int | None
    error: str | None
    retry_after_s: float | None = None


class Sender:
    """Posts events. Use as `async with`."""

    def __init__(self, settings: CallbackSettings) -> None:
        self._settings = settings
        self._resolver: GuardedResolver | None = None
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._resolver = GuardedResolver(ThreadedResolver(), self._settings)
        connector = aiohttp.TCPConnector(resolver=self._resolver, limit=0, ttl_dns_cache=10)
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"{NAME}/{version()}"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def configure(self, settings: CallbackSettings) -> None:
        """Go on by other settings."""
        self._settings = settings
        if self._resolver is not None:
            self._resolver.settings = settings

    async def send(self, callback: Callback, now: float) -> Heard:
        """Try once. `now` is seconds since 1970."""
        assert self._session is not None, "enter the sender first"
        settings = self._settings
        reason = why_not(callback.url, settings)
        if reason is not None or settings.secret is None:
            return Heard(None, reason)
        body = callback.body.encode()
        headers = {
            "Content-Type": "application/json",
            EVENT_ID: callback.callback_id,
            ATTEMPT: str(callback.tries + 1),
            SIGNATURE: sign(settings.secret.get_secret_value(), body, now),
        }
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        try:
            async with self._session.post(
                callback.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return _heard(response)
        except TimeoutError:
            return Heard(None, f"no answer in {settings.timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            return Heard(None, _why(error))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Heard(None, str(error) or type(error).__name__)


def _heard(response: aiohttp.ClientResponse) -> Heard:
    status = response.status
    if 200 <= status < 300:
        return Heard(status, None)
    after = response.headers.get("Retry-After", "")
    wait_s = float(after) if after.isascii() and after.isdecimal() and len(after) < 9 else None
    error = f"it answered {status} {response.reason or ''}".rstrip()
    if 300 <= status < 400:
        error += ": a redirect is not followed, name the URL that it leads to"
    return Heard(status, error, wait_s)


def _why(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error.os_error, ForbiddenAddressError):
        return str(error.os_error)
    return str(error)
