"""Legs whose media is encrypted, beside legs whose is not: what their descriptions say, and when a
call fails, or is tried again, over it. The relay is ours, in this process."""

from collections.abc import Callable

import pytest

from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request, Response
from sip.core.sdp import parse
from sip.core.sdp_crypto import Crypto, Encryption, Suite, lines_of
from sip.media.terms import MediaTerms
from sip.softswitch.jambonz.verbs.dial import VERB
from sip.softswitch.jambonz.verbs.schema import VerbError
from tests.fakes.relay_media import RelayMedia
from tests.ladder import PCMU, Ladder, Story, dial, ladder_with

OFF, OPTIONAL, REQUIRED = Encryption.OFF, Encryption.OPTIONAL, Encryption.REQUIRED


def secure(number: int = 0, tag: int = 1) -> str:
    """PCMU, encrypted."""
    key = bytes(number + i & 0xFF for i in range(30))
    line = Crypto(tag, Suite.AES_CM_128_HMAC_SHA1_80, key)
    return f"{PCMU.replace('RTP/AVP', 'RTP/SAVP')}a=crypto:{line.value}\r\n"


def legs(**encryption: Encryption) -> Callable[[Story], Callable[[], None]]:
    """A ladder with our relay, and how the trunks of its peers want their media."""
    options = {
        name: LegOptions(media=MediaTerms(encryption=wanted)) for name, wanted in encryption.items()
    }
    return ladder_with(media=RelayMedia, legs=options)


def described(message: Request | Response) -> tuple[str, int]:
    """The protocol of the audio, and how many keys it has."""
    audio = parse(message.body).audio
    assert audio is not None
    return audio.protocol, len(lines_of(audio))


CLEAR, ANSWERED, OFFERED = ("RTP/AVP", 0), ("RTP/SAVP", 1), ("RTP/SAVP", len(Suite))


async def answered(ladder: Ladder, carrier_sdp: str, agent_sdp: str) -> tuple[Request, Response]:
    """A call from the carrier to the agent: what the agent was offered, the carrier answered."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=carrier_sdp)
    await carrier.expect(100)
    invite = await agent.answer_call(agent_sdp)
    await carrier.expect(180)
    ok = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    return invite, ok


async def over(ladder: Ladder, callee: str = "agent") -> None:
    await ladder.peer("carrier").hang_up()
    await ladder.peer(callee).is_hung_up()


async def declined(ladder: Ladder, status: int) -> Response:
    carrier = ladder.peer("carrier")
    refusal: Response = await carrier.expect(status)
    await carrier.send("ACK")
    return refusal


@legs(carrier=REQUIRED)
async def test_encrypted_here_and_in_the_clear_there(ladder: Ladder) -> None:
    invite, ok = await answered(ladder, secure(), PCMU)
    assert (described(invite), described(ok)) == (CLEAR, ANSWERED)
    assert b"crypto" not in invite.body
    await over(ladder)


@legs(agent=REQUIRED)
async def test_in_the_clear_here_and_encrypted_there(ladder: Ladder) -> None:
    invite, ok = await answered(ladder, PCMU, secure())
    assert (described(invite), described(ok)) == (OFFERED, CLEAR)
    await over(ladder)


@legs(carrier=OPTIONAL, agent=OPTIONAL)
async def test_each_side_as_it_can(ladder: Ladder) -> None:
    """Optional on both: the carrier speaks in the clear, the agent takes encryption."""
    invite, ok = await answered(ladder, PCMU, secure())
    assert (described(invite), described(ok)) == (OFFERED, CLEAR)
    await over(ladder)


@legs(carrier=OPTIONAL)
async def test_keys_beside_audio_in_the_clear_are_taken_up(ladder: Ladder) -> None:
    """RFC 8643: RTP/AVP with a=crypto, answered by the same."""
    beside = secure().replace("RTP/SAVP", "RTP/AVP")
    invite, ok = await answered(ladder, beside, PCMU)
    assert (described(invite), described(ok)) == (CLEAR, ("RTP/AVP", 1))
    await over(ladder)


@legs()
async def test_keys_beside_audio_in_the_clear_are_left_where_encryption_is_off(
    ladder: Ladder,
) -> None:
    beside = secure().replace("RTP/SAVP", "RTP/AVP")
    _, ok = await answered(ladder, beside, PCMU)
    assert described(ok) == CLEAR
    await over(ladder)


@pytest.mark.parametrize(
    ("wanted", "sdp", "why"),
    [
        (REQUIRED, PCMU, "Encrypted audio is required"),
        (OFF, secure(), "only RTP/AVP"),
        (OPTIONAL, secure().rstrip() + "|2^20|1:4\r\n", "without MKI"),
        (REQUIRED, secure().replace("RTP/SAVP", "UDP/TLS/RTP/SAVPF"), "UDP/TLS/RTP/SAVPF"),
    ],
)
def test_an_offer_that_the_trunk_does_not_take_is_refused_with_a_reason(
    wanted: Encryption, sdp: str, why: str
) -> None:
    """RFC 3261 20.43, and no leg is placed."""

    @legs(carrier=wanted)
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "sip:decline", "status": 488}]
        await ladder.peer("carrier").send("INVITE", sdp=sdp)
        await ladder.peer("carrier").expect(100)
        refusal = await declined(ladder, 488)
        warning = refusal.headers.get("warning") or ""
        assert warning.startswith("302 ")
        assert why in warning
        assert await ladder.peer("agent").drain(1) == []

    story()


@pytest.mark.parametrize("status", [488, 415, 606])
def test_optional_encryption_that_is_refused_is_asked_for_once_more_without(status: int) -> None:
    """The same carrier, by a new INVITE; which the record tells."""

    @legs(agent=OPTIONAL)
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        first = await agent.expect("INVITE")
        assert described(first) == OFFERED
        await agent.send(status)
        await agent.expect("ACK")
        second = await agent.answer_call(PCMU)
        assert described(second) == CLEAR
        assert second.call_id != first.call_id
        await carrier.expect(180)
        assert described(await carrier.expect(200, of="INVITE")) == CLEAR
        await carrier.send("ACK")
        await over(ladder)
        await ladder.app.until(lambda: ladder.app.told("/dial-action"))
        [hook] = ladder.app.told("/dial-action")
        assert f"refused ({status})" in hook["data"]["dial_detail"]

    story()


@legs(agent=OPTIONAL)
async def test_a_second_refusal_is_the_trunks_answer(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "sip:decline", "status": 488}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    for _ in range(2):
        await agent.expect("INVITE")
        await agent.send(488)
        await agent.expect("ACK")
    await declined(ladder, 488)
    assert await agent.drain(1) == []


@legs(agent=OPTIONAL)
async def test_after_early_media_nothing_is_asked_again(ladder: Ladder) -> None:
    """The caller would hear a second call."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "sip:decline", "status": 488}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(183, sdp=secure())
    await carrier.expect(183)
    await agent.send(488)
    await agent.expect("ACK")
    await declined(ladder, 488)
    assert await agent.drain(1) == []


@legs(agent=REQUIRED)
async def test_required_encryption_that_is_refused_is_not_asked_for_without(
    ladder: Ladder,
) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "sip:decline", "status": 488}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(488)
    await agent.expect("ACK")
    await declined(ladder, 488)
    assert await agent.drain(1) == []


@pytest.mark.parametrize("answer", [PCMU, secure(tag=77), secure().partition("a=crypto")[0]])
def test_an_answer_without_the_required_encryption_ends_the_attempt(answer: str) -> None:
    """In the clear, with the tag of no line of ours, without a key: the next carrier is tried."""

    @legs(agent=REQUIRED)
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [dial("agent"), dial("second"), {"verb": "hangup"}]
        carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        await agent.expect("INVITE")
        await agent.send(183, sdp=answer)
        assert not (await carrier.expect(183)).body
        await agent.send(200, sdp=answer)
        await agent.expect("ACK")
        await agent.is_hung_up()
        await second.answer_call()
        await carrier.expect(180)
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await over(ladder, "second")
        await ladder.app.until(lambda: len(ladder.app.told("/dial-action")) == 2)
        hook = ladder.app.told("/dial-action")[0]["data"]
        assert hook["dial_sip_status"] == 502
        assert hook["dial_cause"] == "no-encryption"
        assert "a key" in hook["dial_detail"]

    story()


@legs(agent=OPTIONAL)
async def test_an_answer_in_the_clear_is_taken_where_encryption_is_optional(
    ladder: Ladder,
) -> None:
    invite, ok = await answered(ladder, PCMU, PCMU)
    assert (described(invite), described(ok)) == (OFFERED, CLEAR)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU.replace("40000", "40002"))
    await carrier.expect(100)
    again = await agent.expect("INVITE")
    assert described(again) == CLEAR, "as it is spoken to already"
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await over(ladder)


@legs(carrier=REQUIRED, agent=REQUIRED)
async def test_a_refresh_stays_on_its_leg_and_a_new_key_too(ladder: Ladder) -> None:
    """Each side's keys are its own: the other never hears of a change."""
    await answered(ladder, secure(), secure(50))
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    for sdp in (secure(), secure(100)):
        await carrier.send("INVITE", sdp=sdp)
        await carrier.expect(100)
        assert described(await carrier.expect(200, of="INVITE")) == ANSWERED
        await carrier.send("ACK")
        assert await agent.drain(1) == []
    await over(ladder)


@legs(carrier=REQUIRED)
async def test_a_reinvite_in_the_clear_is_refused_and_the_call_goes_on(ladder: Ladder) -> None:
    await answered(ladder, secure(), PCMU)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    refusal = await carrier.expect(488)
    assert "Encrypted audio is required" in (refusal.headers.get("warning") or "")
    await carrier.send("ACK")
    assert await agent.drain(1) == []
    await over(ladder)


@pytest.mark.parametrize(("answer", "goes_on"), [(secure(), True), (PCMU, False)])
def test_a_delayed_offer_of_ours_is_encrypted_where_that_is_required(
    answer: str, goes_on: bool
) -> None:
    """RFC 3264 5: an INVITE without SDP; our 200 offers, and the ACK must take it up."""

    @legs(carrier=REQUIRED)
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        await carrier.send("INVITE")
        await carrier.expect(100)
        assert described(await agent.answer_call()) == CLEAR
        await carrier.expect(180)
        assert described(await carrier.expect(200, of="INVITE")) == ANSWERED
        await carrier.send("ACK", sdp=answer)
        if goes_on:
            assert await carrier.drain(1) == []
            await over(ladder)
        else:
            bye = await carrier.is_hung_up()
            assert "cause=488" in (bye.headers.get("reason") or "")
            await agent.is_hung_up()

    story()


@legs()
async def test_an_application_may_demand_encryption_of_one_call(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent", srtpEncryption="sdes"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    assert described(await agent.answer_call(secure())) == OFFERED
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await over(ladder)


@pytest.mark.parametrize("value", ["dtls", "aes", 1])
def test_an_application_can_demand_nothing_else(value: object) -> None:
    with pytest.raises(VerbError, match="srtpEncryption"):
        VERB.read(dial("agent", srtpEncryption=value), lambda _: None)
