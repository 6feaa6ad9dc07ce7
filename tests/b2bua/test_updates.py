"""UPDATE: RFC 3311. Offers before and after the answer, and what is no offer at all."""

from sip.b2bua.legs.options import LegOptions, Reliable
from tests.b2bua.test_call_stories import bridged, talk
from tests.b2bua.test_reinvites import HOLD, PCMA
from tests.b2bua.test_reliable import REQUIRES, hang_up
from tests.ladder import PCMU, Ladder, ladder_test, ladder_with


@ladder_test
async def test_an_update_without_sdp_is_answered_here(ladder: Ladder) -> None:
    bridged(ladder)
    agent = ladder.peer("agent")
    await talk(ladder)
    await agent.send("UPDATE")
    refreshed = await agent.expect(200, of="UPDATE")
    assert not refreshed.body
    assert refreshed.contact is not None
    assert await ladder.peer("carrier").drain(2) == []
    await hang_up(ladder)


@ladder_test
async def test_an_offer_in_an_update_crosses_as_a_re_invite(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await agent.send("UPDATE", sdp=PCMA)
    reinvite = await carrier.expect("INVITE")
    assert b"PCMA" in reinvite.body
    await carrier.send(200, sdp=PCMA)
    await carrier.expect("ACK")
    answer = await agent.expect(200, of="UPDATE")
    assert b"PCMA" in answer.body
    await hang_up(ladder)


@ladder_with(legs={"agent": LegOptions(reliable=Reliable.OFFER)})
async def test_an_offer_while_ringing_is_answered_here(ladder: Ladder) -> None:
    """The callee moves its media before it answers (RFC 3311 5.2); the caller need not know."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=PCMU, headers=(*REQUIRES, ("RSeq", "1")))
    await agent.expect("PRACK")
    await agent.send(200, answering="PRACK")
    await carrier.expect(183)
    await agent.send("UPDATE", sdp=PCMU.replace("40000", "41000"))
    assert (await agent.expect(200, of="UPDATE")).body
    await agent.send(200, headers=(("X-Late", "1"),), answering="INVITE")
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_test
async def test_an_offer_while_ours_is_open(ladder: Ladder) -> None:
    """RFC 3311 5.2: 491 where we offered, 500 with Retry-After where they did."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await agent.send("UPDATE", sdp=PCMA)
    await agent.expect(491, of="UPDATE")
    await carrier.send("UPDATE", sdp=PCMA)
    assert (await carrier.expect(500, of="UPDATE")).headers.get("retry-after")
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_test
async def test_a_side_that_refuses_hold_does_not_keep_the_other_from_it(ladder: Ladder) -> None:
    """The PBX holds, the agent's side answers 488: the PBX is on hold all the same."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await carrier.send("INVITE", sdp=HOLD)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(488)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.send("INVITE", sdp=PCMU)  # and resumes
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)
