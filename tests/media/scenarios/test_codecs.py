"""Codecs and packet times of either side: passed where both share one, else converted."""

import asyncio
from pathlib import Path

import pytest

from sip.media.plane import MediaError
from sip.media.terms import HoldTerms, MediaTerms
from testkit.melody import AGENT, CALLER, Melody, find, synthesise
from tests.media.scenarios.differences import differs
from tests.media.scenarios.test_packets import SILENCE
from tests.media.talk import Phone, Talk
from tests.media.test_conversions import NUMBERS, RTPMAPS, connect, names, offer, terms
from tests.media.test_convert import WRITTEN, read, spoken, understood
from tests.media.voices import pcm_of, wav

PAIRS = [("PCMU", "PCMA"), ("PCMA", "PCMU"), ("PCMU", "G722"), ("G722", "PCMA"), ("PCMU", "OPUS")]


async def sings(speaker: Phone, codec: str, melody: Melody, hearer: Phone) -> list[bytes]:
    """Sends a melody in real time; the packets that the other phone heard meanwhile."""
    heard: list[bytes] = []

    async def listen() -> None:
        while True:
            heard.append((await hearer.rtp.receive())[0])

    task = asyncio.create_task(listen())
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for index, packet in enumerate(spoken(codec, synthesise(melody) + bytes(320 * 15))):
        speaker.snd(packet)
        await asyncio.sleep(begun + 0.02 * (index + 1) - loop.time())
    task.cancel()
    await asyncio.wait([task])
    return heard


@pytest.mark.parametrize(("one", "other"), PAIRS)
async def test_speech_crosses_where_no_codec_is_shared(talk: Talk, one: str, other: str) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await connect(talk, a, b, NUMBERS[one], NUMBERS[other], b_terms=terms(other))
    assert names(a)[0].upper().startswith(one)
    assert names(b)[0].upper().startswith(other)
    for speaker, said, melody, hearer, understands in (
        (a, one, CALLER, b, other),
        (b, other, AGENT, a, one),
    ):
        for _ in range(3):  # in real time: a machine that is busy may garble one
            heard = await sings(speaker, said, melody, hearer)
            heard = [packet for packet in heard if read(packet)[0] == WRITTEN[understands][0]]
            if find(melody, understood(understands, heard)).heard:
                break
        assert find(melody, understood(understands, heard)).heard


async def test_a_shared_codec_passes_bit_for_bit(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await connect(talk, a, b, "8 0 101", "8 101", b_terms=terms("PCMA", "G722", "PCMU"))
    for packet in spoken("PCMA", synthesise(CALLER))[:20]:
        a.snd(packet)
        await b.rcv(packet)


@differs("rtpengine", "codec-order")
async def test_the_readers_order_of_codecs_is_offered(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    wanted = terms("PCMA", "PCMU")
    assert await offer(talk, a, b, a.sdp("0 8 101"), b_terms=wanted) == [
        "PCMA/8000",
        "PCMU/8000",
        "telephone-event/8000",
    ]
    await talk.answer(a, b, b.sdp("8 101"))


async def test_who_shares_no_codec_and_cannot_be_converted_is_refused(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    with pytest.raises(MediaError, match="only G729 offered") as refused:
        await offer(talk, a, b, a.sdp("18 101", extra=RTPMAPS), b_terms=terms("PCMU", "PCMA"))
    assert refused.value.slug == "bad-sdp"
    talk.deleted = True


@pytest.mark.parametrize("ms", [10, 40, 60])
async def test_packets_are_as_long_as_their_reader_wants_them(talk: Talk, ms: int) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await offer(talk, a, b, a.sdp("0", extra="a=ptime:20\r\n"), b_terms=terms(packet_ms=ms))
    assert f"a=ptime:{ms}" in b.told
    await talk.answer(a, b, b.sdp("0", extra=f"a=ptime:{ms}\r\n"))
    heard = await sings(a, "PCMU", CALLER, b)
    assert {len(packet) - 12 for packet in heard} == {8 * ms}
    assert find(CALLER, understood("PCMU", heard)).heard


@differs("rtpengine", "gaps-filled")
async def test_who_may_receive_hears_silence_where_nobody_speaks(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    for phone in (a, b):
        for _ in range(3):
            async with asyncio.timeout(1):
                packet, _ = await phone.rtp.receive()
            assert set(packet[12:]) <= SILENCE


@differs("rtpengine", "hold-music")
async def test_who_is_held_in_silence_hears_music(talk: Talk, tmp_path: Path) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    music = tmp_path / "hold.wav"
    music.write_bytes(wav(synthesise(AGENT)))
    held = MediaTerms(hold=HoldTerms(passed=False, music=music))
    hold = b.sdp().replace("sendrecv", "inactive")
    a.hear_of(await talk.plane.offer(talk.call_id, "B", hold, to_tag="A", reader=held))
    listens = a.sdp().replace("sendrecv", "recvonly")
    b.hear_of(await talk.plane.answer(talk.call_id, "B", "A", listens, sender=held))
    heard = [(await a.rtp.receive())[0] for _ in range(100)]
    assert find(AGENT, pcm_of(heard)).heard


async def test_who_holds_is_sent_nothing(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await talk.offer(a, b, a.sdp().replace("sendrecv", "inactive"), again=True)
    await talk.answer(a, b, b.sdp().replace("sendrecv", "inactive"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.6):
            await a.rtp.receive()
