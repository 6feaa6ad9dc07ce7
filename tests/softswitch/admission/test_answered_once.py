"""A challenge, and a refusal for want of room, are sent once for each time that they are asked for:
whoever forges an address cannot have us send more to it than was sent to us."""

import asyncio

from config.settings import LimitSettings
from config.values import Source
from sip.softswitch.trunks.trunk import Trunk
from tests.ladder import DID, PCMU, Ladder, Peer, ladder_test, ladder_with
from tests.softswitch.admission.test_gatekeeper import proof

#: A user name, for a realm that is not ours: it is challenged.
CLAIM = (
    (
        "Proxy-Authorization",
        'Digest username="phone", realm="other", nonce="n", uri="sip:x", response="0"',
    ),
)


def phone(_: dict[str, Peer]) -> list[Trunk]:
    """A phone that may be anywhere: nothing but its password tells it from a stranger."""
    return [Trunk(name="phone", login=("phone", "pass"))]


@ladder_test
async def test_an_invite_without_a_password_brings_one_407_and_no_more(ladder: Ladder) -> None:
    """RFC 3261 8.2.7; a forger never acknowledges, and eleven answers would come."""
    retell = ladder.peer("retell")
    await retell.send("INVITE", sdp=PCMU)
    await retell.expect(407)
    assert ladder.switch.gauges["transactions"] == 0
    assert await retell.drain(40) == []


@ladder_test
async def test_the_same_invite_again_is_challenged_again_by_the_same_tag(ladder: Ladder) -> None:
    """Our 407 was lost; the tag is the same (RFC 3261 8.2.7), the nonce may be another."""
    retell = ladder.peer("retell")
    await retell.send("INVITE", sdp=PCMU)
    first = await retell.expect(407)
    await asyncio.sleep(0.5)
    await retell.send("INVITE", sdp=PCMU, again=True)
    second = await retell.expect(407)
    assert first.to.tag == second.to.tag
    await retell.send("INVITE", sdp=PCMU)
    assert (await retell.expect(407)).to.tag != first.to.tag


@ladder_test
async def test_who_acknowledges_the_challenge_is_let_in_with_the_password(ladder: Ladder) -> None:
    retell = ladder.peer("retell")
    await retell.send("INVITE", sdp=PCMU)
    challenge = await retell.expect(407)
    await retell.send("ACK")
    await retell.send("INVITE", sdp=PCMU, headers=proof(challenge, "s3cret"))
    await retell.expect(100)
    await retell.expect(404)  # as the application has it
    await retell.send("ACK")


@ladder_with(trunks_to=phone)
async def test_a_wrong_password_that_is_sent_again_counts_once(ladder: Ladder) -> None:
    """The third wrong one bans; that our answer was lost is not the peer's fault."""
    phone = ladder.peer("stranger")
    await phone.send("INVITE", sdp=PCMU, headers=CLAIM)
    challenge = await phone.expect(407)
    wrong = proof(challenge, "guess", username="phone")
    await phone.send("INVITE", sdp=PCMU, headers=wrong)
    for _ in range(5):
        await phone.expect(407)
        await asyncio.sleep(0.5)
        await phone.send("INVITE", sdp=PCMU, again=True)
    await phone.expect(407)


@ladder_with(trunks_to=phone)
async def test_the_ack_to_a_challenge_is_no_offence(ladder: Ladder) -> None:
    """It need not say again what the INVITE was known by."""
    stranger = ladder.peer("stranger")
    await stranger.send("INVITE", sdp=PCMU, headers=CLAIM)
    await stranger.expect(407)
    await stranger.send("ACK")
    await stranger.silence(1)
    assert ladder.switch.ua.dropped["unknown source"] == 0


@ladder_with(
    limits=LimitSettings(calls=1, calls_per_second=100),
    trunks_to=lambda peers: [
        Trunk(name="other", sources=(Source.parse(f"127.0.0.1:{peers['stranger'].port}"),))
    ],
)
async def test_a_call_for_which_there_is_no_room_gets_one_503(ladder: Ladder) -> None:
    await ladder.call_up()
    mad = ladder.peer("stranger")
    await mad.send("INVITE", sdp=PCMU, to=DID)
    refused = await mad.expect(503)
    assert refused.headers.get("retry-after") == "5"
    assert await mad.drain(40) == []
    await ladder.hung_up_by("carrier")
