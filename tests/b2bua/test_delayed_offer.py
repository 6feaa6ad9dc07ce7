"""INVITEs without SDP (CUCM's default): we make the offer, RFC 3261 13.2.1, RFC 3264 5."""

from tests.b2bua.test_call_stories import bridged
from tests.b2bua.test_reliable import SUPPORTS, hang_up, prack
from tests.ladder import PCMU, Ladder, ladder_test


@ladder_test
async def test_the_200_makes_the_offer_and_the_ack_answers_it(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE")
    await carrier.expect(100)
    invite = await agent.expect("INVITE")
    assert b"m=audio" in invite.body
    assert b"0.0.0.0" not in invite.body.partition(b"c=")[2]
    await agent.send(180)
    await carrier.expect(180)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    assert b"m=audio" in answer.body
    ladder.media.asked.clear()
    await carrier.send("ACK", sdp=PCMU)
    assert await agent.drain(2) == []  # the agent's session is what it was
    assert [asked[0] for asked in ladder.media.asked] == ["offer", "answer"]
    await hang_up(ladder)


@ladder_test
async def test_an_ack_without_an_answer_ends_the_call(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE")
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    bye = await carrier.is_hung_up()
    assert "No SDP answer" in (bye.headers.get("reason") or "")
    await agent.is_hung_up()


@ladder_test
async def test_early_media_makes_the_offer_in_a_reliable_response(ladder: Ladder) -> None:
    """The offer is in the 183, its answer in the PRACK, and the 200 has no SDP."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", headers=SUPPORTS)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=PCMU)
    early = await carrier.expect(183)
    assert early.body
    assert early.headers.get("rseq")
    ladder.media.asked.clear()
    await prack(carrier, early, sdp=PCMU)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    assert not (await carrier.expect(200, of="INVITE")).body
    await carrier.send("ACK")
    assert ladder.media.asked[0][0] == "offer"  # where the caller wants its media
    await hang_up(ladder)


@ladder_test
async def test_without_reliable_responses_an_offer_waits_for_the_200(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE")
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=PCMU)
    assert not (await carrier.expect(183)).body
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    assert (await carrier.expect(200, of="INVITE")).body
    await carrier.send("ACK", sdp=PCMU)
    await hang_up(ladder)
