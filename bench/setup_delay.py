"""Added set-up delay of each system in turn: INVITE in to INVITE out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cores import Cores
from bench.errors import BenchError
from bench.figures import median, percentile
from bench.plan import Plan
from bench.say import Say
from bench.setup_caller import SetupCaller
from bench.systems import System, free_port, warm_up


@dataclass(frozen=True, slots=True, kw_only=True)
class DelayRun:
    """Milliseconds; `unfinished` calls did not end as they should."""

    system: str
    calls: int
    unfinished: int
    repeated: int
    p50_ms: float
    p99_ms: float
    max_ms: float

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure_delay(system: System, *, plan: Plan, cores: Cores, directory: Path) -> DelayRun:
    """One batch of calls through a fresh, warm system."""
    agent_port = free_port()
    with system.running(agent_port=agent_port, core=cores.tested, directory=directory) as running:
        warm_up(running, agent_port=agent_port, core=cores.generator, directory=directory)
        caller = SetupCaller(
            target_port=running.port, caller_port=free_port(), agent_port=agent_port
        )
        delays = caller.run(rate=plan.delay_rate, seconds=plan.delay_s)
        if not delays.invite_ms:
            raise BenchError(f"{system.label}: no INVITE came out: {running.process.last_output()}")
    return DelayRun(
        system=system.key,
        calls=delays.calls,
        unfinished=delays.unfinished,
        repeated=delays.repeated,
        p50_ms=percentile(delays.invite_ms, 0.5),
        p99_ms=percentile(delays.invite_ms, 0.99),
        max_ms=max(delays.invite_ms),
    )


def delays_in_turn(
    systems: Sequence[System], *, plan: Plan, cores: Cores, directory: Path, say: Say
) -> list[DelayRun]:
    """Every system once, then again, as for CPU."""
    runs: list[DelayRun] = []
    for number in range(plan.rounds):
        for system in systems:
            run = measure_delay(system, plan=plan, cores=cores, directory=directory)
            say(
                f"round {number + 1}: {system.label}: INVITE in to INVITE out "
                f"p50 {run.p50_ms:.2f} ms, p99 {run.p99_ms:.2f} ms"
                + (f", {run.unfinished} calls unfinished" if run.unfinished else "")
            )
            runs.append(run)
    return runs


def median_delay(runs: Sequence[DelayRun], system: str) -> DelayRun | None:
    """Medians over the rounds of each figure; the worst of what must be zero."""
    mine = [run for run in runs if run.system == system]
    if not mine:
        return None
    return DelayRun(
        system=system,
        calls=sum(run.calls for run in mine),
        unfinished=sum(run.unfinished for run in mine),
        repeated=sum(run.repeated for run in mine),
        p50_ms=median([run.p50_ms for run in mine]),
        p99_ms=median([run.p99_ms for run in mine]),
        max_ms=max(run.max_ms for run in mine),
    )
