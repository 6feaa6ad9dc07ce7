"""Packets with their numbers and times: what is lost, late or new on the way in is so on the way
out, and nothing else is."""

import asyncio
from contextlib import suppress

from tests.media.scenarios.differences import differs
from tests.media.talk import Phone, Socket, Talk, key_packets, rtp

SSRC = 0x1111
#: G.711's silence, in either law, either sign.
SILENCE = {0xFF, 0xD5, 0x55, 0x7F}


async def heard_by(phone: Phone, packets: int) -> list[bytes]:
    return [(await phone.rtp.receive())[0] for _ in range(packets)]


async def hears_nothing(socket: Socket, within_s: float = 0.2) -> None:
    """Nothing but the silence that an engine may fill a gap with."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                packet, _ = await socket.receive()
                assert set(packet[12:]) <= SILENCE


async def hears(phone: Phone, packet: bytes) -> None:
    """The payload of `packet` arrives next, but for silence: its numbers may be the engine's."""
    async with asyncio.timeout(5):
        while (heard := (await phone.rtp.receive())[0])[12:] != packet[12:]:
            assert set(heard[12:]) <= SILENCE


def loud(packet: bytes, letter: int = 0x42) -> bytes:
    """The same with a payload that is no silence."""
    return packet[:12] + bytes([letter]) * len(packet[12:])


async def test_loss_and_reordering_stay_visible(talk: Talk) -> None:
    """RFC 3550: whoever hears it counts by the sender's own numbers."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    order = [1, 2, 4, 3, 7, 8, 6, 20]
    packets = [rtp(0, seq, 160 * seq, SSRC, bytes([seq]) * 160) for seq in order]
    for packet in packets:
        a.snd(packet)
    assert await heard_by(b, len(order)) == packets


async def test_what_comes_twice_goes_on_twice(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    packets = [rtp(0, seq, 160 * seq, SSRC) for seq in (1, 2, 2, 3)]
    for packet in packets:
        a.snd(packet)
    assert await heard_by(b, 4) == packets


async def test_timestamps_may_jump_after_a_silence(talk: Talk) -> None:
    """DTX: the sequence goes on by one, the time by what was not said, the marker is set."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    spurt = bytearray(rtp(0, 3, 160 * 500, SSRC))
    spurt[1] |= 0x80
    packets = [rtp(0, 1, 160, SSRC), rtp(0, 2, 320, SSRC), bytes(spurt)]
    for packet in packets:
        a.snd(packet)
    assert await heard_by(b, 3) == packets


async def test_a_stream_may_begin_anew_with_another_ssrc(talk: Talk) -> None:
    """A peer that resumes, or an agent of another machine (RFC 3550 8). The first packet of it may
    be a probation (A.1)."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    first = [rtp(0, seq, 160 * seq, SSRC) for seq in range(1, 4)]
    for packet in first:
        a.snd(packet)
    assert await heard_by(b, 3) == first
    await asyncio.sleep(0.6)  # the first has let its time go by
    second = [loud(rtp(0, seq, 160 * seq, 0x2222), seq) for seq in range(50, 53)]
    for packet in second:
        a.snd(packet)
    heard: set[int] = set()
    async with asyncio.timeout(5):
        while 52 not in heard:
            heard.add((await b.rtp.receive())[0][12])
    assert 51 in heard


async def test_each_direction_may_have_a_codec_of_its_own(talk: Talk) -> None:
    """Asymmetry, RFC 3264 6.1: either side sends any codec that was agreed on."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    there = [rtp(0, seq, 160 * seq, SSRC) for seq in range(1, 4)]
    back = [rtp(8, seq, 160 * seq, 0x2222) for seq in range(1, 4)]
    for one, other in zip(there, back, strict=True):
        a.snd(one)
        b.snd(other)
    assert await heard_by(b, 3) == there
    assert await heard_by(a, 3) == back


async def test_sizes_of_packets_may_change(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    packets, timestamp = [], 160
    for seq, ms in enumerate((20, 30, 10, 60), start=1):
        packets.append(rtp(0, seq, timestamp, SSRC, b"\xff" * (8 * ms)))
        timestamp += 8 * ms
    for packet in packets:
        a.snd(packet)
    assert await heard_by(b, 4) == packets


async def test_a_key_passes_as_it_came(talk: Talk) -> None:
    """RFC 4733: three ends, one timestamp, the marker at its beginning."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    a.snd(rtp(0, 1, 160, SSRC))
    await b.rtp.receive()
    packets = key_packets(101, 5, seq=2, timestamp=320, ssrc=SSRC)
    for packet in packets:
        a.snd(packet)
    assert await heard_by(b, len(packets)) == packets


@differs("rtpengine", "unnegotiated-types")
async def test_a_payload_type_that_nobody_described_goes_nowhere(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    a.snd(rtp(77, 900, 160 * 900, SSRC))
    after = a.voice()
    a.snd(after)
    assert (await b.rtp.receive())[0] == after


@differs("rtpengine", "second-ssrc")
async def test_a_second_stream_beside_the_first_goes_nowhere(talk: Talk) -> None:
    """It would garble what is heard: a receiver plays both, or changes over at each packet."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    a.snd(a.voice(ssrc=0x9999))
    after = a.voice()
    a.snd(after)
    assert (await b.rtp.receive())[0] == after


@differs("rtpengine", "no-rtp")
async def test_what_is_no_rtp_goes_nowhere(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    a.snd(b"\x00\x01 no packet of audio")
    after = a.voice()
    a.snd(after)
    assert (await b.rtp.receive())[0] == after


@differs("rtpengine", "loss-and-jitter")
async def test_loss_is_counted_at_the_engine(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    for seq in (1, 2, 3, 6, 7):
        a.snd(rtp(0, seq, 160 * seq, SSRC))
    await heard_by(b, 5)
    stats = (await talk.plane.query(talk.call_id)).parties["A"]
    assert stats.lost == 2


@differs("rtpengine", "foreign-packets")
async def test_packets_of_strangers_are_counted(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    stranger = talk.socket("127.0.0.66")
    a.snd(a.voice(), by=stranger)
    await a.speaks_to(b)
    stats = (await talk.plane.query(talk.call_id)).parties["A"]
    assert stats.foreign == 1
