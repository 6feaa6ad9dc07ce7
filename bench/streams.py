"""Media streams: the delay that the gateway adds each way, and how soon an interruption is heard.

Both ends are played here: the people's streams, and the agents behind SIP. Every piece of audio
says in its own quietest bits which it is, so that each one is followed. The people break in now and
then, while the agents speak all the time.
"""

import asyncio
import socket
import struct
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from bench.cores import Cores
from bench.errors import BenchError
from bench.figures import percentile
from bench.plan import Plan
from bench.process import PinnedProcess, command_line, cpu_s, descendants, wait_for_udp
from bench.report import Row, Section
from bench.systems import free_port, free_tcp_port
from sip.core.message import Request, Response, make_response
from sip.core.parser import parse_message

STREAMS = 100
#: At most, at the 99th percentile.
DELAY_MS = 60.0
BARGE_IN_MS = 100.0
_HOST = "127.0.0.1"
_PIECE_S = 0.02
#: A person is silent, and then speaks, for so many pieces; the debounce ends with the tenth.
_SILENT, _SPOKEN, _DEBOUNCE = 80, 20, 10
#: The parts of a piece's time at which streams take their turns, so that none waits for the others.
_TURNS = 10
_LOUD = bytes((0x90, 0x10)) * 76
_QUIET = b"\xff" * 152
_BEGIN_S = 30.0
#: A generator that is later than this decides the figures itself.
_BEHIND_MS = 20.0

_CONFIG = """\
http: {{listen: "127.0.0.1:{http}", admin_token: bench-admin-token}}
sip: {{listen: ["udp:127.0.0.1:{sip}"], advertise: 127.0.0.1, realm: bench}}
media: {{ports: 30000-31999, processes: 1}}
storage: {{url: "sqlite:///{directory}/gateway.db"}}
retell:
  api_key: key_bench
  sip_uri: "sip:127.0.0.1:{agent};transport=udp"
  method: trunk
  identify: []
numbers: {{"*": {{agent: agent_bench}}}}
limits: {{calls: 10000, calls_per_second: 10000}}
log: {{level: info, format: json}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRun:
    """Milliseconds; shares of one core; pieces that were sent and never came."""

    streams: int
    to_agent_p50_ms: float
    to_agent_p99_ms: float
    to_person_p50_ms: float
    to_person_p99_ms: float
    interruptions: int
    barge_in_p50_ms: float
    barge_in_p99_ms: float
    missed: int
    """interruptions of which nobody was told"""
    lost: int
    sent: int
    lead_ms: float
    """the most audio that a person's side had and had not played"""
    gateway_core: float
    relay_core: float
    behind_ms: float
    """how late a piece was sent at the latest: the generator's own doing"""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def stamp(number: int) -> bytes:
    """A number as eight octets of mu-law that are as good as silence."""
    return bytes(0xF0 | number >> shift & 0xF for shift in range(28, -4, -4))


def stamped(audio: bytes) -> int:
    number = 0
    for octet in audio[:8]:
        number = number << 4 | octet & 0xF
    return number


@dataclass(slots=True)
class _Found:
    to_agent: list[float] = field(default_factory=list)
    to_person: list[float] = field(default_factory=list)
    barge_in: list[float] = field(default_factory=list)
    asked: int = 0
    sent: int = 0
    lead_s: float = 0.0
    behind_s: float = 0.0
    counting: bool = False


class _Agent(asyncio.DatagramProtocol):
    """One agent's audio."""

    def __init__(self, found: _Found, person: "_Person") -> None:
        self._found = found
        self._person = person
        self._transport: asyncio.DatagramTransport | None = None
        self._to: tuple[str, int] | None = None
        self._sent_at: dict[int, float] = {}
        self._number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def speak_to(self, port: int) -> None:
        self._to = (_HOST, port)

    @property
    def up(self) -> bool:
        return self._to is not None

    def speak(self) -> None:
        if self._to is None or self._transport is None:
            return
        self._number += 1
        number = self._number
        header = struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160, 1)
        self._sent_at[number] = time.perf_counter()
        self._found.sent += self._found.counting
        self._transport.sendto(header + stamp(number) + _LOUD, self._to)

    def arrived(self, audio: bytes, now: float) -> None:
        """At the person."""
        sent_at = self._sent_at.pop(stamped(audio), None)
        if sent_at is not None and self._found.counting:
            self._found.to_person.append(now - sent_at)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        now = time.perf_counter()
        sent_at = self._person.sent_at.pop(stamped(data[12:]), None)
        if sent_at is not None and self._found.counting:
            self._found.to_agent.append(now - sent_at)


class _Person:
    """One stream."""

    def __init__(self, found: _Found, at: int) -> None:
        self._found = found
        self._id = f"MZ{at:032}"
        self._at = at
        self.agent: _Agent | None = None
        self.sent_at: dict[int, float] = {}
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._chunk = 0
        self._turn = -at * 7 % (_SILENT + _SPOKEN)
        self._interrupts_at: float | None = None
        self._played_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def begin(self, http: aiohttp.ClientSession, url: str) -> None:
        ws = self._ws = await http.ws_connect(url, compress=0)
        await ws.send_str('{"event":"connected","protocol":"Call","version":"1.0.0"}')
        form = '{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}'
        await ws.send_str(
            f'{{"event":"start","sequenceNumber":"1","streamSid":"{self._id}","start":{{'
            f'"accountSid":"AC{0:032}","streamSid":"{self._id}","callSid":"CA{self._at:032}",'
            f'"tracks":["inbound"],"customParameters":{{}},"mediaFormat":{form}}}}}'
        )
        self._reading = asyncio.create_task(self._read(ws))

    async def speak(self) -> None:
        assert self._ws is not None
        self._chunk += 1
        self._turn = (self._turn + 1) % (_SILENT + _SPOKEN)
        speaks = self._turn - _SILENT
        audio = stamp(self._chunk) + (_LOUD if speaks >= 0 else _QUIET)
        payload = b64encode(audio).decode()
        now = self.sent_at[self._chunk] = time.perf_counter()
        self._found.sent += self._found.counting
        if speaks == _DEBOUNCE - 1 and self._found.counting:
            self._interrupts_at = now
            self._found.asked += 1
        await self._ws.send_str(
            f'{{"event":"media","sequenceNumber":"{self._chunk + 1}","media":{{"track":"inbound",'
            f'"chunk":"{self._chunk}","timestamp":"{20 * self._chunk}","payload":"{payload}"}},'
            f'"streamSid":"{self._id}"}}'
        )

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            text, now = message.data, time.perf_counter()
            if text.startswith('{"event":"media"'):
                audio = b64decode(text[text.rindex(":") + 2 : -3])
                self._played_at = max(self._played_at, now) + len(audio) / 8000
                self._found.lead_s = max(self._found.lead_s, self._played_at - now)
                if self.agent is not None:
                    self.agent.arrived(audio, now)
            elif text.startswith('{"event":"clear"'):
                self._played_at = now
                if self._interrupts_at is not None:
                    self._found.barge_in.append(now - self._interrupts_at)
                    self._interrupts_at = None
            elif text.startswith('{"event":"mark"'):
                name = text[text.rindex(":") + 2 : -3]
                wait_s = max(0.0, self._played_at - now)
                asyncio.get_running_loop().call_later(wait_s, self._reached, name)

    def _reached(self, name: str) -> None:
        text = f'{{"event":"mark","streamSid":"{self._id}","mark":{{"name":"{name}"}}}}'
        if self._ws is not None and not self._ws.closed:
            asyncio.ensure_future(self._ws.send_str(text))  # noqa: RUF006 - it is done at once

    async def end(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        if self._ws is not None:
            with suppress(ConnectionError):
                await self._ws.close()


class _Edge(asyncio.DatagramProtocol):
    """The agents' SIP server: it answers every call at once."""

    def __init__(self, agents: dict[str, tuple[_Agent, int]]) -> None:
        self._agents = agents
        self.all_up = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not data.strip():
            return  # it keeps its way open
        message = parse_message(data)
        if isinstance(message, Response) or message.method == "ACK":
            return
        response = make_response(message, 200, to_tag="bench")
        if message.method == "INVITE":
            response = self._answer(message)
        assert self._transport is not None
        self._transport.sendto(response.to_bytes(), addr)

    def _answer(self, invite: Request) -> Response:
        user = invite.uri.partition(":")[2].partition("@")[0]
        agent, port = self._agents[user]
        offer = invite.body.decode()
        agent.speak_to(int(offer.partition("m=audio ")[2].split()[0]))
        if all(one.up for one, _ in self._agents.values()):
            self.all_up.set()
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 {_HOST}\r\ns=-\r\nc=IN IP4 {_HOST}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
        assert self._transport is not None
        own = self._transport.get_extra_info("sockname")[1]
        return make_response(
            invite,
            200,
            to_tag="bench",
            headers=[("Contact", f"<sip:{user}@{_HOST}:{own}>")],
            body=sdp.encode(),
            content_type="application/sdp",
        )


@contextmanager
def _gateway(
    ports: dict[str, int], core: int, directory: Path, count: int
) -> Iterator[tuple[PinnedProcess, list[str]]]:
    workspace = directory / f"streams-{time.monotonic_ns()}"
    workspace.mkdir()
    config, tokens = workspace / "gateway.yaml", workspace / "tokens"
    config.write_text(_CONFIG.format(directory=workspace, **ports))
    argv = [
        *(sys.executable, "-m", "bench.stream_gateway"),
        *(str(config), str(tokens), str(count)),
    ]
    with PinnedProcess(argv, core=core, output=workspace / "output.txt") as process:
        wait_for_udp(process, ports["sip"])
        give_up_at = time.monotonic() + _BEGIN_S
        while not tokens.exists():
            process.check_alive()
            if time.monotonic() > give_up_at:
                raise BenchError(f"the gateway awaits no streams: {process.last_output()}")
            time.sleep(0.05)
        yield process, tokens.read_text().split()


def measure_streams(plan: Plan, cores: Cores, directory: Path) -> StreamRun:
    """`STREAMS` at once, for as long as media are measured."""
    ports = {"sip": free_port(), "agent": free_port(), "http": free_tcp_port()}
    seconds = plan.media_s * 3
    with (
        _gateway(ports, cores.tested, directory, STREAMS) as (process, tokens),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        found, used = runner.run(_run(ports, tokens, seconds, process))
        if not found.to_agent or not found.to_person or not found.barge_in:
            raise BenchError(f"nothing was heard: {process.last_output()}")
    return StreamRun(
        streams=STREAMS,
        to_agent_p50_ms=1000 * percentile(found.to_agent, 0.5),
        to_agent_p99_ms=1000 * percentile(found.to_agent, 0.99),
        to_person_p50_ms=1000 * percentile(found.to_person, 0.5),
        to_person_p99_ms=1000 * percentile(found.to_person, 0.99),
        interruptions=found.asked,
        barge_in_p50_ms=1000 * percentile(found.barge_in, 0.5),
        barge_in_p99_ms=1000 * percentile(found.barge_in, 0.99),
        missed=found.asked - len(found.barge_in),
        lost=found.sent - len(found.to_agent) - len(found.to_person),
        sent=found.sent,
        lead_ms=1000 * found.lead_s,
        gateway_core=used[0] / seconds,
        relay_core=used[1] / seconds,
        behind_ms=1000 * found.behind_s,
    )


async def _run(
    ports: dict[str, int], tokens: list[str], seconds: float, process: PinnedProcess
) -> tuple[_Found, tuple[float, float]]:
    loop, found = asyncio.get_running_loop(), _Found()
    people = [_Person(found, at) for at in range(len(tokens))]
    agents: dict[str, tuple[_Agent, int]] = {}
    for at, person in enumerate(people):
        agent = person.agent = _Agent(found, person)
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind((_HOST, 0))
        await loop.create_datagram_endpoint(lambda agent=agent: agent, sock=sock)  # type: ignore[misc]
        agents[f"+1415555{at:04}"] = agent, sock.getsockname()[1]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((_HOST, ports["agent"]))
    edge = _Edge(agents)
    await loop.create_datagram_endpoint(lambda: edge, sock=sock)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        for person, token in zip(people, tokens, strict=True):
            await person.begin(http, f"http://{_HOST}:{ports['http']}/twilio/media/{token}")
        talking = asyncio.create_task(_talk(people, found))
        try:
            async with asyncio.timeout(_BEGIN_S):
                await edge.all_up.wait()
            await asyncio.sleep(5.0)  # what was said before the answers is caught up with
            before = _used(process)
            found.counting, found.lead_s, found.behind_s = True, 0.0, 0.0
            await asyncio.sleep(seconds)
            found.counting = False
            after = _used(process)
        finally:
            talking.cancel()
            for person in people:
                await person.end()
    return found, (after[0] - before[0], after[1] - before[1])


async def _talk(people: list[_Person], found: _Found) -> None:
    """Everybody says a piece each 20 ms, one part of them after another."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    turns = [people[at::_TURNS] for at in range(_TURNS)]
    while True:
        for turn in turns:
            late_s = loop.time() - due
            found.behind_s = max(found.behind_s, late_s)
            for person in turn:
                await person.speak()
                if person.agent is not None:
                    person.agent.speak()
            due += _PIECE_S / _TURNS
            await asyncio.sleep(max(0.0, due - loop.time()))


def _used(process: PinnedProcess) -> tuple[float, float]:
    """CPU seconds so far of the gateway and of its relay."""
    process.check_alive()
    gateway = relay = 0.0
    for pid in (process.pid, *descendants(process.pid)):
        if "sip.media.relay" in command_line(pid):
            relay += cpu_s(pid)
        else:
            gateway += cpu_s(pid)
    return gateway, relay


def streams_section(run: StreamRun) -> Section:
    """The figures beside their targets."""
    section = Section(title=f"Media streams: {run.streams} at once, gateway and relay on one core")
    decided = run.behind_ms <= _BEHIND_MS
    for quality, p50_ms, p99_ms, target_ms in (
        ("added delay, person to agent", run.to_agent_p50_ms, run.to_agent_p99_ms, DELAY_MS),
        ("added delay, agent to person", run.to_person_p50_ms, run.to_person_p99_ms, DELAY_MS),
        ("debounce's end to clear", run.barge_in_p50_ms, run.barge_in_p99_ms, BARGE_IN_MS),
    ):
        section.rows.append(
            Row(
                quality=quality,
                system="gateway",
                measured=f"p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms",
                target=f"p99 ≤ {target_ms:.0f} ms",
                met=p99_ms <= target_ms if decided else None,
            )
        )
    core = run.gateway_core + run.relay_core
    section.rows.append(
        Row(
            quality="of one core",
            system="gateway",
            measured=f"{core:.2f} (relay {run.relay_core:.2f} of it); {run.lost} of {run.sent}"
            f" pieces not arrived, {run.missed} of {run.interruptions} interruptions missed",
            target="≤ 1",
            met=core <= 1 and not run.missed and run.lost <= run.sent // 1000 if decided else None,
        )
    )
    section.notes.append(
        f"The most audio that a person's side had not played: {run.lead_ms:.0f} ms. The latest"
        f" piece of the generator: {run.behind_ms:.1f} ms"
        + ("." if decided else ": it fell behind, so that nothing is decided.")
    )
    return section
