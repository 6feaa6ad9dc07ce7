"""`confirmHook`: who answers hears something alone, and takes the call or not."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from sip.media.events import Digit, Played
from sip.media.plane import RingbackTone
from sip.softswitch.jambonz.sounds import Sounds
from tests.fakes.application import FakeApplication
from tests.fakes.relay_media import RelayMedia
from tests.fakes.voice import Voice, all_speak
from tests.ladder import DID, PCMU, Ladder, Peer, ladder_with

HERE = Path(__file__).parent
#: Any file that is there: the media plane of a ladder plays nothing.
FILE = "test_confirm.py"
confirming = ladder_with(sounds=Sounds(folder=HERE, country="GB"))
PRESS_1 = [
    {
        "verb": "gather",
        "input": ["digits"],
        "numDigits": 1,
        "timeout": 8,
        "play": {"url": FILE},
        "dtmfBargein": True,
        "actionHook": "/pressed",
    }
]
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def phone(trunk: str, **more: Any) -> dict[str, Any]:
    return {"type": "phone", "number": DID, "trunk": trunk, **more}


def dial(*targets: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    verb: dict[str, Any] = {"verb": "dial", "target": list(targets), "answerOnBridge": True}
    return [{**verb, "actionHook": "/dial-action", **more}, {"verb": "hangup"}]


def pressed_1(data: dict[str, Any]) -> list[dict[str, Any]]:
    return [] if data["digits"] == "1" else [{"verb": "hangup"}]


async def calls(ladder: Ladder) -> Peer:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    return carrier


async def answers(peer: Peer) -> None:
    await peer.send(200, sdp=PCMU)
    await peer.expect("ACK")
    await asyncio.sleep(0.1)


def press(ladder: Ladder, key: str) -> None:
    """By the callee that is played to."""
    [session] = {asked[1] for asked in ladder.media.asked if asked[0] == "play"}
    now = asyncio.get_running_loop().time()
    ladder.media.tell(session, Digit(party="b1", digit=key, duration_ms=100, at=now))


def outcome(ladder: Ladder) -> tuple[str, int]:
    [told] = [frame["data"] for frame in ladder.app.told("/dial-action")]
    return told["dial_call_status"], told["dial_sip_status"]


@confirming
async def test_who_presses_1_has_the_caller(ladder: Ladder) -> None:
    """The prompt is the callee's alone; the caller goes on hearing that it rings."""
    ladder.app.verbs = lambda _: dial(phone("agent"), confirmHook="/confirm")
    ladder.app.hooks["/confirm"] = lambda _: PRESS_1
    ladder.app.hooks["/pressed"] = pressed_1
    carrier, agent = await calls(ladder), ladder.peer("agent")
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await answers(agent)
    assert ladder.media.played == [("b1", HERE / FILE, 1)]
    assert [asked[2:] for asked in ladder.media.asked if asked[0] == "withhold"] == [
        ("b1", "blocked")
    ]
    await carrier.silence(5)
    press(ladder, "1")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert [asked[2:] for asked in ladder.media.asked if asked[0] == "let pass"] == [
        ("b1", "blocked")
    ]
    [asked] = ladder.app.told("dial:confirm")
    [pressed] = ladder.app.told("/pressed")
    child = asked["data"]["call_sid"]
    assert asked["call_sid"] == asked["data"]["parent_call_sid"] != child
    assert (asked["hook"], asked["data"]["call_status"]) == ("/confirm", "in-progress")
    assert (pressed["data"]["call_sid"], pressed["data"]["digits"]) == (child, "1")
    await carrier.hang_up()
    await agent.is_hung_up()
    await ladder.app.until(lambda: ladder.app.told("/dial-action"))
    assert outcome(ladder) == ("completed", 200)


@confirming
async def test_who_presses_another_key_is_hung_up(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: dial(phone("agent", confirmHook="/confirm"))
    ladder.app.hooks["/confirm"] = lambda _: PRESS_1
    ladder.app.hooks["/pressed"] = pressed_1
    carrier, agent = await calls(ladder), ladder.peer("agent")
    await agent.expect("INVITE")
    await answers(agent)
    press(ladder, "2")
    await agent.is_hung_up()
    await carrier.expect(603)
    await carrier.send("ACK")
    assert outcome(ladder) == ("failed", 480)
    assert ladder.app.statuses(child=True)[-1] == ("completed", 200)  # that leg was answered


@confirming
async def test_a_mailbox_presses_nothing(ladder: Ladder) -> None:
    """The prompt is over, no key comes: its caller is not left with an answering machine."""
    ladder.app.verbs = lambda _: dial(phone("agent"), confirmHook="/confirm")
    ladder.app.hooks["/confirm"] = lambda _: PRESS_1
    ladder.app.hooks["/pressed"] = pressed_1
    carrier, agent = await calls(ladder), ladder.peer("agent")
    await agent.expect("INVITE")
    await answers(agent)
    [session] = {asked[1] for asked in ladder.media.asked if asked[0] == "play"}
    now = asyncio.get_running_loop().time()
    ladder.media.tell(session, Played(party="b1", play_id=1, finished=True, at=now))
    await agent.silence(7.5)
    await agent.is_hung_up()
    await carrier.expect(603)
    await carrier.send("ACK")
    [pressed] = ladder.app.told("/pressed")
    assert (pressed["data"]["digits"], pressed["data"]["reason"]) == ("", "timeout")


@confirming
async def test_the_others_ring_on_while_one_is_asked(ladder: Ladder) -> None:
    """A mobile is asked, a desk phone is not: the desk phone answers meanwhile, and has it."""
    ladder.app.verbs = lambda _: dial(phone("agent", confirmHook="/confirm"), phone("second"))
    ladder.app.hooks["/confirm"] = lambda _: PRESS_1
    carrier = await calls(ladder)
    mobile, desk = ladder.peer("agent"), ladder.peer("second")
    await mobile.expect("INVITE")
    await desk.expect("INVITE")
    await answers(mobile)
    await carrier.silence(2)
    await desk.send(200, sdp=PCMU)
    await desk.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    bye = await mobile.is_hung_up()
    assert bye.headers.get("reason") == ELSEWHERE
    await desk.hang_up()
    await carrier.is_hung_up()
    assert outcome(ladder) == ("completed", 200)
    assert not ladder.app.told("/pressed")


@confirming
async def test_one_that_refuses_leaves_the_caller_to_the_others(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: dial(phone("agent"), phone("second"), confirmHook="/confirm")
    said: list[list[dict[str, Any]]] = [[{"verb": "hangup", "headers": {"X-Why": "no"}}], []]
    ladder.app.hooks["/confirm"] = lambda _: said.pop(0)
    carrier = await calls(ladder)
    agent, second = ladder.peer("agent"), ladder.peer("second")
    await agent.expect("INVITE")
    await second.expect("INVITE")
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    bye = await agent.is_hung_up()
    assert bye.headers.get("x-why") == "no"
    await carrier.silence(1)
    await second.send(200, sdp=PCMU)
    await second.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await second.is_hung_up()


@pytest.mark.parametrize(
    ("ack", "after_s"),
    [
        (FakeApplication.NO_ACK, 5.0),
        ([{"verb": "dial", "target": [phone("second")]}], 0.0),
        ([{"verb": "say", "text": "press 1"}], 0.0),
    ],
)
def test_without_an_ack_that_can_be_run_nobody_gets_the_caller(ack: object, after_s: float) -> None:
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: dial(phone("agent"), confirmHook="/confirm")
        ladder.app.hooks["/confirm"] = lambda _: ack
        carrier, agent = await calls(ladder), ladder.peer("agent")
        await agent.expect("INVITE")
        began = asyncio.get_running_loop().time()
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        await agent.is_hung_up()
        assert asyncio.get_running_loop().time() - began == pytest.approx(after_s, abs=0.3)
        await carrier.expect(603)
        await carrier.send("ACK")
        assert outcome(ladder) == ("failed", 480)
        assert len(ladder.app.told("jambonz:error")) == (after_s == 0)

    confirming(story)()


@confirming
async def test_the_callee_hangs_up_while_it_is_asked(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: dial(phone("agent"), confirmHook="/confirm")
    ladder.app.hooks["/confirm"] = lambda _: PRESS_1
    carrier, agent = await calls(ladder), ladder.peer("agent")
    await agent.expect("INVITE")
    await answers(agent)
    await agent.hang_up()
    await carrier.expect(603)
    await carrier.send("ACK")
    assert outcome(ladder) == ("failed", 480)


@confirming
async def test_the_caller_hangs_up_while_a_callee_is_asked(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: dial(phone("agent"), confirmHook="/confirm")
    ladder.app.hooks["/confirm"] = lambda _: PRESS_1
    carrier, agent = await calls(ladder), ladder.peer("agent")
    await agent.expect("INVITE")
    await answers(agent)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    await agent.is_hung_up()


@confirming
async def test_an_answered_caller_hears_its_tone_while_a_callee_is_asked(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: dial(phone("agent"), confirmHook="/confirm", answerOnBridge=False)
    ladder.app.hooks["/confirm"] = lambda _: [{"verb": "pause", "length": 3}]
    carrier, agent = await calls(ladder), ladder.peer("agent")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.expect("INVITE")
    await agent.send(180)
    await answers(agent)
    assert [sound for _, sound, _ in ladder.media.played] == [RingbackTone("GB")]
    assert "stop" not in [asked[0] for asked in ladder.media.asked]
    await carrier.expect("INVITE")  # over to the callee, which has stayed
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    assert "stop" in [asked[0] for asked in ladder.media.asked]
    await agent.hang_up()
    await carrier.is_hung_up()


@ladder_with(media=RelayMedia)
async def test_who_hears_whom(ladder: Ladder) -> None:
    """With our relay: nobody while a callee is asked, though the caller is up; then both, but for
    whom a command mutes."""
    media = cast("RelayMedia", ladder.media)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: dial(phone("agent"), confirmHook="/confirm", answerOnBridge=False)
    ladder.app.hooks["/confirm"] = lambda _: [{"verb": "pause", "length": 3}]
    with Voice(b"C") as caller, Voice(b"A") as callee:
        await carrier.send("INVITE", sdp=caller.sdp)
        await carrier.expect(100)
        answer = await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        invite = await agent.expect("INVITE")
        await agent.send(200, sdp=callee.sdp)
        await agent.expect("ACK")
        await asyncio.sleep(1)
        assert all_speak(media, (caller, answer), (callee, invite)) == [set(), set()]
        moved = await carrier.expect("INVITE")
        await carrier.send(200, sdp=caller.sdp)
        await carrier.expect("ACK")
        await asyncio.sleep(0.5)
        assert all_speak(media, (caller, moved), (callee, invite)) == [{b"A"}, {b"C"}]
        for word, heard in (("mute", set()), ("unmute", {b"C"})):
            await ladder.app.command("mute:status", {"mute_status": word})
            await asyncio.sleep(0.5)
            assert all_speak(media, (caller, moved), (callee, invite)) == [{b"A"}, heard]
        await carrier.hang_up()
        await agent.is_hung_up()
