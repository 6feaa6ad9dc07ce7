"""Calls that begin otherwise, and calls of more than two legs."""

import asyncio
from functools import partial

from sip.b2bua.call import Call
from sip.b2bua.call_events import Cause
from sip.b2bua.call_state import EndedBy
from sip.b2bua.leg_report import LegReport, Progress
from sip.core.message import Request, Response
from sip.media.plane import MediaError
from tests.b2bua.stage import Stage, port_in, sdp_at, staged
from tests.fakes.stream_leg import StreamLeg
from tests.ladder import Peer

CARRIER, AGENT, PERSON, STREAM = 41000, 42000, 43000, 44000


async def takes(peer: Peer, sdp: str) -> Request:
    """The peer answers a re-INVITE; what it was offered."""
    offer: Request = await peer.expect("INVITE")
    await peer.send(200, sdp=sdp)
    await peer.expect("ACK")
    return offer


async def talk(stage: Stage) -> tuple[Call, asyncio.Task[LegReport], Response, Request]:
    """The carrier calls, the agent answers; what each was told of its audio."""
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    dialling = stage.dial(call, "agent")
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    await carrier.expect(180)
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    return call, dialling, answer, invite


# a call that begins with our INVITE


@staged
async def test_a_call_begins_with_our_invite(stage: Stage) -> None:
    """RFC 3725 4.1: the person is called first, and the agent is offered what the person took.

    The agent takes it too, so that the person need not hear of it by re-INVITE.
    """
    person, agent = stage.peer("person"), stage.peer("agent")
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
    offer = await person.answer_call(sdp=sdp_at(PERSON))
    name, report = await placing
    assert (name, report.progress) == ("a", Progress.ANSWERED)
    assert stage.hears(offer) == 9  # no other leg is there: silence

    dialling = stage.dial(call, "agent")
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    await person.silence(1)
    assert stage.hears(offer) == AGENT
    assert stage.hears(invite) == PERSON

    await person.hang_up()
    await agent.is_hung_up()
    child = await dialling
    assert child.progress is Progress.ENDED
    assert call.over
    assert call.ended_by is EndedBy.CALLER  # whom the call began with
    assert stage.told(call.status.call_sid) == [
        Progress.TRYING,
        Progress.RINGING,
        Progress.ANSWERED,
        Progress.ENDED,
    ]


@staged
async def test_a_person_who_took_more_than_the_agent_takes_is_told(stage: Stage) -> None:
    """Else it may send what the agent does not understand."""
    person, agent = stage.peer("person"), stage.peer("agent")
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
    both = sdp_at(PERSON).replace("RTP/AVP 0", "RTP/AVP 0 8")
    await person.answer_call(sdp=both)
    await placing
    dialling = stage.dial(call, "agent")
    await agent.answer_call(sdp=sdp_at(AGENT))
    moved = await takes(person, sdp_at(PERSON))
    assert "RTP/AVP 0 101" in moved.body.decode()
    assert stage.hears(moved) == AGENT
    await person.hang_up()
    await agent.is_hung_up()
    await dialling


@staged
async def test_the_first_leg_that_we_place_is_hunted_for(stage: Stage) -> None:
    """RFC 3263 4.3: the second server is tried, and the call is the same."""
    first, second = stage.peer("carrier"), stage.peer("person")
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("carrier", "person"), timeout_s=30))
    await first.expect("INVITE")
    await first.send(503)
    await first.expect("ACK")
    await second.answer_call(sdp=sdp_at(PERSON))
    name, report = await placing
    assert (name, report.progress) == ("a", Progress.ANSWERED)
    call.hangup()
    await second.is_hung_up()
    assert call.ended_by is EndedBy.APPLICATION
    await call.idle()


@staged
async def test_a_first_leg_that_is_never_answered_ends_its_call(stage: Stage) -> None:
    person = stage.peer("person")
    call = stage.call()
    idle = asyncio.create_task(call.idle())
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
    await person.expect("INVITE")
    await person.send(486)
    await person.expect("ACK")
    _, report = await placing
    assert (report.progress, report.sip_status) == (Progress.FAILED, 486)
    await idle
    assert call.over


@staged
async def test_a_first_leg_that_we_place_is_given_up(stage: Stage) -> None:
    """RFC 3261 9: to hang up a call that still rings is to cancel it."""
    person = stage.peer("person")
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
    await person.expect("INVITE")
    await person.send(180)
    await asyncio.sleep(1)
    call.hangup()
    await person.expect("CANCEL")
    await person.send(200, answering="CANCEL")
    await person.send(487)
    await person.expect("ACK")
    _, report = await placing
    assert report.progress is Progress.FAILED


@staged
async def test_a_hold_while_the_person_waits_for_the_agent(stage: Stage) -> None:
    """RFC 3261 14: a re-INVITE of a leg that talks to no other is answered here."""
    person, agent = stage.peer("person"), stage.peer("agent")
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
    await person.answer_call(sdp=sdp_at(PERSON))
    await placing
    await person.send("INVITE", sdp=sdp_at(PERSON + 10))
    await person.expect(100)
    answer = await person.expect(200, of="INVITE")
    await person.send("ACK")
    assert stage.hears(answer) == 9

    dialling = stage.dial(call, "agent")
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    await person.silence(1)
    assert stage.hears(answer) == AGENT
    assert stage.hears(invite) == PERSON + 10
    call.hangup()
    await agent.is_hung_up()
    await person.is_hung_up()
    await dialling


# a third leg


@staged
async def test_a_third_leg_takes_the_second_ones_place(stage: Stage) -> None:
    """Placed while two talk, joined to the first by re-INVITE; the second is hung up."""
    carrier, agent, person = (stage.peer(name) for name in ("carrier", "agent", "person"))
    call, dialling, told_carrier, told_agent = await talk(stage)
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    told_person = await person.answer_call(sdp=sdp_at(PERSON))
    name, report = await placing
    assert (name, report.progress) == ("b2", Progress.ANSWERED)
    assert stage.hears(told_carrier) == AGENT  # still
    assert stage.hears(told_agent) == CARRIER
    assert call.state.partner("a") == "b1"
    await carrier.silence(1)

    joining = asyncio.create_task(call.join(name))
    moved = await takes(carrier, sdp_at(CARRIER))
    await agent.is_hung_up()
    assert await joining
    assert call.state.partner("a") == name
    assert stage.hears(moved) == PERSON
    assert stage.hears(told_person) == CARRIER
    assert stage.media.onward(port_in(told_agent)) is None  # that room is given back
    assert (await dialling).progress is Progress.ENDED

    await person.send("INVITE", sdp=sdp_at(PERSON + 10))  # offers cross between the new two
    await person.expect(100)
    assert stage.hears(await person.expect(200, of="INVITE")) == CARRIER
    await person.send("ACK")
    assert stage.hears(moved) == PERSON + 10

    await person.hang_up()
    await asyncio.sleep(1)
    assert not call.over
    assert not call.state.joined
    assert [call.ended_by] == [EndedBy.CALLEE]
    await carrier.hang_up()
    await call.idle()
    assert [call.ended_by] == [EndedBy.CALLER]


@staged
async def test_a_host_that_does_not_change_over_goes_on_as_it_was(stage: Stage) -> None:
    """RFC 3261 14.1: its session is what it was, and so is the second leg."""
    carrier, agent, person = (stage.peer(name) for name in ("carrier", "agent", "person"))
    call, dialling, told_carrier, told_agent = await talk(stage)
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    await person.answer_call(sdp=sdp_at(PERSON))
    name, _ = await placing
    joining = asyncio.create_task(call.join(name))
    await carrier.expect("INVITE")
    await carrier.send(488)
    await carrier.expect("ACK")
    assert not await joining
    assert call.state.joined == (("a", "b1"),)
    assert stage.hears(told_carrier) == AGENT
    assert stage.hears(told_agent) == CARRIER
    await carrier.hang_up()
    await agent.is_hung_up()
    await person.is_hung_up()
    await dialling


@staged
async def test_the_caller_hangs_up_while_it_is_to_change_over(stage: Stage) -> None:
    carrier, agent, person = (stage.peer(name) for name in ("carrier", "agent", "person"))
    call, dialling, _, _ = await talk(stage)
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    await person.answer_call(sdp=sdp_at(PERSON))
    name, _ = await placing
    joining = asyncio.create_task(call.join(name))
    await carrier.expect("INVITE")
    await carrier.send("BYE")
    await carrier.expect(200, of="BYE")
    assert not await joining
    await agent.is_hung_up()
    await person.is_hung_up()
    await dialling
    assert call.over


@staged
async def test_a_third_leg_that_refuses_changes_nothing(stage: Stage) -> None:
    carrier, agent, person = (stage.peer(name) for name in ("carrier", "agent", "person"))
    call, dialling, told_carrier, _ = await talk(stage)
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    await person.expect("INVITE")
    await person.send(180)
    await person.send(486)
    await person.expect("ACK")
    _, report = await placing
    assert report.sip_status == 486
    await carrier.silence(1)  # it heard no ringing either
    assert stage.hears(told_carrier) == AGENT
    assert len(stage.media.open_calls) == 1
    await agent.send("BYE")
    await agent.expect(200, of="BYE")
    assert (await dialling).progress is Progress.ENDED
    call.hangup()
    await carrier.is_hung_up()


@staged
async def test_a_third_leg_that_waits_hangs_up(stage: Stage) -> None:
    """It was joined to no leg: that it hung up says nothing of who ended the call."""
    carrier, agent, person = (stage.peer(name) for name in ("carrier", "agent", "person"))
    call, dialling, _, _ = await talk(stage)
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    await person.answer_call(sdp=sdp_at(PERSON))
    name, _ = await placing
    await person.hang_up()
    assert not await call.join(name)
    assert call.ended_by is EndedBy.APPLICATION
    await carrier.hang_up()
    await agent.is_hung_up()
    await dialling


@staged
async def test_no_media_for_a_caller_that_is_to_be_answered_first(stage: Stage) -> None:
    """The leg that was to be placed has failed, and says why; the caller is still there."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    stage.media.refuse = MediaError("no-ports", "all in use")
    child = await stage.dial(call, "agent", answer_on_bridge=False)
    assert (child.progress, child.sip_status, child.cause) == (Progress.FAILED, 503, Cause.NO_PORTS)
    assert child.detail == "all in use"
    assert not call.over
    stage.media.refuse = None
    call.hangup()
    await carrier.expect(603)
    await carrier.send("ACK")


# a leg without SIP


@staged
async def test_a_stream_talks_to_a_sip_leg(stage: Stage) -> None:
    """What is no SIP begins a call as well: it rings, is answered, and hears the agent."""
    agent = stage.peer("agent")
    call = stage.call(partial(StreamLeg, stage.ua.clock, sdp_at(STREAM)))
    stream = call.first
    assert isinstance(stream, StreamLeg)
    dialling = stage.dial(call, "agent")
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    await agent.silence(1)
    assert stream.asked == ["start", "ring 180", "answer"]
    assert stage.hears(stream.local_sdp) == AGENT
    assert stage.hears(invite) == STREAM

    stream.peer_offers(sdp_at(STREAM + 10))  # what it says anew crosses where that is needed
    await asyncio.sleep(1)
    assert stream.asked[-1] == "accept"
    assert stage.hears(invite) == STREAM + 10
    await agent.send("INVITE", sdp=sdp_at(AGENT + 10))
    await agent.expect(100)
    await agent.expect(200, of="INVITE")
    await agent.send("ACK")
    assert stage.hears(stream.local_sdp) == AGENT + 10

    stream.peer_hangs_up()
    await agent.is_hung_up()
    assert (await dialling).progress is Progress.ENDED
    assert call.ended_by is EndedBy.CALLER


@staged
async def test_a_stream_is_hung_up_and_refused(stage: Stage) -> None:
    agent = stage.peer("agent")
    call = stage.call(partial(StreamLeg, stage.ua.clock, sdp_at(STREAM)))
    stream = call.first
    assert isinstance(stream, StreamLeg)
    dialling = stage.dial(call, "agent", answer_on_bridge=False)
    await agent.answer_call(sdp=sdp_at(AGENT))
    await agent.send("BYE")
    await agent.expect(200, of="BYE")
    await dialling
    call.hangup()
    assert stream.asked[-1] == "hangup"
    assert call.over

    refused = stage.call(partial(StreamLeg, stage.ua.clock, sdp_at(STREAM)))
    second = refused.first
    assert isinstance(second, StreamLeg)
    refused.reject(486, "Busy Here")
    assert second.asked == ["start", "reject 486"]
    assert refused.status.progress is Progress.FAILED
