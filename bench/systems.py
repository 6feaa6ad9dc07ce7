"""The systems whose signalling is measured: started alike, pinned alike, counted alike."""

import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.errors import BenchError, MissingProgramError
from bench.process import (
    PinnedProcess,
    command_line,
    cpu_s,
    descendants,
    rss_bytes,
    wait_for_udp,
)
from bench.sipp import AGENT_HOST, CALLER_HOST, TESTED_HOST, agents, calling

_WARM_UP_CALLS = 40
_WARM_UP_RATE = 40


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds or bytes of memory, the relay's apart from everything else's."""

    signalling: float
    relay: float

    @property
    def total(self) -> float:
        return self.signalling + self.relay

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(self.signalling - other.signalling, self.relay - other.relay)


class RunningSystem:
    """A started system: where it listens and what it has used so far."""

    def __init__(self, process: PinnedProcess, port: int) -> None:
        self.process = process
        self.port = port

    def cpu(self) -> Usage:
        """CPU seconds of the process and all its children."""
        return self._sum(cpu_s)

    def memory(self) -> Usage:
        """Resident bytes of the process and all its children."""
        return self._sum(rss_bytes)

    def _sum(self, read: Callable[[int], float]) -> Usage:
        self.process.check_alive()
        signalling = relay = 0.0
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            if "sip.media.relay" in command_line(pid):
                relay += read(pid)
            else:
                signalling += read(pid)
        return Usage(signalling, relay)


Start = Callable[[int, int, Path], AbstractContextManager[RunningSystem]]
"""(agent port, core, working directory) -> the running system."""


@dataclass(frozen=True, slots=True)
class System:
    """One row of the comparison."""

    key: str
    label: str
    start: Start

    @contextmanager
    def running(self, *, agent_port: int, core: int, directory: Path) -> Iterator[RunningSystem]:
        """Started and listening; not yet warm."""
        workspace = directory / f"{self.key}-{time.monotonic_ns()}"
        workspace.mkdir()
        with self.start(agent_port, core, workspace) as system:
            yield system


def free_port(host: str = "") -> int:
    """A UDP port that was free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def free_tcp_port() -> int:
    """A TCP port of loopback that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def warm_up(system: RunningSystem, *, agent_port: int, core: int, directory: Path) -> None:
    """A few whole calls, so that imports, caches and connections are behind us."""
    with (
        agents(port=agent_port, core=core, directory=directory) as answering,
        calling(
            target_port=system.port,
            port=free_port(),
            rate=_WARM_UP_RATE,
            calls=_WARM_UP_CALLS,
            hold_ms=50,
            core=core,
            directory=directory,
        ) as batch,
    ):
        result = batch.finish(hold_ms=50)
        answering.process.check_alive()
    if result.completed != result.calls:
        raise BenchError(
            f"{result.calls - result.completed} of {result.calls} calls failed at "
            f"{_WARM_UP_RATE} calls/s: {system.process.last_output()}"
        )


@contextmanager
def _sippy(agent_port: int, core: int, directory: Path) -> Iterator[RunningSystem]:
    if find_spec("sippy") is None:
        raise MissingProgramError("sippy", "sippy (PyPI)")
    port = free_port()
    argv = [
        *(sys.executable, "-m", "sippy.b2bua_simple", "-f"),
        *("-l", TESTED_HOST, "-p", str(port), "-n", f"{AGENT_HOST}:{agent_port}"),
    ]
    # Without its message log, which would be the larger half of its cost.
    quiet = {"SIPLOG_BEND": "none"}
    output = directory / "output.txt"
    with PinnedProcess(argv, core=core, output=output, environment=quiet) as process:
        wait_for_udp(process, port)
        yield RunningSystem(process, port)


SIPPY = System("sippy", "sippy", _sippy)


def _softswitch(*, media: bool) -> Start:
    @contextmanager
    def start(agent_port: int, core: int, directory: Path) -> Iterator[RunningSystem]:
        port = free_port()
        argv = [
            *(sys.executable, "-m", "bench.softswitch_alone", "--port", str(port)),
            *("--agent-port", str(agent_port), *(["--media"] if media else [])),
        ]
        with PinnedProcess(argv, core=core, output=directory / "output.txt") as process:
            wait_for_udp(process, port)
            yield RunningSystem(process, port)

    return start


SOFTSWITCH = System("softswitch", "softswitch alone", _softswitch(media=False))
SOFTSWITCH_MEDIA = System("softswitch+media", "softswitch and relay", _softswitch(media=True))


_GATEWAY_CONFIG = """\
http: {{listen: "127.0.0.1:{http_port}", admin_token: bench-admin-token}}
sip:
  listen: ["udp:{tested}:{port}"]
  advertise: {tested}
  realm: bench
media: {{ports: 30000-45999}}
storage: {{url: "sqlite:///{directory}/gateway.db"}}
retell:
  api_key: key_bench
  sip_uri: "sip:{agent}:{agent_port};transport=udp"
  method: trunk
  identify: []
trunks:
  - name: carrier
    kind: carrier
    identify: ["{caller}/32"]
numbers:
  "*": {{agent: agent_bench}}
limits: {{calls: 100000, calls_per_second: 100000}}
log: {{level: info, format: json}}
"""


@contextmanager
def _gateway(agent_port: int, core: int, directory: Path) -> Iterator[RunningSystem]:
    port, http_port = free_port(), free_tcp_port()
    config = directory / "gateway.yaml"
    config.write_text(
        _GATEWAY_CONFIG.format(
            http_port=http_port,
            tested=TESTED_HOST,
            port=port,
            directory=directory,
            agent=AGENT_HOST,
            agent_port=agent_port,
            caller=CALLER_HOST,
        ),
        encoding="utf-8",
    )
    argv = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    with PinnedProcess(argv, core=core, output=directory / "output.txt") as process:
        wait_for_udp(process, port, timeout_s=60.0)
        _wait_until_ready(process, http_port)
        yield RunningSystem(process, port)


def _wait_until_ready(process: PinnedProcess, http_port: int, timeout_s: float = 20.0) -> None:
    url = f"http://127.0.0.1:{http_port}/readyz"
    deadline = time.monotonic() + timeout_s
    problem = ""
    while time.monotonic() < deadline:
        process.check_alive()
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError as error:
            problem = str(error)
        time.sleep(0.1)
    raise BenchError(f"the gateway was not ready within {timeout_s:.0f} s: {problem}")


GATEWAY = System("gateway", "whole gateway", _gateway)
