"""What an application wants of a call's recording, and what the media engine is asked for it."""

import asyncio

from sip.b2bua.call import Call
from sip.b2bua.leg_report import LegReport
from sip.media.plane import Capability, MediaError
from tests.b2bua.stage import Stage, sdp_at, staged

CARRIER, AGENT = 41000, 42000
WORDS = ("record", "pause recording", "stop recording")


def asked(stage: Stage) -> list[tuple[str, ...]]:
    """What was asked of recordings, without the call's id."""
    return [(what[0], *what[2:3]) for what in stage.media.asked if what[0] in WORDS]


async def called(stage: Stage) -> Call:
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    return call


async def answered(stage: Stage, call: Call) -> asyncio.Task[LegReport]:
    """The agent answers, and both talk."""
    dialling: asyncio.Task[LegReport] = stage.dial(call, "agent")
    await stage.peer("agent").answer_call(sdp=sdp_at(AGENT))
    await stage.peer("carrier").expect(180)
    await stage.peer("carrier").expect(200, of="INVITE")
    await stage.peer("carrier").send("ACK")
    await asyncio.sleep(0.1)
    return dialling


async def over(stage: Stage, dialling: asyncio.Task[LegReport]) -> None:
    await stage.peer("carrier").hang_up()
    await stage.peer("agent").is_hung_up()
    await dialling


@staged
async def test_what_is_wanted_before_there_are_two_begins_when_they_talk(stage: Stage) -> None:
    call = await called(stage)
    call.recording.begin("sales-7")
    assert asked(stage) == []
    dialling = await answered(stage, call)
    assert asked(stage) == [("record", "sales-7")]
    await over(stage, dialling)
    assert asked(stage)[1:] == [("stop recording",)]


@staged
async def test_it_is_paused_goes_on_and_ends_each_once(stage: Stage) -> None:
    call = await called(stage)
    dialling = await answered(stage, call)
    for wish in (call.recording.pause, call.recording.end):
        wish()  # nothing is recorded: nothing is paused
    await asyncio.sleep(0.1)
    assert asked(stage) == []
    call.recording.begin("")
    await asyncio.sleep(0.1)
    call.recording.pause()
    call.recording.pause()
    await asyncio.sleep(0.1)
    call.recording.begin("")
    await asyncio.sleep(0.1)
    call.recording.end()
    await asyncio.sleep(0.1)
    sid = call.call_sid
    told = [("record", sid), ("pause recording",), ("record", sid), ("stop recording",)]
    assert asked(stage) == told
    call.recording.begin("again")
    await asyncio.sleep(0.1)
    assert asked(stage)[4:] == [("record", f"{sid}-2")], "a second file"
    await over(stage, dialling)


@staged
async def test_an_engine_that_cannot_record_costs_no_call(stage: Stage) -> None:
    stage.media.capabilities = frozenset(Capability) - {Capability.RECORD}
    call = await called(stage)
    call.recording.begin("")
    await over(stage, await answered(stage, call))
    assert asked(stage) == []


@staged
async def test_a_recorder_that_is_away_costs_no_call(stage: Stage) -> None:
    call = await called(stage)
    dialling = await answered(stage, call)
    stage.media.refuse = MediaError("refused", "the recorder is away")
    call.recording.begin("")
    await asyncio.sleep(0.1)
    stage.media.refuse = None
    assert not call.over
    await over(stage, dialling)


async def moves(stage: Stage, call: Call) -> None:
    """The media engine dies, and the call goes on in another."""
    stage.media.forget(call.status.call_sid)
    for name, port in (("agent", AGENT), ("carrier", CARRIER)):
        await stage.peer(name).expect("INVITE")
        await stage.peer(name).send(200, sdp=sdp_at(port))
        await stage.peer(name).expect("ACK")
    await asyncio.sleep(0.1)


@staged
async def test_it_goes_on_in_a_file_of_its_own_where_the_call_has_another_engine(
    stage: Stage,
) -> None:
    call = await called(stage)
    call.recording.begin("sales-7")
    dialling = await answered(stage, call)
    await moves(stage, call)
    assert asked(stage) == [("record", "sales-7"), ("record", "sales-7-2")]
    await over(stage, dialling)
    assert asked(stage)[2:] == [("stop recording",)]


@staged
async def test_one_that_is_paused_goes_on_after_the_pause_alone(stage: Stage) -> None:
    """What a caller says of a card is in no file, not for a moment."""
    call = await called(stage)
    call.recording.begin("sales-7")
    dialling = await answered(stage, call)
    call.recording.pause()
    await asyncio.sleep(0.1)
    before = len(asked(stage))
    await moves(stage, call)
    assert asked(stage)[before:] == []
    call.recording.begin("")
    await asyncio.sleep(0.1)
    assert asked(stage)[before:] == [("record", "sales-7-2")]
    await over(stage, dialling)
