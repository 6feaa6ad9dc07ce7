"""jambonz's REST API, as far as calls that we begin need it (jambonz-api-server 0.9.8).

Keys of a body become columns of its database: one that it does not know is answered with 500.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import orjson
import structlog

from config.jambonz_settings import JambonzSettings
from gateway.short_answer import read_at_most

log = structlog.get_logger(__name__)

#: Seconds for a request; a call is placed within a fraction of one.
TIMEOUT_S: Final = 10.0
#: Bytes of an answer that are read.
MAX_ANSWER: Final = 64 << 10
#: What a call may be asked for.
KEYS: Final = frozenset(
    {
        *("from", "to", "callerName", "fromHost", "tag", "headers", "timeout", "timeLimit", "amd"),
        *("dual_streams", "referHook", "sipRequestWithinDialogHook"),
    }
)


class RestFailure(StrEnum):
    """Why jambonz did not do it."""

    UNAUTHORIZED = "jambonz-unauthorized"
    """the token is none of that account's"""
    REFUSED = "jambonz-refused"
    """it will not have what it was asked for"""
    NO_SERVER = "jambonz-no-server"
    """no feature server of it is up"""
    UNREACHABLE = "jambonz-unreachable"
    """it was not asked"""
    UNCERTAIN = "jambonz-uncertain"
    """it may have done it all the same"""


#: By HTTP status; what is not here goes by its class.
_FAILURES: Final[Mapping[int, RestFailure]] = {
    401: RestFailure.UNAUTHORIZED,
    403: RestFailure.UNAUTHORIZED,
    480: RestFailure.NO_SERVER,
}


class JambonzRestError(Exception):
    """jambonz did not do it. `status` 0: no HTTP answer; the text is jambonz's own."""

    def __init__(self, failure: RestFailure, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}" if status else text)
        self.failure = failure
        self.status = status


class JambonzRest:
    """Asks jambonz. Use as `async with`; every method raises JambonzRestError."""

    def __init__(self, settings: JambonzSettings) -> None:
        self._settings = settings
        account = quote(settings.account_sid, safe="")
        self._calls = f"{settings.api_url.rstrip('/')}/Accounts/{account}/Calls"
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "JambonzRest":
        token = self._settings.token.get_secret_value()
        self._http = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()

    async def place(self, body: Mapping[str, Any]) -> str:
        """Have a call placed for our application there; jambonz's id of it. A key that jambonz
        does not know is refused here, where it can be named."""
        if unknown := sorted(body.keys() - KEYS):
            names = ", ".join(unknown)
            raise JambonzRestError(RestFailure.REFUSED, 0, f"jambonz's API knows no {names}")
        application = {"application_sid": self._settings.application_sid}
        answer = await self._ask("POST", self._calls, {**body, **application})
        sid = answer.get("sid")
        if not isinstance(sid, str) or not sid:
            raise JambonzRestError(RestFailure.UNCERTAIN, 201, "the answer holds no sid")
        return sid

    async def give_up(self, call_sid: str) -> None:
        """End a call that is not answered yet; one that is over or answered stays as it is."""
        url = f"{self._calls}/{quote(call_sid, safe='')}"
        try:
            await self._ask("PUT", url, {"call_status": "no-answer"})
        except JambonzRestError as error:
            if error.status not in (404, 422):
                raise
            log.info("jambonz.not-given-up", call_sid=call_sid, error=str(error))

    async def _ask(self, method: str, url: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._http is not None, "it is entered"
        try:
            async with self._http.request(method, url, json=body, allow_redirects=False) as answer:
                raw = await read_at_most(answer.content, MAX_ANSWER)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise JambonzRestError(RestFailure.UNREACHABLE, 0, str(error)) from None
        except TimeoutError:
            words = f"no answer within {TIMEOUT_S:.0f} s"
            raise JambonzRestError(RestFailure.UNCERTAIN, 0, words) from None
        except aiohttp.ClientError as error:
            words = str(error) or type(error).__name__
            raise JambonzRestError(RestFailure.UNCERTAIN, 0, words) from None
        found = _object(raw)
        if 200 <= answer.status < 300:
            return found
        by_class = RestFailure.UNCERTAIN if answer.status >= 500 else RestFailure.REFUSED
        failure = _FAILURES.get(answer.status, by_class)
        if answer.status == 500 and found.get("msg"):
            failure = RestFailure.REFUSED  # of its database; a feature server's failure is bare
        raise JambonzRestError(failure, answer.status, _words(found, answer.reason))


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _words(found: Mapping[str, Any], reason: str | None) -> str:
    """jambonz's own sentence, one line."""
    text = found.get("msg") or found.get("message") or reason or "no reason given"
    return " ".join(str(text).split())[:200]
