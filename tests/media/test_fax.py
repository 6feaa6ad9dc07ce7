"""Fax: G.711 untouched, and T.38 (RFC 3362) by re-INVITE, there and back."""

import random
from collections.abc import AsyncIterator, Iterator

import pytest

from sip.core.message import Request, Response
from sip.core.sdp import parse
from sip.media.ng.client import NgClient
from sip.media.ng.relay import RelayClient
from sip.media.terms import MediaTerms
from tests.b2bua.stage import Stage, make_stage
from tests.media.talk import Phone, Talk, rtp


def t38(phone: Phone, *, beside: str = "", port: int | None = None) -> str:
    """An offer or answer of fax alone, or with a refused audio `beside` it."""
    address = phone.rtp.address[0]
    return (
        f"v=0\r\no=- 1 2 IN IP4 {address}\r\ns=-\r\nc=IN IP4 {address}\r\nt=0 0\r\n{beside}"
        f"m=image {port or phone.rtp.port} udptl t38\r\na=T38FaxVersion:0\r\n"
        "a=T38MaxBitRate:14400\r\na=T38FaxRateManagement:transferredTCF\r\n"
        "a=T38FaxMaxDatagram:400\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"
    )


def udptl(seq: int) -> bytes:
    """T.38 9.1: a sequence number, a primary IFP packet, and no redundancy."""
    return seq.to_bytes(2, "big") + bytes([6, 0xC0, 1, 0x80, 0, 0, seq & 0xFF]) + b"\0\0"


def hear_of_fax(phone: Phone, sdp: str) -> None:
    """The phone reads a description of fax."""
    medium = parse(sdp).fax
    assert medium is not None, sdp
    assert medium.formats == ("t38",)
    assert medium.attribute("T38MaxBitRate") == "14400"
    phone.told, phone.told_port = sdp, medium.port


async def faxes(sender: Phone, hearer: Phone) -> None:
    """Datagrams of every kind that UDPTL may have, also such as look like RTP."""
    for seq in (0, 1, 2, 0x8000, 0x8008, 0xFFFF):
        sender.snd(udptl(seq))
        await hearer.rcv(udptl(seq))


async def test_a_modem_in_g711_passes_bit_for_bit(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    rng = random.Random(38)
    for n in range(200):
        packet = rtp(8, n, 160 * n, 0x1111, rng.randbytes(160))
        a.snd(packet)
        await b.rcv(packet)


@pytest.mark.parametrize("beside", ["", "m=audio 0 RTP/AVP 0\r\n"])
async def test_a_reinvite_to_t38_passes_and_audio_comes_back(talk: Talk, beside: str) -> None:
    """On both engines."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    port = b.told_port

    told = await talk.plane.offer(talk.call_id, "A", t38(a, beside=beside), to_tag="B")
    hear_of_fax(b, told)
    # what faces a party never moves; rtpengine has a port for each medium that was ever described
    assert b.told_port == port or (beside and not isinstance(talk.plane, RelayClient))
    hear_of_fax(a, await talk.plane.answer(talk.call_id, "A", "B", t38(b, beside=beside)))
    await faxes(a, b)
    await faxes(b, a)

    await talk.offer(a, b, again=True)
    await talk.answer(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)


async def test_fax_is_heard_from_another_port_of_the_party_as_audio_is(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    fax = relay_talk.socket()
    plane, call = relay_talk.plane, relay_talk.call_id
    hear_of_fax(b, await plane.offer(call, "A", t38(a, port=fax.port), to_tag="B"))
    hear_of_fax(a, await plane.answer(call, "A", "B", t38(b)))
    fax.send(udptl(1), a.told_port)
    await b.rcv(udptl(1))
    b.snd(udptl(2))
    assert (await fax.receive())[0] == udptl(2)
    stranger = relay_talk.socket("127.0.0.9")
    stranger.send(udptl(3), a.told_port)
    fax.send(udptl(4), a.told_port)
    await b.rcv(udptl(4))
    stats = (await plane.query(call)).parties["A"]
    assert stats.foreign == 1


# --- whole calls -----------------------------------------------------------------------------


@pytest.fixture
async def stage(relay_plane: NgClient) -> AsyncIterator[Stage]:
    async with make_stage(relay_plane) as stage:
        yield stage
        for call in stage.calls:
            await call.close()


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone]]:
    caller, callee = Phone("caller"), Phone("callee")
    yield caller, callee
    caller.close()
    callee.close()


def body(message: Request | Response) -> str:
    return message.body.decode()


async def talking(stage: Stage, caller: Phone, callee: Phone) -> None:
    carrier, person = stage.peer("carrier"), stage.peer("person")
    await carrier.send("INVITE", sdp=caller.sdp())
    await carrier.expect(100)
    stage.dial(stage.calls[0], "person")
    callee.hear_of(body(await person.answer_call(sdp=callee.sdp())))
    await carrier.expect(180)
    caller.hear_of(body(await carrier.expect(200, of="INVITE")))
    await carrier.send("ACK")
    await caller.speaks_to(callee)


async def test_who_was_called_changes_the_call_to_fax(
    stage: Stage, phones: tuple[Phone, Phone]
) -> None:
    """The receiving fax machine asks for T.38, as they do."""
    caller, callee = phones
    carrier, person = stage.peer("carrier"), stage.peer("person")
    await talking(stage, caller, callee)
    await person.send("INVITE", sdp=t38(callee))
    await person.expect(100)
    hear_of_fax(caller, body(await carrier.expect("INVITE")))
    await carrier.send(200, sdp=t38(caller))
    await carrier.expect("ACK")
    hear_of_fax(callee, body(await person.expect(200, of="INVITE")))
    await person.send("ACK")
    await faxes(caller, callee)
    await faxes(callee, caller)


async def test_a_side_whose_trunk_takes_no_fax_is_not_asked(
    stage: Stage, phones: tuple[Phone, Phone]
) -> None:
    """Retell's agents read none: the fax machine hears so before it gives up."""
    caller, callee = phones
    carrier, person = stage.peer("carrier"), stage.peer("person")
    stage.terms["person"] = MediaTerms(t38=False)
    await talking(stage, caller, callee)
    await carrier.send("INVITE", sdp=t38(caller))
    await carrier.expect(100)
    refused = await carrier.expect(488)
    assert (refused.headers.get("warning") or "").startswith("304 ")
    await carrier.send("ACK")
    await caller.speaks_to(callee)
    await callee.speaks_to(caller)
    await person.silence(0.2)


async def test_a_side_that_takes_no_fax_leaves_the_audio_as_it_was(
    stage: Stage, phones: tuple[Phone, Phone]
) -> None:
    caller, callee = phones
    carrier, person = stage.peer("carrier"), stage.peer("person")
    await talking(stage, caller, callee)
    await person.send("INVITE", sdp=t38(callee))
    await person.expect(100)
    await carrier.expect("INVITE")
    await carrier.send(488)
    await carrier.expect("ACK")
    await person.expect(488)
    await person.send("ACK")
    await caller.speaks_to(callee)
    await callee.speaks_to(caller)
