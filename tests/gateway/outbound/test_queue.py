"""The queue as whoever asks for a call sees it: order, room, endings, cancelling, events."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.outbound.errors import WishError
from gateway.outbound.ports import NotNowError, Result, Wanted
from gateway.outbound.wish import Wish
from gateway.storage.do_not_call import DoNotCall
from gateway.storage.queued_call import QueueState, RetryPolicy, RetryRule
from gateway.storage.queued_calls import QueueQuery
from tests.gateway.outbound.desk import MONDAY, desk, number, settings, wanted
from tests.gateway.outbound.virtual_database import virtual_database


@virtual_database
async def test_a_call_is_placed_and_told_of(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        queued = await at.queue.add(wanted(tag={"row": 7}))
        assert queued.state is QueueState.WAITING
        await at.over()
        found = await at.queue.get(queued.queued_id)
        assert found is not None
        call, tries = found
        assert (call.state, call.result, call.tries) == (QueueState.DONE, Result.ANSWERED, 1)
        assert call.wanted.tag == {"row": 7}
        assert [one.call_id for one in tries] == [at.person.begun[0].call_id] == [call.call_id]
        (one,) = tries
        assert one.ringing_ms is not None
        assert one.answered_ms is not None
        assert one.agent_answered_ms is not None
        assert one.ended_ms is not None
        assert one.started_ms < one.ringing_ms < one.answered_ms < one.ended_ms
        assert (one.result, one.retell_call_id) == (Result.ANSWERED, "retell_1")
        assert at.kinds() == ["queued", "calling", "ringing", "answered", "done"]
        assert at.sink.noted == at.events
        assert len({event.event_id for event in at.events}) == 5
        assert (await at.queue.page(QueueQuery(to_number="+14155550123"))) == [call]


@virtual_database
async def test_priority_then_time_then_age(tmp_path: Path) -> None:
    one_at_a_time = settings({"calls": 1, "calls_per_second": 1})
    async with desk(tmp_path, one_at_a_time) as at:
        await at.queue.pause()
        names = {"late": 2, "low": 3, "first": 4, "second": 5, "high": 6}
        to = {name: number(place) for name, place in names.items()}
        await at.queue.add(wanted(to["late"]), not_before_ms=at.now_ms + 2000)
        await at.queue.add(wanted(to["low"]), priority=-1)
        await at.queue.add_many([Wish(wanted=wanted(to[name])) for name in ("first", "second")])
        await at.queue.add(wanted(to["high"]), priority=3)
        await asyncio.sleep(3)
        assert at.person.begun == []
        await at.queue.resume()
        await at.over()
        order = [to["high"], to["first"], to["second"], to["late"], to["low"]]
        assert [one.number for one in at.person.begun] == order
        assert at.person.most_up == 1


@virtual_database
async def test_what_one_trunk_has_no_room_for_holds_up_nobody_else(tmp_path: Path) -> None:
    trunks = [
        {"name": "small", "gateways": ["sip:small.example.com"], "max_calls": 1},
        {"name": "slow", "gateways": ["sip:slow.example.com"], "calls_per_second": 2},
        {"name": "wide", "gateways": ["sip:wide.example.com"]},
    ]
    async with desk(tmp_path, settings(trunks=trunks)) as at:
        at.person.routes = lambda wish: (wish.trunk or "",)
        wishes = [
            Wish(wanted=wanted(number(index), trunk=trunk), priority=1)
            for index, trunk in enumerate(("small", "small", *["slow"] * 6))
        ]
        wishes.append(Wish(wanted=wanted(number(90), trunk="wide"), priority=-5))
        await at.queue.add_many(wishes)
        await asyncio.sleep(1)
        begun = [one.number for one in at.person.begun]
        assert number(90) in begun
        assert number(0) in begun
        assert number(1) not in begun, "the small trunk is taken"
        await at.over()
        slow = [one.at for one in at.person.begun if one.number in map(number, range(2, 8))]
        assert all(later - early >= 0.5 for early, later in pairwise(slow))
        small = [one.at for one in at.person.begun if one.number in map(number, range(2))]
        assert small[1] - small[0] >= 6.0
        assert at.metric("held_seconds_total", reason="trunk") > 0


@virtual_database
async def test_not_now_does_not_count(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        refusals = [NotNowError("trunk-full", 3.0), NotNowError("trunk-full", 3.0)]
        at.person.refuses = lambda wish: refusals.pop() if refusals else None
        queued = await at.queue.add(wanted())
        await at.over()
        found = await at.queue.get(queued.queued_id)
        assert found is not None
        call, tries = found
        assert (call.tries, call.outcomes, len(tries)) == (1, {Result.ANSWERED: 1}, 1)
        assert at.person.begun[0].at >= 6.0
        assert {event.event_id for event in at.events if event.kind == "call.calling"} == {
            f"{call.queued_id}-1-calling"
        }


@virtual_database
async def test_a_placer_that_breaks_leaves_a_call_that_nobody_dials_again(tmp_path: Path) -> None:
    again = {"failed": {"times": 3, "after_s": 1}}
    async with desk(tmp_path, settings({"retries": again})) as at:
        at.person.refuses = lambda wish: ValueError("a bug")
        queued = await at.queue.add(wanted())
        await at.over()
        found = await at.queue.get(queued.queued_id)
        assert found is not None
        assert (found[0].state, found[0].result) == (QueueState.UNKNOWN, Result.UNKNOWN)
        assert at.kinds()[-1] == "unknown"


@virtual_database
async def test_tried_again_by_outcome_with_back_off(tmp_path: Path) -> None:
    rules = {
        "busy": {"times": 2, "after_s": 60, "factor": 3},
        "no-answer": {"times": 5, "after_s": 600},
    }
    outcomes = [Result.BUSY, Result.NO_ANSWER, Result.BUSY, Result.BUSY]
    async with desk(tmp_path, settings({"retries": rules})) as at:
        at.person.script = lambda wish, before: outcomes[before]
        queued = await at.queue.add(wanted())
        await at.over()
        times = [one.at for one in at.person.begun]
        waits = [round(later - early) for early, later in pairwise(times)]
        assert waits == [61, 601, 181]
        found = await at.queue.get(queued.queued_id)
        assert found is not None
        assert found[0].outcomes == {Result.BUSY: 3, Result.NO_ANSWER: 1}
        assert (found[0].state, found[0].result) == (QueueState.DONE, Result.BUSY)
        assert at.kinds().count("retrying") == 3
        assert [one.number for one in found[1]] == [1, 2, 3, 4]


@virtual_database
async def test_no_more_tries_than_allowed_in_all_nor_after_the_end(tmp_path: Path) -> None:
    busy = RetryPolicy(rules={Result.BUSY: RetryRule(times=50, after_s=10)}, most=3)
    async with desk(tmp_path) as at:
        at.person.script = lambda wish, before: Result.BUSY
        await at.queue.add(wanted(number(1)), retries=busy)
        short = RetryPolicy(rules=busy.rules)
        await at.queue.add(wanted(number(2)), retries=short, expires_ms=at.now_ms + 25_000)
        refused = RetryPolicy(rules={Result.INVALID_NUMBER: RetryRule(times=9, after_s=1)})
        await at.queue.add(wanted(number(3)), retries=refused)
        await at.over()
        begun = [one.number for one in at.person.begun]
        assert (begun.count(number(1)), begun.count(number(2))) == (3, 3)
        assert await at.results() == {"busy": 3}


@virtual_database
async def test_a_result_that_ends_it_is_final_whatever_the_policy_says(tmp_path: Path) -> None:
    for_ever = RetryPolicy(
        rules={result: RetryRule(times=9, after_s=1) for result in Result},
    )
    final = {Result.ANSWERED, Result.INVALID_NUMBER, Result.FAX}
    async with desk(tmp_path) as at:
        by_number = {number(place): result for place, result in enumerate(final)}
        at.person.script = lambda wish, before: by_number[wish.to_number]
        for to in by_number:
            await at.queue.add(wanted(to), retries=for_ever)
        await at.over()
        assert len(at.person.begun) == len(final)


@virtual_database
async def test_expired_before_it_could_be_tried(tmp_path: Path) -> None:
    async with desk(tmp_path, settings({"calls": 1})) as at:
        at.person.talk_s = 100
        await at.queue.add(wanted(number(1)), priority=1)
        queued = await at.queue.add(wanted(number(2)), expires_ms=at.now_ms + 50_000)
        await at.over()
        found = await at.queue.get(queued.queued_id)
        assert found is not None
        assert (found[0].result, found[0].tries, found[1]) == (Result.EXPIRED, 0, [])
        assert at.kinds(queued.queued_id) == ["queued", "done"]


@virtual_database
async def test_cancelled_while_it_waits_rings_and_waits_again(tmp_path: Path) -> None:
    again = {"busy": {"times": 3, "after_s": 100}}
    async with desk(tmp_path, settings({"retries": again})) as at:
        later = await at.queue.add(wanted(number(1)), not_before_ms=at.now_ms + 60_000)
        ringing = await at.queue.add(wanted(number(2)))
        at.person.script = lambda wish, before: (
            Result.BUSY if wish.to_number == number(3) else Result.ANSWERED
        )
        busy = await at.queue.add(wanted(number(3)))
        await asyncio.sleep(0.8)
        gone = await at.queue.cancel(later.queued_id)
        assert gone is not None
        assert (gone.state, gone.result) == (QueueState.CANCELLED, Result.CANCELLED)
        calling = await at.queue.cancel(ringing.queued_id)
        assert calling is not None
        await asyncio.sleep(5)
        await at.queue.cancel(busy.queued_id)
        assert at.person.cancelled == [at.person.begun[0].call_id]
        await at.over()
        assert await at.results() == {"cancelled": 3}
        assert len(at.person.begun) == 2
        assert at.kinds(ringing.queued_id)[-1] == "cancelled"
        assert await at.queue.cancel("nobody") is None
        done = await at.queue.cancel(later.queued_id)
        assert done is not None
        assert at.kinds(later.queued_id) == ["queued", "cancelled"]


@virtual_database
async def test_a_campaign_is_paused_over_a_restart_and_cancelled(tmp_path: Path) -> None:
    wishes = [Wish(wanted=wanted(number(index)), campaign="spring") for index in range(20)]
    async with desk(tmp_path, settings({"calls": 3})) as at:
        await at.queue.pause("spring", by="ops")
        assert at.queue.paused("spring")
        await at.queue.add_many(wishes)
        other = await at.queue.add(wanted(number(99)))
        await asyncio.sleep(60)
        assert [one.queued_id for one in at.person.begun] == [other.queued_id]
        assert at.metric("held_seconds_total", reason="paused") > 0
    async with desk(tmp_path, settings({"calls": 3})) as at:
        assert (at.queue.paused("spring"), at.queue.waiting) == (True, 20)
        await asyncio.sleep(60)
        assert at.person.begun == []
        await at.queue.resume("spring")
        await asyncio.sleep(2.5)
        assert len(at.person.begun) == 3
        assert await at.queue.cancel_campaign("spring") == 20
        await at.over()
        assert (await at.queue.counts("spring"))["cancelled"] == 20
        assert len(at.person.begun) == 3


@virtual_database
async def test_a_number_of_the_do_not_call_list_is_not_called(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        waiting = await at.queue.add(wanted(number(1)), not_before_ms=at.now_ms + 60_000)
        await at.queue.bar([DoNotCall(number=number(1), reason="asked for it", by="ops")])
        with pytest.raises(WishError, match="do-not-call list") as raised:
            await at.queue.add(wanted(number(1)))
        assert (raised.value.code, raised.value.status) == ("do-not-call", 403)
        await at.over()
        assert at.person.begun == []
        found = await at.queue.get(waiting.queued_id)
        assert found is not None
        assert (found[0].result, found[1]) == (Result.BARRED, [])
        assert "do-not-call" in found[0].detail
        (entry,) = await at.queue.barred()
        assert (entry.number, entry.reason, entry.by) == (number(1), "asked for it", "ops")
        assert entry.at_ms > 0
        assert await at.queue.unbar(number(1))
        assert not await at.queue.unbar(number(1))
        await at.queue.add(wanted(number(1)))
        await at.over()
        assert len(at.person.begun) == 1


@virtual_database
async def test_retells_room_is_kept(tmp_path: Path) -> None:
    class Room:
        """Retell counts calls whose agent is there, and is asked once in a while."""

        def __init__(self) -> None:
            self.left = 3

        def free(self) -> int | None:
            return self.left

        def took(self) -> None:
            self.left -= 1

    room = Room()
    async with desk(tmp_path, room=room) as at:
        for index in range(10):
            await at.queue.add(wanted(number(index)))
        await asyncio.sleep(30)
        assert len(at.person.begun) == 3
        assert at.metric("held_seconds_total", reason="retell") > 0
        room.left = 100
        await at.over()
        assert len(at.person.begun) == 10


@virtual_database
async def test_after_a_drain_no_try_begins(tmp_path: Path) -> None:
    async with desk(tmp_path, settings({"calls": 2})) as at:
        for index in range(5):
            await at.queue.add(wanted(number(index)))
        await asyncio.sleep(1)
        at.queue.drain()
        assert at.queue.open_calls == 2
        await at.queue.none_left()
        await asyncio.sleep(100)
        assert len(at.person.begun) == 2
        assert (await at.queue.counts())["waiting"] == 3


@virtual_database
async def test_another_configuration_counts_at_once(tmp_path: Path) -> None:
    async with desk(tmp_path, settings({"calls": 1})) as at:
        at.person.talk_s = 100
        for index in range(5):
            await at.queue.add(wanted(number(index)))
        await asyncio.sleep(1)
        assert at.person.up == 1
        at.queue.configure(settings({"calls": 4}))
        await asyncio.sleep(1)
        assert at.person.up == 4
        at.queue.configure(settings({"calls": 4, "max_waiting": 1}))
        with pytest.raises(WishError, match="max_waiting") as raised:
            await at.queue.add(wanted(number(9)))
        assert raised.value.code == "queue-full"


@virtual_database
async def test_a_callback_may_cancel_from_within_the_news(tmp_path: Path) -> None:
    """Whoever hears of an event may ask the queue for something at once."""
    async with desk(tmp_path) as at:
        tasks = []

        def heard(event: object) -> None:
            if at.events[-1].kind == "call.ringing":
                tasks.append(asyncio.ensure_future(at.queue.cancel(at.events[-1].call.queued_id)))

        at.queue.on_event(heard)
        await at.queue.add(wanted())
        await at.over()
        await asyncio.gather(*tasks)
        assert await at.results() == {"cancelled": 1}


def test_a_wish_is_stored_as_it_was_made() -> None:
    wish = Wanted(to_number="+14155550123", variables={"name": "Zoë"}, agent_version=0)
    assert Wanted.from_json(wish.to_json()) == wish


@virtual_database
async def test_cancelled_while_it_is_being_placed(tmp_path: Path) -> None:
    """Whoever places it does not know it yet when it is cancelled."""
    async with desk(tmp_path) as at:
        place = at.person.begin

        async def slowly(*args: Any) -> None:
            await asyncio.sleep(2)
            await place(*args)

        at.person.begin = slowly  # type: ignore[method-assign, assignment]
        queued = await at.queue.add(wanted())
        await asyncio.sleep(1)
        await at.queue.cancel(queued.queued_id)
        await at.over()
        assert at.person.begun[0].at + 1 > at.events[-1].at_ms / 1000 - MONDAY, "it hardly rang"
        assert at.person.cancelled == [at.person.begun[0].call_id] * 2
        assert await at.results() == {"cancelled": 1}


@virtual_database
async def test_an_outbox_that_breaks_when_it_is_woken_stops_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:

        def wake() -> None:
            raise ValueError("a bug")

        at.sink.wake = wake  # type: ignore[method-assign]
        for index in range(3):
            await at.queue.add(wanted(number(index)))
        await at.over()
        assert await at.results() == {"answered": 3}
        assert len(at.person.begun) == 3
