"""Calls with encrypted audio on either side, on both engines (RFC 3711, RFC 4568)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sip.core.sdp import parse
from sip.core.sdp_crypto import Crypto, Encryption, Suite, lines_of
from sip.media.ng.client import NgClient
from sip.media.plane import MediaError
from sip.media.relay.srtp import Receiver, Sender
from sip.media.terms import MediaTerms
from tests.media.scenarios.differences import differs
from tests.media.talk import SILENCE, Phone, Socket, Talk, receiver_report

OFF, OPTIONAL, REQUIRED = Encryption.OFF, Encryption.OPTIONAL, Encryption.REQUIRED
CM_80 = Suite.AES_CM_128_HMAC_SHA1_80

#: Longer than the relay waits with a report of its own (6.5 s).
REPORT_S = 10.0


class SecurePhone(Phone):
    """A phone with a key of its own; without `suite` one that speaks in the clear."""

    def __init__(self, tag: str, suite: Suite | None, protocol: str = "RTP/SAVP") -> None:
        super().__init__(tag)
        self.protocol = "RTP/AVP" if suite is None else protocol
        self.suite = suite
        self.rekey(1)
        self.receiver: Receiver | None = None

    def rekey(self, number: int) -> None:
        size = 0 if self.suite is None else self.suite.key_size
        self.key = bytes(ord(self.tag[0]) + number + i & 0xFF for i in range(size))
        self.sender: Sender | None = None

    @property
    def terms(self) -> MediaTerms:
        return MediaTerms(encryption=OFF if self.suite is None else REQUIRED)

    def described(self, tag: int = 1) -> str:
        sdp = self.sdp().replace("RTP/AVP", self.protocol)
        if self.suite is None:
            return sdp
        line = Crypto(tag, self.suite, self.key)
        self.sender = self.sender or Sender(line)
        return f"{sdp}a=crypto:{line.value}\r\n"

    def hear_of(self, sdp: str) -> None:
        super().hear_of(sdp)
        audio = parse(sdp).audio
        assert audio is not None
        assert audio.protocol == self.protocol
        self.lines = lines_of(audio)
        assert bool(self.lines) == (self.suite is not None)
        for line in self.lines:
            if line.suite is self.suite and (
                self.receiver is None or not self.receiver.crypto.same_key(line)
            ):
                self.receiver = Receiver(line)

    def answer_to(self) -> str:
        """With the tag of the offered line whose suite this phone has."""
        return self.described(next((x.tag for x in self.lines if x.suite is self.suite), 1))

    async def says(self, other: "SecurePhone") -> None:
        """One packet, sent as this phone does and understood by the other, but for silence."""
        packet = self.voice()
        wire = packet if self.sender is None else self.sender.protect(packet)
        assert wire is not None
        self.snd(wire)
        while True:
            heard, _ = await other.rtp.receive()
            if other.receiver is not None:
                assert heard != packet
                clear = other.receiver.unprotect(heard)
                assert clear is not None
                heard = clear
            if (heard[1] & 0x7F, heard[12:]) not in SILENCE or heard[12:] == packet[12:]:
                break
        assert heard[12:] == packet[12:]

    async def reports(self, other: "SecurePhone") -> None:
        """A report, and another one where the first is lost, as phones send them.

        Where the relay has filled a gap, which a slow machine makes, the report is the relay's own.
        """
        hearing = asyncio.create_task(other.rtcp.receive(REPORT_S))
        while not hearing.done():
            report = receiver_report(1, 2)
            wire = report if self.sender is None else self.sender.protect_rtcp(report)
            assert wire is not None
            self.rtcp.send(wire, self.told_rtcp_port)
            await asyncio.wait([hearing], timeout=1.0)
        heard, _ = await hearing
        if other.receiver is not None:
            assert other.receiver.unprotect_rtcp(heard) is not None


class SecureTalk(Talk):
    """A call between two of them."""

    def secure(self, tag: str, suite: Suite | None, protocol: str = "RTP/SAVP") -> SecurePhone:
        phone = SecurePhone(tag, suite, protocol)
        self._to_close.append(phone.close)
        return phone

    async def invite(
        self, a: SecurePhone, b: SecurePhone, *, again: bool = False, sdp: str | None = None
    ) -> None:
        """Offer and answer."""
        told = await self.plane.offer(
            self.call_id, a.tag, sdp or a.described(), to_tag=b.tag if again else None,
            sender=a.terms, reader=b.terms,
        )  # fmt: skip
        b.hear_of(told)
        answer = b.answer_to()
        told = await self.plane.answer(
            self.call_id, a.tag, b.tag, answer, sender=b.terms, reader=a.terms
        )
        a.hear_of(told)


@pytest.fixture
async def talk(plane: NgClient) -> AsyncIterator[SecureTalk]:
    async with SecureTalk(plane) as talk:
        yield talk


async def hear_each_other(a: SecurePhone, b: SecurePhone, packets: int = 40) -> None:
    """Long enough for the sources to be learned."""
    for _ in range(packets):
        await a.says(b)
        await b.says(a)
    await a.reports(b)
    await b.reports(a)


@pytest.mark.parametrize("a_suite", [None, *Suite])
@pytest.mark.parametrize("b_suite", [None, *Suite])
async def test_every_pair(talk: SecureTalk, a_suite: Suite | None, b_suite: Suite | None) -> None:
    a, b = talk.secure("A", a_suite), talk.secure("B", b_suite)
    await talk.invite(a, b)
    await hear_each_other(a, b)
    parties = (await talk.plane.query(talk.call_id)).parties
    told = [parties[phone.tag].crypto_suite for phone in (a, b)]
    assert told == [None if suite is None else suite.value[0] for suite in (a_suite, b_suite)]


@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/SAVPF"])
@differs("rtpengine", "odd-protocols")
async def test_an_offer_by_another_protocol_is_answered_by_that(
    talk: SecureTalk, protocol: str
) -> None:
    """Keys beside RTP/AVP (RFC 8643), and feedback (RFC 5124)."""
    a, b = talk.secure("A", CM_80, protocol), talk.secure("B", None)
    await talk.invite(a, b)
    await hear_each_other(a, b)
    b.protocol = "RTP/AVP"
    await talk.invite(b, a, again=True)
    await hear_each_other(a, b)


@pytest.mark.parametrize("again", ["A", "B"])
async def test_a_reinvite_in_either_direction_keeps_the_keys(talk: SecureTalk, again: str) -> None:
    a, b = talk.secure("A", CM_80), talk.secure("B", CM_80)
    await talk.invite(a, b)
    await hear_each_other(a, b)
    held = a.receiver, b.receiver
    offerer, other = (a, b) if again == "A" else (b, a)
    await talk.invite(offerer, other, again=True)
    assert (a.receiver, b.receiver) == held
    await hear_each_other(a, b)


async def test_a_new_key_by_reinvite(talk: SecureTalk) -> None:
    a, b = talk.secure("A", CM_80), talk.secure("B", None)
    await talk.invite(a, b)
    await hear_each_other(a, b)
    a.rekey(7)
    await talk.invite(a, b, again=True)
    await hear_each_other(a, b)


@differs("rtpengine", "offers-move")
async def test_a_refused_reinvite_leaves_the_keys(talk: SecureTalk) -> None:
    """RFC 3264 8.3.1: the offer has another key, and nobody answers it."""
    a, b = talk.secure("A", CM_80), talk.secure("B", CM_80)
    await talk.invite(a, b)
    other = Crypto(1, CM_80, bytes(30))
    offer = f"{a.sdp().replace('RTP/AVP', 'RTP/SAVP')}a=crypto:{other.value}\r\n"
    await talk.plane.offer(talk.call_id, "A", offer, to_tag="B", sender=a.terms, reader=b.terms)
    await hear_each_other(a, b)


@differs("rtpengine", "suites-offered-again")
async def test_our_offer_has_a_key_of_its_own_for_each_suite(talk: SecureTalk) -> None:
    a, b = talk.secure("A", None), talk.secure("B", CM_80)
    await talk.invite(a, b)
    assert {line.suite for line in b.lines} == set(Suite)
    assert len({line.key for line in b.lines}) == len(b.lines)
    first = b.lines
    await talk.invite(a, b, again=True)
    assert b.lines == first, "a re-INVITE offers what holds"


@differs("rtpengine", "keys-of-the-next")
async def test_the_next_carrier_gets_keys_that_the_one_before_never_saw(
    talk: SecureTalk,
) -> None:
    a, b = talk.secure("A", None), talk.secure("B", CM_80)
    offered = []
    for _ in range(2):
        told = await talk.plane.offer(
            talk.call_id, "A", a.described(), sender=a.terms, reader=b.terms
        )
        b.hear_of(told)
        offered.append({line.key for line in b.lines})
    assert offered[0].isdisjoint(offered[1])
    a.hear_of(await talk.plane.answer(talk.call_id, "A", "B", b.answer_to(), sender=b.terms))
    await hear_each_other(a, b)


@pytest.mark.parametrize("by", ["A", "B"])
async def test_audio_that_was_refused_for_a_while_comes_back_encrypted(
    talk: SecureTalk, by: str
) -> None:
    """A re-INVITE without audio, such as one to fax, is no way into the clear."""
    a, b = talk.secure("A", CM_80), talk.secure("B", CM_80)
    await talk.invite(a, b)
    await hear_each_other(a, b)
    other, offerer = (b, a) if by == "A" else (a, b)
    told = await talk.plane.offer(
        talk.call_id, offerer.tag, offerer.described(), to_tag=other.tag,
        sender=offerer.terms, reader=other.terms,
    )  # fmt: skip
    other.hear_of(told)
    refused = other.described().replace(f"m=audio {other.rtp.port}", "m=audio 0")
    refused = refused.partition("a=crypto")[0]
    await talk.plane.answer(
        talk.call_id, offerer.tag, other.tag, refused, sender=MediaTerms(), reader=offerer.terms
    )
    await talk.invite(offerer, other, again=True)
    await hear_each_other(a, b)


@differs("rtpengine", "keys-handed-on")
async def test_the_other_sides_key_goes_no_further(talk: SecureTalk) -> None:
    """rtpengine gives each side the other's, where both are encrypted alike."""
    a, b = talk.secure("A", CM_80), talk.secure("B", CM_80)
    await talk.invite(a, b)
    keys = [a.key, b.key, *(line.key for line in (*a.lines, *b.lines))]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("encryption", "described", "why"),
    [
        (REQUIRED, "clear", "Encrypted audio is required"),
        (OFF, "encrypted", "only RTP/AVP"),
        (OPTIONAL, "mki", "without MKI"),
    ],
)
async def test_what_the_senders_terms_do_not_allow(
    plane: NgClient, encryption: Encryption, described: str, why: str
) -> None:
    phone = SecurePhone("A", None if described == "clear" else CM_80)
    sdp = phone.described()
    phone.close()
    if described == "mki":
        sdp = sdp.rstrip() + "|2^20|1:4\r\n"
    with pytest.raises(MediaError, match=why) as bad:
        await plane.offer("refused", "A", sdp, sender=MediaTerms(encryption=encryption))
    assert bad.value.slug == "bad-sdp"


@differs("rtpengine", "unusable-answers")
async def test_an_answer_that_takes_up_nothing_is_bad_sdp(talk: SecureTalk) -> None:
    a, b = talk.secure("A", None), talk.secure("B", CM_80)
    told = await talk.plane.offer(talk.call_id, "A", a.described(), sender=a.terms, reader=b.terms)
    b.hear_of(told)
    with pytest.raises(MediaError, match="takes up no line"):
        await talk.plane.answer(talk.call_id, "A", "B", b.described(77), sender=b.terms)
    told = await talk.plane.answer(talk.call_id, "A", "B", b.answer_to(), sender=b.terms)
    a.hear_of(told)
    await hear_each_other(a, b)


async def test_optional_encryption_takes_an_answer_in_the_clear(talk: SecureTalk) -> None:
    a, b = talk.secure("A", None), talk.secure("B", None)
    terms = MediaTerms(encryption=OPTIONAL)
    await talk.plane.offer(talk.call_id, "A", a.described(), sender=a.terms, reader=terms)
    told = await talk.plane.answer(talk.call_id, "A", "B", b.described(), sender=terms)
    a.hear_of(told)
    told = await talk.plane.offer(
        talk.call_id, "A", a.described(), to_tag="B", sender=a.terms, reader=MediaTerms()
    )
    b.hear_of(told)
    await hear_each_other(a, b)


@differs("rtpengine", "forks-with-keys")
async def test_forks_answer_with_keys_of_their_own(talk: SecureTalk) -> None:
    """RFC 3261 13.2.2.4: early media of one, and the 200 of another."""
    a, b, c = (
        talk.secure("A", None),
        talk.secure("B", CM_80),
        talk.secure("C", Suite.AEAD_AES_128_GCM),
    )
    told = await talk.plane.offer(talk.call_id, "A", a.described(), sender=a.terms, reader=b.terms)
    for fork in (b, c, b):
        fork.hear_of(told)
        answer = await talk.plane.answer(
            talk.call_id, "A", fork.tag, fork.answer_to(), sender=fork.terms
        )
        a.hear_of(answer)
        for _ in range(3):
            await fork.says(a)
            await a.says(fork)


@differs("rtpengine", "dtls")
async def test_a_strange_protocol_is_refused(talk: SecureTalk) -> None:
    sdp = talk.secure("A", None).described()
    keys = {"call-id": "x", "from-tag": "A", "sdp": sdp, "transport-protocol": "UDP/TLS/RTP/SAVPF"}
    assert isinstance(talk.plane, NgClient)
    talk.deleted = True
    with pytest.raises(MediaError, match="transport-protocol") as bad:
        await talk.plane.request("offer", keys)
    assert bad.value.slug == "unsupported"


async def test_a_stranger_is_not_heard(talk: SecureTalk) -> None:
    """Over real sockets: forged and replayed packets from the phone's own address and port."""
    a, b = talk.secure("A", CM_80), talk.secure("B", None)
    await talk.invite(a, b)
    await hear_each_other(a, b)
    packet = a.voice()
    assert a.sender is not None
    wire = a.sender.protect(packet)
    assert wire is not None
    a.snd(wire)
    assert (await b.rtp.receive())[0] == packet
    thief = talk.socket()
    for by in (a.rtp, thief):
        forge(by, a, wire, packet)
    await a.says(b)  # the next that is heard is the phone's own


def forge(by: Socket, phone: SecurePhone, wire: bytes, packet: bytes) -> None:
    """A replay, the same in the clear, and plausible numbers with a wrong tag."""
    for bad in (wire, packet, wire[:-1] + bytes((wire[-1] ^ 1,))):
        by.send(bad, phone.told_port)


@differs("rtpengine", "keys-handed-on")
async def test_a_call_goes_on_in_an_engine_that_never_heard_of_it(talk: SecureTalk) -> None:
    """As when its own died: what both said last is enough, and what they answer is new keys."""
    a, b = talk.secure("A", CM_80), talk.secure("B", CM_80)
    await talk.invite(a, b)
    await hear_each_other(a, b)
    said = a.described(), b.answer_to()
    await talk.plane.delete(talk.call_id)
    talk.call_id += "-moved"

    b.hear_of(await _offer(talk, a, b, said[0]))
    a.hear_of(await _answer(talk, a, b, said[1]))
    a.rekey(7)
    b.rekey(7)
    told_b = b.lines
    now = {a: a.answer_to(), b: b.answer_to()}
    b.hear_of(await _offer(talk, a, b, now[a], again=True))
    await _answer(talk, a, b, said[1])
    await _offer(talk, b, a, now[b], again=True)
    await _answer(talk, b, a, now[a])
    assert {line.key for line in told_b} <= {line.key for line in b.lines}, "nothing new for B"
    await hear_each_other(a, b)


async def _offer(
    talk: SecureTalk, sender: SecurePhone, reader: SecurePhone, sdp: str, *, again: bool = False
) -> str:
    return await talk.plane.offer(
        talk.call_id,
        sender.tag,
        sdp,
        to_tag=reader.tag if again else None,
        sender=sender.terms,
        reader=reader.terms,
    )


async def _answer(talk: SecureTalk, offerer: SecurePhone, answerer: SecurePhone, sdp: str) -> str:
    return await talk.plane.answer(
        talk.call_id, offerer.tag, answerer.tag, sdp, sender=answerer.terms, reader=offerer.terms
    )
