"""Calls whose parties share no codec, or want other packets, on a running relay."""

import struct
from itertools import pairwise, permutations, product

import pytest

from sip.core.sdp import parse
from sip.core.sdp_codecs import Codecs
from sip.media.ng.client import NgClient
from sip.media.plane import MediaError
from sip.media.relay.noise import level_of
from sip.media.terms import ANY_TERMS, MediaTerms
from testkit.melody import AGENT, CALLER, Melody, find, synthesise
from tests.media.talk import SILENCE, Phone, Talk, rtp
from tests.media.test_convert import WRITTEN, read, spoken, understood

RTPMAPS = (
    "a=rtpmap:9 G722/8000\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:18 G729/8000\r\n"
    "a=rtpmap:13 CN/8000\r\n"
)
#: Of what each codec of `spoken` is numbered by.
NUMBERS = {name: str(number) for name, (number, _) in WRITTEN.items()}


def terms(*codecs: str, packet_ms: int | None = None) -> MediaTerms:
    return MediaTerms(codecs=Codecs(codecs), packet_time_ms=packet_ms)


async def offer(
    talk: Talk,
    a: Phone,
    b: Phone,
    sdp: str,
    *,
    a_terms: MediaTerms = ANY_TERMS,
    b_terms: MediaTerms = ANY_TERMS,
    again: bool = False,
) -> list[str]:
    """Takes a's offer, and returns what b is offered: ``name/clock`` in order."""
    told = await talk.plane.offer(
        talk.call_id, a.tag, sdp, to_tag=b.tag if again else None, sender=a_terms, reader=b_terms
    )
    b.hear_of(told)
    return names(b)


async def connect(
    talk: Talk,
    a: Phone,
    b: Phone,
    a_formats: str,
    b_formats: str,
    *,
    a_terms: MediaTerms = ANY_TERMS,
    b_terms: MediaTerms = ANY_TERMS,
    again: bool = False,
) -> None:
    """Offer and answer in these formats."""
    await offer(
        talk, a, b, a.sdp(a_formats, extra=RTPMAPS), a_terms=a_terms, b_terms=b_terms, again=again
    )
    await talk.answer(a, b, b.sdp(b_formats, extra=RTPMAPS))


def names(phone: Phone) -> list[str]:
    audio = parse(phone.told).audio
    assert audio is not None
    return [str(codec) for codec in audio.rtpmap().values()]


#: What fills a gap, which a slow machine makes: in each codec but G.722.
FILLINGS = {payload for _, payload in SILENCE} | {b"\xf8\xff\xfe"}


async def says(phone: Phone, name: str, melody: Melody, hearer: Phone) -> list[bytes]:
    """Sends a melody in that codec, at once; what the other phone heard of it."""
    packets = spoken(name, synthesise(melody))
    for packet in packets:
        phone.snd(packet)
    return await heard_by(hearer, len(packets))


async def heard_by(phone: Phone, count: int) -> list[bytes]:
    """The next so many packets that do not fill a gap."""
    heard: list[bytes] = []
    while len(heard) < count:
        packet, _ = await phone.rtp.receive()
        if packet[12:] not in FILLINGS:
            heard.append(packet)
    return heard


async def next_of(phone: Phone, payload_type: int) -> bytes:
    """The next packet of that payload type."""
    while True:
        packet, _ = await phone.rtp.receive()
        if read(packet)[0] == payload_type:
            return packet


@pytest.mark.parametrize(("one", "other"), list(permutations(WRITTEN, 2)))
async def test_speech_crosses_between_any_two_codecs(
    relay_talk: Talk, one: str, other: str
) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await connect(relay_talk, a, b, NUMBERS[one], NUMBERS[other], b_terms=terms(other))
    assert names(a)[0].upper().startswith(one)
    there = await says(a, one, CALLER, b)
    assert {read(packet)[0] for packet in there} == {WRITTEN[other][0]}
    assert find(CALLER, understood(other, there)).score > 0.9
    back = await says(b, other, AGENT, a)
    assert {read(packet)[0] for packet in back} == {WRITTEN[one][0]}
    assert find(AGENT, understood(one, back)).score > 0.9


@pytest.mark.parametrize("name", list(WRITTEN))
async def test_a_shared_codec_passes_bit_for_bit(relay_talk: Talk, name: str) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    formats = f"{NUMBERS[name]} 101"
    await connect(relay_talk, a, b, formats, formats, b_terms=terms("PCMA", "G722", "opus", "PCMU"))
    came = spoken(name, synthesise(CALLER))
    for packet in came:
        a.snd(packet)
        await b.rcv(packet)


async def test_g729_only_is_refused_and_what_stands_behind_it_is_not(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    retell = terms("PCMU", "PCMA", "G722")
    with pytest.raises(MediaError, match="only G729 offered; PCMU, PCMA, G722") as caught:
        await offer(relay_talk, a, b, a.sdp("18 101", extra=RTPMAPS), b_terms=retell)
    assert caught.value.slug == "bad-sdp"
    told = await offer(relay_talk, a, b, a.sdp("18 0 101", extra=RTPMAPS), b_terms=retell)
    assert told == ["PCMU/8000", "telephone-event/8000"]


async def test_an_answer_that_fits_nothing_is_refused_and_the_next_one_is_taken(
    relay_talk: Talk,
) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await offer(relay_talk, a, b, a.sdp("0", extra=RTPMAPS))
    with pytest.raises(MediaError, match="only G729 offered"):
        await relay_talk.answer(a, b, b.sdp("18", extra=RTPMAPS))
    await relay_talk.answer(a, b, b.sdp("0", extra=RTPMAPS))
    await a.speaks_to(b)


@pytest.mark.parametrize(("a_ms", "b_ms"), [(20, 10), (20, 30), (30, 20), (60, 20), (20, 40)])
async def test_packets_are_packed_anew_both_ways(relay_talk: Talk, a_ms: int, b_ms: int) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    ptime = f"a=ptime:{a_ms}\r\n"
    await offer(
        relay_talk, a, b, a.sdp("0", extra=ptime), b_terms=terms(packet_ms=b_ms)
    )  # fmt: skip
    assert f"a=ptime:{b_ms}\r\n" in b.told
    await relay_talk.answer(a, b, b.sdp("0", extra=f"a=ptime:{b_ms}\r\n"))
    for speaker, hearer, came_ms, sent_ms in ((a, b, a_ms, b_ms), (b, a, b_ms, a_ms)):
        came = spoken("PCMU", synthesise(CALLER)[: 2 * 8 * 240], came_ms)
        for packet in came:
            speaker.snd(packet)
        heard = await heard_by(hearer, 240 // sent_ms)
        assert {len(packet) - 12 for packet in heard} == {8 * sent_ms}
        times = [read(packet)[2] for packet in heard]
        assert {(n - m) & 0xFFFFFFFF for m, n in pairwise(times)} == {8 * sent_ms}


async def test_a_codec_changes_in_mid_call_without_a_break_in_the_others_stream(
    relay_talk: Talk,
) -> None:
    """From pass-through to conversion, and back."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await connect(relay_talk, a, b, "0 101", "0 101")
    heard = await says(a, "PCMU", CALLER, b)
    await connect(relay_talk, a, b, NUMBERS["OPUS"], "0 101", again=True)
    assert names(a)[0] == "opus/48000/2"
    heard += await says(a, "OPUS", AGENT, b)
    await connect(relay_talk, a, b, "0 101", "0 101", again=True)
    heard += await says(a, "PCMU", CALLER, b)
    assert {packet[8:12] for packet in heard} == {heard[0][8:12]}
    numbers = [read(packet)[1] for packet in heard]
    # a slow machine has gaps filled, which count too
    assert all(0 < (n - m) & 0xFFFF < 200 for m, n in pairwise(numbers))
    pcm = understood("PCMU", heard)
    third = len(pcm) // 3
    assert find(CALLER, pcm[:third]).heard
    assert find(AGENT, pcm[third - third // 10 : 2 * third + third // 10]).heard
    assert find(CALLER, pcm[2 * third :]).heard


async def test_keys_cross_between_clocks(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    wide = "a=rtpmap:110 telephone-event/48000\r\n"
    await offer(relay_talk, a, b, a.sdp("111 110", extra=RTPMAPS + wide), b_terms=terms("PCMU"))
    assert names(b) == ["PCMU/8000", "telephone-event/8000"]
    number = next(n for n in parse(b.told).audio.formats if n != "0")  # type: ignore[union-attr]
    await relay_talk.answer(
        a, b, b.sdp(f"0 {number}", extra=f"a=rtpmap:{number} telephone-event/8000\r\n")
    )
    assert names(a) == ["opus/48000/2", "telephone-event/48000"]
    [first, *_] = spoken("OPUS", bytes(320))
    a.snd(first)
    await b.rtp.receive()
    a.snd(rtp(110, 65531, 4294967000 + 960, 0x5EED, struct.pack("!BBH", 7, 0x8A, 4800)))
    told = [(await next_of(b, int(number)))[12:16] for _ in range(7)]
    durations = [160, 320, 480, 640, 800, 800, 800]
    expected = [(7, 0x88 if n > 3 else 0x08, each) for n, each in enumerate(durations)]
    assert [struct.unpack("!BBH", each) for each in told] == expected


async def test_a_sender_of_noise_alone_is_heard_as_noise(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await connect(relay_talk, a, b, "0 13", NUMBERS["G722"], b_terms=terms("G722"))
    assert names(a) == ["PCMU/8000", "CN/8000"]
    a.snd(rtp(0, 1, 0, 0x1111, b"\xff" * 160))
    await b.rtp.receive()
    a.snd(rtp(13, 2, 160, 0x1111, bytes([35])))
    # and the silence stays filled with it
    heard = [(await b.rtp.receive())[0] for _ in range(60)]
    assert {(read(packet)[0], len(packet)) for packet in heard} == {(9, 172)}
    assert 32 <= level_of(understood("G722", heard[30:])) <= 40


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("codec", "PCMU"), ("codec", {"strip": "PCMU"}), ("codec", {"mask": [1]}),
        ("codec", {"transcode": ["G729"]}), ("ptime", 25), ("ptime-reverse", "20"),
    ],
)  # fmt: skip
async def test_keys_that_cannot_be_done_are_refused_in_words(
    relay_plane: NgClient, relay_talk: Talk, key: str, value: object
) -> None:
    a = relay_talk.phone("A")
    keys: dict[str, object] = {
        "call-id": relay_talk.call_id, "from-tag": "A", "sdp": a.sdp(), key: value,
    }  # fmt: skip
    with pytest.raises(MediaError):
        await relay_plane.request("offer", keys)  # type: ignore[arg-type]
    await relay_talk.connect(a, relay_talk.phone("B"))


@pytest.mark.parametrize(("one", "other"), list(product(["PCMU", "G722"], ["PCMA", "OPUS"])))
async def test_an_answer_from_the_other_direction_is_converted_too(
    relay_talk: Talk, one: str, other: str
) -> None:
    """A re-INVITE from the side that was called."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await connect(relay_talk, a, b, NUMBERS[one], NUMBERS[one])
    await connect(relay_talk, b, a, NUMBERS[other], NUMBERS[one], b_terms=terms(one), again=True)
    assert find(CALLER, understood(other, await says(a, one, CALLER, b))).score > 0.9
    assert find(AGENT, understood(one, await says(b, other, AGENT, a))).score > 0.9


async def test_audio_that_is_decoded_is_measured_too(relay_talk: Talk) -> None:
    """Half of what A says is silence; B says nothing, and of that nothing is known."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await connect(relay_talk, a, b, NUMBERS["PCMU"], NUMBERS["G722"], b_terms=terms("G722"))
    loud = synthesise(CALLER)
    for packet in spoken("PCMU", loud + bytes(len(loud))):
        a.snd(packet)
        await b.rtp.receive()
    parties = (await relay_talk.plane.query(relay_talk.call_id)).parties
    assert parties["A"].quality.quiet_percent == pytest.approx(50, abs=15)
    assert parties["A"].quality.clipped_percent == pytest.approx(0, abs=1)
    assert parties["B"].quality.quiet_percent is None
