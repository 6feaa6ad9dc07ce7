"""How many calls Retell would take: its figure, and what was begun since. On virtual time."""

import asyncio

import pytest

from config.retell_api_settings import ConcurrencySettings
from gateway.retell.answers import Concurrency
from gateway.retell.breaker import Circuit
from gateway.retell.failures import RetellError, RetellFailure
from gateway.retell.room import RetellRoom
from tests.virtual import virtual_time


class Api:
    """Retell's API: `figure` is what it answers, or why it does not."""

    def __init__(self) -> None:
        self.usable = True
        self.circuit = Circuit.CLOSED
        self.figure: Concurrency | RetellError = figure(current=4)
        self.asked_at: list[float] = []

    async def get_concurrency(self) -> Concurrency:
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1)
        if isinstance(self.figure, RetellError):
            raise self.figure
        return self.figure


def figure(current: int, limit: int = 20, reserved: int = 0, burst: int = 0) -> Concurrency:
    return Concurrency(current=current, limit=limit, reserved_inbound=reserved, burst_limit=burst)


def room(api: Api, **settings: object) -> RetellRoom:
    chosen = ConcurrencySettings.model_validate(settings)
    return RetellRoom(api, chosen, clock=asyncio.get_running_loop().time)


def full(one: RetellRoom) -> bool:
    return one.full_for_callers


async def asked(one: RetellRoom) -> int | None:
    """The room, once Retell was asked."""
    one.free()
    await asyncio.sleep(0.2)
    return one.free()


@pytest.mark.parametrize(
    ("known", "settings", "free"),
    [
        (figure(4), {}, 16),
        (figure(20), {}, 0),
        (figure(25), {}, 0),
        (figure(4, reserved=5), {}, 11),
        (figure(4, reserved=5), {"reserve": 2}, 9),
        (figure(30, burst=60), {}, 0),
        (figure(30, burst=60), {"burst": True}, 30),
    ],
)
def test_the_figure(known: Concurrency, settings: dict[str, object], free: int) -> None:
    @virtual_time
    async def check() -> None:
        api = Api()
        api.figure = known
        one = room(api, **settings)
        assert await asked(one) == free
        await one.close()

    check()


@virtual_time
async def test_nothing_is_begun_before_the_first_answer() -> None:
    one = room(Api())
    assert one.free() == 0
    await asyncio.sleep(0.2)
    assert one.free() == 16
    await one.close()


@virtual_time
async def test_calls_count_until_retell_counts_them() -> None:
    api = Api()
    one = room(api, poll_s=5)
    assert await asked(one) == 16
    one.took()
    one.took()
    assert (one.free(), one.view().taken) == (14, 2)
    api.figure = figure(6)
    await asyncio.sleep(4.95)
    one.took()  # while Retell is being asked: the figure may or may not have it
    await asyncio.sleep(0.1)
    assert (one.free(), one.view().taken) == (13, 1)
    await asyncio.sleep(5.1)
    assert one.free() == 14
    await one.close()


@virtual_time
async def test_retell_is_asked_only_while_somebody_wants_to_know() -> None:
    api = Api()
    one = room(api, poll_s=5)
    for _ in range(20):
        one.free()
        await asyncio.sleep(1)
    assert 3 <= len(api.asked_at) <= 5
    await asyncio.sleep(600)
    before = len(api.asked_at)
    assert before <= 9
    await asyncio.sleep(600)
    assert len(api.asked_at) == before
    assert await asked(one) == 16
    await one.close()


@virtual_time
async def test_failures_are_asked_again_ever_more_slowly_and_then_nothing_is_known() -> None:
    api = Api()
    one = room(api, poll_s=5)
    assert await asked(one) == 16
    api.figure = RetellError(RetellFailure.THROTTLED, 429, "slow down", retry_after_s=40)
    begun = len(api.asked_at)
    for _ in range(200):
        one.free()
        await asyncio.sleep(1)
    assert len(api.asked_at) - begun <= 6
    assert one.free() is None
    assert one.view().error == "HTTP 429: slow down"
    api.figure = figure(1)
    for _ in range(70):
        one.free()
        await asyncio.sleep(1)
    assert one.free() == 19
    assert one.view().error is None
    await one.close()


@virtual_time
async def test_there_is_no_room_after_a_429_nor_while_the_api_is_left_alone() -> None:
    api = Api()
    one = room(api)
    assert await asked(one) == 16
    one.throttled(30)
    assert one.free() == 0
    await asyncio.sleep(31)
    assert await asked(one) == 16
    api.circuit = Circuit.OPEN
    assert one.free() == 0
    await one.close()


@virtual_time
async def test_without_a_key_or_with_no_polls_nothing_is_known() -> None:
    api = Api()
    one = room(api, poll_s=0)
    assert one.free() is None
    api.usable = False
    another = room(api)
    assert another.free() is None
    assert api.asked_at == []
    await one.close()
    await another.close()


@virtual_time
async def test_for_callers_all_that_retell_may_have_counts() -> None:
    """What is kept free for them is theirs; what is old says nothing."""
    api = Api()
    one = room(api, reserve=2)
    assert not full(one)
    api.figure = figure(18, reserved=2)
    one.watch(on=True)
    await asyncio.sleep(0.2)
    assert one.free() == 0
    assert not full(one)
    one.took()
    one.took()
    assert full(one)
    api.figure = RetellError(RetellFailure.TIMEOUT, 0, "no answer")
    await asyncio.sleep(40)
    assert not full(one)
    one.throttled(3)
    assert full(one)
    await one.close()


@virtual_time
async def test_while_it_is_watched_retell_is_asked_for_good() -> None:
    api = Api()
    one = room(api)
    one.watch(on=True)
    await asyncio.sleep(600)
    assert len(api.asked_at) > 100
    one.watch(on=False)
    await asyncio.sleep(600)
    asked_then = len(api.asked_at)
    await asyncio.sleep(600)
    assert len(api.asked_at) == asked_then
    await one.close()
