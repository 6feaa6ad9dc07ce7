"""Keys that a party presses (RFC 4733): told once, and passed on as the other side reads them."""

import asyncio

import pytest

from sip.media.events import Digit, MediaEvent
from sip.media.terms import KeyForm, MediaTerms
from tests.media.scenarios.differences import differs
from tests.media.talk import Phone, Talk, key_packets, rtp

SSRC = 0x1111


async def heard_keys(phone: Phone, payload_type: int = 101) -> list[bytes]:
    """The packets of keys that arrive until no more do; what fills gaps never ends."""
    packets: list[bytes] = []
    try:
        async with asyncio.timeout(0.4) as patience:
            while True:
                packet, _ = await phone.rtp.receive()
                if packet[1] & 0x7F == payload_type:
                    packets.append(packet)
                    patience.reschedule(asyncio.get_running_loop().time() + 0.4)
    except TimeoutError:
        return packets


async def talking(talk: Talk, a: Phone, b: Phone) -> asyncio.Queue[MediaEvent]:
    """Both are joined and heard; what is told of them."""
    told: asyncio.Queue[MediaEvent] = asyncio.Queue()
    talk.plane.listen(talk.call_id, told.put_nowait)
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    return told


async def next_key(told: asyncio.Queue[MediaEvent]) -> Digit:
    async with asyncio.timeout(5):
        while True:
            event = await told.get()
            if isinstance(event, Digit):
                return event


@pytest.mark.parametrize("lost", range(8))
async def test_a_key_is_told_once_whichever_packet_of_it_is_lost(talk: Talk, lost: int) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    told = await talking(talk, a, b)
    packets = key_packets(101, 5, seq=2, timestamp=320, ssrc=SSRC)
    for packet in packets[:lost] + packets[lost + 1 :]:
        a.snd(packet)
    for packet in key_packets(101, 9, seq=20, timestamp=4000, ssrc=SSRC):
        a.snd(packet)
    assert [(await next_key(told)).digit, (await next_key(told)).digit] == ["5", "9"]


async def test_a_key_without_its_marker_is_a_key(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    told = await talking(talk, a, b)
    for packet in key_packets(101, 11, seq=2, timestamp=320, ssrc=SSRC, marker=False):
        a.snd(packet)
    key = await next_key(told)
    assert (key.party, key.digit) == ("A", "#")
    assert abs(key.duration_ms - 120) <= 20


async def test_keys_of_both_parties_are_told_apart(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    told = await talking(talk, a, b)
    for phone, number in ((a, 1), (b, 2)):
        for packet in key_packets(101, number, seq=200, timestamp=32000, ssrc=SSRC + number):
            phone.snd(packet)
    keys = {(key.party, key.digit) for key in (await next_key(told), await next_key(told))}
    assert keys == {("A", "1"), ("B", "2")}


@differs("rtpengine", "keys-numbered")
async def test_a_key_comes_under_the_number_that_its_reader_gave_it(talk: Talk) -> None:
    """RFC 3264 5.1: each side sends with the numbers of the other's description."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.offer(a, b)
    await talk.answer(a, b, b.sdp().replace("101", "96"))
    a.snd(rtp(0, 1, 160, SSRC))
    await b.rtp.receive()
    for packet in key_packets(101, 5, seq=2, timestamp=320, ssrc=SSRC):
        a.snd(packet)
    assert await heard_keys(b, 96)


@differs("rtpengine", "keys-made-clean")
async def test_a_key_is_clean_towards_who_wants_it_so(talk: Talk) -> None:
    """The marker, three ends with the duration, though the first packet and two ends were lost."""
    a, b = talk.phone("A"), talk.phone("B")
    b.wants = MediaTerms(dtmf=KeyForm.EVENTS)
    await talking(talk, a, b)
    packets = key_packets(101, 5, seq=200, timestamp=32000, ssrc=SSRC)
    for packet in packets[1:-2]:
        a.snd(packet)
        await asyncio.sleep(0.02)
    heard = await heard_keys(b)
    ends = [packet for packet in heard if packet[13] & 0x80]
    assert heard[0][1] & 0x80
    assert not any(packet[1] & 0x80 for packet in heard[1:])
    assert len(ends) == 3
    assert len({packet[12:] for packet in ends}) == 1


@differs("rtpengine", "keys-sent")
async def test_a_key_is_sent_in_a_partys_name(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talking(talk, a, b)
    await talk.plane.press(talk.call_id, "A", "7", 160)
    heard = await heard_keys(b)
    assert {packet[12] for packet in heard} == {7}
    assert len([packet for packet in heard if packet[13] & 0x80]) == 3
