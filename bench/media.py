"""How many calls an engine carries on one core, what a packet costs it, what delay it adds."""

import base64
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cores import Cores
from bench.engines import Engine, RunningEngine
from bench.errors import BenchError
from bench.figures import percentile
from bench.ng import NgClient
from bench.plan import Plan
from bench.say import Say
from bench.seals import PLAIN, SEALS, Seal, crypto_line, protocol, told_key

GENERATOR_HOST = "127.0.0.2"
_PACKETS_A_SECOND = 100
"""Of one call: 50 each way."""
_LOSS_LIMIT = 0.001
_P99_LIMIT_MS = 5.0
_GENERATOR_FULL = 0.97
_GENERATOR_LATE_MS = 20.0

_SDP = (
    "v=0\r\no=bench 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} {protocol} 0 101\r\n{crypto}a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\na=sendrecv\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStep:
    """One engine under one load. Engine figures are None when the generator is alone."""

    engine: str
    seal: str = PLAIN.key
    calls: int
    sent: int
    lost: int
    p50_ms: float
    p99_ms: float
    generator_core: float
    """Share of its core that the generator used."""
    behind_ms: float
    """The latest a packet was sent after its time: the generator's own lateness."""
    engine_core: float | None = None
    packet_us: float | None = None
    call_core: float | None = None
    """Share of a core a call costs."""
    memory_per_call: float | None = None
    proven: int | None = None
    """Packets that were decrypted where they are encrypted, and are what was said."""
    unproven: int = 0
    """Packets that arrived and are not; each is an error."""
    filled: int = 0
    """Packets that arrived and are silence of the engine's own."""

    @property
    def loss(self) -> float:
        return self.lost / self.sent if self.sent else 1.0

    @property
    def carried(self) -> bool:
        """Within the limits for loss and delay."""
        return self.loss < _LOSS_LIMIT and self.p99_ms < _P99_LIMIT_MS and not self.unproven

    @property
    def generator_limited(self) -> bool:
        """The generator had no core left or fell behind: not the engine set the figure."""
        return self.generator_core > _GENERATOR_FULL or self.behind_ms > _GENERATOR_LATE_MS

    def as_json(self) -> dict[str, Any]:
        return {
            **asdict(self),
            "loss": self.loss,
            "carried": self.carried,
            "generator_limited": self.generator_limited,
        }


@dataclass(frozen=True, slots=True)
class Way:
    """Where a party sends, and the key by which it is spoken to, if any."""

    target: tuple[str, int]
    key: bytes = b""


class Generator:
    """bench.rtp_load, or with keys bench.sealed_load, on the generator's core."""

    def __init__(
        self,
        calls: int,
        plan: Plan,
        core: int,
        speech: tuple[str, str] | None = None,
        seal: Seal = PLAIN,
    ) -> None:
        self.seal = seal
        self._printed = b""
        sealed = seal is not PLAIN
        program = "bench.sealed_load" if sealed else "bench.rtp_load"
        self._popen = subprocess.Popen(
            [
                *("taskset", "-c", str(core), sys.executable, "-m", program),
                *("--calls", str(calls), "--seconds", str(plan.media_s)),
                *("--warm-up", str(plan.media_warm_up_s), "--host", GENERATOR_HOST),
                *(("--speech", *speech) if speech else ()),
                *(("--suites", seal.caller, seal.agent) if sealed else ()),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._limit_s = plan.media_s + plan.media_warm_up_s + 30

    def __enter__(self) -> "Generator":
        return self

    def __exit__(self, *_: object) -> None:
        if self._popen.poll() is None:
            self._popen.kill()
        self._popen.wait(5)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()

    def read(self) -> Any:
        """The next document it prints."""
        assert self._popen.stdout is not None
        deadline = time.monotonic() + self._limit_s
        while b"\n" not in self._printed:
            left_s = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._popen.stdout], [], [], left_s)
            chunk = os.read(self._popen.stdout.fileno(), 1 << 20) if ready else b""
            if not chunk:
                raise BenchError("the RTP generator ended or stalled without a result")
            self._printed += chunk
        line, _, self._printed = self._printed.partition(b"\n")
        return json.loads(line)

    def join(self, caller: Way, agent: Way) -> None:
        """The next call is set up: its parties speak from now on."""
        assert self._popen.stdin is not None
        call = [(*way.target, base64.b64encode(way.key).decode()) for way in (caller, agent)]
        self._popen.stdin.write(json.dumps(call).encode() + b"\n")
        self._popen.stdin.flush()


class _Parties:
    """The generator's parties, callers and agents in turn: their ports, and keys if any."""

    def __init__(self, generator: Generator) -> None:
        self.seal = generator.seal
        sealed = self.seal is not PLAIN
        keys = [base64.b64decode(key) for key in generator.read()] if sealed else None
        self.ports: list[int] = generator.read()
        self.keys = keys or [b""] * len(self.ports)

    def suite(self, index: int) -> str:
        return self.seal.agent if index % 2 else self.seal.caller

    def sdp(self, index: int, tag: str = "1") -> str:
        suite = self.suite(index)
        return _SDP.format(
            host=GENERATOR_HOST,
            port=self.ports[index],
            protocol=protocol(suite),
            crypto=crypto_line(suite, self.keys[index], tag),
        )


def _connect_calls(client: NgClient, parties: _Parties, generator: Generator) -> None:
    """Offer and answer for each pair of parties."""
    seal = parties.seal
    wanted = "" if seal is PLAIN else protocol(seal.agent)
    for caller in range(0, len(parties.ports), 2):
        agent, call_id = caller + 1, f"bench-{caller}"
        offered = client.offer(call_id, "caller", parties.sdp(caller), protocol=wanted)
        tag, agents_key = told_key(offered, seal.agent)
        answered = client.answer(call_id, "caller", "agent", parties.sdp(agent, tag))
        _, callers_key = told_key(answered, seal.caller)
        if callers_key and callers_key == parties.keys[agent]:
            raise BenchError("the engine hands one side's key to the other, and decrypts nothing")
        generator.join(
            Way(audio_address(answered), callers_key), Way(audio_address(offered), agents_key)
        )


def audio_address(sdp: str) -> tuple[str, int]:
    """Where a session description wants its audio."""
    host, port = "", 0
    for line in sdp.splitlines():
        if line.startswith("c=IN IP4 "):
            host = line[9:].strip()
        elif line.startswith("m=audio "):
            port = int(line.split()[1])
    if not host or not port:
        raise BenchError(f"no audio address in the engine's SDP: {sdp!r}")
    return host, port


def measure_step(
    engine: Engine, calls: int, seal: Seal, *, plan: Plan, cores: Cores, directory: Path
) -> MediaStep:
    """`calls` calls through a freshly started engine."""
    with (
        engine.start(cores.tested, directory) as running,
        Generator(calls, plan, cores.generator, seal=seal) as generator,
    ):
        parties = _Parties(generator)
        empty = running.memory_bytes()
        with NgClient(running.control_port) as client:
            _connect_calls(client, parties, generator)
        return run_step(engine.key, calls, generator, running, empty)


def measure_alone(calls: int, *, plan: Plan, cores: Cores, seal: Seal = PLAIN) -> MediaStep:
    """The generator sending from each caller straight to its agent and back: what it can do.

    Both sides of a call are encrypted by one suite then, or none.
    """
    with Generator(calls, plan, cores.generator, seal=seal) as generator:
        parties = _Parties(generator)
        ways = [
            Way((GENERATOR_HOST, port), key)
            for port, key in zip(parties.ports, parties.keys, strict=True)
        ]
        for caller in range(0, len(ways), 2):
            generator.join(ways[caller + 1], ways[caller])
        return run_step("generator alone", calls, generator)


def run_step(
    engine: str,
    calls: int,
    generator: Generator,
    running: RunningEngine | None = None,
    empty_bytes: int = 0,
) -> MediaStep:
    """What came of the calls that the generator was given."""
    steady = generator.read()
    cpu, began = (running.cpu_s() if running else 0.0), time.monotonic()
    result = generator.read()
    delays_ms = [delay / 1000 for delay in result["delays_us"]]
    used_s = (running.cpu_s() if running else 0.0) - cpu
    elapsed_s = time.monotonic() - began
    proof = generator.read() if generator.seal is not PLAIN else {}
    lost = result["sent"] - (result["received"] - proof.get("filled", 0))
    step = MediaStep(
        engine=engine,
        seal=generator.seal.key,
        calls=calls,
        sent=result["sent"],
        lost=lost,
        p50_ms=percentile(delays_ms, 0.5) if delays_ms else float("inf"),
        p99_ms=percentile(delays_ms, 0.99) if delays_ms else float("inf"),
        generator_core=result["generator_core"],
        behind_ms=result["behind_ms"],
        **proof,
    )
    if running is None:
        return step
    core = used_s / elapsed_s
    relayed = max(1, result["received"] - steady["received"])
    figures = asdict(step) | {
        "engine_core": core,
        "packet_us": used_s / relayed * 1e6,
        "call_core": used_s / relayed * _PACKETS_A_SECOND,
        "memory_per_call": (running.memory_bytes() - empty_bytes) / calls,
    }
    return MediaStep(**figures)


def measure_engines(
    engines: Sequence[Engine], *, plan: Plan, cores: Cores, directory: Path, say: Say
) -> list[MediaStep]:
    """Each engine in turn at each step, in the clear and encrypted; one that fails a step is done
    with that."""
    steps: list[MediaStep] = []
    running = [(engine, seal) for seal in SEALS for engine in engines]
    for calls in plan.media_steps:
        for engine, seal in list(running):
            for _attempt in range(plan.attempts):
                step = measure_step(
                    engine, calls, seal, plan=plan, cores=cores, directory=directory
                )
                say(_told(engine, seal, step))
                if step.carried:
                    break
            steps.append(step)
            if not step.carried:
                running.remove((engine, seal))
        running.reverse()
    return steps


def _told(engine: Engine, seal: Seal, step: MediaStep) -> str:
    proof = "" if step.proven is None else f", {step.proven} proven, {step.unproven} not"
    proof += f", {step.filled} silent" if step.filled else ""
    return (
        f"media: {engine.label}, {seal.label}, {step.calls} calls: loss {step.loss:.3%}, "
        f"p50 {step.p50_ms:.3f} ms, p99 {step.p99_ms:.2f} ms, "
        f"{step.packet_us:.1f} µs a packet, generator {step.generator_core:.0%}{proof}"
    )
