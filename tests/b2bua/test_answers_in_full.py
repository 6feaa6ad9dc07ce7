"""What every answer of ours must say, whoever gives it: RFC 3261 8.2.6, 9.2, 11.2."""

import pytest

from sip.media.plane import MediaError
from tests.b2bua.test_call_stories import bridged, talk
from tests.ladder import PCMU, Ladder, ladder_test

REFUSED = {
    "405": ("MESSAGE", ()),
    "501": ("BREW", ()),
    "420": ("INVITE", (("Require", "tea"),)),
    "406": ("INVITE", (("Accept", "text/plain"),)),
    "415": ("INVITE", (("Content-Encoding", "gzip"),)),
    "481 to a BYE": ("BYE", ()),
    "481 to a CANCEL": ("CANCEL", ()),
}


@pytest.mark.parametrize("story", REFUSED)
def test_every_refusal_has_a_to_tag(story: str) -> None:
    """RFC 3261 8.2.6.2: all responses but 100."""
    method, headers = REFUSED[story]

    @ladder_test
    async def refused(ladder: Ladder) -> None:
        carrier = ladder.peer("carrier")
        await carrier.send(method, sdp=PCMU, headers=headers)
        answer = await carrier.expect(int(story[:3]), of=method)
        assert answer.to.tag
        if method == "INVITE":
            await carrier.send("ACK")

    refused()


@ladder_test
async def test_a_cancel_is_answered_with_the_tag_of_the_invite(ladder: Ladder) -> None:
    """RFC 3261 9.2: both answers are of the same UAS, and say so."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    assert (await carrier.expect(100)).to.tag is None
    await agent.expect("INVITE")
    await agent.send(180)
    ringing = await carrier.expect(180)
    await carrier.send("CANCEL")
    cancelled = await carrier.expect(200, of="CANCEL")
    terminated = await carrier.expect(487, of="INVITE")
    assert ringing.to.tag == cancelled.to.tag == terminated.to.tag
    await carrier.send("ACK")
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")


FAX = PCMU[: PCMU.index("m=")] + "m=image 40004 udptl t38\r\na=T38FaxVersion:0\r\n"
UNACCEPTABLE = {"304": FAX, "302": PCMU.replace("AVP", "SAVP"), "305": PCMU, "399": "v=1\r\n"}


@pytest.mark.parametrize("code", UNACCEPTABLE)
def test_a_488_says_why(code: str) -> None:
    """RFC 3261 21.4.26, 20.43: from the application, and to a re-INVITE."""

    @ladder_test
    async def refused(ladder: Ladder) -> None:
        carrier = ladder.peer("carrier")
        ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 488}]
        await carrier.send("INVITE", sdp=UNACCEPTABLE[code])
        await carrier.expect(100)
        refusal = await carrier.expect(488)
        [value] = refusal.headers.get_all("warning")
        assert value.startswith(f'{code} retell-sip-gateway "')
        assert value.endswith('"')
        await carrier.send("ACK")

    refused()


@ladder_test
async def test_fax_is_refused_and_the_call_goes_on(ladder: Ladder) -> None:
    """A re-INVITE to T.38: RFC 3261 14.2."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talk(ladder)
    ladder.media.refuse = MediaError("bad-sdp", "no audio offered")
    await carrier.send("INVITE", sdp=FAX)
    await carrier.expect(100)
    refusal = await carrier.expect(488)
    ladder.media.refuse = None
    assert (refusal.headers.get("warning") or "").startswith("304 ")
    await carrier.send("ACK")
    await agent.silence(1)
    await carrier.hang_up()
    await agent.is_hung_up()


@ladder_test
async def test_options_are_answered_with_all_that_we_can(ladder: Ladder) -> None:
    """RFC 3261 11.2: outside a dialog and in one."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("OPTIONS")
    answers = [await carrier.expect(200, of="OPTIONS")]
    await talk(ladder)
    await carrier.send("OPTIONS")
    answers.append(await carrier.expect(200, of="OPTIONS"))
    for answer in answers:
        assert answer.headers.get("accept") == "application/sdp"
        assert answer.headers.get("accept-encoding") == "identity"
        assert answer.headers.get("accept-language") == "en"
        assert {"invite", "options", "update"} <= answer.headers.tokens("allow")
        assert {"100rel", "timer"} <= answer.headers.tokens("supported")
    await carrier.hang_up()
    await agent.is_hung_up()
