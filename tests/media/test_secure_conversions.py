"""Every pair of codecs with every mixture of encrypted and clear legs: content, both ways."""

from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product

import pytest

from sip.core.sdp_codecs import Codecs
from sip.core.sdp_crypto import Suite
from sip.media.ng.client import NgClient
from testkit.melody import AGENT, CALLER, Melody, find, synthesise
from tests.media.scenarios.test_secure import CM_80, SecurePhone, SecureTalk
from tests.media.test_conversions import FILLINGS, NUMBERS, RTPMAPS
from tests.media.test_convert import WRITTEN, read, spoken, understood


@pytest.fixture
async def talk(relay_plane: NgClient) -> AsyncIterator[SecureTalk]:
    async with SecureTalk(relay_plane) as talk:
        yield talk


def speaking(phone: SecurePhone, name: str, described: str) -> str:
    """The phone's description with that codec alone."""
    plain = described.partition("m=audio ")
    port, protocol, _ = plain[2].split(" ", 2)
    rest = plain[2].partition("\r\n")[2]
    return f"{plain[0]}m=audio {port} {protocol} {NUMBERS[name]}\r\n{RTPMAPS}{rest}"


async def connected(talk: SecureTalk, a: SecurePhone, b: SecurePhone, one: str, other: str) -> None:
    offer = speaking(a, one, a.described())
    b_terms = replace(b.terms, codecs=Codecs((other,)))
    b.hear_of(await talk.plane.offer(talk.call_id, a.tag, offer, sender=a.terms, reader=b_terms))
    answer = speaking(b, other, b.answer_to())
    a.hear_of(
        await talk.plane.answer(talk.call_id, a.tag, b.tag, answer, sender=b_terms, reader=a.terms)
    )


async def sung(speaker: SecurePhone, name: str, melody: Melody, hearer: SecurePhone) -> list[bytes]:
    """Sends a melody as the phone does; what the other made of what came, decrypted."""
    packets = spoken(name, synthesise(melody))
    for packet in packets:
        wire = packet if speaker.sender is None else speaker.sender.protect(packet)
        assert wire is not None
        speaker.snd(wire)
    heard: list[bytes] = []
    while len(heard) < len(packets):
        data, _ = await hearer.rtp.receive()
        clear = data if hearer.receiver is None else hearer.receiver.unprotect(data)
        assert clear is not None
        if clear[12:] not in FILLINGS:
            heard.append(clear)
    return heard


@pytest.mark.parametrize(("a_suite", "b_suite"), [(None, CM_80), (CM_80, None), (CM_80, CM_80)])
@pytest.mark.parametrize(("one", "other"), list(product(WRITTEN, WRITTEN)))
async def test_speech_crosses(
    talk: SecureTalk, one: str, other: str, a_suite: Suite | None, b_suite: Suite | None
) -> None:
    a, b = talk.secure("A", a_suite), talk.secure("B", b_suite)
    await connected(talk, a, b, one, other)
    there = await sung(a, one, CALLER, b)
    assert {read(packet)[0] for packet in there} == {WRITTEN[other][0]}
    assert find(CALLER, understood(other, there)).score > 0.9
    assert find(AGENT, understood(one, await sung(b, other, AGENT, a))).score > 0.9
    if one == other:
        came = [packet[12:] for packet in spoken(one, synthesise(CALLER))]
        # one of G.722 that fills a gap may stand before them
        assert [packet[12:] for packet in there if packet[12:] in came][: len(came) - 1] == came[
            :-1
        ]
