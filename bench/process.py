"""Processes under test: pinned to a core, watched through /proc, ended by us and nobody else."""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.errors import BenchError

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_OPEN_FILES = 65_536


def allow_many_sockets() -> None:
    """Raise this process's limit of open files, which its children inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class PinnedProcess:
    """A child process on one core; its output goes to a file whose end is shown if it dies."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        core: int,
        output: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.argv = list(argv)
        self._output = output
        with output.open("wb") as sink:
            self._popen = subprocess.Popen(
                ["taskset", "-c", str(core), *argv],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=directory,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def check_alive(self) -> None:
        """Raise BenchError with the last lines of its output if the process has ended."""
        status = self._popen.poll()
        if status is not None:
            raise BenchError(f"{self.name} ended with status {status}: {self.last_output()}")

    @property
    def name(self) -> str:
        return " ".join(Path(word).name for word in self.argv[:3])

    def last_output(self, limit: int = 300) -> str:
        """The end of what the process printed, on one line."""
        text = self._output.read_text(encoding="utf-8", errors="replace")
        return " | ".join(text.strip().splitlines()[-4:])[-limit:] or "it printed nothing"

    def wait(self, timeout_s: float) -> int | None:
        """Its exit status; None when it has not ended in time and was stopped."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.stop()
            return None

    def stop(self) -> None:
        """Ask it to end, then insist. Its children are its own business until we insist."""
        if self._popen.poll() is not None:
            return
        children = descendants(self.pid)
        self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(10)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(5)
            for child in children:
                if _parent(child) in (1, self.pid):
                    os.kill(child, signal.SIGKILL)


def _stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat after the name, None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _parent(pid: int) -> int | None:
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else None


def descendants(root: int) -> list[int]:
    """Every process below `root` that is alive now."""
    parents = {
        int(entry.name): _parent(int(entry.name))
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit()
    }
    found: list[int] = []
    level = {root}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found.extend(level)
    return found


def cpu_s(pid: int) -> float:
    """User and system seconds this process has used, all its threads (proc(5): utime, stime)."""
    fields = _stat_fields(pid)
    if fields is None:
        raise BenchError(f"process {pid} ended while it was measured")
    return (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND


def rss_bytes(pid: int) -> int:
    """Resident memory of this process."""
    fields = _stat_fields(pid)
    if fields is None:
        raise BenchError(f"process {pid} ended while it was measured")
    return int(fields[21]) * _PAGE_BYTES


def command_line(pid: int) -> str:
    """The words this process was started with, or nothing when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def udp_port_bound(port: int) -> bool:
    """Whether somebody listens on this UDP port over IPv4."""
    lines = Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]
    return any(int(line.split()[1].rpartition(":")[2], 16) == port for line in lines)


def wait_for_udp(process: PinnedProcess, port: int, timeout_s: float = 20.0) -> None:
    """Return when the port is bound; BenchError when the process ends or is too slow."""
    deadline = time.monotonic() + timeout_s
    while not udp_port_bound(port):
        process.check_alive()
        if time.monotonic() > deadline:
            raise BenchError(
                f"{process.name} did not open UDP port {port} within {timeout_s:.0f} s: "
                + process.last_output()
            )
        time.sleep(0.05)
