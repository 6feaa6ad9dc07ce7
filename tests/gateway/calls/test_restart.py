"""Calls that outlive the application: what is on record, and how its successor goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from gateway.calls import live_calls
from gateway.http.app_keys import CALLS
from gateway.storage.call_records import CallRecord, CallStore
from tests.gateway.conftest import (
    DIAL_DID,
    DIAL_FALLBACK_DID,
    FALLBACK_DID,
    TRUNK_DID,
    Gateway,
    Retell,
    Start,
)
from tests.gateway.peer import Jambonz

Story = Callable[[Jambonz], Awaitable[Any]]


async def restored(gateway: Gateway) -> None:
    """The successor has read the record."""
    [call] = gateway.app[CALLS]._calls.values()
    for _ in range(500):
        if call.on_record:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never read it")


@asynccontextmanager
async def restarted(start: Start, story: Story) -> AsyncIterator[tuple[Gateway, Jambonz]]:
    """The story is told to one application; then its successor has the call."""
    first = await start()
    jambonz = first.jambonz()
    await jambonz.connect()
    await story(jambonz)
    reading = asyncio.create_task(jambonz.socket.receive(timeout=5))
    await asyncio.gather(first.stop(), reading)
    second = await start()
    jambonz.move_to(second.http, f"{second.url}/retell")
    async with jambonz:  # which connects
        msgid = await jambonz.send("session:reconnect", jambonz.session)
        assert await jambonz.ack(msgid) is None
        await restored(second)
        yield second, jambonz


async def ringing(jambonz: Jambonz, to: str, **more: Any) -> None:
    await jambonz.new_call(to=to, **more)
    await jambonz.leg("trying", 100)
    await jambonz.leg("ringing", 180)


async def talking(jambonz: Jambonz) -> None:
    await jambonz.new_call(to=TRUNK_DID)
    await jambonz.answered()


async def on_record(gateway: Gateway, jambonz: Jambonz) -> CallRecord:
    """The record as it is stored; the messages so far are in it."""
    await jambonz.ack(await jambonz.send("verb:hook", {}, hook="/any"))
    [record] = await gateway.records()
    return record


# what a crash would leave


async def test_what_happened_is_on_record_when_it_happens(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await ringing(jambonz, TRUNK_DID)
        begun = await on_record(gateway, jambonz)
        assert [item["trunk"] for item in begun.attempts] == ["retell"]
        assert begun.answered_ms is None
        await jambonz.leg("in-progress", 200)
        answered = await on_record(gateway, jambonz)
        assert answered.answered_ms is not None
        assert (answered.state, answered.attempts[0]["code"]) == ("live", 200)
        await jambonz.caller("in-progress", 200)
        await jambonz.callee_hangs_up()


async def test_a_registration_and_the_next_attempt_are_on_record(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_FALLBACK_DID)
        await jambonz.command()
        await jambonz.refused(503)
        record = await on_record(gateway, jambonz)
        assert record.retell_call_id == "call_0123456789abcdef0123456789a"
        assert [(item["trunk"], item["code"]) for item in record.attempts] == [
            ("retell", 503),
            ("carrier", None),
        ]
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_what_a_crash_left_has_an_end(start: Start) -> None:
    first = await start()
    async with first.jambonz() as jambonz:
        await talking(jambonz)
        reading = asyncio.create_task(jambonz.socket.receive(timeout=5))
        await asyncio.gather(first.stop(), reading)
    [record] = await (await start()).records()
    assert (record.state, record.cause) == ("interrupted", "interrupted")
    assert record.answered_ms is not None
    assert record.ended_ms is not None
    assert record.ended_ms >= record.answered_ms


# a call that talks


@pytest.mark.parametrize("by", ["caller", "callee"])
async def test_a_talking_call_is_completed(start: Start, by: str) -> None:
    async with restarted(start, talking) as (gateway, jambonz):
        [before] = await gateway.records()
        assert before.state == "live"
        await (jambonz.caller_hangs_up() if by == "caller" else jambonz.callee_hangs_up())
        record = await gateway.record()
    assert (record.state, record.ended_by, record.cause) == ("ended", by, "hangup")
    assert (record.call_id, record.answered_ms) == (before.call_id, before.answered_ms)
    assert record.duration_s == 3  # as the last status says
    assert [(item["trunk"], item["code"]) for item in record.attempts] == [("retell", 200)]


async def test_an_answer_that_nobody_saw_is_known_from_the_duration(start: Start) -> None:
    async def story(jambonz: Jambonz) -> None:
        await ringing(jambonz, TRUNK_DID)

    async with restarted(start, story) as (gateway, jambonz):
        await jambonz.caller("completed", 200, call_termination_by="caller", duration=7)
        await jambonz.hang_up()
        record = await gateway.record()
    assert (record.ended_by, record.cause, record.duration_s) == ("caller", "hangup", 7)
    assert record.ended_ms is not None
    assert record.answered_ms == record.ended_ms - 7000


# a call that rings


async def test_the_fallback_of_a_ringing_call_is_not_lost(start: Start) -> None:
    async def story(jambonz: Jambonz) -> None:
        await ringing(jambonz, FALLBACK_DID)

    async with restarted(start, story) as (gateway, jambonz):
        dial, _ = await jambonz.dial_ended("failed", 503)
        assert dial["target"] == [{"type": "phone", "number": "200", "trunk": "pbx"}]
        await jambonz.answered()
        await jambonz.callee_hangs_up()
        record = await gateway.record()
    assert [(item["trunk"], item["code"]) for item in record.attempts] == [
        ("retell", 503),
        ("pbx", 200),
    ]


async def test_the_next_carrier_is_not_lost_and_none_is_tried_twice(start: Start) -> None:
    async def story(jambonz: Jambonz) -> None:
        await ringing(jambonz, "+14155550177", user="retell", trunk=None)

    async with restarted(start, story) as (gateway, jambonz):
        dial, _ = await jambonz.dial_ended("failed", 503)
        assert dial["target"][0]["trunk"] == "second"
        await jambonz.leg("trying", 100)
        [decline] = await jambonz.dial_ended("failed", 503)
        assert (decline["verb"], decline["status"]) == ("sip:decline", 503)
        await jambonz.declined(503)
        record = await gateway.record()
    assert (record.direction, record.cause) == ("retell", "unavailable")


async def test_the_last_carrier_is_not_followed_by_the_first(start: Start) -> None:
    async def story(jambonz: Jambonz) -> None:
        await jambonz.new_call(to="+14155550177", user="retell", trunk=None)
        await jambonz.refused(503)
        await jambonz.leg("trying", 100)

    async with restarted(start, story) as (gateway, jambonz):
        [decline] = await jambonz.dial_ended("failed", 503)
        assert decline["status"] == 503
        await jambonz.declined(503)
        assert len((await gateway.record()).attempts) == 2


async def test_a_call_that_was_being_registered_is_registered(start: Start, retell: Retell) -> None:
    answer, asked, late = retell.answer, asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        asked.set()
        await late.wait()
        return await answer(request)

    async def story(jambonz: Jambonz) -> None:
        retell.answer = slow
        await jambonz.new_call(to=DIAL_DID)
        await asked.wait()
        retell.answer = answer

    async with restarted(start, story) as (gateway, jambonz):
        dial, _ = await jambonz.command()
        assert dial["target"][0]["type"] == "sip"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
        record = await gateway.record()
    late.set()
    assert record.retell_call_id is not None
    assert len(retell.requests) == 2


async def test_a_registered_call_is_registered_once(start: Start, retell: Retell) -> None:
    async def story(jambonz: Jambonz) -> None:
        await jambonz.new_call(to=DIAL_FALLBACK_DID)
        await jambonz.command()
        await jambonz.leg("trying", 100)

    async with restarted(start, story) as (gateway, jambonz):
        dial, _ = await jambonz.dial_ended("failed", 503)
        assert dial["target"][0]["trunk"] == "carrier"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
        record = await gateway.record()
    assert record.retell_call_id is not None
    assert len(retell.requests) == 1


async def test_a_call_that_was_refused_stays_so(start: Start) -> None:
    async def story(jambonz: Jambonz) -> None:
        await jambonz.new_call(to="+14155550188")

    async with restarted(start, story) as (gateway, jambonz):
        await jambonz.declined(404)
        record = await gateway.record()
    assert (record.cause, record.fault) == ("number-not-configured", "operator")


async def test_a_call_without_a_record_has_its_plan(gateway: Gateway) -> None:
    """It may be that its first dial goes on."""
    async with gateway.jambonz() as jambonz:
        jambonz.session = {
            "call_sid": jambonz.call_sid,
            "from": "+12125550100",
            "to": FALLBACK_DID,
        }
        assert await jambonz.reconnect() is None
        dial, _ = await jambonz.dial_ended("busy", 486)
        assert dial["target"][0]["trunk"] == "pbx"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
    assert (await gateway.record()).to_number == FALLBACK_DID


# a store that does not answer


async def test_a_reconnect_is_acked_before_the_store_is_asked(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """jambonz hangs up after 5 s. What is late is taken when it comes."""
    monkeypatch.setattr(live_calls, "RECORD_S", 0.1)
    first = await start()
    jambonz = first.jambonz()
    await jambonz.connect()
    await talking(jambonz)
    reading = asyncio.create_task(jambonz.socket.receive(timeout=5))
    await asyncio.gather(first.stop(), reading)
    second = await start()
    unlocked, read = asyncio.Event(), CallStore.by_call_sid

    async def locked(store: CallStore, call_sid: str) -> CallRecord | None:
        await unlocked.wait()
        return await read(store, call_sid)

    monkeypatch.setattr(CallStore, "by_call_sid", locked)
    jambonz.move_to(second.http, f"{second.url}/retell")
    async with jambonz:
        msgid = await jambonz.send("session:reconnect", jambonz.session)
        assert await jambonz.ack(msgid) is None
        await jambonz.leg("completed", 200)
        assert await jambonz.dial_ended("completed", 200) is None  # it waited no longer
        unlocked.set()
        await restored(second)
        await jambonz.caller("completed", 200, call_termination_by="callee", duration=3)
        await jambonz.hang_up()
        record = await second.record()
    assert (record.ended_by, record.cause, record.duration_s) == ("callee", "hangup", 3)
