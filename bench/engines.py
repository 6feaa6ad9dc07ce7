"""The media engines: our relay and rtpengine in user space, both driven by the NG protocol."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.errors import BenchError, MissingProgramError
from bench.ng import NgClient
from bench.process import PinnedProcess, cpu_s, descendants, rss_bytes, wait_for_udp
from bench.sipp import TESTED_HOST
from bench.systems import free_port

_PORTS = (30_000, 39_998)


class RunningEngine:
    """A media engine that answers on its control port."""

    def __init__(self, process: PinnedProcess, control_port: int) -> None:
        self.process = process
        self.control_port = control_port

    def cpu_s(self) -> float:
        self.process.check_alive()
        return sum(map(cpu_s, [self.process.pid, *descendants(self.process.pid)]))

    def memory_bytes(self) -> int:
        self.process.check_alive()
        return sum(map(rss_bytes, [self.process.pid, *descendants(self.process.pid)]))


@dataclass(frozen=True, slots=True)
class Engine:
    """One row of the comparison."""

    key: str
    label: str
    start: Callable[[int, Path], AbstractContextManager[RunningEngine]]
    """(core, working directory) -> the running engine."""


def _wait_for_ping(process: PinnedProcess, port: int) -> None:
    wait_for_udp(process, port)
    with NgClient(port) as client:
        client.ping()


@contextmanager
def _relay(core: int, directory: Path) -> Iterator[RunningEngine]:
    if find_spec("sip.media.relay.__main__") is None:
        raise BenchError("sip.media.relay cannot be run: it has no __main__ module")
    port = free_port()
    argv = [
        *(sys.executable, "-m", "sip.media.relay", "--control", f"127.0.0.1:{port}"),
        *("--no-token", "--listen", TESTED_HOST, "--advertise", TESTED_HOST),
        *("--ports", f"{_PORTS[0]}-{_PORTS[1] + 1}"),
    ]
    output = directory / f"relay-{time.monotonic_ns()}.out"
    with PinnedProcess(argv, core=core, output=output) as process:
        _wait_for_ping(process, port)
        yield RunningEngine(process, port)


@contextmanager
def _rtpengine(core: int, directory: Path) -> Iterator[RunningEngine]:
    program = shutil.which("rtpengine")
    if program is None:
        raise MissingProgramError("rtpengine", "rtpengine-daemon")
    port = free_port()
    argv = [
        # No kernel table: packets are forwarded by the process, as ours are. One worker, for one
        # core. No configuration file, so that a packaged one cannot change the figures.
        *(program, "--config-file=none", "--table=-1", "--foreground", "--num-threads=1"),
        *(f"--interface={TESTED_HOST}", f"--listen-ng=127.0.0.1:{port}"),
        *(f"--port-min={_PORTS[0]}", f"--port-max={_PORTS[1]}"),
        *("--log-stderr", "--log-level=3"),
    ]
    output = directory / f"rtpengine-{time.monotonic_ns()}.out"
    with PinnedProcess(argv, core=core, output=output) as process:
        _wait_for_ping(process, port)
        yield RunningEngine(process, port)


RELAY = Engine("relay", "our relay", _relay)
RTPENGINE = Engine("rtpengine", "rtpengine", _rtpengine)
