"""Calls that go out, as the command line asks the running gateway for them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway.cli.api_client import TIMEOUT_S, ApiClient, ApiError, segment

#: A file of a hundred thousand lines is read, judged and stored in less.
CAMPAIGN_TIMEOUT_S: Final = 300.0
#: Numbers of one request, as the API has it.
NUMBERS: Final = 1000
_CALLS, _QUEUE, _CAMPAIGNS = "/api/v1/calls", "/api/v1/queue", "/api/v1/campaigns"
_DO_NOT_CALL, _CALLBACKS = "/api/v1/do-not-call", "/api/v1/callbacks"


class BadLinesError(ApiError):
    """A campaign's file has lines that are wrong: `errors` as the API tells them."""

    def __init__(self, text: str, errors: list[dict[str, Any]]) -> None:
        super().__init__(text)
        self.errors = errors


class OutboundApi(ApiClient):
    """`async with OutboundApi(settings) as api`. All raise ApiError."""

    async def place(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Queue one call."""
        return await self._post(_CALLS, wish)

    async def queued(self, queued_id: str) -> dict[str, Any]:
        """One queued call with its tries."""
        return await self._json(f"{_QUEUE}/{segment(queued_id)}", {})

    async def queue(self, limit: int, **filters: str) -> list[dict[str, Any]]:
        """Queued calls, newest first."""
        page = await self._json(_QUEUE, {"limit": str(limit)} | filters)
        return list(page["items"])

    async def summary(self) -> dict[str, Any]:
        """How many there are by state, and whether the queue is paused."""
        return await self._json(f"{_QUEUE}/summary", {})

    async def cancel(self, queued_id: str) -> dict[str, Any]:
        """Call this person no more."""
        return await self._post(f"{_QUEUE}/{segment(queued_id)}/cancel")

    async def steer_queue(self, what: str) -> None:
        """`pause` or `resume` all of it."""
        await self._post(f"{_QUEUE}/{what}")

    async def start_campaign(self, file: Path, query: Mapping[str, str]) -> dict[str, Any]:
        """Send a file, CSV or JSON by its name. Raises BadLinesError too."""
        kind = "application/json" if file.suffix.lower() == ".json" else "text/csv"
        try:
            with file.open("rb") as content:
                answered = await self._ask(
                    "POST", _CAMPAIGNS, query, CAMPAIGN_TIMEOUT_S, file=(kind, content)
                )
        except OSError as error:
            raise ApiError(f"{file}: {error.strerror or error}") from None
        status, body = answered
        if status == 422 and isinstance(body, dict) and body.get("errors"):
            raise BadLinesError(str(body["detail"]), list(body["errors"]))
        return self._result(_CAMPAIGNS, status, body)

    async def campaigns(self, limit: int) -> list[dict[str, Any]]:
        """Campaigns, newest first."""
        return list((await self._json(_CAMPAIGNS, {"limit": str(limit)}))["items"])

    async def campaign(self, campaign_id: str) -> dict[str, Any]:
        return await self._json(f"{_CAMPAIGNS}/{segment(campaign_id)}", {})

    async def steer_campaign(self, campaign_id: str, what: str) -> dict[str, Any]:
        """`pause`, `resume` or `cancel` one."""
        return await self._post(f"{_CAMPAIGNS}/{segment(campaign_id)}/{what}")

    async def results(self, campaign_id: str, *, as_json: bool) -> bytes:
        """What came of its calls: CSV, or a JSON object a line."""
        path = f"{_CAMPAIGNS}/{segment(campaign_id)}/results{'.ndjson' if as_json else ''}"
        status, body = await self._ask("GET", path, {}, CAMPAIGN_TIMEOUT_S)
        if status != 200:
            self._result(path, status, body)
        return body if isinstance(body, bytes) else b""

    async def barred(self) -> list[dict[str, Any]]:
        """Numbers that are never called."""
        return await self._all(_DO_NOT_CALL)

    async def bar(self, numbers: list[str], reason: str) -> int:
        """Never call these numbers; how many there were."""
        for some in _parts(numbers):
            await self._post(_DO_NOT_CALL, {"numbers": some, "reason": reason})
        return len(numbers)

    async def unbar(self, number: str) -> bool:
        """Take a number from the list; False if it was not there."""
        path = f"{_DO_NOT_CALL}/{segment(number)}"
        status, body = await self._ask("DELETE", path, {}, TIMEOUT_S)
        if status == 204 or (status == 404 and body["code"] == "no-such-number"):
            return status == 204
        self._result(path, status, body)
        return False

    async def callbacks(self, limit: int, state: str | None) -> list[dict[str, Any]]:
        """Events that were not heard yet, newest first."""
        query = {"limit": str(limit)} | ({} if state is None else {"state": state})
        return list((await self._json(_CALLBACKS, query))["items"])

    async def resend(self, event_id: str) -> dict[str, Any]:
        """Tell an event again."""
        return await self._post(f"{_CALLBACKS}/{segment(event_id)}/resend")

    async def resend_dead(self) -> int:
        """Tell every event again that was given up; how many there were."""
        return int((await self._post(f"{_CALLBACKS}/resend"))["count"])

    async def _post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        status, answer = await self._ask("POST", path, {}, TIMEOUT_S, body)
        if status == 202 and answer is None:
            return {}
        return self._result(path, status, answer)


def _parts(numbers: list[str]) -> Iterator[list[str]]:
    for begin in range(0, len(numbers), NUMBERS):
        yield numbers[begin : begin + NUMBERS]
