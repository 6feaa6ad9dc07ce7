"""Retell's REST API, as far as method 2 needs it: register-phone-call, get-call and stop-call."""

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
        self.status = "ended"
        """What get-call says of every call."""
        self.stopped: list[str] = []
        """The calls that were told to stop."""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v2/register-phone-call", self._register)
        app.router.add_get("/v2/get-call/{call_id}", self._get)
        app.router.add_post("/v2/stop-call/{call_id}", self._stop)
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

    async def _get(self, request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        return web.json_response({"call_id": call_id, "call_status": self.status})

    async def _stop(self, request: web.Request) -> web.Response:
        self.stopped.append(request.match_info["call_id"])
        self.status = "ended"
        return web.Response(status=204)
