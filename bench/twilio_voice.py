"""How long Twilio waits for the document of a call: from its voice webhook to our answer.

Twilio and Retell's API are played here: the API takes a registration as long as Retell's does at
its best, and what it took is no part of the figure.
"""

import asyncio
import base64
import hashlib
import hmac
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web
from yarl import URL

from bench.cores import Cores
from bench.errors import BenchError
from bench.figures import percentile
from bench.plan import Plan
from bench.process import PinnedProcess
from bench.report import Row, Section
from bench.systems import free_tcp_port

#: At most, at the 99th percentile, beside Retell's own time.
ANSWER_MS = 50.0
#: Voice webhooks a second.
RATE = 50
#: What Retell's API takes for a registration, in seconds.
REGISTERS_S = 0.1
_STARTS_S = 30.0
_HOST = "127.0.0.1"
_PUBLIC = "https://gateway.example.com"
_ACCOUNT, _TOKEN = "AC" + "0" * 32, "bench-auth-token"
_NUMBER = "+14155550100"

_CONFIG = """\
http: {{listen: "127.0.0.1:{http}", public_url: "{public}"}}
sip: {{listen: []}}
storage: {{url: "sqlite:///{directory}/gateway.db"}}
retell: {{api_key: key_bench, base_url: "http://127.0.0.1:{api}", agent: agent_bench}}
numbers: {{"{number}": {{}}}}
twilio: {{account_sid: {account}, auth_token: {token}}}
log: {{level: info, format: json}}
"""


@dataclass(frozen=True, slots=True)
class TwilioVoiceRun:
    """Milliseconds from a webhook to its document, less what Retell took for that call; `failed`
    were answered with something else than a call to the agent."""

    calls: int
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _Retell:
    """What each registration took, by Twilio's id of the call, in seconds."""

    took: dict[str, float] = field(default_factory=dict)

    async def register(self, request: web.Request) -> web.Response:
        begun = time.perf_counter()
        asked = await request.json()
        await asyncio.sleep(REGISTERS_S)
        call_id = f"call_{len(self.took):027x}"
        self.took[asked["metadata"]["twilio_call_sid"]] = time.perf_counter() - begun
        return web.json_response({"call_id": call_id, "call_status": "registered"}, status=201)


@contextmanager
def _gateway(ports: dict[str, int], core: int, directory: Path) -> Iterator[PinnedProcess]:
    workspace = directory / f"twilio-voice-{time.monotonic_ns()}"
    workspace.mkdir()
    config = workspace / "gateway.yaml"
    told = {"public": _PUBLIC, "number": _NUMBER, "account": _ACCOUNT, "token": _TOKEN}
    config.write_text(_CONFIG.format(directory=workspace, **told, **ports))
    argv = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    with PinnedProcess(argv, core=core, output=workspace / "output.txt") as process:
        yield process


def measure_twilio_voice(plan: Plan, cores: Cores, directory: Path) -> TwilioVoiceRun:
    """A batch of webhooks, `RATE` a second."""
    ports = {"http": free_tcp_port(), "api": free_tcp_port()}
    calls = round(RATE * plan.delay_s * 3)
    with _gateway(ports, cores.tested, directory) as process:
        taken, failed = asyncio.run(_run(ports, calls))
        process.check_alive()
        if not taken:
            raise BenchError(f"no call was answered: {process.last_output()}")
    return TwilioVoiceRun(
        calls=calls,
        failed=failed,
        p50_ms=percentile(taken, 0.5),
        p99_ms=percentile(taken, 0.99),
        max_ms=max(taken),
    )


async def _run(ports: dict[str, int], calls: int) -> tuple[list[float], int]:
    """Milliseconds of each that went well, and how many did not."""
    retell = _Retell()
    app = web.Application()
    app.router.add_post("/v2/register-phone-call", retell.register)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, _HOST, ports["api"]).start()
    try:
        async with aiohttp.ClientSession(f"http://{_HOST}:{ports['http']}") as http:
            await _ready(http)
            tasks = []
            begun = time.perf_counter()
            for number in range(calls):
                await asyncio.sleep(begun + number / RATE - time.perf_counter())
                tasks.append(asyncio.create_task(_call(http, retell, number)))
            found = await asyncio.gather(*tasks)
    finally:
        await runner.cleanup()
    taken = [each for each in found if each is not None]
    return taken, calls - len(taken)


async def _ready(http: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(_STARTS_S):
        while True:
            try:
                async with http.get("/healthz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


async def _call(http: aiohttp.ClientSession, retell: _Retell, number: int) -> float | None:
    call_sid = f"CA{number:032x}"
    fields = {
        "AccountSid": _ACCOUNT,
        "CallSid": call_sid,
        "CallStatus": "ringing",
        "Direction": "inbound",
        "From": f"+1212555{100 + number % 100:04d}",
        "To": _NUMBER,
    }
    path = f"/webhooks/twilio/voice/{_NUMBER}"
    text = _PUBLIC + path + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.digest(_TOKEN.encode(), text.encode(), hashlib.sha1)
    headers = {
        "X-Twilio-Signature": base64.b64encode(digest).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    begun = time.perf_counter()
    url = URL(path, encoded=True)
    async with http.post(url, data=urlencode(fields), headers=headers) as response:
        document = await response.text()
    taken = time.perf_counter() - begun
    if response.status != 200 or "<Sip" not in document:
        return None
    return (taken - retell.took[call_sid]) * 1000


def twilio_voice_section(run: TwilioVoiceRun) -> Section:
    """The time beside its target."""
    section = Section(title=f"Twilio's voice webhook, {RATE} requests/s")
    missing = f"; {run.failed} of {run.calls} without an agent" if run.failed else ""
    section.rows.append(
        Row(
            quality="webhook to document, less Retell's own time",
            system="gateway",
            measured=f"p50 {run.p50_ms:.1f} ms, p99 {run.p99_ms:.1f} ms (worst {run.max_ms:.0f})"
            + missing,
            target=f"p99 ≤ {ANSWER_MS:.0f} ms",
            met=run.p99_ms <= ANSWER_MS and not run.failed,
        )
    )
    return section
