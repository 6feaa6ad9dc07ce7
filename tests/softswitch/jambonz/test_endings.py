"""What the application is told of a dial that it, or the softswitch, ends itself."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from sip.b2bua.call_events import Cause
from sip.softswitch.dialling.dialler import Dialler
from tests.fakes.application import FakeApplication
from tests.ladder import PCMU, Ladder, dial, ladder_test, make_ladder
from tests.virtual import virtual_time

Json = dict[str, Any]
HANGUP = {"verb": "hangup"}
#: how a jambonz told of it
RECORDED = Path(__file__).parents[2] / "contract" / "data" / "ended-by-command.jsonl"


async def by_command(ladder: Ladder) -> None:
    await ladder.app.command("call:status", {"call_status": "completed"})


async def by_redirect(ladder: Ladder) -> None:
    await ladder.app.command("redirect", [HANGUP])


async def by_stop(ladder: Ladder) -> None:
    await ladder.switch.close()


async def by_lost_media(ladder: Ladder) -> None:
    for driver in ladder.switch._calls.values():
        driver.end(Cause.MEDIA)


WAYS = pytest.mark.parametrize(
    ("end", "cause"),
    [(by_command, "bye"), (by_redirect, "bye"), (by_stop, "shutdown"), (by_lost_media, "media")],
    ids=lambda value: getattr(value, "__name__", None),
)
End = Callable[[Ladder], Coroutine[Any, Any, None]]


def told_of_dial(ladder: Ladder) -> tuple[str, int]:
    """How the one dial ended, as its hook was told."""
    [hook] = ladder.app.told("/dial-action")
    return hook["data"]["dial_call_status"], hook["data"]["dial_sip_status"]


def last(ladder: Ladder) -> Json:
    """The last word about the A-leg, which is the last of all."""
    frame = ladder.app.frames[-1]
    assert frame["type"] == "call:status"
    data: Json = frame["data"]
    assert "parent_call_sid" not in data
    return data


@WAYS
@virtual_time
async def test_two_who_talked_are_completed_whoever_ends_it(end: End, cause: str) -> None:
    async with make_ladder() as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        await ladder.call_up()
        await asyncio.sleep(7)
        await asyncio.gather(end(ladder), carrier.is_hung_up(), agent.is_hung_up())
        await ladder.app.until(lambda: ladder.app.close_codes)
        assert ladder.app.close_codes == [1000]
        assert told_of_dial(ladder) == ("completed", 200)
        assert ladder.app.statuses(child=True)[-1] == ("completed", 200)
        told = last(ladder)
        assert (told["call_status"], told["call_termination_by"]) == ("completed", "jambonz")
        assert (told["cause"], told["duration"]) == (cause, 7)
        await ladder.settled()


@WAYS
@virtual_time
async def test_one_who_only_rang_was_not_reached_whoever_ends_it(end: End, cause: str) -> None:
    async with make_ladder() as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        ladder.app.verbs = lambda _: [dial("agent"), HANGUP]
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        await agent.expect("INVITE")
        await agent.send(180)
        await carrier.expect(180)
        ending = asyncio.create_task(end(ladder))
        await carrier.expect(503 if cause == "shutdown" else 603)
        await carrier.send("ACK")
        await agent.expect("CANCEL")
        await agent.send(200, answering="CANCEL")
        await agent.send(487)
        await agent.expect("ACK")
        await ladder.app.until(lambda: ladder.app.close_codes)
        assert told_of_dial(ladder) == ("no-answer", 487)
        await ending
        assert last(ladder)["cause"] == ("rejected" if cause == "bye" else cause)
        await ladder.settled()


def told_as(frame: Json) -> Json:
    """What a frame tells, without ids and times, and without what we tell beyond jambonz."""
    data, beyond = frame["data"], ("dial_sip_reason", "dial_sip_call_id", "dial_cause")
    facts = {
        key: value
        for key, value in data.items()
        if key.endswith(("status", "reason", "_by", "direction")) and key not in beyond
    }
    who = "b" if "parent_call_sid" in data else "a"
    return {"type": frame["type"], "hook": frame.get("hook"), "of": who, **facts}


@ladder_test
async def test_an_end_by_command_is_told_as_a_jambonz_tells_it(ladder: Ladder) -> None:
    """But for the order: here the A-leg's last word comes last."""
    texts = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    recorded = [text["msg"] for text in texts if text["kind"] == "text"]
    a_leg, b_leg, hook = recorded[-3:]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    await by_command(ladder)
    await asyncio.gather(carrier.is_hung_up(), agent.is_hung_up())
    await ladder.app.until(lambda: ladder.app.close_codes)
    told = list(map(told_as, ladder.app.frames[-3:]))
    assert told == list(map(told_as, (b_leg, hook, a_leg)))


@ladder_test
async def test_verbs_in_the_hook_of_a_dial_that_was_replaced_are_too_late(ladder: Ladder) -> None:
    """The redirect has the say, as in jambonz; the agent's end is told before the next dial."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    ladder.app.hooks["/dial-action"] = lambda _: [{"verb": "tag", "data": {"too": "late"}}]
    await ladder.call_up()
    await ladder.app.command("redirect", [dial("second", actionHook="/second"), HANGUP])
    await agent.is_hung_up()
    await second.answer_call()
    [hook] = ladder.app.told("/dial-action")
    assert (hook["data"]["dial_call_status"], hook["data"]["call_status"]) == (
        "completed",
        "in-progress",
    )
    await second.hang_up()
    await carrier.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert "customerData" not in last(ladder)
    assert last(ladder)["call_termination_by"] == "callee"


@virtual_time
async def test_a_dial_that_is_replaced_before_its_invite_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its target's name is still being looked up."""
    looking = asyncio.Event()

    async def look_up(*_: object, encrypted: bool) -> None:
        looking.set()
        await asyncio.sleep(3600)

    monkeypatch.setattr(Dialler, "attempts", look_up)
    async with make_ladder() as ladder:
        carrier = ladder.peer("carrier")
        ladder.app.verbs = lambda _: [dial("agent")]
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        await looking.wait()
        await ladder.app.command("redirect", [{"verb": "sip:decline", "status": 480}])
        await carrier.expect(480)
        await carrier.send("ACK")
        await ladder.app.until(lambda: ladder.app.close_codes)
        assert told_of_dial(ladder) == ("no-answer", 487)


@ladder_test
async def test_at_the_end_a_hook_without_ack_is_waited_for_for_a_second(ladder: Ladder) -> None:
    ladder.app.hooks["/dial-action"] = lambda _: FakeApplication.NO_ACK
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    await by_command(ladder)
    await asyncio.gather(carrier.is_hung_up(), agent.is_hung_up())
    before = asyncio.get_running_loop().time()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert 0.9 < asyncio.get_running_loop().time() - before < 1.1


# what a dial and a redirect carry


@ladder_test
async def test_a_b_leg_has_its_dials_tag_and_its_hook_the_calls_and_the_verbs_id(
    ladder: Ladder,
) -> None:
    """As in jambonz 0.9.8, where `customerData` keeps the case of its keys."""
    tag, of_call = {"orderId": 7, "innerKeys": {"aB": 1}}, {"batchId": "b1"}
    ladder.app.verbs = lambda _: [
        {"verb": "tag", "data": of_call},
        dial("agent", tag=tag, id="d1"),
        dial("second", actionHook="/second"),
        HANGUP,
    ]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    for name in ("agent", "second"):
        await ladder.peer(name).expect("INVITE")
        await ladder.peer(name).send(486)
        await ladder.peer(name).expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)
    children = [
        frame["data"].get("customerData")
        for frame in ladder.app.told("call:status")
        if "parent_call_sid" in frame["data"]
    ]
    assert children == [tag, tag, None, None]
    [first], [then] = ladder.app.told("/dial-action"), ladder.app.told("/second")
    assert (first["data"]["customerData"], first["data"]["verb_id"]) == (of_call, "d1")
    assert "verb_id" not in then["data"]
    assert last(ladder)["customerData"] == of_call


@ladder_test
async def test_redirect_asks_by_session_redirect(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "redirect", "actionHook": "/next", "id": "r1"}]
    ladder.app.hooks["/next"] = lambda _: [{"verb": "sip:decline", "status": 486}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(486)
    await carrier.send("ACK")
    [frame] = ladder.app.told("session:redirect")
    assert frame["hook"] == "/next"
    assert (frame["data"]["call_status"], frame["data"]["verb_id"]) == ("trying", "r1")
    assert not ladder.app.told("verb:hook")


@ladder_test
async def test_verbs_of_the_first_ack_that_are_refused_are_told_before_the_close(
    ladder: Ladder,
) -> None:
    ladder.app.verbs = lambda _: [{"verb": "conference"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(480)
    await carrier.send("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.close_codes == [1001]
    [error] = ladder.app.told("jambonz:error")
    assert error["data"] == {
        "msg": "InvalidMessage",
        "details": "verb 'conference' is known to jambonz, not supported here",
        "content": [{"verb": "conference"}],
    }


@ladder_test
async def test_what_is_taken_and_not_done_is_told_and_the_call_goes_on(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [
        {"verb": "config", "notifyEvents": True},
        dial("agent", anchorMedia=False),
        HANGUP,
    ]
    await ladder.call_up()
    told = [frame["data"] for frame in ladder.app.told("jambonz:error")]
    assert [data["msg"] for data in told] == ["NotSupported"] * 2
    assert [data["details"].partition(" is ")[0] for data in told] == [
        "config: notifyEvents",
        "dial: anchorMedia false",
    ]
    await ladder.hung_up_by("agent")
