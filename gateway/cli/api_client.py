"""The gateway's own HTTP interface, as its command line uses it: all texts fit for a terminal."""

import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from config.settings import Settings
from gateway.visible import all_visible

TIMEOUT_S = 5.0
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
#: A long file, a database and Retell's SDK are read in less.
RELOAD_TIMEOUT_S = 20.0
#: Items of a page, as the API has them.
PAGE = "1000"
#: A registrar is given ten seconds, then the state as it stands is told.
REGISTER_TIMEOUT_S = 15.0
#: Seconds without a byte of a stream: the gateway sends something every 15.
STREAM_S = 40.0
#: Bytes of the longest line of a stream.
STREAM_BUFFER = 1 << 20
#: The second is an error's (RFC 9457).
JSON_TYPES = ("application/json", "application/problem+json")


class ApiError(Exception):
    """The gateway does not answer, or not with what was asked; one line for the operator."""


class ApiClient:
    """`async with ApiClient(settings) as api`."""

    def __init__(self, settings: Settings) -> None:
        listen, token = settings.http.listen, settings.http.admin
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
        scheme = "http" if settings.http.tls is None else "https"
        self.base_url = f"{scheme}://[{host}]" if ":" in host else f"{scheme}://{host}"
        self.base_url += f":{listen.port}"
        self._tls = settings.http.tls
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = None
        if self._tls is not None:
            # no certificate names this address: the one that is configured is the proof
            connector = aiohttp.TCPConnector(ssl=_fingerprint(self._tls.certificate))
        self._session = aiohttp.ClientSession(headers=self._headers, connector=connector)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def alive(self) -> bool:
        """Whether the gateway answers at all."""
        try:
            return (await self._get("/healthz", {}))[0] == 200
        except ApiError:
            return False

    async def ready(self) -> bool:
        """Whether the gateway takes calls; False too when it does not answer."""
        try:
            return (await self._get("/readyz", {}))[0] == 200
        except ApiError:
            return False

    async def calls(self, limit: int, **filters: str) -> list[dict[str, Any]]:
        """Call records, newest first."""
        page = await self._json("/api/v1/calls", {"limit": str(limit)} | filters)
        return list(page["items"])

    async def call(self, call_id: str) -> dict[str, Any]:
        return await self._json(f"/api/v1/calls/{call_id}", {})

    async def quality(self, call_id: str) -> dict[str, Any]:
        """How good each leg is, or was, by leg: `quality` and `samples`."""
        return dict((await self._json(f"/api/v1/calls/{segment(call_id)}/quality", {}))["legs"])

    async def ladder(self, call_id: str) -> list[dict[str, Any]]:
        """The call's SIP messages in the order in which they passed."""
        messages = list((await self._json(f"/api/v1/calls/{call_id}/ladder", {}))["messages"])
        for message in messages:
            message["message"] = "\r\n".join(message["message"])
        return messages

    async def ladder_file(self, call_id: str, ending: str) -> bytes:
        """The same as a file: `pcap`, or `txt`."""
        assert self._session is not None, "enter the client first"
        path = f"/api/v1/calls/{segment(call_id)}/ladder.{ending}"
        status, body = await self._ask("GET", path, {}, TIMEOUT_S)
        if not isinstance(body, bytes):
            self._result(path, status, body)
            raise ApiError(f"{self.base_url}: HTTP {status} for {path}")
        return body

    async def export(self, ending: str, filters: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Calls as a file, part by part: `csv`, or `ndjson`. Raises ApiError, also where the file
        ends before it is whole."""
        async with self._stream(f"/api/v1/calls.{ending}", filters) as response:
            async for part in response.content.iter_any():
                yield part

    async def events(self, asked: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
        """What happens, as it happens, until the gateway ends it. Raises ApiError."""
        async with self._stream("/api/v1/events", asked) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    yield all_visible(json.loads(line.removeprefix(b"data: ")))

    @asynccontextmanager
    async def _stream(
        self, path: str, query: Mapping[str, str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer that is read while it comes. Raises ApiError."""
        assert self._session is not None, "enter the client first"
        quiet = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_S, sock_read=STREAM_S)
        try:
            async with self._session.get(
                self.base_url + path, params=query, timeout=quiet, read_bufsize=STREAM_BUFFER
            ) as response:
                if response.status != 200:
                    self._result(path, response.status, all_visible(await response.json()))
                yield response
        except (TimeoutError, OSError, ValueError, aiohttp.ClientError) as error:
            reason = _reason(error, STREAM_S)
            raise ApiError(f"{self.base_url}: the answer broke off: {reason}") from error

    async def erase(self, caller: str) -> list[str]:
        """Delete all recordings of calls with a person; their names."""
        path = "/api/v1/recordings"
        answered = await self._ask("DELETE", path, {"caller": caller}, TIMEOUT_S)
        return list(self._result(path, *answered)["deleted"])

    async def trunks(self) -> list[dict[str, Any]]:
        """Every trunk with its gateways, registration and calls."""
        return await self._all("/api/v1/trunks")

    async def trunk(self, name: str) -> dict[str, Any]:
        return await self._json(f"/api/v1/trunks/{segment(name)}", {})

    async def register(self, name: str) -> dict[str, Any]:
        """Have the gateway register with that trunk now; the trunk afterwards."""
        path = f"/api/v1/trunks/{segment(name)}/register"
        return self._result(path, *await self._ask("POST", path, {}, REGISTER_TIMEOUT_S))

    async def drain(self, within_s: float | None) -> dict[str, Any]:
        """Have the gateway stop when its calls are over; how far it is."""
        body = {} if within_s is None else {"within_s": within_s}
        path = "/api/v1/drain"
        return self._result(path, *await self._ask("POST", path, {}, TIMEOUT_S, body))

    async def reload(self) -> tuple[list[str], dict[str, Any]]:
        """Have the gateway read its configuration anew: the problems for which it was refused, and
        what changed."""
        path = "/api/v1/reload"
        status, body = await self._ask("POST", path, {}, RELOAD_TIMEOUT_S)
        if status == 422:
            return list(body["problems"]), {}
        return [], self._result(path, status, body)

    async def draining(self) -> dict[str, Any]:
        """How far it is. Raises ApiError once it is gone."""
        return await self._json("/api/v1/drain", {})

    async def bans(self) -> list[dict[str, Any]]:
        """The bans that hold."""
        return await self._all("/api/v1/bans")

    async def refused(self) -> list[dict[str, Any]]:
        """Calls that were refused at the door, the latest first."""
        return await self._all("/api/v1/refused")

    async def audit(self, limit: int, by: str | None) -> list[dict[str, Any]]:
        """Who had the gateway do what, the latest first; `by` is a token's name."""
        query = {"limit": str(limit)} | ({} if by is None else {"by": by})
        return list((await self._json("/api/v1/audit", query))["items"])

    async def retell_events(self, limit: int, **filters: str) -> list[dict[str, Any]]:
        """What Retell's webhooks told, the latest first."""
        query = {"limit": str(limit)} | filters
        return list((await self._json("/api/v1/retell/events", query))["items"])

    async def retell_event(self, event_id: str) -> dict[str, Any]:
        """One event, with all that it said."""
        return await self._json(f"/api/v1/retell/events/{segment(event_id)}", {})

    async def retry_retell_event(self, event_id: str) -> dict[str, Any]:
        """Have an event that is broken acted on once more."""
        path = f"/api/v1/retell/events/{segment(event_id)}/retry"
        return self._result(path, *await self._ask("POST", path, {}, TIMEOUT_S))

    async def spend(self, day: str | None) -> dict[str, Any]:
        """What the calls of a day cost; None is today."""
        return await self._json("/api/v1/spend", {} if day is None else {"day": day})

    async def blocked(self) -> list[dict[str, Any]]:
        """Callers who are refused."""
        return await self._all("/api/v1/blocked-callers")

    async def block(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse a caller; the block."""
        path = "/api/v1/blocked-callers"
        return self._result(path, *await self._ask("POST", path, {}, TIMEOUT_S, wish))

    async def unblock(self, block_id: str) -> bool:
        """Let a caller through again; False if there was no such block."""
        path = f"/api/v1/blocked-callers/{segment(block_id)}"
        status, body = await self._ask("DELETE", path, {}, TIMEOUT_S)
        if status in (204, 404):
            return status == 204
        self._result(path, status, body)
        return False

    async def unban(self, address: str) -> bool:
        """End the ban of an address; False if there was none."""
        path = f"/api/v1/bans/{segment(address)}"
        status, body = await self._ask("DELETE", path, {}, TIMEOUT_S)
        if status in (204, 404):
            return status == 204
        self._result(path, status, body)
        return False

    async def _all(self, path: str) -> list[dict[str, Any]]:
        """Every page of a list."""
        items: list[dict[str, Any]] = []
        query = {"limit": PAGE}
        while True:
            page = await self._json(path, query)
            items += page["items"]
            if page["next"] is None:
                return items
            query = {"limit": PAGE, "cursor": page["next"]}

    async def _json(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        return self._result(path, *await self._get(path, query))

    def _result(self, path: str, status: int, body: Any) -> dict[str, Any]:
        """The body of a 200; of anything else what the operator can do about it."""
        if status in (200, 201, 202) and isinstance(body, dict):
            return body
        problem = body if isinstance(body, dict) else {}
        if status == 401 or problem.get("code") == "api-off":
            raise ApiError(f"{self.base_url}: {self._why_refused(status)}")
        told = problem.get("detail")
        reason = told or f"HTTP {status} for {path}"
        raise ApiError(f"{self.base_url}: {reason}")

    def _why_refused(self, status: int) -> str:
        if not self._headers:
            return (
                "http.admin_token is not set in this configuration, nor a token of the role admin"
                " in http.tokens, and the API asks for one"
            )
        if status == 401:
            return (
                "the gateway there does not take this configuration's http.admin_token:"
                " it was started with another one"
            )
        return "the gateway there was started without http.admin_token, so its API is off"

    async def _get(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        return await self._ask("GET", path, query, TIMEOUT_S)

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        timeout_s: float,
        body: Mapping[str, Any] | None = None,
        file: tuple[str, BinaryIO] | None = None,
    ) -> tuple[int, Any]:
        """Status and body; `file` is sent in place of a `body`, with its type of content."""
        assert self._session is not None, "enter the client first"
        url = URL(self.base_url + path, encoded=True)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        what: dict[str, Any] = {"json": body}
        if file is not None:
            what = {"data": file[1], "headers": {"Content-Type": file[0]}}
        try:
            async with self._session.request(
                method, url, params=query, timeout=timeout, **what
            ) as response:
                if response.content_type in JSON_TYPES:
                    return response.status, all_visible(_in_lines(await response.json()))
                return response.status, await response.read() or None
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise ApiError(
                f"no gateway answers at {self.base_url} ({_reason(error, timeout_s)}):"
                " is it running?"
            ) from error


def _in_lines(body: Any) -> Any:
    """A ladder's messages by lines: their ends are no harm, and are put back afterwards."""
    messages = body.get("messages") if isinstance(body, dict) else None
    for message in messages or ():
        message["message"] = message["message"].split("\r\n")
    return body


def _fingerprint(certificate: Path) -> aiohttp.Fingerprint:
    """Of the first certificate of a PEM file. Raises ApiError."""
    try:
        first = certificate.read_text().partition(_END)[0] + _END
        der = ssl.PEM_cert_to_DER_cert(first[first.index(_BEGIN) :])
    except (OSError, ValueError) as error:
        raise ApiError(f"http.tls.certificate: {certificate} cannot be read: {error}") from None
    return aiohttp.Fingerprint(hashlib.sha256(der).digest())


def segment(text: str) -> str:
    """One segment of a path, whatever is in it."""
    return quote(text, safe=":")


def _reason(error: BaseException, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {timeout_s:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            return "connection refused"
        return error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__
