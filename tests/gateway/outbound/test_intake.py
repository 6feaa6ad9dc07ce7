"""What is refused at once, and the words for it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.calls.endings import Fault, Refusal
from gateway.calls.no_way import NoWay
from gateway.outbound.errors import WishError, WishesError
from gateway.outbound.wish import Wish
from gateway.storage.queued_call import Result
from tests.gateway.outbound.desk import Desk, desk, number, settings, wanted
from tests.gateway.outbound.virtual_database import virtual_database

OFFICE = {"office": {"time_zone": "UTC", "hours": {"mon-fri": ["09:00-17:00"]}}}


async def refused(at: Desk, **wish: Any) -> WishError:
    with pytest.raises(WishError) as raised:
        await at.queue.add(**wish)
    return raised.value


def no_way(cause: str) -> NoWay:
    return NoWay(Refusal(403, "Forbidden", cause, Fault.OPERATOR), f"because of {cause}")


@virtual_database
async def test_numbers_agents_and_trunks(tmp_path: Path) -> None:
    async with desk(tmp_path, settings(home="US")) as at:
        for to, told in (
            ("hello", "'hello' is no telephone number: write it in E.164"),
            ("200", "no telephone number"),
            ("+1415555012", "too few digits"),
            ("+9995550123456", "no country has its country code"),
            ("+141555501234", "too many digits"),
        ):
            error = await refused(at, wanted=wanted(to))
            assert (error.code, error.status) == ("bad-number", 422)
            assert told in error.words, to
        assert (await refused(at, wanted=wanted(from_number=""))).code == "no-from"
        error = await refused(at, wanted=wanted(from_number="anonymous"))
        assert error.code == "no-from"
        assert error.words.startswith("from_number: 'anonymous' is no telephone number")
        assert (await refused(at, wanted=wanted(trunk="none"))).code == "unknown-trunk"
        queued = await at.queue.add(wanted("(415) 555-0123", agent=None, mode="retell"))
        assert queued.wanted.to_number == "+14155550123"
        assert (queued.wanted.ring_timeout_s, queued.wanted.time_limit_s) == (45, 3600)
        error = await refused(at, wanted=wanted(), queued_id=queued.queued_id)
        assert (error.code, error.status) == ("duplicate-id", 409)


@virtual_database
async def test_windows_and_times(tmp_path: Path) -> None:
    """It is Monday, 12:00 in UTC."""
    async with desk(tmp_path, settings({"window": "office"}, schedules=OFFICE)) as at:
        queued = await at.queue.add(wanted())
        assert (queued.window, queued.time_zones) == ("office", ("America/Los_Angeles",))
        assert queued.due_ms - at.now_ms == 5 * 3_600_000, "9:00 there"
        now = await at.queue.add(wanted(), window="")
        assert (now.window, now.due_ms) == (None, at.now_ms)
        here = await at.queue.add(wanted(), time_zone="Europe/Berlin")
        assert here.due_ms == at.now_ms
        error = await refused(at, wanted=wanted(), expires_ms=at.now_ms + 3_600_000)
        assert (error.code, error.status) == ("outside-window", 409)
        assert "office does not open in America/Los_Angeles before 2026-03-02T13:00" in error.words
        assert (await refused(at, wanted=wanted(), window="none")).code == "unknown-window"
        assert (await refused(at, wanted=wanted(), time_zone="Mars")).code == "unknown-window"
        assert (await refused(at, wanted=wanted(), expires_ms=at.now_ms)).code == "bad-time"


@virtual_database
async def test_guard_caps_and_money(tmp_path: Path) -> None:
    async with desk(tmp_path) as at:
        for cause, code, status in (
            ("guard-country", "forbidden-destination", 403),
            ("guard-day-full", "cap-reached", 429),
            ("spend-stop", "spend-stop", 409),
            ("no-route", "no-route", 422),
            ("no-agent", "no-agent", 422),
        ):
            at.person.forbids = lambda wish, cause=cause: no_way(cause)  # type: ignore[misc]
            error = await refused(at, wanted=wanted())
            assert (error.code, error.status) == (code, status)
            assert error.words == f"because of {cause}"
        # tomorrow is another day
        at.person.forbids = lambda wish: no_way("guard-day-full")
        later = await at.queue.add(wanted(), not_before_ms=at.now_ms + 60_000)
        at.person.forbids = lambda wish: no_way("guard-too-many")
        await at.queue.add(wanted(number(2)))
        at.person.forbids = lambda wish: None
        await at.over()
        found = await at.queue.get(later.queued_id)
        assert found is not None
        assert found[0].result is Result.ANSWERED


@virtual_database
async def test_what_is_forbidden_meanwhile_is_barred_or_waits(tmp_path: Path) -> None:
    again = {"barred": {"times": 3, "after_s": 3600}}
    async with desk(tmp_path, settings({"retries": again})) as at:
        await at.queue.pause()
        names = {number(1): "guard-denied", number(2): "spend-stop", number(3): "guard-too-many"}
        calls = [await at.queue.add(wanted(to)) for to in names]
        at.person.forbids = lambda wish: no_way(names[wish.to_number])
        await at.queue.resume()
        await asyncio.sleep(1800)
        assert at.person.begun == []
        states = [found[0] for call in calls if (found := await at.queue.get(call.queued_id))]
        assert [(each.state, each.result) for each in states] == [
            ("done", Result.BARRED),
            ("waiting", Result.BARRED),
            ("waiting", None),
        ]
        at.person.forbids = lambda wish: None
        await at.over()
        assert [one.number for one in at.person.begun] == [number(3), number(2)]
        assert at.person.begun[1].at >= 3600


@virtual_database
async def test_all_of_many_or_none(tmp_path: Path) -> None:
    async with desk(tmp_path, settings({"max_waiting": 10})) as at:
        wishes = [Wish(wanted=wanted(to)) for to in (number(1), "nobody", number(2), "+1")]
        with pytest.raises(WishesError) as raised:
            await at.queue.add_many(wishes)
        assert {place: error.code for place, error in raised.value.errors.items()} == {
            1: "bad-number",
            3: "bad-number",
        }
        assert await at.queue.counts() == {}
        assert set(await at.queue.check(wishes)) == {1, 3}
        many = [Wish(wanted=wanted(number(index))) for index in range(11)]
        with pytest.raises(WishesError) as raised:
            await at.queue.add_many(many)
        assert raised.value.errors[0].code == "queue-full"
        twice = [Wish(wanted=wanted(), queued_id="same") for _ in range(2)]
        with pytest.raises(WishesError) as raised:
            await at.queue.add_many(twice)
        assert raised.value.errors[1].code == "duplicate-id"


@virtual_database
async def test_what_is_written_beside_is_in_the_same_transaction(tmp_path: Path) -> None:
    async def breaks(connection: object) -> None:
        raise ValueError("no campaign")

    async with desk(tmp_path) as at:
        with pytest.raises(Exception, match="no campaign"):
            await at.queue.add_many([Wish(wanted=wanted())], breaks)
        assert (await at.queue.counts(), at.queue.waiting) == ({}, 0)
        assert at.events == []
