"""Calls of somebody who behaves, one after another from several phones, and how they fared."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import quantiles

from tests.hostile.parties import Address, Caller
from tests.ladder import DID

PHONES = 4
TALK_S = 0.3
PAUSE_S = 0.7


@dataclass(slots=True)
class Fared:
    """Of each call how long its answer took, in seconds, and why it failed if it did."""

    setup_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    #: SIP Call-IDs of those that were made
    made: list[str] = field(default_factory=list)

    def percentile_ms(self, percent: int) -> float:
        if len(self.setup_s) < 2:
            return float("nan")
        return 1000 * quantiles(self.setup_s, n=100, method="inclusive")[percent - 1]

    def __str__(self) -> str:
        return (
            f"{len(self.made)} calls, {len(self.failures)} failed,"
            f" answered after {self.percentile_ms(50):.1f} ms (p50),"
            f" {self.percentile_ms(99):.1f} ms (p99)"
        )


class HonestCalls:
    """Places calls for as long as it is asked to."""

    def __init__(self, phones: list[Caller]) -> None:
        self._phones = phones

    async def for_seconds(self, seconds: float) -> Fared:
        """Calls for so long, from every phone; the last ones are seen through."""
        fared = Fared()
        until = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(
            *(self._phone(phone, number, until, fared) for number, phone in enumerate(self._phones))
        )
        return fared

    async def _phone(self, phone: Caller, number: int, until: float, fared: Fared) -> None:
        now = asyncio.get_running_loop().time
        await asyncio.sleep(number * (TALK_S + PAUSE_S) / len(self._phones))
        while now() < until:
            began = now()
            try:
                live = await phone.open(DID)
                fared.setup_s.append(now() - began)
                fared.made.append(live.call_id)
                await asyncio.sleep(TALK_S)
                await live.hang_up()
            except (AssertionError, TimeoutError) as error:
                fared.failures.append(str(error) or "no answer within 32 s")
            await asyncio.sleep(PAUSE_S)


@asynccontextmanager
async def honest_calls(host: str, gateway: Address) -> AsyncIterator[HonestCalls]:
    """Phones at `host`."""
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(Caller(host, gateway)) for _ in range(PHONES)]
        yield HonestCalls(phones)
