"""A sound for the caller."""

import asyncio
from typing import Any

import pytest

from sip.b2bua.call import Call
from sip.b2bua.leg_report import Progress
from sip.media.events import Played
from sip.media.plane import FOREVER, MediaError, RingbackTone
from tests.b2bua.stage import Stage, port_in, sdp_at, staged

WAV = b"RIFF"
CARRIER, AGENT = 41000, 42000


async def playing(stage: Stage) -> tuple[Call, asyncio.Task[bool]]:
    """The carrier calls and is answered by what is played to it."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    play = asyncio.create_task(call.play(WAV))
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)
    assert ("play", call.status.call_sid, "a", "1") in stage.media.asked
    assert [doing.activity for doing in call.state.doing] == ["idle", "playing"]
    return call, play


def ended(call: Call, *, finished: bool, play_id: int = 1) -> Played:
    return Played(party="a", play_id=play_id, finished=finished, at=call.ua.clock.now())


@staged
async def test_a_sound_is_played_before_the_agent_is_dialled(stage: Stage) -> None:
    call, play = await playing(stage)
    sid = call.status.call_sid
    stage.media.tell(sid, ended(call, finished=True, play_id=7))  # of another play: not ours
    await asyncio.sleep(1)
    assert not play.done()
    stage.media.tell(sid, ended(call, finished=True))
    assert await play is True
    assert [doing.activity for doing in call.state.doing] == ["idle"]

    dialling = stage.dial(call, "agent")
    await stage.peer("agent").answer_call(sdp=sdp_at(AGENT))
    await stage.peer("carrier").expect("INVITE")  # it hears of the agent's codecs
    await stage.peer("carrier").send(200, sdp=sdp_at(CARRIER))
    await stage.peer("carrier").expect("ACK")
    await stage.peer("carrier").hang_up()
    await stage.peer("agent").is_hung_up()
    await dialling


@staged
async def test_a_caller_who_hangs_up_ends_the_play(stage: Stage) -> None:
    call, play = await playing(stage)
    await stage.peer("carrier").hang_up()
    assert await play is False
    assert call.over


@staged
async def test_a_play_that_something_else_takes_the_place_of_is_stopped(stage: Stage) -> None:
    call, play = await playing(stage)
    play.cancel()
    await asyncio.wait([play])
    await asyncio.sleep(0.1)
    assert stage.media.asked[-1] == ("stop", call.status.call_sid, "a")
    call.hangup()
    await stage.peer("carrier").is_hung_up()


@staged
async def test_an_engine_that_does_not_play_says_so_and_the_call_goes_on(stage: Stage) -> None:
    stage.media.capabilities = frozenset()
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    play = asyncio.create_task(call.play(WAV))
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    with pytest.raises(MediaError, match="cannot play a file"):
        await play
    assert not call.over
    await carrier.hang_up()


@staged
async def test_a_play_that_is_stopped_before_the_engine_answered_is_stopped_there(
    stage: Stage,
) -> None:
    """The request is out: the engine may be playing, whether or not its reply has come."""
    asked, never = asyncio.Event(), asyncio.Event()

    async def slow(call_id: str, tag: str, sound: object, play_id: int, *, times: int = 1) -> None:
        asked.set()
        await never.wait()

    stage.media.play = slow  # type: ignore[method-assign]
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    play = asyncio.create_task(call.play(WAV))
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asked.wait()
    play.cancel()
    await asyncio.wait([play])
    await asyncio.sleep(0.1)
    assert stage.media.asked[-1] == ("stop", call.status.call_sid, "a")
    call.hangup()
    await carrier.is_hung_up()


async def early(stage: Stage, **more: Any) -> tuple[Call, asyncio.Task[bool]]:
    """The carrier calls and hears something before it is answered."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER), headers=more.pop("headers", ()))
    await carrier.expect(100)
    [call] = stage.calls
    return call, asyncio.create_task(call.play(WAV, early=True, **more))


@staged
async def test_an_announcement_is_heard_before_the_answer(stage: Stage) -> None:
    """RFC 3960 3.2: 183 with a description, and the caller pays nothing yet."""
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    call, play = await early(stage, times=2)
    progress = await carrier.expect(183)
    assert port_in(progress)
    await asyncio.sleep(0.1)
    assert stage.media.played == [("a", WAV, 2)]
    assert call.status.progress is Progress.EARLY_MEDIA
    stage.media.tell(call.status.call_sid, ended(call, finished=True))
    assert await play is True
    dialling = stage.dial(call, "agent")
    await agent.expect("INVITE")
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    assert port_in(answer) == port_in(progress), "what faces a party never moves"
    await carrier.send("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()
    await dialling


@staged
async def test_a_caller_who_gives_up_ends_an_announcement(stage: Stage) -> None:
    call, play = await early(stage)
    carrier = stage.peer("carrier")
    await carrier.expect(183)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    assert await play is False
    assert call.over


@staged
async def test_a_caller_who_waits_for_our_offer_gets_no_early_media(stage: Stage) -> None:
    """RFC 3261 13.2.1: an offer of ours needs a reliable response, which it does not take."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE")
    await carrier.expect(100)
    [call] = stage.calls
    assert await call.play(WAV, early=True) is False
    assert stage.media.played == []
    call.hangup()
    await carrier.drain(1)
    await carrier.send("ACK")


@staged
async def test_any_leg_can_be_played_to(stage: Stage) -> None:
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    stage.dial(call, "agent", leg="b1")
    await agent.answer_call(sdp=sdp_at(AGENT))
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)
    play = asyncio.create_task(call.play(WAV, leg="b1"))
    await asyncio.sleep(0.1)
    assert stage.media.played == [("b1", WAV, 1)]
    now = call.ua.clock.now()
    over = Played(party="b1", play_id=1, finished=True, at=now)
    stage.media.tell(call.status.call_sid, over)
    assert await play is True
    assert await call.play(WAV, leg="b7") is False
    await carrier.hang_up()
    await agent.is_hung_up()


US = RingbackTone("US")


async def answered_alone(stage: Stage) -> Call:
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    answering = asyncio.create_task(call.answer())
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await answering
    return call


@staged
async def test_an_answered_caller_hears_ringback_until_the_other_side_is_heard(
    stage: Stage,
) -> None:
    call = await answered_alone(stage)
    agent = stage.peer("agent")
    stage.dial(call, "agent", ringback=US)
    await agent.expect("INVITE")
    await asyncio.sleep(0.1)
    assert stage.media.played == [], "nobody rings yet"
    await agent.send(180)
    await agent.send(180, headers=(("X-Again", "1"),))
    await asyncio.sleep(0.1)
    assert stage.media.played == [("a", US, FOREVER)]
    await agent.send(183, sdp=sdp_at(AGENT))
    await asyncio.sleep(0.1)
    assert stage.media.asked[-1] == ("stop", call.status.call_sid, "a")
    await agent.send(180)
    await asyncio.sleep(0.1)
    assert len(stage.media.played) == 1, "its own early media goes on (RFC 3960 3.2)"
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await asyncio.sleep(0.1)
    assert [doing.activity for doing in call.state.doing] == ["idle", "talking"]
    await ends(stage, call)


async def ends(stage: Stage, call: Call) -> None:
    """The carrier hangs up; what it was told meanwhile is read first."""
    await stage.peer("carrier").drain(0.5)
    await stage.peer("carrier").hang_up()
    await stage.peer("agent").is_hung_up()
    assert call.over


@staged
async def test_ringback_stops_at_the_answer(stage: Stage) -> None:
    call = await answered_alone(stage)
    agent = stage.peer("agent")
    stage.dial(call, "agent", ringback=US)
    await agent.answer_call(sdp=sdp_at(AGENT))
    await asyncio.sleep(0.1)
    assert stage.media.played == [("a", US, FOREVER)]
    assert ("stop", call.status.call_sid, "a") in stage.media.asked
    await ends(stage, call)


@staged
async def test_a_caller_who_is_not_answered_hears_what_its_own_side_makes_of_180(
    stage: Stage,
) -> None:
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    stage.dial(call, "agent", ringback=US)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await asyncio.sleep(1)
    assert stage.media.played == []
    call.hangup()
    await carrier.expect(603)
    await carrier.send("ACK")
    await agent.drain(1)


@staged
async def test_a_sound_of_ours_is_heard_while_it_rings_and_stops_where_it_fails(
    stage: Stage,
) -> None:
    carrier, agent, person = (stage.peer(name) for name in ("carrier", "agent", "person"))
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    dialling = stage.dial(call, "agent", "person", while_ringing=WAV, ringback=US)
    await carrier.expect(183)
    await agent.expect("INVITE")
    await asyncio.sleep(0.1)
    assert stage.media.played == [("a", WAV, FOREVER)]
    await agent.send(180)
    await carrier.expect(180)
    await agent.send(503)
    await agent.expect("ACK")
    await person.expect("INVITE")
    await asyncio.sleep(0.1)
    assert ("stop", call.status.call_sid, "a") not in stage.media.asked, "it rings on"
    await person.send(486)
    await person.expect("ACK")
    await dialling
    await asyncio.sleep(0.1)
    assert stage.media.asked[-1] == ("stop", call.status.call_sid, "a")
    assert len(stage.media.played) == 1
    call.reject(486, None)
    await carrier.expect(486)
    await carrier.send("ACK")


@staged
async def test_an_engine_that_cannot_play_lets_it_ring_without(stage: Stage) -> None:
    call = await answered_alone(stage)
    agent = stage.peer("agent")
    stage.media.capabilities = frozenset()
    stage.dial(call, "agent", ringback=US)
    await agent.answer_call(sdp=sdp_at(AGENT))
    await asyncio.sleep(0.1)
    assert [doing.activity for doing in call.state.doing] == ["idle", "talking"]
    await ends(stage, call)
