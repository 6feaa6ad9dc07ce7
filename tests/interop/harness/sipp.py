"""Runs SIPp with one of the scenario files of tests/sipp and reads back what it saw."""

import asyncio
import contextlib
import csv
import re
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.interop.harness.network import Party
from tests.interop.harness.programs import Program, program
from tests.interop.harness.siplog import MessageLog
from tests.interop.harness.sockets import bound

Transport = Literal["udp", "tcp"]
SCENARIOS = Path(__file__).parents[2] / "sipp"
MEDIA_PORT = 6000

_ECHOED = re.compile(r"(\d+) Total echo RTP pckts 1st stream")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one SIPp run came to."""

    exit_code: int
    """0: all calls succeeded; 1: some failed; 99: there was none."""
    created: int
    succeeded: int
    failed: int
    retransmitted: int
    """Messages that SIPp itself had to send again."""
    echoed: int
    """RTP packets that it sent back; known of a callee with `echo` that was stopped."""
    log: MessageLog
    errors: str

    def __str__(self) -> str:
        return (
            f"exit {self.exit_code}, {self.created} calls, {self.succeeded} good, "
            f"{self.failed} failed, {self.retransmitted} retransmitted\n"
            f"{self.log.ladder()[-3000:]}\n{self.errors[-3000:]}"
        )


@dataclass(kw_only=True)
class Sipp:
    """One SIPp process: `await start()`, then `await finish()` or `await stop()`.

    Without `target` it waits to be called. As an async context manager it is stopped on leaving.
    """

    scenario: str
    party: Party
    transport: Transport
    directory: Path
    target: Party | str | None = None
    number: str = ""
    calls: int | None = 1
    """After so many calls SIPp ends by itself; None: when it is stopped."""
    rate: float = 10
    at_once: int | None = None
    """No more calls than this at the same time."""
    d_ms: int | None = None
    """What -d means in this scenario: talking, ringing, or lingering."""
    recv_timeout_ms: int | None = None
    keys: Mapping[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    auth_uri: str = ""
    """What the digest is for, without "sip:"; by default the number at the target."""
    echo: bool = False
    files: Sequence[Path] = ()
    """Linked into the directory that SIPp runs in."""
    limit_s: float = 60
    _program: Program | None = None

    async def start(self) -> Self:
        self.directory.mkdir(parents=True)
        for file in self.files:
            (self.directory / file.name).symlink_to(file)
        self._program = await Program.start(
            self.command(), log=self.directory / "screen.txt", cwd=self.directory
        )
        if self.target is None:
            await self._listening()
        return self

    def command(self) -> list[str]:
        """The command line; what an operator would type."""
        host, port = self.party.host, self.party.port
        line = [program("sipp"), "-sf", str(SCENARIOS / f"{self.scenario}.xml")]
        line += ["-i", host, "-p", str(port), "-bind_local", "-ci", host]
        line += ["-mi", host, "-mp", str(MEDIA_PORT)]
        line += ["-t", "u1" if self.transport == "udp" else "t1"]
        line += ["-nostdin", "-timeout", f"{self.limit_s:g}", "-timeout_error"]
        line += ["-trace_msg", "-message_file", "messages.log"]
        line += ["-trace_err", "-error_file", "errors.log"]
        line += ["-trace_stat", "-stf", "stat.csv", "-fd", "1"]
        if self.calls is not None:
            line += ["-m", str(self.calls)]
        if self.at_once is not None:
            line += ["-l", str(self.at_once)]
        if self.d_ms is not None:
            line += ["-d", str(self.d_ms)]
        if self.recv_timeout_ms is not None:
            line += ["-recv_timeout", str(self.recv_timeout_ms)]
        if self.echo:
            line += ["-rtp_echo"]
        if self.login is not None:
            line += ["-au", self.login[0], "-ap", self.login[1]]
        for key, value in self.keys.items():
            line += ["-key", key, value]
        if self.target is not None:
            line += ["-r", f"{self.rate:g}", "-s", self.number]
            if self.login is not None:
                # SIPp would leave the user out of the digest's uri
                line += ["-auth_uri", self.auth_uri or f"{self.number}@{self.target}"]
            line += [str(self.target)]
        return line

    async def finish(self, timeout: float | None = None) -> Outcome:
        """Wait until it has handled its calls."""
        assert self._program is not None, "not started"
        try:
            await self._program.wait(timeout or self.limit_s + 5)
        except TimeoutError:
            await self._program.kill()
            raise AssertionError(f"{self.scenario} did not end:\n{self._outcome()}") from None
        return self._outcome()

    async def no_more(self, within_s: float) -> Outcome:
        """Tell it to place no more calls, and wait until those that it has are over."""
        assert self._program is not None, "not started"
        self._program.send(signal.SIGUSR1)
        return await self.finish(within_s)

    async def stop(self) -> Outcome:
        """Tell it to take no more calls, and end it if that is not enough."""
        assert self._program is not None, "not started"
        if self.echo:  # SIPp writes its screens, which count the packets, only when told to
            self._program.send(signal.SIGUSR2)
            await asyncio.sleep(0.1)
        self._program.send(signal.SIGUSR1)
        try:
            await self._program.wait(1.0)
        except TimeoutError:
            await self._program.kill()
        return self._outcome()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it at once, if it still runs."""
        if self._program is not None and self._program.running:
            await self._program.kill()

    async def _listening(self) -> None:
        assert self._program is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                # the kernel gives no event for somebody else's bind
                while self._program.running:
                    if bound(self.transport, self.party.host, self.party.port):
                        return
                    await asyncio.sleep(0.01)
        raise AssertionError(f"SIPp does not listen on {self.party}:\n{self._program.tail()}")

    def _outcome(self) -> Outcome:
        assert self._program is not None
        rows: list[dict[str, str]] = []
        with contextlib.suppress(OSError), (self.directory / "stat.csv").open() as stat:
            rows = list(csv.DictReader(stat, delimiter=";"))
        last = rows[-1] if rows else {}

        def total(column: str) -> int:
            return int(last.get(column) or 0)

        errors = self.directory / "errors.log"
        return Outcome(
            exit_code=self._program.exit_code or 0,
            created=total("TotalCallCreated"),
            succeeded=total("SuccessfulCall(C)"),
            failed=total("FailedCall(C)"),
            retransmitted=total("Retransmissions(C)"),
            echoed=self._echoed(),
            log=MessageLog.read(self.directory / "messages.log"),
            errors=(errors.read_text(errors="replace") if errors.exists() else "")
            + ("" if rows else self._program.tail()),
        )

    def _echoed(self) -> int:
        screens = sorted(self.directory.glob("*_screen.log"))
        counts = _ECHOED.findall(screens[-1].read_text()) if screens else []
        return int(counts[0]) if counts else 0
