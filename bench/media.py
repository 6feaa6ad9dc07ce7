"""How many calls an engine carries on one core, what a packet costs it, what delay it adds."""

import json
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

GENERATOR_HOST = "127.0.0.2"
_PACKETS_A_SECOND = 100
"""Of one call: 50 each way."""
_LOSS_LIMIT = 0.001
_P99_LIMIT_MS = 5.0
_GENERATOR_FULL = 0.97
_GENERATOR_LATE_MS = 20.0

_SDP = (
    "v=0\r\no=bench 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaStep:
    """One engine under one load. Engine figures are None when the generator is alone."""

    engine: str
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

    @property
    def loss(self) -> float:
        return self.lost / self.sent if self.sent else 1.0

    @property
    def carried(self) -> bool:
        """Within the limits for loss and delay."""
        return self.loss < _LOSS_LIMIT and self.p99_ms < _P99_LIMIT_MS

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


class Generator:
    """bench.rtp_load on the generator's core."""

    def __init__(
        self, calls: int, plan: Plan, core: int, speech: tuple[str, str] | None = None
    ) -> None:
        self._popen = subprocess.Popen(
            [
                *("taskset", "-c", str(core), sys.executable, "-m", "bench.rtp_load"),
                *("--calls", str(calls), "--seconds", str(plan.media_s)),
                *("--warm-up", str(plan.media_warm_up_s), "--host", GENERATOR_HOST),
                *(("--speech", *speech) if speech else ()),
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
        ready, _, _ = select.select([self._popen.stdout], [], [], self._limit_s)
        line = self._popen.stdout.readline() if ready else b""
        if not line:
            raise BenchError("the RTP generator ended or stalled without a result")
        return json.loads(line)

    def write(self, document: object) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps(document).encode() + b"\n")
        self._popen.stdin.flush()


def _connect_calls(client: NgClient, ports: Sequence[int]) -> list[tuple[str, int]]:
    """Offer and answer for each pair of generator ports; where each of them shall send."""
    targets: list[tuple[str, int]] = []
    for index in range(0, len(ports), 2):
        call_id = f"bench-{index}"
        offered = client.offer(
            call_id, "caller", _SDP.format(host=GENERATOR_HOST, port=ports[index])
        )
        answered = client.answer(
            call_id, "caller", "agent", _SDP.format(host=GENERATOR_HOST, port=ports[index + 1])
        )
        targets += [audio_address(answered), audio_address(offered)]
    return targets


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
    engine: Engine, calls: int, *, plan: Plan, cores: Cores, directory: Path
) -> MediaStep:
    """`calls` calls through a freshly started engine."""
    with (
        engine.start(cores.tested, directory) as running,
        Generator(calls, plan, cores.generator) as generator,
    ):
        ports = generator.read()
        empty = running.memory_bytes()
        with NgClient(running.control_port) as client:
            targets = _connect_calls(client, ports)
        return run_step(engine.key, calls, generator, targets, running, empty)


def measure_alone(calls: int, *, plan: Plan, cores: Cores) -> MediaStep:
    """The generator sending from each caller straight to its agent and back: what it can do."""
    with Generator(calls, plan, cores.generator) as generator:
        ports = generator.read()
        targets = [(GENERATOR_HOST, ports[index ^ 1]) for index in range(len(ports))]
        return run_step("generator alone", calls, generator, targets)


def run_step(
    engine: str,
    calls: int,
    generator: Generator,
    targets: Sequence[tuple[str, int]],
    running: RunningEngine | None = None,
    empty_bytes: int = 0,
) -> MediaStep:
    generator.write(targets)
    steady = generator.read()
    cpu, began = (running.cpu_s() if running else 0.0), time.monotonic()
    result = generator.read()
    delays_ms = [delay / 1000 for delay in result["delays_us"]]
    lost = result["sent"] - result["received"]
    step = MediaStep(
        engine=engine,
        calls=calls,
        sent=result["sent"],
        lost=lost,
        p50_ms=percentile(delays_ms, 0.5) if delays_ms else float("inf"),
        p99_ms=percentile(delays_ms, 0.99) if delays_ms else float("inf"),
        generator_core=result["generator_core"],
        behind_ms=result["behind_ms"],
    )
    if running is None:
        return step
    used_s = running.cpu_s() - cpu
    elapsed_s = time.monotonic() - began
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
    """Each engine in turn at each step; an engine that fails a step is done."""
    steps: list[MediaStep] = []
    running = list(engines)
    for calls in plan.media_steps:
        for engine in list(running):
            for _attempt in range(plan.attempts):
                step = measure_step(engine, calls, plan=plan, cores=cores, directory=directory)
                say(
                    f"media: {engine.label}, {calls} calls: loss {step.loss:.3%}, "
                    f"p50 {step.p50_ms:.3f} ms, p99 {step.p99_ms:.2f} ms, "
                    f"{step.packet_us:.1f} µs a packet, generator {step.generator_core:.0%}"
                )
                if step.carried:
                    break
            steps.append(step)
            if not step.carried:
                running.remove(engine)
        running.reverse()
    return steps
