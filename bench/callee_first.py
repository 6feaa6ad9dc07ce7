"""How long a person whom we call waits for the agent: from its 200 to the INVITE for Retell.

Both ends of each call and Retell's API are played here: the API takes a registration as long as
Retell's does at its best, while the person's phone rings.
"""

import asyncio
import json
import socket
import struct
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

from aiohttp import web

from bench.cores import Cores
from bench.errors import BenchError
from bench.figures import percentile
from bench.plan import Plan
from bench.process import PinnedProcess, wait_for_udp
from bench.report import Row, Section
from bench.systems import free_port, free_tcp_port
from sip.core.message import Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.sdp import SessionDescription

#: At most, at the 99th percentile.
ANSWER_TO_AGENT_MS = 50.0
SILENCE_MS = 500.0
RATE = 20
#: What Retell's API takes for a registration, in seconds.
REGISTERS_S = 0.1
RINGS_S = 0.4
#: Seconds that the last call may take.
_LAST_S = 15.0
_HOST = "127.0.0.1"
#: What an agent says, in packets.
_PACKETS = 25
_TOKEN = "bench-admin-token"
_FROM = "+14155550100"

_CONFIG = """\
http: {{listen: "127.0.0.1:{http}", admin_token: {token}, requests_per_second: 1000}}
sip: {{listen: ["udp:127.0.0.1:{sip}"], advertise: 127.0.0.1, realm: bench}}
media: {{ports: 30000-45999}}
storage: {{url: "sqlite:///{directory}/gateway.db"}}
retell:
  api_key: key_bench
  base_url: "http://127.0.0.1:{api}"
  sip_uri: "sip:127.0.0.1:{agent};transport=udp"
  method: dial
  agent: agent_bench
  identify: []
trunks: [{{name: carrier, gateways: ["sip:127.0.0.1:{person};transport=udp"]}}]
numbers: {{"{number}": {{}}}}
outbound:
  routes: [{{trunks: [carrier]}}]
  queue: {{calls: 500, calls_per_second: {rate}}}
limits: {{calls: 10000, calls_per_second: 10000}}
log: {{level: info, format: json}}
"""


@dataclass(frozen=True, slots=True)
class CalleeFirstRun:
    """Milliseconds from answer to INVITE, and from answer to the agent's first packet; `missing`
    calls never got that far."""

    calls: int
    missing: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    silence_p50_ms: float
    silence_p99_ms: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class _World:
    """When each number answered, and when the agent was called for it."""

    answered: dict[str, float] = field(default_factory=dict)
    called: dict[str, float] = field(default_factory=dict)
    #: when each number heard the agent first
    heard: dict[str, float] = field(default_factory=dict)
    #: the number that each registered call is for
    registered: dict[str, str] = field(default_factory=dict)
    #: how many agents are to be called
    wanted: int = 0
    all_called: asyncio.Event = field(default_factory=asyncio.Event)

    def note_called(self, call_id: str, at: float) -> None:
        """The agent of a registered call was called."""
        self.called[self.registered[call_id]] = at
        if self.wanted and len(self.called) >= self.wanted:
            self.all_called.set()

    def since_answer_ms(self, moments: Mapping[str, float]) -> list[float]:
        """How long after its answer each number came so far."""
        return [
            (at - self.answered[number]) * 1000
            for number, at in moments.items()
            if number in self.answered
        ]


class _Server(asyncio.DatagramProtocol):
    """A SIP server of one kind: the people, or Retell's edge."""

    def __init__(self, world: _World, *, people: bool) -> None:
        self._world = world
        self._people = people
        self._transport: asyncio.DatagramTransport | None = None
        self._seen: set[str] = set()
        self._phones: dict[str, socket.socket] = {}
        self._audio = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._audio.setblocking(False)
        self._audio.bind((_HOST, 0))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        at = time.perf_counter()
        message = parse_message(data)
        if isinstance(message, Response) or message.method == "ACK":
            return
        if message.method != "INVITE":
            self._send(make_response(message, 200, to_tag="bench"), addr)
            return
        if message.call_id in self._seen:
            return
        self._seen.add(message.call_id)
        user = message.uri.partition(":")[2].partition("@")[0]
        if self._people:
            self._send(make_response(message, 180, to_tag="bench"), addr)
            asyncio.get_running_loop().call_later(RINGS_S, self._answer, message, addr, user)
        else:
            self._world.note_called(user, at)
            self._answer(message, addr, None)

    def _answer(self, invite: Request, addr: tuple[str, int], number: str | None) -> None:
        port = self._audio.getsockname()[1] if number is None else self._phone(number)
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {_HOST}\r\ns=-\r\nc=IN IP4 {_HOST}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
        assert self._transport is not None
        own = self._transport.get_extra_info("sockname")[1]
        contact = [("Contact", f"<sip:bench@{_HOST}:{own}>")]
        response = make_response(
            invite,
            200,
            to_tag="bench",
            headers=contact,
            body=sdp.encode(),
            content_type="application/sdp",
        )
        if number is not None:
            self._world.answered[number] = time.perf_counter()
        self._send(response, addr)
        if number is None:
            self._speak(invite)

    def _speak(self, invite: Request) -> None:
        """The agent speaks at once: what the person hears first is how long it was silent."""
        offer = SessionDescription.parse(invite.body.decode())
        audio = offer.audio
        connection = offer.connection_of(audio) if audio is not None else None
        if audio is None or connection is None:
            return
        for number in range(_PACKETS):
            head = struct.pack("!BBHII", 0x80, 0, number, number * 160, 7)
            asyncio.get_running_loop().call_later(
                number * 0.02,
                self._audio.sendto,
                head + b"\x11" * 160,
                (connection.address, audio.port),
            )

    def heard(self, number: str) -> Callable[[], None]:
        """What reads the person's audio."""

        def read() -> None:
            at = time.perf_counter()
            with suppress(BlockingIOError):
                while True:
                    packet = self._phones[number].recv(2048)
                    if packet[12:13] == b"\x11":
                        self._world.heard.setdefault(number, at)

        return read

    def _phone(self, number: str) -> int:
        """The port of the person's audio."""
        phone = self._phones[number] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.setblocking(False)
        phone.bind((_HOST, 0))
        asyncio.get_running_loop().add_reader(phone, self.heard(number))
        return int(phone.getsockname()[1])

    def close(self) -> None:
        """Hang everybody's audio up."""
        for phone in self._phones.values():
            asyncio.get_running_loop().remove_reader(phone)
            phone.close()
        self._audio.close()

    def _send(self, message: Response, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        self._transport.sendto(message.to_bytes(), addr)


@contextmanager
def _gateway(ports: dict[str, int], core: int, directory: Path) -> Iterator[PinnedProcess]:
    workspace = directory / f"callee-first-{time.monotonic_ns()}"
    workspace.mkdir()
    config = workspace / "gateway.yaml"
    config.write_text(
        _CONFIG.format(directory=workspace, token=_TOKEN, number=_FROM, rate=RATE, **ports)
    )
    argv = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    with PinnedProcess(argv, core=core, output=workspace / "output.txt") as process:
        wait_for_udp(process, ports["sip"])
        yield process


def measure_callee_first(plan: Plan, cores: Cores, directory: Path) -> CalleeFirstRun:
    """A batch of calls, `RATE` a second."""
    names = ("sip", "agent", "person")
    ports = {name: free_port() for name in names} | {
        name: free_tcp_port() for name in ("http", "api")
    }
    calls = round(RATE * plan.delay_s * 3)
    with _gateway(ports, cores.tested, directory) as process:
        world = asyncio.run(_run(ports, calls))
        process.check_alive()
        delays = world.since_answer_ms(world.called)
        silences = world.since_answer_ms(world.heard)
        if not delays or not silences:
            raise BenchError(f"no agent was called: {process.last_output()}")
    return CalleeFirstRun(
        calls=calls,
        missing=calls - len(delays),
        p50_ms=percentile(delays, 0.5),
        p99_ms=percentile(delays, 0.99),
        max_ms=max(delays),
        silence_p50_ms=percentile(silences, 0.5),
        silence_p99_ms=percentile(silences, 0.99),
    )


async def _run(ports: dict[str, int], calls: int) -> _World:
    world, loop = _World(), asyncio.get_running_loop()
    servers = []
    for port, people in ((ports["person"], True), (ports["agent"], False)):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((_HOST, port))
        server = partial(_Server, world, people=people)
        servers.append((await loop.create_datagram_endpoint(server, sock=sock))[1])
    runner = await _retell(world, ports["api"])
    try:
        numbers = [f"+1{area}5550{last}" for area in range(201, 299) for last in range(100, 200)]
        world.wanted = calls
        await asyncio.to_thread(_queue, ports["http"], numbers[:calls])
        with suppress(TimeoutError):
            async with asyncio.timeout(calls / RATE + _LAST_S):
                await world.all_called.wait()
                await asyncio.sleep(1)  # the last agent speaks
    finally:
        await runner.cleanup()
        for one in servers:
            one.close()
    return world


async def _retell(world: _World, port: int) -> web.AppRunner:
    """Retell's API, as far as registering a call needs it."""

    async def register(request: web.Request) -> web.Response:
        asked = await request.json()
        await asyncio.sleep(REGISTERS_S)
        call_id = f"call_{len(world.registered):027x}"
        world.registered[call_id] = asked["to_number"]
        return web.json_response({"call_id": call_id, "call_status": "registered"}, status=201)

    app = web.Application()
    app.router.add_post("/v2/register-phone-call", register)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, _HOST, port).start()
    return runner


def _queue(port: int, numbers: list[str]) -> None:
    for number in numbers:
        body = json.dumps({"to": number, "from": _FROM}).encode()
        request = urllib.request.Request(
            f"http://{_HOST}:{port}/api/v1/calls",
            data=body,
            headers={"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            response.read()


def callee_first_section(run: CalleeFirstRun) -> Section:
    """The delay beside its target."""
    section = Section(title=f"Calls that go out, the person first: {RATE} calls/s")
    missing = f"; {run.missing} of {run.calls} calls without an agent" if run.missing else ""
    section.rows.append(
        Row(
            quality="the person's 200 to Retell's INVITE",
            system="gateway",
            measured=f"p50 {run.p50_ms:.1f} ms, p99 {run.p99_ms:.1f} ms (worst {run.max_ms:.0f})"
            + missing,
            target=f"p99 ≤ {ANSWER_TO_AGENT_MS:.0f} ms",
            met=run.p99_ms <= ANSWER_TO_AGENT_MS and not run.missing,
        )
    )
    section.rows.append(
        Row(
            quality="the person's 200 to the first sound of an agent that speaks at once",
            system="gateway",
            measured=f"p50 {run.silence_p50_ms:.1f} ms, p99 {run.silence_p99_ms:.1f} ms",
            target=f"p99 ≤ {SILENCE_MS:.0f} ms",
            met=run.silence_p99_ms <= SILENCE_MS,
        )
    )
    return section
