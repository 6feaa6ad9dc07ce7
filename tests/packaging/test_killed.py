"""The program killed while a jambonz has a call on it: what is on record, and its successor."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateway.conftest import FALLBACK_DID, TOKEN, TRUNK_DID
from tests.gateway.peer import Jambonz
from tests.packaging.conftest import environment
from tests.ports import free_port

Json = dict[str, Any]

CONFIG = """
http: {{listen: "127.0.0.1:{port}", admin_token: {token}}}
sip: {{listen: []}}
storage: {{url: "sqlite:///{folder}/calls.db"}}
retell: {{api_key: key_test, base_url: "http://127.0.0.1:9"}}
trunks:
  - {{name: carrier, gateways: ["sip:192.0.2.10"]}}
  - {{name: pbx, kind: pbx, gateways: ["sip:192.0.2.12"]}}
numbers:
  "{trunk_did}": {{agent: agent_1}}
  "{fallback_did}": {{agent: agent_1, fallback: {{trunk: pbx, to: "200"}}}}
"""

pytestmark = pytest.mark.slow


class Program:
    """The gateway as a process of its own, at one port and with one database."""

    def __init__(self, folder: Path, http: aiohttp.ClientSession) -> None:
        port = free_port()
        self.config = folder / "gateway.yaml"
        self.config.write_text(
            CONFIG.format(
                port=port,
                token=TOKEN,
                folder=folder,
                trunk_did=TRUNK_DID,
                fallback_did=FALLBACK_DID,
            )
        )
        self.url = f"http://127.0.0.1:{port}"
        self.http = http
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = (sys.executable, "-m", "gateway", "run", "--config", str(self.config))
        self.process = await asyncio.create_subprocess_exec(
            *command,
            env=environment(),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        for _ in range(300):
            if await self._ready():
                return
            await asyncio.sleep(0.1)
        raise AssertionError("it is not ready")

    async def _ready(self) -> bool:
        try:
            async with self.http.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def kill(self) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def record(self) -> Json:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.http.get(f"{self.url}/api/v1/calls", headers=headers) as response:
            [call] = (await response.json())["items"]
        assert isinstance(call, dict)
        return call

    async def recorded(self, key: str, value: object) -> Json:
        """The record, once `key` is `value` in it."""
        for _ in range(50):
            record = await self.record()
            if record[key] == value:
                return record
            await asyncio.sleep(0.1)
        raise AssertionError(f"{key} never was {value}: {record}")


@asynccontextmanager
async def killed(folder: Path) -> AsyncIterator[tuple[Program, Jambonz]]:
    """A program and a call on it."""
    async with aiohttp.ClientSession() as http:
        program = Program(folder, http)
        await program.start()
        try:
            async with Jambonz(http, f"{program.url}/retell") as jambonz:
                yield program, jambonz
        finally:
            await program.kill()


async def test_a_call_that_talked(tmp_path: Path) -> None:
    async with killed(tmp_path) as (program, jambonz):
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await asyncio.sleep(1.0)  # more than what a crash may lose
        await program.kill()
        await program.start()
        left = await program.record()
        assert (left["state"], left["cause"]) == ("interrupted", "interrupted")
        assert left["answered_at"] is not None
        assert left["ended_at"] is not None
        assert [item["code"] for item in left["attempts"]] == [200]
        assert await jambonz.reconnect() is None
        again = await program.recorded("state", "live")
        await jambonz.caller_hangs_up()
        record = await program.recorded("state", "ended")
    assert (record["ended_by"], record["cause"], record["duration_s"]) == ("caller", "hangup", 3)
    assert record["answered_at"] == again["answered_at"] == left["answered_at"]


async def test_a_call_that_rang(tmp_path: Path) -> None:
    async with killed(tmp_path) as (program, jambonz):
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.leg("trying", 100)
        await asyncio.sleep(1.0)
        await program.kill()
        await program.start()
        assert await jambonz.reconnect() is None
        dial, _ = await jambonz.dial_ended("failed", 503)
        assert dial["target"][0]["trunk"] == "pbx"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
        record = await program.recorded("state", "ended")
    assert [item["trunk"] for item in record["attempts"]] == ["retell", "pbx"]
