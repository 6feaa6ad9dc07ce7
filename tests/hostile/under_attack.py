"""One story: honest calls while it is quiet, and the same under attack."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from tests.hostile.honest import Fared, honest_calls
from tests.hostile.victim import Victim

#: Seconds from the start of an attack until it is under way.
BEGUN_S = 3.0
#: The gateway may grow by so much under attack, in MB.
MOST_MB = 100.0
#: How much longer the answer to half of the honest calls may take.
MOST_TIMES = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How honest calls fared, and what the gateway took."""

    name: str
    quiet: Fared
    attacked: Fared
    grown_mb: float
    cpu: float

    @property
    def times(self) -> float:
        """How many times as long the answer took, at p50."""
        return self.attacked.percentile_ms(50) / self.quiet.percentile_ms(50)

    def lines(self) -> list[str]:
        return [
            f"{self.name}: quiet        {self.quiet}",
            f"{self.name}: under attack {self.attacked}",
            f"{self.name}: p50 is {self.times:.1f} times the quiet one;"
            f" {self.cpu:.0%} of a core, {self.grown_mb:+.1f} MB",
        ]

    def problems(self) -> list[str]:
        """What no attack may bring about; how long answers take is for `slow` to judge."""
        found = [f"{self.name}: {failure}" for failure in self.quiet.failures]
        found += [f"{self.name}, under attack: {failure}" for failure in self.attacked.failures]
        if not self.attacked.made:
            found.append(f"{self.name}: no honest call was made")
        if self.grown_mb > MOST_MB:
            found.append(f"{self.name}: the gateway grew by {self.grown_mb:.0f} MB")
        return found

    def slow(self) -> list[str]:
        if self.times > MOST_TIMES:
            return [f"{self.name}: answers take {self.times:.1f} times as long"]
        return []


async def under_attack(victim: Victim, name: str, seconds: float) -> Outcome:
    """The story of that name: `seconds` of quiet, and as many of attack."""
    return await compared(victim, name, seconds, attacker(victim, name))


async def compared(
    victim: Victim, name: str, seconds: float, trouble: AbstractAsyncContextManager[None]
) -> Outcome:
    """Honest calls for `seconds` of quiet, and for as many with `trouble`."""
    async with honest_calls(victim.honest, victim.gateway) as honest:
        quiet = await honest.for_seconds(seconds)
        before, cpu_s = victim.memory_mb(), victim.cpu_s()
        async with trouble:
            attacked = await honest.for_seconds(seconds)
            spent_s = victim.cpu_s() - cpu_s
            grown = victim.memory_mb() - before
    return Outcome(name, quiet, attacked, grown, spent_s / (seconds + BEGUN_S))


@asynccontextmanager
async def attacker(victim: Victim, name: str) -> AsyncIterator[None]:
    """The attack, under way."""
    sip, http = (f"{host}:{port}" for host, port in (victim.gateway, victim.http))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.hostile.stories", name, sip, http, victim.fuzzed
    )
    try:
        await asyncio.sleep(BEGUN_S)
        assert process.returncode is None, f"the attacker of {name} has ended"
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
