"""The systems whose signalling is measured: started alike, pinned alike, counted alike."""

import socket
import sys
import time
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
from bench.sipp import AGENT_HOST, TESTED_HOST, agents, calling

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


SIPPY = System("sippy", "sippy b2bua_simple", _sippy)


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
