"""Never more calls in any second than are allowed, however they come."""

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.pace import SOON_S, Pace
from gateway.outbound.ports import NotNowError, Result
from gateway.outbound.trunk_room import TrunkRoom, account_lane
from gateway.outbound.wish import Wish
from tests.gateway.outbound.desk import desk, most_in_a_second, number, settings, wanted
from tests.gateway.outbound.virtual_database import virtual_database


@virtual_database
async def test_a_thousand_calls_at_the_limit(tmp_path: Path) -> None:
    limit = 20
    async with desk(tmp_path, settings({"calls": 60, "calls_per_second": limit})) as at:
        wishes = [Wish(wanted=wanted(number(index)), campaign="all") for index in range(1000)]
        await at.queue.add_many(wishes)
        await at.over()
        begun = at.person.begun
        assert most_in_a_second([one.at for one in begun]) <= limit
        assert [one.number for one in begun] == [number(index) for index in range(1000)]
        assert at.person.most_up <= 60
        assert await at.results() == {"answered": 1000}
        tries = await at.queue.tries([one.queued_id for one in begun])
        assert sorted(one.call_id for one in begun) == sorted(
            each.call_id for several in tries.values() for each in several
        )
        # by concurrency: 60 calls of 6 s each
        assert begun[-1].at - begun[0].at < 1000 / 60 * 6 * 1.15


@virtual_database
async def test_the_pace_alone_is_kept_and_used(tmp_path: Path) -> None:
    async with desk(tmp_path, settings({"calls_per_second": 10})) as at:
        at.person.script = lambda wish, before: Result.BUSY
        await at.queue.add_many([Wish(wanted=wanted(number(index))) for index in range(200)])
        await at.over()
        times = [one.at for one in at.person.begun]
        assert most_in_a_second(times) <= 10
        assert times[-1] - times[0] < 200 / 10 * 1.07


@virtual_database
async def test_a_restart_within_the_second_keeps_it(tmp_path: Path) -> None:
    times: list[float] = []
    begin_s = 0.0
    for _ in range(5):
        async with desk(tmp_path, settings({"calls_per_second": 4})) as at:
            await at.queue.add_many(
                [Wish(wanted=wanted(number(len(times) + index))) for index in range(3)]
            )
            await asyncio.sleep(2 if begin_s else 0.6)
            at.person.talk_s = 0.0
            await at.queue.none_left()
            times += [one.at for one in at.person.begun]
        begin_s = times[-1]
    assert most_in_a_second(times) <= 4


@virtual_database
async def test_refusals_and_slow_trunks_change_nothing(tmp_path: Path) -> None:
    trunks = [
        {"name": "a", "gateways": ["sip:a.example.com"], "calls_per_second": 3},
        {"name": "b", "gateways": ["sip:b.example.com"], "calls_per_second": 7, "max_calls": 9},
    ]
    async with desk(tmp_path, settings({"calls_per_second": 8}, trunks=trunks)) as at:
        at.person.routes = lambda wish: ("a", "b") if int(wish.to_number[-1]) % 2 else ("b",)
        asked = 0

        def refuse(wish: object) -> NotNowError | None:
            nonlocal asked
            asked += 1
            return NotNowError("trunk-full", 0.3) if asked % 7 == 0 else None

        at.person.refuses = refuse
        await at.queue.add_many([Wish(wanted=wanted(number(index))) for index in range(150)])
        await at.over()
        assert most_in_a_second([one.at for one in at.person.begun]) <= 8
        assert len({one.number for one in at.person.begun}) == len(at.person.begun) == 150


@given(
    per_second=st.integers(1, 60),
    asks=st.lists(st.floats(0, 0.4, allow_nan=False), min_size=1, max_size=200),
)
def test_no_second_has_more_whenever_it_is_asked(per_second: int, asks: list[float]) -> None:
    pace, now, taken = Pace(per_second), 100.0, []
    for gap in asks:
        now += gap
        while pace.next_at() <= now + SOON_S:
            taken.append(now)
            pace.take(now)
    assert most_in_a_second(taken) <= per_second


@given(
    limits=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    steps=st.lists(
        st.tuples(st.floats(0, 0.5, allow_nan=False), st.integers(0, 2), st.booleans()),
        max_size=100,
    ),
)
def test_no_trunk_has_more_than_it_may(
    limits: list[int], steps: list[tuple[float, int, bool]]
) -> None:
    trunks = [
        {
            "name": f"t{place}",
            "gateways": ["sip:carrier.example.com"],
            "max_calls": limit,
            "calls_per_second": limit,
        }
        for place, limit in enumerate(limits)
    ]
    room, now = TrunkRoom(settings(trunks=trunks)), 10.0
    up: dict[str, int] = {}
    times: dict[str, list[float]] = {}
    taken: list[str] = []
    for gap, first, ends in steps:
        now += gap
        names = [f"t{(first + place) % len(limits)}" for place in range(len(limits))]
        if ends and taken:
            gone = taken.pop()
            up[gone] -= 1
            room.give_back(gone)
        at = room.when(names, now)
        if at is not None and at <= now:
            trunk = room.take(names, now)
            assert trunk is not None
            taken.append(trunk)
            up[trunk] = up.get(trunk, 0) + 1
            times.setdefault(trunk, []).append(now)
        for place, limit in enumerate(limits):
            assert up.get(f"t{place}", 0) <= limit
            assert most_in_a_second(times.get(f"t{place}", [])) <= limit


@virtual_database
async def test_each_account_of_twilios_has_a_pace_of_its_own(tmp_path: Path) -> None:
    """Twilio keeps what is beyond its limit for up to a day, and calls then."""
    main, sub = "AC" + "0" * 32, "AC" + "1" * 32
    account = {"account_sid": sub, "auth_token": "u", "calls_per_second": 4}
    twilio = {"account_sid": main, "auth_token": "t", "subaccounts": [account]}
    async with desk(tmp_path, settings(twilio=twilio)) as at:
        of_sub = frozenset(number(index) for index in range(0, 40, 2))
        at.person.routes = lambda wish: (account_lane(sub if wish.to_number in of_sub else main),)
        await at.queue.add_many([Wish(wanted=wanted(number(index))) for index in range(40)])
        await at.over()
        times = {
            account: [one.at for one in at.person.begun if (one.number in of_sub) is account]
            for account in (True, False)
        }
        assert [len(one) for one in times.values()] == [20, 20]
        assert most_in_a_second(times[True]) == 4
        assert most_in_a_second(times[False]) == 1
        assert times[False][-1] - times[False][0] < 19 * 1.07  # and no slower than it must be
