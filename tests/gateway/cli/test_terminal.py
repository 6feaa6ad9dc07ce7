"""What a terminal gets of texts that came from a peer, over the API."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from rich.console import Console

from config.settings import Settings
from gateway.cli.api_client import ApiClient, ApiError
from gateway.cli.calls import table
from tests.ports import free_port

HARM = "\0\x1b[2J\x7f\x9b31m\u202e"
RECORD: dict[str, Any] = {
    "call_id": f"c{HARM}", "started_at": "2026-11-21T05:40:12Z", "from": f"[red]{HARM}",
    "to": "[/bold]", "trunk": "t", "direction": "inbound",
    "duration_s": 1.0, "ended_by": None, "state": f"up{HARM}",
    "sip_status": 486, "cause": f"busy{HARM}", "attempts": [{f"a{HARM}": [HARM]}],
    "transfers": [{"outcome": "transferred", "target": f"[red]{HARM}"}],
    "related": [{"role": "transfer", "certainty": "certain", "to": f"[red]{HARM}"}],
}  # fmt: skip


@pytest.fixture
async def api() -> AsyncIterator[ApiClient]:
    async def calls(_: web.Request) -> web.Response:
        return web.json_response({"items": [RECORD], "next": None})

    async def broken(_: web.Request) -> web.Response:
        return web.json_response({"error": {"message": f"no{HARM}"}}, status=400)

    app = web.Application()
    app.router.add_get("/api/v1/calls", calls)
    app.router.add_get("/api/v1/trunks", broken)
    port, runner = free_port(), web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    listen = f"127.0.0.1:{port}"
    async with ApiClient(Settings.model_validate({"http": {"listen": listen}})) as client:
        yield client
    await runner.cleanup()


async def test_no_control_character_comes_through(api: ApiClient) -> None:
    records = await api.calls(1)
    assert not set(HARM) & set(repr(records)) - {"[", "2", "J", "3", "1", "m"}
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        console.print(table(records))
    shown = capture.get()
    assert not {"\0", "\x1b", "\x7f", "\x9b", "\u202e"} & set(shown)
    assert "[red]" in shown, "a caller's name is no markup"
    with pytest.raises(ApiError) as error:
        await api.trunks()
    assert str(error.value).isprintable()
