"""The project's own stand-in for Retell, a process where a gateway's configuration expects it."""

import asyncio
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from tests.interop.harness.gateway import LOGIN, Gateway
from tests.interop.harness.programs import Program

Json = dict[str, Any]
READY_S = 30.0


class Sandbox:
    """Async context manager: `python -m gateway sandbox` beside a running gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._program: Program | None = None
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._program = await Program.start(
            [sys.executable, "-m", "gateway", "sandbox", "--config", str(self.gateway.config)],
            log=self.gateway.directory / "sandbox.log",
            cwd=self.gateway.directory,
        )
        retell = self.gateway.settings["retell"]
        self._http = aiohttp.ClientSession(
            base_url=retell["base_url"], headers={"Authorization": f"Bearer {retell['api_key']}"}
        )
        try:
            async with asyncio.timeout(READY_S):
                await self._ready()
        except BaseException:
            await self._http.close()
            await self._program.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._http is not None
        assert self._program is not None
        await self._http.close()
        await self._program.stop()

    async def import_number(
        self, number: str, login: tuple[str | None, str | None] = LOGIN
    ) -> None:
        """Make `number` one of Retell's, whose calls go out through our gateway."""
        body = {
            "phone_number": number,
            "termination_uri": str(self.gateway.network.gateway),
            "transport": self.gateway.transport.upper(),
            "sip_trunk_auth_username": login[0],
            "sip_trunk_auth_password": login[1],
            "outbound_agents": [{"agent_id": "agent_sandbox", "weight": 1}],
        }
        await self._ask("POST", "/import-phone-number", body)

    async def create_phone_call(self, from_number: str, to_number: str, **headers: str) -> str:
        """Have Retell call somebody, with `headers` in its INVITE, whose names have underscores
        for hyphens; returns the Retell call id."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {
            "from_number": from_number,
            "to_number": to_number,
            "custom_sip_headers": named,
        }
        call = await self._ask("POST", "/v2/create-phone-call", body)
        return str(call["call_id"])

    async def ended(self, call_id: str, timeout: float = 15.0) -> Json:
        """The call, once it is over for Retell."""
        async with asyncio.timeout(timeout):
            while True:
                call = await self._ask("GET", f"/v2/get-call/{call_id}")
                if call["call_status"] in ("ended", "not_connected", "error"):
                    return call
                await asyncio.sleep(0.1)

    async def latest(self, to_number: str) -> str:
        """The Retell call id of the newest call to `to_number`."""
        found = await self._ask("GET", f"/sandbox/calls?to_number={quote(to_number)}")
        return str(found["items"][0]["call"]["call_id"])

    async def ongoing(self, call_id: str, timeout: float = 15.0) -> None:
        """Returns once somebody has picked up."""
        async with asyncio.timeout(timeout):
            while True:
                call = await self._ask("GET", f"/v2/get-call/{call_id}")
                if call["call_status"] == "ongoing":
                    return
                await asyncio.sleep(0.05)

    async def called(self, to_number: str, timeout: float = 15.0) -> str:
        """The Retell call id of the call to `to_number` that an agent has just taken."""
        async with asyncio.timeout(timeout):
            while True:
                found = await self._ask("GET", f"/sandbox/calls?to_number={quote(to_number)}")
                for item in found["items"][:1]:
                    if item["call"]["call_status"] == "ongoing":
                        return str(item["call"]["call_id"])
                await asyncio.sleep(0.05)

    async def agent_hangs_up(self, call_id: str) -> None:
        """As the agent's `end_call` tool would."""
        await self._ask("POST", f"/sandbox/calls/{call_id}/hangup", {})

    async def uses(self, call_id: str, **tool: Any) -> None:
        """The agent uses a tool now: a transfer or a custom function."""
        await self._ask("POST", f"/sandbox/calls/{call_id}/tool", {"tool": tool})

    async def used(self, call_id: str, timeout: float = 30.0) -> Json:
        """What came of the newest use of a tool, once it is over."""
        async with asyncio.timeout(timeout):
            while True:
                tools = (await self.report(call_id))["tools"]
                if tools and tools[-1]["outcome"] != "running":
                    return dict(tools[-1])
                await asyncio.sleep(0.05)

    async def report(self, call_id: str) -> Json:
        """The call with its SIP side and what the agent has heard so far."""
        return await self._ask("GET", f"/sandbox/calls/{call_id}")

    async def heard(self, call_id: str, wav: Path) -> Path:
        """What the agent has heard, written to `wav`."""
        assert self._http is not None
        async with self._http.get(f"/sandbox/calls/{call_id}/recording") as response:
            assert response.ok, f"{response.status} {await response.text()}"
            body = await response.read()
        await asyncio.to_thread(wav.write_bytes, body)
        return wav

    async def _ask(self, method: str, path: str, body: Json | None = None) -> Json:
        assert self._http is not None
        async with self._http.request(method, path, json=body) as response:
            assert response.ok, f"{method} {path}: {response.status} {await response.text()}"
            answer: Json = await response.json() if response.status != 204 else {}
            return answer

    async def _ready(self) -> None:
        assert self._program is not None
        while self._program.running:
            try:
                await self._ask("GET", "/get-concurrency")
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
            else:
                return
        raise AssertionError(f"the sandbox did not start:\n{self._program.tail()}")
