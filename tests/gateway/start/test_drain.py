"""When a gateway that stops is done: no call left, the time over, or a second signal."""

import asyncio

import pytest

from gateway.start.drain import Drain
from tests.virtual import virtual_time


class Calls:
    """A softswitch with so many calls."""

    def __init__(self, open_calls: int) -> None:
        self.open_calls = open_calls
        self.drained = 0
        self._over = asyncio.Event()

    def drain(self) -> None:
        self.drained += 1

    async def none_left(self) -> None:
        if self.open_calls:
            await self._over.wait()

    def end(self) -> None:
        self.open_calls = 0
        self._over.set()


async def begun(calls: int, drain_s: float = 60) -> tuple[Drain, Calls, "asyncio.Task[None]"]:
    drain, switch = Drain(drain_s), Calls(calls)
    drain.add(switch)
    over = asyncio.create_task(drain.over())
    await asyncio.sleep(5)
    assert not over.done(), "nobody has asked for it"
    drain.signalled()
    return drain, switch, over


async def seconds_until(over: "asyncio.Task[None]") -> float:
    before = asyncio.get_running_loop().time()
    await over
    return round(asyncio.get_running_loop().time() - before)


@virtual_time
async def test_without_calls_it_is_over_at_once() -> None:
    _, switch, over = await begun(0)
    assert await seconds_until(over) == 0
    assert switch.drained == 1


@virtual_time
async def test_it_is_over_with_the_last_call() -> None:
    drain, switch, over = await begun(3)
    assert drain.view() == {"draining": True, "calls": 3, "ends_in_s": 60.0}
    await asyncio.sleep(25)
    assert drain.view() == {"draining": True, "calls": 3, "ends_in_s": 35.0}
    switch.end()
    assert await seconds_until(over) == 0


@virtual_time
async def test_no_call_is_waited_for_longer_than_it_may_take() -> None:
    _, switch, over = await begun(3, drain_s=90)
    assert await seconds_until(over) == 90
    assert switch.open_calls == 3


@virtual_time
async def test_a_second_signal_ends_it_at_once() -> None:
    drain, switch, over = await begun(3)
    await asyncio.sleep(7)
    drain.signalled()
    assert await seconds_until(over) == 0
    assert switch.drained == 1, "it was asked once"


@pytest.mark.parametrize(("within_s", "lasts_s"), [(5, 5), (600, 60), (None, 60)])
def test_a_later_wish_only_shortens_it(within_s: float | None, lasts_s: float) -> None:
    @virtual_time
    async def story() -> None:
        drain, _, over = await begun(3)
        drain.begin(within_s)
        assert await seconds_until(over) == lasts_s

    story()


@virtual_time
async def test_what_begins_to_take_calls_while_it_stops_takes_none() -> None:
    """A signal may come while the gateway starts."""
    drain = Drain(60)
    drain.signalled()
    late = Calls(0)
    drain.add(late)
    assert late.drained == 1
    await drain.over()
