"""Memory of a call: resident memory before, with, and after many calls at once."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cores import Cores
from bench.errors import BenchError
from bench.plan import Plan
from bench.sipp import agents, calling
from bench.systems import System, free_port, warm_up

_SETTLE_S = 1.0
_MARGIN_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRun:
    """Bytes resident, the relay's included; `calls` were up at once."""

    system: str
    calls: int
    completed: int
    before: float
    during: float
    after: float
    relay_per_call: float

    @property
    def per_call(self) -> float:
        return (self.during - self.before) / self.calls

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "per_call": self.per_call}


def measure_memory(system: System, *, plan: Plan, cores: Cores, directory: Path) -> MemoryRun:
    """Fill a warm system with calls, read its memory while all are up, let them end."""
    calls, rate = plan.memory_calls, plan.memory_rate
    ramp_s = calls / rate
    hold_ms = round((ramp_s + _SETTLE_S + _MARGIN_S) * 1000)
    agent_port = free_port()
    with (
        system.running(agent_port=agent_port, core=cores.tested, directory=directory) as running,
    ):
        warm_up(running, agent_port=agent_port, core=cores.generator, directory=directory)
        with (
            agents(port=agent_port, core=cores.generator, directory=directory),
            calling(
                target_port=running.port,
                port=free_port(),
                rate=rate,
                calls=calls,
                hold_ms=hold_ms,
                core=cores.generator,
                directory=directory,
            ) as batch,
        ):
            before = running.memory()
            time.sleep(ramp_s + _SETTLE_S)
            during = running.memory()
            result = batch.finish(hold_ms=hold_ms)
            after = running.memory()
    if not result.completed:
        raise BenchError(f"{system.label}: none of {calls} calls at once completed")
    return MemoryRun(
        system=system.key,
        calls=calls,
        completed=result.completed,
        before=before.total,
        during=during.total,
        after=after.total,
        relay_per_call=(during - before).relay / calls,
    )
