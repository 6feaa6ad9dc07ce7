"""Retell's register-phone-call, as a handler function: what method 2 needs of the REST API."""

from types import TracebackType
from typing import Any, Self

from aiohttp import web

Json = dict[str, Any]


class RetellRest:
    """Async context manager: answers registrations on `listen` and remembers them."""

    def __init__(self, listen: str) -> None:
        self._host, _, port = listen.rpartition(":")
        self._port = int(port)
        self.registered: list[Json] = []
        """The objects that were handed out, with the request's body under `request`."""
        self.refuse_with: int | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v2/register-phone-call", self._register)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _register(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.refuse_with is not None:
            error = {"status": "error", "message": "refused by the test"}
            return web.json_response(error, status=self.refuse_with)
        call = {
            "call_id": f"call_{len(self.registered) + 1:027x}",
            "call_type": "phone_call",
            "call_status": "registered",
            "agent_id": body["agent_id"],
            "agent_version": 0,
            "direction": body.get("direction", "inbound"),
            "from_number": body.get("from_number", ""),
            "to_number": body.get("to_number", ""),
            "metadata": body.get("metadata", {}),
        }
        self.registered.append({**call, "request": body})
        return web.json_response(call, status=201)
