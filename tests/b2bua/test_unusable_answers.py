"""Answers that take up nothing of the offer, or never come (RFC 3264 6.1, RFC 3311 5.2)."""

import pytest

from tests.b2bua.test_call_stories import bridged, talk
from tests.b2bua.test_reinvites import HOLD
from tests.b2bua.test_reliable import SUPPORTS, hang_up, prack
from tests.ladder import PCMU, Ladder, dial, ladder_test, make_ladder
from tests.virtual import virtual_time

G729 = PCMU.replace("RTP/AVP 0 101", "RTP/AVP 18 101").replace("0 PCMU/8000", "18 G729/8000")
REFUSED = PCMU.replace("m=audio 40000", "m=audio 0")
MULTIPART = "multipart/mixed;boundary=x"


@pytest.mark.parametrize("answer", [G729, REFUSED, None, "v=0"])
@virtual_time
async def test_an_answer_without_a_codec_of_the_offer_is_no_answer(answer: str | None) -> None:
    """It is acknowledged and hung up; the caller hears of it as of any failure."""
    async with make_ladder() as ladder:
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "sip:decline", "status": 502}]
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        await agent.expect("INVITE")
        await agent.send(183, sdp=answer)  # nobody could hear that either
        assert not (await carrier.expect(183)).body
        await agent.send(200, sdp=answer)
        await agent.expect("ACK")
        await agent.is_hung_up()
        await carrier.expect(502)
        await carrier.send("ACK")
        [hook] = ladder.app.told("/dial-action")
        assert hook["data"]["dial_sip_status"] == 502
        assert hook["data"]["dial_cause"] == "no-common-codec"
        await ladder.settled()


@virtual_time
async def test_after_an_unusable_answer_the_application_dials_on() -> None:
    async with make_ladder() as ladder:
        ladder.app.verbs = lambda _: [dial("agent"), dial("second"), {"verb": "hangup"}]
        carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        await agent.expect("INVITE")
        await agent.send(200, sdp=G729)
        await agent.expect("ACK")
        await second.answer_call()
        await agent.is_hung_up()
        await carrier.expect(180)
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await carrier.hang_up()
        await second.is_hung_up()
        await ladder.settled()


@ladder_test
async def test_a_delayed_offer_that_is_refused_ends_the_call(ladder: Ladder) -> None:
    """An INVITE without SDP, and an ACK that takes no audio."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE")
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK", sdp=REFUSED)
    bye = await carrier.is_hung_up()
    assert "cause=488" in (bye.headers.get("reason") or "")
    await agent.is_hung_up()


@ladder_test
async def test_a_delayed_offer_that_is_refused_in_a_prack_ends_the_call(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", headers=SUPPORTS)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=PCMU)
    await prack(carrier, await carrier.expect(183), sdp=REFUSED)
    await carrier.expect(488)
    await carrier.send("ACK")
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")


@ladder_test
async def test_a_live_call_goes_on_when_a_re_invite_is_not_answered(ladder: Ladder) -> None:
    """A re-INVITE without SDP, whose ACK has none either: Asterisk's hold does so."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    for _ in range(2):
        await carrier.send("INVITE")
        await carrier.expect(100)
        assert (await carrier.expect(200, of="INVITE")).body
        await carrier.send("ACK")
        assert await agent.drain(2) == []
    await carrier.send("INVITE", sdp=HOLD)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(200, sdp=PCMU + "a=recvonly\r\n")
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)


@ladder_test
async def test_an_update_has_its_answer_in_time(ladder: Ladder) -> None:
    """504 while the far side says nothing to our re-INVITE; what it takes later is taken back."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    await agent.send("UPDATE", sdp=HOLD)
    held = await carrier.expect("INVITE")
    assert b"a=sendonly" in held.body
    await agent.expect(504, within_s=10, of="UPDATE")
    await carrier.send(200, sdp=PCMU + "a=recvonly\r\n")
    await carrier.expect("ACK")
    back = await carrier.expect("INVITE")
    assert b"a=sendonly" not in back.body
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await hang_up(ladder)


@pytest.mark.parametrize(
    ("disposition", "status"), [("handling=required", 415), ("handling=optional", 100), ("", 100)]
)
@virtual_time
async def test_a_part_that_must_be_understood_is_refused(disposition: str, status: int) -> None:
    """RFC 5621 3.1: ISUP beside SDP is passed over, unless its sender insists on it."""
    said = f"Content-Disposition: signal;{disposition}\r\n" if disposition else ""
    body = "".join(
        f"--x\r\nContent-Type: {kind}\r\n{more}\r\n{text}\r\n"
        for kind, more, text in (("application/sdp", "", PCMU), ("application/isup", said, "01"))
    )
    async with make_ladder() as ladder:
        ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
        carrier = ladder.peer("carrier")
        invite = carrier._request("INVITE", "+14155550100", (), None, again=False)
        invite.headers.set("content-type", MULTIPART)
        invite.body = f"{body}--x--\r\n".encode()
        await carrier.transmit(invite.to_bytes())
        await carrier.expect(status)
        if status == 100:
            await carrier.expect(486)
        await carrier.send("ACK")
        await ladder.settled()
