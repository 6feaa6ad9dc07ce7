"""The application on a loopback port, its configuration, and a Retell that does as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from config.settings import Settings
from gateway.calls.call_machine import CallMachine
from gateway.calls.live_call import LiveCall
from gateway.http.app import make_app
from gateway.http.app_keys import CALLS, SETTINGS, STORE
from gateway.storage.call_query import Query
from gateway.storage.call_records import CallRecord
from tests.garbage import freed
from tests.gateway.http.document import conforms
from tests.gateway.peer import Jambonz

Json = dict[str, Any]

TOKEN = "admin-token"
TRUNK_DID = "+14155550100"
DIAL_DID = "+14155550101"
FALLBACK_DID = "+14155550102"
DIAL_FALLBACK_DID = "+14155550103"


@pytest.fixture(autouse=True)
def _calls_free_themselves() -> Iterator[None]:
    """No call waits for the garbage collector, which a gateway keeps out of them."""
    with freed(LiveCall, CallMachine):
        yield


def settings_data(**changes: Any) -> Json:
    """A configuration with one number of each kind."""
    return {
        "http": {"admin_token": TOKEN},
        "application": {"serve": True},
        "retell": {
            "api_key": "key_test",
            "base_url": "http://127.0.0.1:9",
            "login": {"username": "retell", "password": "secret"},
        },
        "trunks": [
            {"name": "carrier", "gateways": ["sip:192.0.2.10"]},
            {"name": "second", "gateways": ["sip:192.0.2.11"]},
            {"name": "pbx", "kind": "pbx", "gateways": ["sip:192.0.2.12"]},
        ],
        "numbers": {
            TRUNK_DID: {"agent": "agent_1"},
            DIAL_DID: {"agent": "agent_2", "method": "dial", "variables": {"plan": "gold"}},
            FALLBACK_DID: {"fallback": {"trunk": "pbx", "to": "200"}},
            DIAL_FALLBACK_DID: {
                "agent": "agent_2",
                "method": "dial",
                "fallback": {"trunk": "carrier", "to": "+14155550177"},
            },
        },
        "outbound": {
            "default_country": "US",
            "routes": [
                {"prefix": "+1212", "trunks": ["second"]},
                {"prefix": "+1", "trunks": ["carrier", "second"]},
            ],
        },
        **changes,
    }


@dataclass
class Retell:
    """Retell's REST API: `answer` is the handler of register-phone-call."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    requests: list[Json] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    url: str = ""
    #: what answers the other operations, by method and path
    others: dict[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(
        default_factory=dict
    )

    async def other(self, request: web.Request) -> web.StreamResponse:
        handler = self.others.get((request.method, request.path))
        if handler is None:
            raise web.HTTPNotFound
        return await handler(request)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.authorizations.append(request.headers.get("Authorization", ""))
        return await self.answer(request)


async def registered(_: web.Request) -> web.Response:
    """What Retell answers to a registration, as far as the client needs it."""
    body = {
        "call_type": "phone_call",
        "call_id": "call_0123456789abcdef0123456789a",
        "call_status": "registered",
        "agent_id": "agent_2",
        "agent_version": 0,
        "direction": "inbound",
        "from_number": "+12125550100",
        "to_number": DIAL_DID,
    }
    return web.json_response(body, status=201)


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    """Run an application on a free loopback port."""
    runner = web.AppRunner(app, access_log=None, lingering_time=0.1, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


@pytest.fixture
async def retell() -> AsyncIterator[Retell]:
    fake = Retell(registered)
    app = web.Application()
    app.router.add_post("/v2/register-phone-call", fake.handle)
    app.router.add_route("*", "/{rest:.*}", fake.other)
    runner, fake.url = await serve(app)
    yield fake
    await runner.cleanup()


class Gateway:
    """The running application, seen from outside."""

    def __init__(self, app: web.Application, runner: web.AppRunner, url: str) -> None:
        self.app = app
        self.runner = runner
        self.url = url
        # every answer of the API that a test sees is held against its document
        self.http = aiohttp.ClientSession(raise_for_status=conforms)

    def jambonz(self, **options: Any) -> Jambonz:
        """A call's end of the WebSocket; use as `async with`."""
        return Jambonz(self.http, f"{self.url}/retell", **options)

    async def get(self, path: str, token: str | None = TOKEN) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.get(self.url + path, headers=headers) as response:
            return response.status, await response.json()

    def app_settings(self) -> Settings:
        return self.app[SETTINGS].settings

    async def app_is_idle(self) -> None:
        """Every call has ended."""
        async with asyncio.timeout(5):
            await self.app[CALLS].none_left()

    async def records(self) -> list[CallRecord]:
        return await self.app[STORE].page(Query())

    async def record(self) -> CallRecord:
        """The one call on record, once it has ended."""
        async with asyncio.timeout(5):
            await self.app[CALLS].none_left()
        records = await self.records()
        assert len(records) == 1
        return records[0]

    async def page(self) -> str:
        """What /metrics says."""
        async with self.http.get(f"{self.url}/metrics") as response:
            return await response.text()

    async def until(self, holds: Callable[[Json], bool]) -> Json:
        """The newest call as the API shows it, once this is so of it."""
        async with asyncio.timeout(5):
            while True:
                _, body = await self.get("/api/v1/calls?limit=1")
                if holds(call := body["items"][0]):
                    assert isinstance(call, dict)
                    return call

    async def stop(self) -> None:
        await self.http.close()
        await self.runner.cleanup()


Start = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def start(tmp_path: Path, retell: Retell) -> AsyncIterator[Start]:
    """Start an application: keyword arguments replace sections of the configuration."""
    running: list[Gateway] = []

    async def run(*, make: Json | None = None, **changes: Any) -> Gateway:
        data = settings_data(**changes)
        data.setdefault("storage", {"url": f"sqlite:///{tmp_path}/calls.db"})
        data["retell"] = {**data["retell"], "base_url": retell.url}
        settings = Settings.model_validate(data)
        app = make_app(settings, **(make or {}))
        runner, url = await serve(app)
        gateway = Gateway(app, runner, url)
        running.append(gateway)
        return gateway

    before = asyncio.all_tasks()
    yield run
    for gateway in running:
        await gateway.stop()
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    assert not left, f"tasks left: {left}"


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start()
