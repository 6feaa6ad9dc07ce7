"""RFC 3264 6: an answer has as many media as its offer, whatever the side behind us made of it."""

import pytest

from sip.core.sdp import SessionDescription
from tests.ladder import PCMU, Ladder, dial, ladder_test

VIDEO = "m=video 40002 RTP/AVP 96 97\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 H264/90000\r\n"
FAX = "m=image 40004 udptl t38\r\n"


def media(sdp: bytes | str) -> list[tuple[str, bool]]:
    """Kind of each medium, and whether it is taken."""
    return [(part.kind, part.active) for part in SessionDescription.parse(sdp).media]


@ladder_test
async def test_video_is_refused_though_the_agent_does_not_mention_it(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU + VIDEO)
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    answer = await carrier.expect(200, of="INVITE")
    assert media(answer.body) == [("audio", True), ("video", False)]
    await carrier.send("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()


@ladder_test
async def test_a_new_offer_with_fax_keeps_the_order(ladder: Ladder) -> None:
    """A re-INVITE that adds what we do not carry: refused in place, the audio goes on.

    Nothing changes for the agent, so it is not asked.
    """
    await ladder.call_up("carrier", "agent")
    carrier = ladder.peer("carrier")
    head, mark, audio = PCMU.partition("m=audio")
    await carrier.send("INVITE", sdp=head + FAX + mark + audio)
    await carrier.expect(100)
    answer = await carrier.expect(200, of="INVITE")
    assert media(answer.body) == [("image", False), ("audio", True)]
    await carrier.send("ACK")
    await ladder.hung_up_by("carrier")


@pytest.mark.parametrize(
    ("offer", "answer", "expected"),
    [
        (PCMU + VIDEO, PCMU, [("audio", True), ("video", False)]),
        (PCMU, PCMU, [("audio", True)]),
        (PCMU + VIDEO, PCMU + VIDEO, [("audio", True), ("video", True)]),
        (PCMU.replace("m=audio 40000", "m=audio 0") + PCMU[PCMU.index("m=") :], PCMU, None),
        (PCMU.replace("AVP", "SAVP") + PCMU[PCMU.index("m=") :], PCMU, None),
    ],
)
def test_what_an_answer_lacks_is_refused(
    offer: str, answer: str, expected: list[tuple[str, bool]] | None
) -> None:
    fitting = SessionDescription.parse(answer).answering(SessionDescription.parse(offer))
    assert media(fitting.to_string()) == (expected or [("audio", False), ("audio", True)])
