"""The gateway's own HTTP interface, as its command line uses it."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp

from config.settings import Settings

TIMEOUT_S = 5.0


class ApiError(Exception):
    """The gateway does not answer, or not with what was asked; one line for the operator."""


class ApiClient:
    """`async with ApiClient(settings) as api`."""

    def __init__(self, settings: Settings) -> None:
        listen, token = settings.http.listen, settings.http.admin_token
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen.host, listen.host)
        self.base_url = f"http://[{host}]" if ":" in host else f"http://{host}"
        self.base_url += f":{listen.port}"
        self._headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=self._headers)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def ready(self) -> bool:
        """Whether the gateway takes calls; False too when it does not answer."""
        try:
            return (await self._get("/readyz", {}))[0] == 200
        except ApiError:
            return False

    async def calls(self, limit: int, **filters: str) -> list[dict[str, Any]]:
        """Call records, newest first."""
        page = await self._json("/api/v1/calls", {"limit": str(limit)} | filters)
        return list(page["calls"])

    async def call(self, call_id: str) -> dict[str, Any]:
        return await self._json(f"/api/v1/calls/{call_id}", {})

    async def ladder(self, call_id: str) -> list[dict[str, Any]]:
        """The call's SIP messages in the order in which they passed."""
        return list((await self._json(f"/api/v1/calls/{call_id}/ladder", {}))["messages"])

    async def _json(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        status, body = await self._get(path, query)
        if status == 200 and isinstance(body, dict):
            return body
        told = body.get("error") if isinstance(body, dict) else None
        reason = told.get("message") if isinstance(told, dict) else f"HTTP {status} for {path}"
        raise ApiError(f"{self.base_url}: {reason}")

    async def _get(self, path: str, query: Mapping[str, str]) -> tuple[int, Any]:
        assert self._session is not None, "enter the client first"
        try:
            async with self._session.get(self.base_url + path, params=query) as response:
                text_is_json = response.content_type == "application/json"
                return response.status, await response.json() if text_is_json else None
        except (TimeoutError, OSError, aiohttp.ClientError) as error:
            raise ApiError(
                f"no gateway answers at {self.base_url} ({_reason(error)}): is it running?"
            ) from error


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {TIMEOUT_S:g} s"
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, ConnectionRefusedError):
            return "connection refused"
        return error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__
