"""SIPp as caller and as agent, from the scenario files beside this module."""

import csv
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchError, MissingProgramError
from bench.process import PinnedProcess, wait_for_udp

_SCENARIOS = Path(__file__).parent / "scenarios"
_CALL_LIMIT = "100000"
"""SIPp's own cap on concurrent calls would otherwise slow the load down instead of failing."""

_PATIENCE_S = 6.0

CALLER_HOST = "127.0.0.2"
TESTED_HOST = "127.0.0.1"
AGENT_HOST = "127.0.0.3"
NUMBER = "+14155550100"


def require_sipp() -> str:
    """The path of SIPp; MissingProgramError names its package."""
    path = shutil.which("sipp")
    if path is None:
        raise MissingProgramError("sipp", "sip-tester")
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class CallsResult:
    """What the two ends saw of one batch of calls."""

    rate: float
    calls: int
    completed: int
    failed: int
    retransmissions: int
    elapsed_s: float
    on_time: bool
    """SIPp kept the rate it was asked for and the last call ended without waiting."""

    @property
    def clean(self) -> bool:
        """No call failed, nothing was sent twice, the rate was kept."""
        return (
            self.completed == self.calls
            and not self.failed
            and not self.retransmissions
            and self.on_time
        )


class Agents:
    """SIPp answering calls for as long as the context lasts."""

    def __init__(self, process: PinnedProcess, statistics: Path) -> None:
        self.process = process
        self._statistics = statistics

    def retransmissions(self) -> int:
        """What this end has sent twice so far (statistics are written once a second)."""
        last = _last_row(self._statistics)
        return int(last["Retransmissions(C)"]) if last else 0


@contextmanager
def agents(*, port: int, core: int, directory: Path) -> Iterator[Agents]:
    """Answering side on AGENT_HOST:port."""
    statistics = directory / f"agents-{port}.csv"
    argv = [
        *(require_sipp(), "-sf", str(_SCENARIOS / "agent.xml")),
        *("-i", AGENT_HOST, "-mi", AGENT_HOST, "-p", str(port), "-l", _CALL_LIMIT),
        *("-nostdin", "-trace_stat", "-fd", "1", "-stf", str(statistics)),
    ]
    output = directory / f"agents-{port}.out"
    with PinnedProcess(argv, core=core, output=output, directory=directory) as process:
        wait_for_udp(process, port)
        yield Agents(process, statistics)


class CallBatch:
    """A SIPp caller that is placing calls; `finish` waits for its last one."""

    def __init__(self, process: PinnedProcess, statistics: Path, rate: int, calls: int) -> None:
        self.process = process
        self._statistics = statistics
        self._rate = rate
        self._calls = calls
        self._started = time.monotonic()

    def finish(self, *, hold_ms: int, answering: Agents | None = None) -> CallsResult:
        """Wait for the last call; `answering` adds the agents' retransmissions."""
        ramp_s = self._calls / self._rate + hold_ms / 1000
        # A call that takes this much longer has failed; SIPp itself would wait for half a minute.
        status = self.process.wait(ramp_s + _PATIENCE_S)
        elapsed_s = time.monotonic() - self._started
        row = _last_row(self._statistics)
        if row is None or status not in (0, 1, None):
            raise BenchError(f"SIPp ended with status {status}: {self.process.last_output()}")
        retransmissions = int(row["Retransmissions(C)"])
        if answering is not None:
            time.sleep(1.1)
            answering.process.check_alive()
            retransmissions += answering.retransmissions()
        return CallsResult(
            rate=self._rate,
            calls=self._calls,
            completed=int(row["SuccessfulCall(C)"]),
            failed=int(row["FailedCall(C)"]),
            retransmissions=retransmissions,
            elapsed_s=elapsed_s,
            on_time=status is not None and elapsed_s <= ramp_s * 1.02 + 0.5,
        )


@contextmanager
def calling(
    *, target_port: int, port: int, rate: int, calls: int, hold_ms: int, core: int, directory: Path
) -> Iterator[CallBatch]:
    """Begin `calls` whole calls at `rate` a second towards TESTED_HOST:target_port."""
    statistics = directory / f"caller-{port}-{time.monotonic_ns()}.csv"
    argv = [
        *(require_sipp(), "-sf", str(_SCENARIOS / "caller.xml"), "-s", NUMBER),
        *("-i", CALLER_HOST, "-mi", CALLER_HOST, "-p", str(port), "-l", _CALL_LIMIT),
        *("-r", str(rate), "-m", str(calls), "-d", str(hold_ms), "-nostdin"),
        *("-trace_stat", "-fd", "1", "-stf", str(statistics)),
        f"{TESTED_HOST}:{target_port}",
    ]
    output = statistics.with_suffix(".out")
    with PinnedProcess(argv, core=core, output=output, directory=directory) as process:
        yield CallBatch(process, statistics, rate, calls)


def _last_row(statistics: Path) -> dict[str, str] | None:
    if not statistics.exists():
        return None
    with statistics.open(encoding="ascii", errors="replace", newline="") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter=";") if row.get("FailedCall(C)")]
    return rows[-1] if rows else None
