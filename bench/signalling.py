"""CPU a call and the highest rate without failure, for each system in turn."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench.cores import Cores
from bench.errors import BenchError
from bench.figures import median
from bench.plan import Plan
from bench.say import Say
from bench.sipp import agents, calling
from bench.systems import RunningSystem, System, free_port, warm_up

_STEP = 1.2
_ROUND_TO = 10
_ROOM = 0.92


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuRun:
    """One run of one system at one rate; milliseconds of CPU a call."""

    system: str
    rate: int
    calls: int
    clean: bool
    failed: int
    retransmissions: int
    signalling_ms: float
    relay_ms: float

    @property
    def total_ms(self) -> float:
        return self.signalling_ms + self.relay_ms

    @property
    def core_busy(self) -> float:
        """The share of its core that this rate takes."""
        return self.total_ms * self.rate / 1000

    @property
    def outcome(self) -> str:
        """In words."""
        if self.clean:
            return "no failure"
        if self.failed or self.retransmissions:
            return f"{self.failed} calls failed, {self.retransmissions} retransmissions"
        return "rate not kept"

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "total_ms": self.total_ms}


@dataclass(frozen=True, slots=True, kw_only=True)
class HighestRate:
    """The outcome of a search: the best clean rate, and the lowest one that was not."""

    system: str
    rate: int | None
    failed_at: int | None
    why: str


class _Bed:
    """A system started, warm, and kept running until it is left."""

    def __init__(self, system: System, plan: Plan, cores: Cores, directory: Path) -> None:
        self._system = system
        self._plan = plan
        self._cores = cores
        self._directory = directory
        self._agent_port = free_port()
        self._stack = ExitStack()
        self._running: RunningSystem | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the system; the next run starts it afresh."""
        self._running = None
        self._stack.close()

    def _warm(self) -> RunningSystem:
        if self._running is None:
            self._running = self._stack.enter_context(
                self._system.running(
                    agent_port=self._agent_port,
                    core=self._cores.tested,
                    directory=self._directory,
                )
            )
            warm_up(
                self._running,
                agent_port=self._agent_port,
                core=self._cores.generator,
                directory=self._directory,
            )
        return self._running

    def run(self, rate: int, seconds: float) -> CpuRun:
        """One batch of calls and what they cost."""
        system = self._warm()
        calls = round(rate * seconds)
        core, directory, hold_ms = self._cores.generator, self._directory, self._plan.hold_ms
        with agents(port=self._agent_port, core=core, directory=directory) as answering:
            before = system.cpu()
            with calling(
                target_port=system.port,
                port=free_port(),
                rate=rate,
                calls=calls,
                hold_ms=hold_ms,
                core=core,
                directory=directory,
            ) as batch:
                result = batch.finish(hold_ms=hold_ms, answering=answering)
            used = system.cpu() - before
        completed = max(1, result.completed)
        return CpuRun(
            system=self._system.key,
            rate=rate,
            calls=result.calls,
            clean=result.clean,
            failed=result.calls - result.completed,
            retransmissions=result.retransmissions,
            signalling_ms=used.signalling / completed * 1000,
            relay_ms=used.relay / completed * 1000,
        )


def measure_cpu(
    system: System,
    rate: int,
    *,
    plan: Plan,
    cores: Cores,
    directory: Path,
    seconds: float | None = None,
) -> CpuRun:
    """A fresh start, a warm-up, then one batch of calls."""
    with _Bed(system, plan, cores, directory) as bed:
        return bed.run(rate, seconds or plan.signalling_s)


def common_rate(peer: System, *, plan: Plan, cores: Cores, directory: Path, say: Say) -> int:
    """The highest of the plan's rates that the peer carries cleanly: ratios are taken there."""
    for rate in plan.peer_rates:
        run = measure_cpu(
            peer, rate, plan=plan, cores=cores, directory=directory, seconds=plan.search_step_s
        )
        say(f"{peer.label} at {rate} calls/s: {run.outcome}, core {run.core_busy:.0%} busy")
        # A short run can end well though the peer falls behind: it must have room to spare.
        if run.clean and run.core_busy < _ROOM:
            return rate
    raise BenchError(f"{peer.label} carries none of {plan.peer_rates} calls/s without failure")


def measure_in_turn(
    jobs: Sequence[tuple[System, int]], *, plan: Plan, cores: Cores, directory: Path, say: Say
) -> list[CpuRun]:
    """Every job once, then every job again: a disturbance hits all of them, not one."""
    runs: list[CpuRun] = []
    for number in range(plan.rounds):
        for system, rate in jobs:
            run = measure_cpu(system, rate, plan=plan, cores=cores, directory=directory)
            say(
                f"round {number + 1}: {system.label} at {rate} calls/s: "
                f"{run.total_ms:.2f} ms of CPU a call, {run.outcome}"
            )
            runs.append(run)
    return runs


def median_run(runs: Sequence[CpuRun], system: str, rate: int) -> CpuRun | None:
    """The run of the median total among this system's at this rate, clean ones if there are any."""
    mine = [run for run in runs if run.system == system and run.rate == rate]
    mine = [run for run in mine if run.clean] or mine
    if not mine:
        return None
    middle = median([run.total_ms for run in mine])
    return min(mine, key=lambda run: abs(run.total_ms - middle))


def highest_rate(
    system: System, cpu_ms: float, *, plan: Plan, cores: Cores, directory: Path, say: Say
) -> HighestRate:
    """Raise the rate until a step fails, then halve the gap to the last clean one.

    After a failure the system is started afresh: left-over calls would spoil the next step.
    """
    best: int | None = None
    failed_at: int | None = None
    why = ""
    rate = _rounded(plan.search_from * 1000 / cpu_ms)
    with _Bed(system, plan, cores, directory) as bed:
        for _ in range(plan.search_steps):
            for _attempt in range(plan.attempts):
                run = bed.run(rate, plan.search_step_s)
                say(f"search: {system.label} at {rate} calls/s: {run.outcome}")
                if run.clean:
                    break
                bed.stop()
            if run.clean:
                best = rate
            else:
                failed_at, why = rate, run.outcome
            if failed_at is None:
                rate = _rounded(rate * _STEP)
            elif best is None:
                rate = _rounded(failed_at / _STEP / _STEP)
            else:
                rate = _rounded((best + failed_at) / 2)
                if rate in (best, failed_at):
                    break
    return HighestRate(system=system.key, rate=best, failed_at=failed_at, why=why)


def _rounded(rate: float) -> int:
    return max(_ROUND_TO, round(rate / _ROUND_TO) * _ROUND_TO)
