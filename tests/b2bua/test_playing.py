"""A sound for the caller."""

import asyncio

import pytest

from sip.b2bua.call import Call
from sip.media.events import Played
from sip.media.plane import MediaError
from tests.b2bua.stage import Stage, sdp_at, staged

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
