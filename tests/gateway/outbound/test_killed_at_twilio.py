"""The program is killed while Twilio calls people for it, and started again."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.gateway.conftest import DIAL_DID, TOKEN, Json, Retell
from tests.gateway.twilio.exchange import Exchange, serve_exchange
from tests.gateway.twilio.vendor import MAIN, PUBLIC, Twilio
from tests.gateway.twilio.vendor import TOKEN as TWILIO_TOKEN
from tests.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PEOPLE = ("+13105550142", "+13105550143")


@dataclass(frozen=True, slots=True)
class Program:
    """The gateway, as a process that may be killed. `url` is where it listens each time."""

    file: Path
    url: str
    http: aiohttp.ClientSession

    @contextmanager
    def running(self) -> Iterator[subprocess.Popen[bytes]]:
        command = [sys.executable, "-m", "gateway", "run", "--config", str(self.file)]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            yield process
        finally:
            process.kill()  # never by a signal that it could hear
            process.wait()

    async def listens(self) -> None:
        async with asyncio.timeout(30):
            while True:
                try:
                    async with self.http.get(f"{self.url}/healthz") as answered:
                        if answered.status == 200:
                            return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)

    async def api(self, method: str, path: str, **more: Any) -> Json:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        url = f"{self.url}/api/v1{path}"
        async with self.http.request(method, url, headers=headers, **more) as answered:
            found = await answered.json()
            assert answered.status < 300, found
            assert isinstance(found, dict)
            return found


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    exchange = Exchange()
    runner = await serve_exchange(exchange)
    yield exchange
    await exchange.settled()
    await runner.cleanup()


@pytest.fixture
async def program(exchange: Exchange, retell: Retell, tmp_path: Path) -> AsyncIterator[Program]:
    port = free_port()
    settings = {
        "http": {"listen": f"127.0.0.1:{port}", "admin_token": TOKEN, "public_url": PUBLIC},
        "sip": {"listen": []},
        "retell": {"api_key": "key_test", "base_url": retell.url},
        "storage": {"url": f"sqlite:///{tmp_path}/calls.db"},
        "numbers": {DIAL_DID: {"agent": "agent_2", "method": "dial"}},
        "twilio": {
            "account_sid": MAIN,
            "auth_token": TWILIO_TOKEN,
            "api_url": exchange.url,
            "calls_per_second": 50,
        },
        "outbound": {"default_country": "US", "queue": {"calls_per_second": 50}},
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(settings))
    async with aiohttp.ClientSession() as http:
        one = Program(file, f"http://127.0.0.1:{port}", http)
        exchange.twilio = Twilio(one)  # type: ignore[arg-type]  # it has what is called
        yield one


async def test_nobody_is_called_twice_and_nothing_is_lost(
    program: Program, exchange: Exchange, retell: Retell
) -> None:
    ids = []
    with program.running():
        await program.listens()
        for person in PEOPLE:
            wish = {"to": person, "from": DIAL_DID, "mode": "twilio"}
            ids.append((await program.api("POST", "/calls", json=wish))["queued_id"])
        lines = [await exchange.line(1), await exchange.line(2)]
        talks, rings = sorted(lines, key=lambda one: one.form["To"])
        await talks.answers()
        await talks.agent_talks()
        await rings.rings()
    with program.running():
        await program.listens()
        found = [await program.api("GET", f"/queue/{one}") for one in ids]
        assert [one["state"] for one in found] == ["unknown", "unknown"]
        # who answers only now finds nobody who waits; who talked to the agent has talked on
        assert [verb.name for verb in await rings.answers()] == ["Hangup"]
        await talks.hangs_up(talked_s=20)
        records = (await program.api("GET", "/calls"))["items"]
        by_id = {one["call_id"]: one for one in records}
        assert sorted(by_id) == sorted(one["call_id"] for one in found)
        over = by_id[talks.call_id]
        assert (over["state"], over["cause"], over["duration_s"]) == ("ended", "hangup", 20.0)
        assert by_id[rings.call_id]["state"] == "ended"
    assert exchange.asked == 2
    assert len(retell.requests) == 1
