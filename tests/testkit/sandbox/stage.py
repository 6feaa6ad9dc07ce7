"""A sandbox for one test, with the real Retell client and a plain HTTP client towards it."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx
from retell import AsyncRetell
from retell.lib import verify

from testkit.sandbox.main import Sandbox, running
from testkit.sandbox.settings import SANDBOX_KEY, Agent, PresetNumber, SandboxSettings
from tests.testkit.sandbox.peers import WAIT_S, Address

AGENT = "agent_sandbox"
NUMBER = "+14155550100"


def settings(**changes: Any) -> SandboxSettings:
    """Free ports, no greeting, quick webhooks."""
    return SandboxSettings(
        **{
            "http_port": 0,
            "sip_listen": ("udp:127.0.0.1:0", "tcp:127.0.0.1:0"),
            "rtp_ports": (0, 0),
            "agent": Agent(greeting=False),
            "analysis_delay_s": 0.01,
            "webhook_retry_delay_s": 0.01,
            **changes,
        }
    )


def verified(body: str, key: str, signature: str) -> bool:
    """Retell's own verifier."""
    return bool(verify(body, key, signature))  # type: ignore[no-untyped-call]


def number(trunk: Address | None = None, **changes: Any) -> PresetNumber:
    """The imported number of most tests."""
    host, port = trunk or ("127.0.0.1", 9)
    return PresetNumber(**{"phone_number": NUMBER, "termination_uri": f"{host}:{port}", **changes})


@dataclass(slots=True)
class Stage:
    """What a test acts on."""

    sandbox: Sandbox
    retell: AsyncRetell
    http: aiohttp.ClientSession

    @property
    def sip(self) -> Address:
        """The UDP listener."""
        (udp,) = [one for one in self.sandbox.sip if one.transport == "udp"]
        return udp.host, udp.port

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str = SANDBOX_KEY
    ) -> tuple[int, Any]:
        """A plain request: status and JSON."""
        headers = {"Authorization": f"Bearer {key}"}
        url = self.sandbox.base_url + path
        async with self.http.request(method, url, json=body, headers=headers) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else None

    async def call(self, call_id: str, *statuses: str) -> dict[str, Any]:
        """The call, once it has one of these statuses."""
        async with asyncio.timeout(WAIT_S):
            while True:
                _, call = await self.ask("GET", f"/v2/get-call/{call_id}")
                if not statuses or call["call_status"] in statuses:
                    return dict(call)
                await asyncio.sleep(0.01)

    async def report(self, call_id: str) -> dict[str, Any]:
        _, report = await self.ask("GET", f"/sandbox/calls/{call_id}")
        return dict(report)

    async def uses(self, call_id: str, **tool: Any) -> None:
        """The agent uses a tool now."""
        status, body = await self.ask("POST", f"/sandbox/calls/{call_id}/tool", {"tool": tool})
        assert status == 202, body

    async def used(self, call_id: str) -> dict[str, Any]:
        """What came of the newest use of a tool, once it is over."""
        async with asyncio.timeout(WAIT_S):
            while True:
                tools = (await self.report(call_id))["tools"]
                if tools and tools[-1]["outcome"] != "running":
                    return dict(tools[-1])
                await asyncio.sleep(0.01)

    async def heard(self, call_id: str, *, packets: int) -> dict[str, Any]:
        """What the agent heard, once it has so many packets."""
        async with asyncio.timeout(WAIT_S):
            while True:
                heard: dict[str, Any] = (await self.report(call_id))["heard"]
                if heard["packets"] >= packets:
                    return heard
                await asyncio.sleep(0.01)

    async def recording(self, call_id: str) -> bytes:
        """What the agent heard, as PCM of 8 kHz."""
        url = f"{self.sandbox.base_url}/sandbox/calls/{call_id}/recording"
        headers = {"Authorization": f"Bearer {SANDBOX_KEY}"}
        async with self.http.get(url, headers=headers) as response:
            assert (response.status, response.content_type) == (200, "audio/wav")
            body = await response.read()
        with wave.open(io.BytesIO(body)) as file:
            assert (file.getframerate(), file.getnchannels()) == (8000, 1)
            frames: bytes = file.readframes(file.getnframes())
            return frames

    async def only_call(self) -> str:
        """The id of the one call that there is."""
        _, found = await self.ask("GET", "/sandbox/calls")
        (one,) = found["items"]
        return str(one["call"]["call_id"])


@asynccontextmanager
async def stage(**changes: Any) -> AsyncIterator[Stage]:
    """A sandbox with these settings; when the block ends nothing of it may be left."""
    before = asyncio.all_tasks()
    async with (
        running(settings(**changes)) as sandbox,
        aiohttp.ClientSession() as http,
        # the certificates of the world take 0.2 s to load and are of no use here
        httpx.AsyncClient(verify=False) as plain,
        AsyncRetell(
            api_key=SANDBOX_KEY, base_url=sandbox.base_url, max_retries=0, http_client=plain
        ) as retell,
    ):
        yield Stage(sandbox, retell, http)
    # a fixture's end runs in another task than its start
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:  # a webhook receiver notices a moment later that its client is gone
        _, left = await asyncio.wait(left, timeout=2)
    assert left == set()
