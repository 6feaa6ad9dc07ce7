"""Offers after the answer: RFC 3261 14, RFC 3264 8, and what crosses the B2BUA."""

import re

import pytest

from sip.core.message import Request, Response
from tests.b2bua.test_call_stories import bridged, talk
from tests.ladder import PCMU, Ladder, ladder_test

HOLD = PCMU.replace("a=ptime:20", "a=ptime:20\r\na=sendonly")
PCMA = PCMU.replace("AVP 0 101", "AVP 8 101").replace("0 PCMU", "8 PCMA")


async def finish(ladder: Ladder) -> None:
    await ladder.peer("carrier").hang_up()
    await ladder.peer("agent").is_hung_up()


@ladder_test
async def test_a_session_refresh_is_answered_here(ladder: Ladder) -> None:
    """The same offer again (a session timer's): the other leg hears nothing of it."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert await agent.drain(2) == []
    await finish(ladder)


@ladder_test
async def test_hold_crosses_and_its_answer_comes_back(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await carrier.send("INVITE", sdp=HOLD)
    await carrier.expect(100)
    reinvite = await agent.expect("INVITE")
    assert b"a=sendonly" in reinvite.body
    await agent.send(200, sdp=PCMU.replace("a=ptime:20", "a=recvonly"))
    await agent.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    assert b"a=recvonly" in answer.body
    await carrier.send("ACK")
    await finish(ladder)


HOLDS = {
    "sendonly": HOLD,
    "inactive": PCMU.replace("a=ptime:20", "a=ptime:20\r\na=inactive"),
    "all zeroes": PCMU.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0"),
    "zeroes and inactive": PCMU.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0").replace(
        "a=ptime:20", "a=inactive"
    ),
}


@pytest.mark.parametrize("form", HOLDS)
def test_every_form_of_hold_crosses_and_so_does_its_end(form: str) -> None:
    """RFC 3264 8.4, and RFC 2543's c=0.0.0.0, which PBXs still send."""

    @ladder_test
    async def story(ladder: Ladder) -> None:
        bridged(ladder)
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        await talk(ladder)
        for sdp in (HOLDS[form], PCMU.replace("40000", "40010")):
            await carrier.send("INVITE", sdp=sdp)
            await carrier.expect(100)
            reinvite = await agent.expect("INVITE")
            for mark in (b"a=sendonly", b"a=inactive", b"c=IN IP4 0.0.0.0"):
                assert (mark in reinvite.body) is (mark in sdp.encode())
            await agent.send(200, sdp=PCMU)
            await agent.expect("ACK")
            await carrier.expect(200, of="INVITE")
            await carrier.send("ACK")
        await finish(ladder)

    story()


@ladder_test
async def test_the_agent_may_offer_as_well(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await agent.send("INVITE", sdp=PCMA)
    await agent.expect(100)
    reinvite = await carrier.expect("INVITE")
    assert b"PCMA" in reinvite.body
    await carrier.send(200, sdp=PCMA)
    await carrier.expect("ACK")
    await agent.expect(200, of="INVITE")
    await agent.send("ACK")
    await finish(ladder)


@ladder_test
async def test_a_refused_offer_leaves_the_session_as_it_was(ladder: Ladder) -> None:
    """RFC 3261 14.1: 488 goes back, and the media plane is told the old description again."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    asked = len(ladder.media.asked)
    await carrier.send("INVITE", sdp=PCMA)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(488)
    await agent.expect("ACK")
    await carrier.expect(488)
    await carrier.send("ACK")
    assert [what for what, *_ in ladder.media.asked[asked:]] == ["offer", "offer", "answer"]
    await carrier.hang_up()
    await agent.is_hung_up()


@ladder_test
async def test_glare_is_answered_491_and_tried_again(ladder: Ladder) -> None:
    """RFC 3261 14.1: our re-INVITE meets the agent's 491 and comes again after 2.1 to 4 s."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await carrier.send("INVITE", sdp=HOLD)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send("INVITE", sdp=PCMA)
    await agent.expect(491)
    await agent.send("ACK")
    await agent.send(491)
    await agent.expect("ACK")
    await agent.expect("INVITE", within_s=4.1)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await finish(ladder)


@ladder_test
async def test_a_re_invite_without_sdp_gets_what_holds(ladder: Ladder) -> None:
    """RFC 3261 14.2: asked for an offer, we repeat the description that is in force."""
    bridged(ladder)
    carrier = ladder.peer("carrier")
    await talk(ladder)
    await carrier.send("INVITE")
    await carrier.expect(100)
    answer = await carrier.expect(200, of="INVITE")
    assert b"m=audio" in answer.body
    asked = len(ladder.media.asked)
    await carrier.send("ACK", sdp=PCMU)
    assert await ladder.peer("agent").drain(1) == []
    await finish(ladder)
    assert [what for what, *_ in ladder.media.asked[asked:]][:2] == ["offer", "answer"]


@ladder_test
async def test_a_held_pbx_resumes_by_asking_for_an_offer(ladder: Ladder) -> None:
    """CUCM's way: hold with SDP, resume without. Our offer is off hold, and so is the agent."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await carrier.send("INVITE", sdp=HOLD)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(200, sdp=PCMU.replace("a=ptime:20", "a=recvonly"))
    await agent.expect("ACK")
    assert b"a=recvonly" in (await carrier.expect(200, of="INVITE")).body
    await carrier.send("ACK")
    await carrier.send("INVITE")
    await carrier.expect(100)
    offer = await carrier.expect(200, of="INVITE")
    assert b"a=sendrecv" in offer.body
    await carrier.send("ACK", sdp=PCMU)
    resumed = await agent.expect("INVITE")
    assert b"a=sendonly" not in resumed.body
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await finish(ladder)


def origin(message: Request | Response) -> tuple[int, int]:
    """Session id and version of the o= line."""
    line = next(line for line in message.body.decode().splitlines() if line.startswith("o="))
    words = line.split()
    return int(words[1]), int(words[2])


@ladder_test
async def test_all_we_say_on_a_leg_is_one_session_whose_version_rises(ladder: Ladder) -> None:
    """RFC 3264 8: the agent's own o= lines never reach the caller, however often they change."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=PCMU)
    early = origin(await carrier.expect(183))
    await agent.send(200, sdp=PCMU.replace("o=- 42 42", "o=- 77 1"))
    await agent.expect("ACK")
    assert origin(await carrier.expect(200, of="INVITE")) == early
    await carrier.send("ACK")
    await agent.send("INVITE", sdp=PCMA.replace("o=- 42 42", "o=- 78 9"))
    await agent.expect(100)
    changed = origin(await carrier.expect("INVITE"))
    assert changed == (early[0], early[1] + 1)
    await carrier.send(200, sdp=PCMA)
    await carrier.expect("ACK")
    await agent.expect(200, of="INVITE")
    await agent.send("ACK")
    await finish(ladder)


@pytest.mark.parametrize(
    ("offered", "taken", "answered"),
    [
        ("sendonly", True, "recvonly"),
        ("sendonly", False, "recvonly"),
        ("inactive", True, "inactive"),
        ("inactive", False, "inactive"),
        ("recvonly", True, "sendonly"),
    ],
)
def test_our_answer_has_no_direction_that_was_not_offered(
    offered: str, taken: bool, answered: str
) -> None:
    """RFC 3264 6.1, although the other side has never heard of hold."""

    @ladder_test
    async def story(ladder: Ladder) -> None:
        bridged(ladder)
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        await talk(ladder)
        await carrier.send("INVITE", sdp=HOLD.replace("sendonly", offered))
        await carrier.expect(100)
        await agent.expect("INVITE")
        if taken:
            await agent.send(200, sdp=PCMU.replace("a=ptime:20", "a=sendrecv"))
        else:
            await agent.send(488)
        await agent.expect("ACK")
        answer = await carrier.expect(200, of="INVITE")
        assert re.findall(rb"a=((?:send|recv|inact)\w+)", answer.body) == [answered.encode()]
        await carrier.send("ACK")
        await finish(ladder)

    story()
