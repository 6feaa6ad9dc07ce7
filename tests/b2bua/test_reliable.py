"""Reliable provisional responses on both sides: RFC 3262, and what RFC 3261 13.2.1 asks."""

from sip.b2bua.legs.options import LegOptions, Reliable
from sip.core.message import Response
from tests.b2bua.test_call_stories import bridged
from tests.ladder import PCMU, Ladder, Peer, ladder_test, ladder_with

REQUIRES = (("Require", "100rel"),)
SUPPORTS = (("Supported", "100rel, timer"),)


async def prack(peer: Peer, response: Response, sdp: str | None = None, status: int = 200) -> None:
    """Acknowledge a reliable response."""
    rack = f"{response.headers.get('rseq')} {response.cseq.number} INVITE"
    await peer.send("PRACK", headers=(("RAck", rack),), sdp=sdp)
    await peer.expect(status, of="PRACK")


async def hang_up(ladder: Ladder) -> None:
    await ladder.peer("carrier").hang_up()
    await ladder.peer("agent").is_hung_up()


@ladder_with(legs={"agent": LegOptions(reliable=Reliable.OFFER)})
async def test_a_callees_reliable_answer_is_acknowledged_and_stands(ladder: Ladder) -> None:
    """183 with SDP and RSeq: PRACK, once; the 200 needs no SDP and the caller still gets some."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    invite = await agent.expect("INVITE")
    assert "100rel" in invite.headers.get("supported")
    reliable = await agent.send(183, sdp=PCMU, headers=(*REQUIRES, ("RSeq", "71")))
    acknowledged = await agent.expect("PRACK")
    assert acknowledged.headers.get("rack") == f"71 {invite.cseq.number} INVITE"
    await agent.transmit(reliable.to_bytes())  # it crossed our PRACK
    await agent.send(200, answering="PRACK")
    early = await carrier.expect(183)
    assert early.body
    assert "rseq" not in early.headers
    await agent.send(200)
    await agent.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    assert b"m=audio" in answer.body
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_with(legs={"agent": LegOptions(reliable=Reliable.REQUIRE)})
async def test_a_trunk_may_demand_reliable_responses(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    invite = await agent.expect("INVITE")
    assert invite.headers.get("require") == "100rel"
    await agent.send(420, headers=(("Unsupported", "100rel"),))
    await agent.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")


@ladder_test
async def test_a_caller_that_requires_them_gets_every_response_reliably(ladder: Ladder) -> None:
    """Repeated until the PRACK comes, and the 200 waits for it."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, headers=REQUIRES)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    ringing = await carrier.expect(180)
    assert ringing.headers.get("require") == "100rel"
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    assert await carrier.drain(1.6) == ["180", "180"]  # after 0.5 and 1.5 s; no 200 yet
    await prack(carrier, ringing)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_with(legs={"carrier": LegOptions(reliable=Reliable.OFFER)})
async def test_early_media_goes_reliably_where_both_want_it(ladder: Ladder) -> None:
    """The SDP answer is in the 183; a second one in the 200 would break RFC 3261 13.2.1."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, headers=SUPPORTS)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    assert "rseq" not in (await carrier.expect(180)).headers
    await agent.send(183, sdp=PCMU)
    early = await carrier.expect(183)
    assert early.headers.get("rseq")
    assert early.body
    await prack(carrier, early)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    assert not (await carrier.expect(200, of="INVITE")).body
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_test
async def test_nobody_acknowledges_our_reliable_response(ladder: Ladder) -> None:
    """RFC 3262 3: after 64*T1 the INVITE is refused, and the callee is let go."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, headers=REQUIRES)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    refused = await carrier.expect(504)
    assert refused.reason == "No PRACK"
    await carrier.send("ACK")
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")


@ladder_test
async def test_a_prack_that_acknowledges_nothing(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, headers=REQUIRES)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    ringing = await carrier.expect(180)
    await carrier.send("PRACK", headers=(("RAck", "1 1 INVITE"),))
    await carrier.expect(481, of="PRACK")
    await carrier.send("PRACK", headers=(("RAck", "nonsense"),))
    await carrier.expect(481, of="PRACK")
    await prack(carrier, ringing)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_with(legs={"carrier": LegOptions(reliable=Reliable.OFF)})
async def test_a_trunk_without_them_refuses_who_requires_them(ladder: Ladder) -> None:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU, headers=REQUIRES)
    refused = await carrier.expect(420)
    assert refused.headers.get("unsupported") == "100rel"
    await carrier.send("ACK")


@ladder_with(legs={"agent": LegOptions(reliable=Reliable.OFFER)})
async def test_each_fork_has_its_own_reliable_responses(ladder: Ladder) -> None:
    """Two early dialogs (RFC 3261 12.1): each gets its PRACK; the one that answers is the call."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    first = agent.tag
    await agent.send(183, sdp=PCMU, headers=(*REQUIRES, ("RSeq", "5")))
    assert (await agent.expect("PRACK")).to.tag == first
    await agent.send(200, answering="PRACK")
    await carrier.expect(183)
    agent.tag = "the-other-fork"
    await agent.send(180, headers=(*REQUIRES, ("RSeq", "900")))
    assert (await agent.expect("PRACK")).to.tag == "the-other-fork"
    await agent.send(200, answering="PRACK")
    await carrier.expect(180)
    agent.tag = first
    await agent.send(200)
    ack = await agent.expect("ACK")
    assert ack.to.tag == first
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    agent.tag = "the-other-fork"  # answers as well, and its dialog has had a request already
    pracked = agent._received["PRACK"].cseq.number
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    assert (await agent.expect("BYE")).cseq.number == pracked + 1
    await agent.send(200, answering="BYE")
    agent.tag = first
    await hang_up(ladder)


@ladder_with(legs={"carrier": LegOptions(reliable=Reliable.OFFER)})
async def test_a_prack_may_make_an_offer(ladder: Ladder) -> None:
    """RFC 3262 5: answered in the 200, which by its table 1 has no Contact."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, headers=REQUIRES)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=PCMU)
    early = await carrier.expect(183)
    rack = f"{early.headers.get('rseq')} {early.cseq.number} INVITE"
    await carrier.send("PRACK", headers=(("RAck", rack),), sdp=PCMU.replace("40000", "40010"))
    answered = await carrier.expect(200, of="PRACK")
    assert b"m=audio" in answered.body
    assert not {"contact", "session-expires"} & set(answered.headers.fields)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    carrier._cseq -= 1
    await carrier.send("ACK")
    carrier._cseq += 1
    await hang_up(ladder)
