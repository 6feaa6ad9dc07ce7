"""The two cores of a measurement: one for what is tested, one for what generates the load."""

import os
from dataclasses import dataclass

from bench.errors import BenchError


@dataclass(frozen=True, slots=True)
class Cores:
    """Processor numbers as the kernel counts them."""

    tested: int
    generator: int


def choose_cores() -> Cores:
    """The last two cores this process may use: interrupts tend to be served by the first.

    Raises BenchError on a machine with one core, where generator and tested system would
    disturb each other and every figure would be wrong.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("the benchmark needs two cores: one for the load, one for what is tested")
    return Cores(tested=allowed[-1], generator=allowed[-2])
