"""Offers and answers, in and out: what both engines must do, through the same client."""

import asyncio

import pytest

from sip.core.sdp import SessionDescription
from sip.media.ng.client import NgClient
from sip.media.plane import MediaError
from tests.media.talk import PHONES, Talk, receiver_report, rtp


async def test_audio_flows_both_ways_once_answered(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.offer(a, b)
    await talk.answer(a, b)
    assert a.told_port % 2 == b.told_port % 2 == 0
    assert a.told_port != b.told_port
    # caller speaks
    a.snd(rtp(0, 1000, 160, 0x1111, b"from a"))
    await b.rcv(rtp(0, 1000, 160, 0x1111, b"from a"))
    # callee speaks, other codec of the offer
    b.snd(rtp(8, 7, 320, 0x2222, b"from b"))
    await a.rcv(rtp(8, 7, 320, 0x2222, b"from b"))
    # a digit
    a.snd(rtp(101, 1001, 320, 0x1111, b"\x05\x0a\x00\xa0"))
    await b.rcv(rtp(101, 1001, 320, 0x1111, b"\x05\x0a\x00\xa0"))


async def test_the_sequence_number_wraps_unnoticed(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    for index in range(0xFFFC, 0x10004):
        packet = rtp(0, index, index * 160, 0x1111)
        a.snd(packet)
        await b.rcv(packet)
    stats = (await talk.plane.query(talk.call_id)).parties["A"]
    assert stats.packets_received == 8
    assert stats.lost == 0


async def test_rtcp_has_its_own_port_both_ways(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    assert a.told_rtcp_port == a.told_port + 1
    report = receiver_report(0x1111, 0x2222)
    a.rtcp.send(report, a.told_rtcp_port)
    assert await b.rtcp.receive() == (report, b.told_rtcp_port)
    report = receiver_report(0x2222, 0x1111, lost=3)
    b.rtcp.send(report, b.told_rtcp_port)
    assert await a.rtcp.receive() == (report, a.told_rtcp_port)


async def test_rtcp_goes_where_the_attribute_says(talk: Talk) -> None:
    """RFC 3605."""
    a, b = talk.phone("A"), talk.phone("B")
    elsewhere = talk.socket()
    await talk.offer(a, b, a.sdp(extra=f"a=rtcp:{elsewhere.port}\r\n"))
    await talk.answer(a, b)
    report = receiver_report(0x2222, 0x1111)
    b.rtcp.send(report, b.told_rtcp_port)
    assert await elsewhere.receive() == (report, a.told_rtcp_port)


async def test_rtcp_mux_and_ice_and_keys_end_here(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    extra = (
        "a=rtcp-mux\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n"
        "a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host\r\n"
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n"
    )
    await talk.offer(a, b, a.sdp(extra=extra))
    await talk.answer(a, b, b.sdp(extra=extra))
    for told in (a.told, b.told):
        for gone in ("rtcp-mux", "ice-", "candidate", "crypto"):
            assert gone not in told
        assert "a=rtpmap:101 telephone-event/8000" in told


async def test_video_is_refused_on_the_way(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    video = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    await talk.offer(a, b, a.sdp() + video)
    assert "m=video 0 RTP/AVP 96" in b.told
    await talk.answer(a, b, b.sdp() + video.replace("4002", "0"))
    assert "m=video 0 RTP/AVP 96" in a.told
    await a.speaks_to(b)


async def test_hold_by_direction_passes_and_ports_stay(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    ports = a.told_port, b.told_port
    await talk.offer(a, b, a.sdp().replace("sendrecv", "sendonly"), again=True)
    assert "a=sendonly" in b.told
    await talk.answer(a, b, b.sdp().replace("sendrecv", "recvonly"))
    assert "a=recvonly" in a.told
    await a.speaks_to(b)  # music on hold
    await talk.offer(a, b, again=True)
    await talk.answer(a, b)
    assert (a.told_port, b.told_port) == ports
    await a.speaks_to(b)
    await b.speaks_to(a)


async def test_hold_by_the_zero_address_and_resume(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    await talk.offer(a, b, a.sdp(address="0.0.0.0"), again=True)
    assert "c=IN IP4 0.0.0.0" in b.told
    await talk.answer(a, b)
    ports = a.told_port, b.told_port
    b.snd(b.voice())
    with pytest.raises(TimeoutError):  # nobody listens
        async with asyncio.timeout(0.2):
            await a.rtp.receive()
    await talk.offer(a, b, again=True)
    assert "c=IN IP4 127.0.0.1" in b.told
    await talk.answer(a, b)
    assert (a.told_port, b.told_port) == ports
    await b.speaks_to(a)
    await a.speaks_to(b)


async def test_a_reinvite_moves_a_partys_address_and_no_port_of_ours(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    moved = talk.phone("A")
    await talk.offer(moved, b, again=True)
    await talk.answer(moved, b)
    assert moved.told_port == a.told_port
    await moved.speaks_to(b)
    await b.speaks_to(moved)


async def test_the_callee_may_reinvite_too(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    ports = a.told_port, b.told_port
    moved = talk.phone("B")
    await talk.offer(moved, a, again=True)
    await talk.answer(moved, a)
    assert (a.told_port, moved.told_port) == ports
    await a.speaks_to(moved)
    await moved.speaks_to(a)


async def test_early_media_then_answer_with_the_same_sdp(talk: Talk) -> None:
    """183 and 200: the caller's port must not move in between."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await b.speaks_to(a)
    port = a.told_port
    await talk.answer(a, b)
    assert a.told_port == port
    await b.speaks_to(a)
    await a.speaks_to(b)


async def test_hunting_keeps_the_callers_port(talk: Talk) -> None:
    """The first callee sent early media and then failed; the next one gets ports of its own."""
    a, first, second = talk.phone("A"), talk.phone("B"), talk.phone("C")
    await talk.connect(a, first)
    await first.speaks_to(a)
    port = a.told_port
    await talk.offer(a, second)
    assert second.told_port != first.told_port
    await talk.answer(a, second)
    assert a.told_port == port
    await second.speaks_to(a)
    await a.speaks_to(second)


async def test_an_offer_sent_to_the_next_before_anybody_answered(talk: Talk) -> None:
    a, first, second = talk.phone("A"), talk.phone("B"), talk.phone("C")
    await talk.offer(a, first)
    await talk.offer(a, second)
    assert second.told_port == first.told_port
    await talk.answer(a, second)
    await a.speaks_to(second)
    await second.speaks_to(a)


async def test_a_party_is_answered_where_it_sends_from(talk: Talk) -> None:
    """RFC 4961: the SDP has an address behind NAT, and packets come from its outside."""
    a, b = talk.phone("A"), talk.phone("B")
    natted = talk.socket()
    await talk.offer(a, b, a.sdp(address="10.20.30.40"), received_from=PHONES)
    await talk.answer(a, b)
    packet = a.voice()
    a.snd(packet, by=natted)
    await b.rcv(packet)
    packet = b.voice()
    b.snd(packet)
    await a.rcv(packet, on=natted)


async def test_media_address_is_told_in_place_of_the_engines(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.offer(a, b, media_address="203.0.113.10")
    assert "c=IN IP4 203.0.113.10" in b.told
    assert "IN IP4 203.0.113.10" in b.told.splitlines()[1]
    await talk.answer(a, b, media_address="127.0.0.1")
    await a.speaks_to(b)


async def test_delete_returns_the_counters(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    for _ in range(5):
        await a.speaks_to(b)
    for _ in range(3):
        await b.speaks_to(a)
    talk.deleted = True
    stats = await talk.plane.delete(talk.call_id)
    assert set(stats.parties) == {"A", "B"}
    ours, theirs = stats.parties["A"], stats.parties["B"]
    assert ours.address == a.rtp.address
    assert (ours.packets_received, ours.packets_sent) == (5, 3)
    assert (theirs.packets_received, theirs.packets_sent) == (3, 5)
    assert (ours.octets_received, ours.octets_sent) == (5 * 172, 3 * 172)
    assert ours.silent_s is not None
    assert ours.silent_s < 5
    with pytest.raises(MediaError) as unknown:
        await talk.plane.query(talk.call_id)
    assert unknown.value.slug == "unknown-call"


async def test_a_call_that_nobody_answered_can_be_deleted(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.offer(a, b)
    talk.deleted = True
    stats = await talk.plane.delete(talk.call_id)
    assert set(stats.parties) == {"A"}
    assert stats.parties["A"].packets_received == 0
    assert stats.parties["A"].silent_s is None


async def test_counters_of_a_running_call(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    stats = await talk.plane.query(talk.call_id)
    assert stats.parties["A"].packets_received == 1
    await a.speaks_to(b)
    stats = await talk.plane.query(talk.call_id)
    assert stats.parties["A"].packets_received == 2


async def test_an_unknown_call_is_said_to_be_unknown(plane: NgClient) -> None:
    sdp = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    for request in (
        plane.answer("nobody's", "A", "B", sdp + "m=audio 4000 RTP/AVP 0\r\n"),
        plane.query("nobody's"),
        plane.delete("nobody's"),
    ):
        with pytest.raises(MediaError) as unknown:
            await request
        assert unknown.value.slug == "unknown-call"


@pytest.mark.parametrize(
    "sdp",
    ["hello", "v=0\r\nm=audio\r\n", "", pytest.param("v=0\r\n" + "\0" * 60_000, id="too long")],
)
async def test_what_is_no_sdp_is_bad_sdp(plane: NgClient, sdp: str) -> None:
    with pytest.raises(MediaError) as bad:
        await plane.offer("bad", "A", sdp)
    assert bad.value.slug == "bad-sdp"


async def test_encrypted_audio_is_refused_where_encryption_is_off(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    talk.deleted = True
    with pytest.raises(MediaError, match="only RTP/AVP") as bad:
        await talk.offer(a, b, a.sdp().replace("RTP/AVP", "RTP/SAVP"))
    assert bad.value.slug == "bad-sdp"


async def test_audio_in_the_clear_is_taken_of_a_phone_that_offers_both(plane: NgClient) -> None:
    """RFC 3264 6: two media for one voice; the encrypted one is refused in its place."""
    offer = (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        "m=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n"
        "m=audio 4002 RTP/AVP 0\r\n"
    )
    told = await plane.offer("optional", "A", offer)
    await plane.delete("optional")
    encrypted, plain = SessionDescription.parse(told).media
    assert (encrypted.protocol, encrypted.active) == ("RTP/SAVP", False)
    assert (plain.protocol, plain.active) == ("RTP/AVP", True)
    assert "crypto" not in told
