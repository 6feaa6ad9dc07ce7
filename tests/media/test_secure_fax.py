"""Fax by T.38 in calls with encrypted audio: in the clear while it lasts, and keys come back."""

from collections.abc import AsyncIterator, Iterator

import pytest

from sip.core.message import Request, Response
from sip.core.sdp_crypto import Encryption, Suite
from sip.media.ng.client import NgClient
from sip.media.terms import MediaTerms
from tests.b2bua.stage import Stage, make_stage
from tests.ladder import Peer
from tests.media.scenarios.test_secure import CM_80, SecurePhone, hear_each_other
from tests.media.test_fax import body, faxes, hear_of_fax, t38

OFF, OPTIONAL, REQUIRED = Encryption.OFF, Encryption.OPTIONAL, Encryption.REQUIRED

#: The caller's and the callee's encryption.
LEGS = [(CM_80, None), (None, CM_80), (CM_80, CM_80)]


@pytest.fixture
async def stage(relay_plane: NgClient) -> AsyncIterator[Stage]:
    async with make_stage(relay_plane) as stage:
        yield stage
        for call in stage.calls:
            await call.close()


@pytest.fixture
def phones() -> Iterator[dict[str, SecurePhone]]:
    """Each at its SIP peer, by name; filled by `talking`."""
    phones: dict[str, SecurePhone] = {}
    yield phones
    for phone in phones.values():
        phone.close()


async def talking(
    stage: Stage,
    phones: dict[str, SecurePhone],
    suites: tuple[Suite | None, Suite | None],
    encryption: Encryption = OPTIONAL,
) -> None:
    """Both hear each other, for long enough that each source is known."""
    for name, suite in zip(("carrier", "person"), suites, strict=True):
        phones[name] = SecurePhone(name.upper(), suite)
        stage.terms[name] = MediaTerms(encryption=OFF if suite is None else encryption)
    caller, callee = phones["carrier"], phones["person"]
    carrier, person = stage.peer("carrier"), stage.peer("person")
    await carrier.send("INVITE", sdp=caller.described())
    await carrier.expect(100)
    stage.dial(stage.calls[0], "person")
    callee.hear_of(body(await person.expect("INVITE")))
    await person.send(180)
    await person.send(200, sdp=callee.answer_to())
    await person.expect("ACK")
    await carrier.expect(180)
    caller.hear_of(body(await carrier.expect(200, of="INVITE")))
    await carrier.send("ACK")
    await hear_each_other(caller, callee)


async def asks(peer: Peer, other: Peer, offer: str) -> Request:
    """A re-INVITE, as it reaches the other side."""
    await peer.send("INVITE", sdp=offer)
    await peer.expect(100)
    offered: Request = await other.expect("INVITE")
    return offered


async def answers(other: Peer, peer: Peer, answer: str) -> Response:
    """Its answer, as it comes back."""
    await other.send(200, sdp=answer)
    await other.expect("ACK")
    answered: Response = await peer.expect(200, of="INVITE")
    await peer.send("ACK")
    return answered


@pytest.mark.parametrize("asking", ["carrier", "person"])
@pytest.mark.parametrize("back", ["carrier", "person"])
@pytest.mark.parametrize("beside", ["", "m=audio 0 RTP/SAVP 0\r\n"])
@pytest.mark.parametrize("suites", LEGS)
async def test_a_call_becomes_a_fax_and_its_audio_comes_back_encrypted(
    stage: Stage,
    phones: dict[str, SecurePhone],
    suites: tuple[Suite | None, Suite | None],
    beside: str,
    asking: str,
    back: str,
) -> None:
    """Asked for by either side, as is the way back; the keys stay those that they were."""
    await talking(stage, phones, suites)
    keys = {name: phone.receiver for name, phone in phones.items()}
    other = "person" if asking == "carrier" else "carrier"
    fax, reader = phones[asking], phones[other]
    offer = await asks(stage.peer(asking), stage.peer(other), t38(fax, beside=beside))
    hear_of_fax(reader, body(offer))
    assert b"crypto" not in offer.body
    answer = await answers(stage.peer(other), stage.peer(asking), t38(reader, beside=beside))
    hear_of_fax(fax, body(answer))
    assert b"crypto" not in answer.body
    for phone in (fax, reader):
        phone.rtp.forget()  # silence that a slow machine had sent before, which may be encrypted
    for _ in range(4):  # for long enough that the sources are known again
        await faxes(fax, reader)
        await faxes(reader, fax)

    other = "person" if back == "carrier" else "carrier"
    speaker, hearer = phones[back], phones[other]
    hearer.hear_of(body(await asks(stage.peer(back), stage.peer(other), speaker.described())))
    speaker.hear_of(body(await answers(stage.peer(other), stage.peer(back), hearer.answer_to())))
    assert {name: phone.receiver for name, phone in phones.items()} == keys
    await hear_each_other(speaker, hearer)


@pytest.mark.parametrize("suites", LEGS)
async def test_a_fax_that_the_other_side_refuses_leaves_the_audio_encrypted(
    stage: Stage, phones: dict[str, SecurePhone], suites: tuple[Suite | None, Suite | None]
) -> None:
    await talking(stage, phones, suites)
    carrier, person = stage.peer("carrier"), stage.peer("person")
    await asks(person, carrier, t38(phones["person"]))
    await carrier.send(488)
    await carrier.expect("ACK")
    await person.expect(488)
    await person.send("ACK")
    await hear_each_other(phones["carrier"], phones["person"])


@pytest.mark.parametrize("asking", ["carrier", "person"])
async def test_a_leg_that_must_be_encrypted_has_no_fax(
    stage: Stage, phones: dict[str, SecurePhone], asking: str
) -> None:
    """UDPTL knows no keys: neither side may take the other into the clear."""
    await talking(stage, phones, (CM_80, None), REQUIRED)
    other = "person" if asking == "carrier" else "carrier"
    await stage.peer(asking).send("INVITE", sdp=t38(phones[asking]))
    await stage.peer(asking).expect(100)
    await stage.peer(asking).expect(488)
    await stage.peer(asking).send("ACK")
    await stage.peer(other).silence(0.2)
    await hear_each_other(phones["carrier"], phones["person"])
