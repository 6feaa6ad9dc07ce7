"""Five hundred numbers in four time zones, over a weekend on which summer time begins."""

import asyncio
import io
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.http.wishes import CallWish, wish_of
from gateway.outbound.campaign_csv import read_rows
from gateway.outbound.ports import Result, Wanted
from gateway.outbound.wish import Wish
from gateway.storage.queued_call import RetryPolicy, RetryRule
from tests.gateway.outbound.desk import FROM, desk, most_in_a_second, number, settings, wanted
from tests.gateway.outbound.virtual_database import virtual_database

#: A Friday; in America the clocks go forward in the night to Sunday.
FRIDAY = datetime.fromisoformat("2026-03-06T07:00:00+00:00").timestamp()
AREAS = {
    "212": "America/New_York",
    "312": "America/Chicago",
    "415": "America/Los_Angeles",
    "602": "America/Phoenix",
}
HOURS = {"mon-fri": ["09:00-12:00", "13:00-17:30"], "sat": ["10:00-12:00"]}
RETRIES = RetryPolicy(
    rules={
        Result.BUSY: RetryRule(times=2, after_s=1800, factor=2),
        Result.NO_ANSWER: RetryRule(times=3, after_s=20 * 3600),
    },
    most=4,
)


def as_csv() -> str:
    """The file that an operator has. Every fifth is more urgent."""
    areas = list(AREAS)
    lines = ["number,agent,from,var.name,priority,window"]
    for index in range(500):
        urgent = "5" if index % 5 == 0 else ""
        to = number(index, areas[index % 4])
        lines.append(f"{to},agent_1,{FROM},Person {index},{urgent},office")
    return "\n".join(lines)


def campaign() -> list[Wish]:
    """Its people, as the API reads them."""
    rows = read_rows(io.BytesIO(as_csv().encode()), 1000)
    calls = [CallWish.model_validate(row.fields) for row in rows]
    return [
        replace(wish_of(call, settings(), campaign="spring"), retries=RETRIES) for call in calls
    ]


def script(wish: Wanted, before: int) -> Result:
    """By the number: some are busy at first, some never answer, some are no numbers at all."""
    match int(wish.to_number[-3:]) % 10:
        case 1 | 2:
            return Result.BUSY if before < 1 else Result.ANSWERED
        case 3:
            return Result.BUSY
        case 4 | 5:
            return Result.NO_ANSWER if before < 2 else Result.ANSWERED
        case 6:
            return Result.NO_ANSWER
        case 7:
            return Result.INVALID_NUMBER
        case _:
            return Result.ANSWERED


def expected() -> tuple[Counter[str], dict[str, int]]:
    """How the campaign comes out, and how often each number is tried, by the rules above."""
    results: Counter[str] = Counter()
    times: dict[str, int] = {}
    for wish in campaign():
        tried, seen = 0, Counter[Result]()
        while True:
            result = script(wish.wanted, tried)
            tried += 1
            seen[result] += 1
            rule = RETRIES.rules.get(result)
            if rule is None or seen[result] > rule.times or tried == 4:
                break
        results[result.value] += 1
        times[wish.wanted.to_number] = tried
    return results, times


@virtual_database
async def test_order_windows_retries_pause_and_results(tmp_path: Path) -> None:
    week: dict[str, Any] = {"expires_s": 14 * 86_400, "calls": 10, "calls_per_second": 2}
    schedules = {
        "office": {"time_zone": "Europe/Berlin", "hours": HOURS, "holidays": ["2026-03-10"]}
    }
    configured = settings(week, schedules=schedules)
    async with desk(tmp_path, configured, start=FRIDAY) as at:
        at.person.script = script
        at.person.talk_s = 40
        await at.queue.add_many(campaign())
        await asyncio.sleep(7 * 3600 + 600)  # ten minutes of New York's day
        early = len(at.person.begun)
        assert early > 10
        await at.queue.pause("spring")
        await asyncio.sleep(3600)
        assert len(at.person.begun) <= early + 1
        await at.queue.resume("spring")
        await at.over()

        begun = at.person.begun
        for one in begun:
            zone = ZoneInfo(AREAS[one.number[2:5]])
            there = datetime.fromtimestamp(one.wall, zone)
            clock = there.strftime("%H:%M")
            if there.weekday() == 5:
                assert "10:00" <= clock < "12:00", there
            else:
                assert there.weekday() < 5, there
                assert "09:00" <= clock < "12:00" or "13:00" <= clock < "17:30", there
            assert (there.month, there.day) != (3, 10), "a holiday"
        assert most_in_a_second([one.at for one in begun]) <= 2
        assert at.person.most_up <= 10

        results, times = expected()
        assert await at.results() == results
        assert Counter(one.number for one in begun) == times

        # the first tries of each area come by priority, then as they were listed
        first: dict[str, list[str]] = defaultdict(list)
        for one in begun:
            if one.number not in first[one.number[2:5]]:
                first[one.number[2:5]].append(one.number)
        for area in AREAS:
            listed = [
                wish.wanted.to_number
                for wish in sorted(campaign(), key=lambda wish: -wish.priority)
                if wish.wanted.to_number[2:5] == area
            ]
            assert first[area] == listed

        # and the waits are those of the policy, or to the next opening
        walls: dict[str, list[float]] = defaultdict(list)
        for one in begun:
            walls[one.number].append(one.wall)
        for to, several in walls.items():
            for before, (early_at, late_at) in enumerate(pairwise(several)):
                busy = script(wanted(to), before) is Result.BUSY
                least_s = 1800 * 2**before if busy else 20 * 3600
                assert late_at - early_at >= least_s
