"""Programs that the tests start, and end by their own process id."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PACKAGES = {
    "sipp": "sip-tester",
    "baresip": "baresip",
    "espeak-ng": "espeak-ng",
    "sox": "sox",
    "openssl": "openssl",
    "linphonec": "linphone-cli",
}


def program(name: str) -> str:
    """Where a program is; a missing one is a failure that names its Debian package, not a skip."""
    path = shutil.which(name)
    if path is None:
        pytest.fail(f"{name} is not installed (Debian package {PACKAGES[name]})", pytrace=False)
    return path


class Program:
    """One child process, in a process group of its own, with its output in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self.log = log

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        log: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        typed: bool = False,
        output: int | None = None,
    ) -> "Program":
        """`typed` is for a program that is driven by `type`. With `output` that descriptor takes
        what it says, and somebody else writes `log`."""
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE if typed else asyncio.subprocess.DEVNULL,
                stdout=file if output is None else output,
                stderr=asyncio.subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                start_new_session=True,
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.returncode

    async def wait(self, timeout: float) -> int:
        """Its exit code; TimeoutError if it still runs after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            return await self._process.wait()

    def type(self, line: str) -> None:
        """One line on its standard input."""
        stdin = self._process.stdin
        assert stdin is not None, "not started to be typed to"
        stdin.write(line.encode() + b"\n")

    def send(self, number: signal.Signals) -> None:
        if self.running:
            self._process.send_signal(number)

    async def stop(self, number: signal.Signals = signal.SIGTERM, timeout: float = 10.0) -> int:
        """Ask it to end, insist after `timeout` seconds; returns the exit code."""
        self.send(number)
        try:
            return await self.wait(timeout)
        except TimeoutError:
            await self.kill()
            raise AssertionError(
                f"process {self.pid} did not end within {timeout:g} s of {number.name}:\n"
                + self.tail()
            ) from None

    async def kill(self) -> None:
        """End it and whatever it started, at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def descendants(pid: int) -> list[int]:
    """A process and all that it started, parents first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                # /proc/PID/stat: pid (name) state ppid …; the name may hold spaces
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for known in found:
        found += children.get(known, [])
    return found


def open_sockets(pid: int) -> int:
    """How many sockets a process holds."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            count += os.readlink(entry).startswith("socket:")
    return count
