"""A peer that sends no RTP for long is given up: not while it is on hold, early or alone."""

import asyncio

from sip.b2bua.call import Call
from sip.b2bua.call_events import Cause
from sip.b2bua.call_state import EndedBy
from sip.core.message import Request
from sip.media.events import Heard, OneWay, Silent
from tests.b2bua.stage import Stage, sdp_at, staged
from tests.ladder import PCMU

TIMEOUT_S = 60.0
Told = type[Silent] | type[OneWay]


async def talking(stage: Stage, timeout_s: float | None = TIMEOUT_S) -> Call:
    """The carrier and the agent talk."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(41000))
    await carrier.expect(100)
    [call] = stage.calls
    call.rtp_timeout_s = timeout_s
    stage.dial(call, "agent")
    await stage.peer("agent").answer_call(sdp=sdp_at(42000))
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)
    return call


def told(stage: Stage, call: Call, event: Told, party: str, since_s: float = 10.0) -> None:
    sid, now = call.status.call_sid, call.ua.clock.now()
    stage.media.tell(sid, event(party=party, since_s=since_s, at=now))


def heard(stage: Stage, call: Call, party: str) -> None:
    stage.media.tell(call.status.call_sid, Heard(party=party, at=call.ua.clock.now()))


def reason(bye: Request) -> str | None:
    return bye.headers.get("reason")


@staged
async def test_an_agent_that_is_gone_is_hung_up_and_the_caller_stays(stage: Stage) -> None:
    """What becomes of the caller is the application's affair, as after any end of a dial."""
    call = await talking(stage)
    told(stage, call, OneWay, "b1")
    await stage.peer("agent").silence(TIMEOUT_S - 10.5)
    bye = await stage.peer("agent").is_hung_up()
    assert reason(bye) == 'Q.850;cause=102;text="RTP Timeout"'
    report = call.reports["b1"]
    assert (report.cause, report.sip_status) == (Cause.RTP_TIMEOUT, 200)
    assert not call.over
    await stage.peer("carrier").silence(5)
    await stage.peer("carrier").hang_up()


@staged
async def test_a_caller_that_is_gone_ends_the_call(stage: Stage) -> None:
    call = await talking(stage)
    told(stage, call, OneWay, "a")
    await stage.peer("agent").silence(TIMEOUT_S - 10.5)
    bye = await stage.peer("carrier").is_hung_up()
    assert reason(bye) == 'Q.850;cause=102;text="RTP Timeout"'
    bye = await stage.peer("agent").is_hung_up()
    assert reason(bye) is None, "it did nothing wrong"
    assert call.status.cause is Cause.RTP_TIMEOUT
    assert call.reports["b1"].cause is Cause.BYE
    assert (call.over, call.ended_by) == (True, EndedBy.APPLICATION)


@staged
async def test_a_peer_that_is_heard_in_time_goes_on(stage: Stage) -> None:
    call = await talking(stage)
    told(stage, call, Silent, "a")
    told(stage, call, Silent, "b1")
    await stage.peer("carrier").silence(TIMEOUT_S - 11)
    heard(stage, call, "a")
    heard(stage, call, "b1")
    await stage.peer("carrier").silence(600)
    told(stage, call, OneWay, "a")
    await stage.peer("carrier").silence(TIMEOUT_S - 11)
    await stage.peer("carrier").is_hung_up()
    await stage.peer("agent").is_hung_up()


@staged
async def test_a_hold_is_no_timeout_and_its_end_begins_the_time_anew(stage: Stage) -> None:
    call = await talking(stage)
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    told(stage, call, OneWay, "b1")
    await carrier.silence(20)
    await carrier.send("INVITE", sdp=sdp_at(41000) + "a=sendonly\r\n")
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(200, sdp=sdp_at(42000) + "a=recvonly\r\n")
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.silence(600)
    await carrier.send("INVITE", sdp=sdp_at(41000))
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(200, sdp=sdp_at(42000))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.silence(10)
    told(stage, call, OneWay, "b1")
    await agent.silence(TIMEOUT_S - 11)
    await agent.is_hung_up()
    await carrier.hang_up()


@staged
async def test_a_silence_before_the_talk_counts_from_its_beginning(stage: Stage) -> None:
    """A caller whose phone sends nothing while it waits may still begin to."""
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    [call] = stage.calls
    call.rtp_timeout_s = TIMEOUT_S
    answering = asyncio.create_task(call.answer())
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await answering
    told(stage, call, Silent, "a")
    await carrier.silence(300)
    assert not call.over
    stage.dial(call, "agent")
    await agent.answer_call(sdp=sdp_at(42000))
    await carrier.expect("INVITE")
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await carrier.silence(TIMEOUT_S - 1)
    await carrier.is_hung_up()
    await agent.is_hung_up()


@staged
async def test_without_a_limit_nobody_is_given_up(stage: Stage) -> None:
    call = await talking(stage, None)
    told(stage, call, Silent, "a")
    told(stage, call, Silent, "b1")
    await stage.peer("carrier").silence(1500)
    await stage.peer("carrier").hang_up()
    await stage.peer("agent").is_hung_up()
