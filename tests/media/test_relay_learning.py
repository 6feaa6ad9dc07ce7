"""Attacks and oddities on a call of our relay; rtpengine judges some of these otherwise.

Who is heard when is told on virtual time in test_sources.py.
"""

from sip.media.plane import PartyStats
from tests.media.talk import Socket, Talk, receiver_report, rtp

NEIGHBOUR = "127.0.0.77"
"""In the phones' /24."""
STRANGER = "127.0.99.1"
"""Outside of it, and no signalling came from there."""


async def stats_of(talk: Talk, tag: str) -> PartyStats:
    return (await talk.plane.query(talk.call_id)).parties[tag]


async def test_foreign_packets_are_dropped_and_counted(relay_talk: Talk) -> None:
    """RTP bleed: a third party sprays the port, before and after the caller's first packet."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    attacker = relay_talk.socket(STRANGER)
    await relay_talk.connect(a, b)
    for seq in range(10):
        a.snd(rtp(0, seq, seq * 160, 0xBAD), by=attacker)
    await a.speaks_to(b)
    for seq in range(10):
        a.snd(rtp(0, seq, seq * 160, 0xBAD), by=attacker)
    await a.speaks_to(b)
    await b.speaks_to(a)  # and the audio still goes to the caller
    stats = await stats_of(relay_talk, "A")
    assert stats.foreign == 20
    assert stats.packets_received == 2
    assert stats.address == a.rtp.address


async def test_a_forged_ssrc_from_elsewhere_with_the_right_everything_is_foreign(
    relay_talk: Talk,
) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    neighbour = relay_talk.socket(NEIGHBOUR)
    await relay_talk.connect(a, b)
    await a.speaks_to(b)
    a.snd(a.voice(), by=neighbour)
    await a.speaks_to(b)
    assert (await stats_of(relay_talk, "A")).foreign == 1


async def test_no_neighbour_is_heard_before_the_party_speaks(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    neighbour = relay_talk.socket(NEIGHBOUR)
    await relay_talk.connect(a, b)
    a.snd(rtp(0, 1, 160, 0xBAD), by=neighbour)
    await a.speaks_to(b)
    await b.speaks_to(a)
    assert (await stats_of(relay_talk, "A")).foreign == 1


async def test_a_phone_behind_nat_is_known_by_its_signalling_address(relay_talk: Talk) -> None:
    """Its SDP has a private address; packets come from where the INVITE came from."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    natted = relay_talk.socket(STRANGER)
    await relay_talk.offer(a, b, a.sdp(address="10.20.30.40"), received_from=STRANGER)
    await relay_talk.answer(a, b)
    packet = a.voice()
    a.snd(packet, by=natted)
    await b.rcv(packet)
    packet = b.voice()
    b.snd(packet)
    await a.rcv(packet, on=natted)


async def test_late_packets_do_not_win_a_mapping_back(relay_talk: Talk) -> None:
    """A phone behind NAT moves by re-INVITE; packets of the old mapping come after its answer."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    old, new = relay_talk.socket(STRANGER), relay_talk.socket(STRANGER)

    async def invite(port: int, *, again: bool) -> None:
        sdp = a.sdp(address="10.20.30.40", port=port)
        await relay_talk.offer(a, b, sdp, again=again, received_from=STRANGER)
        await relay_talk.answer(a, b)

    async def is_heard(mapping: Socket) -> None:
        packet = a.voice()
        a.snd(packet, by=mapping)
        await b.rcv(packet)

    await invite(4000, again=False)
    await is_heard(old)
    await invite(4002, again=True)
    a.snd(a.voice(), by=old)
    await is_heard(new)
    a.snd(a.voice(), by=old)
    await is_heard(new)
    packet = b.voice()
    b.snd(packet)
    await a.rcv(packet, on=new)
    assert (await stats_of(relay_talk, "A")).foreign == 2


async def test_rtcp_is_learned_and_locked_too(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    attacker = relay_talk.socket(STRANGER)
    await relay_talk.connect(a, b)
    attacker.send(receiver_report(0xBAD, 0x2222), a.told_rtcp_port)
    a.rtcp.send(b"\x80\x00 this is no RTCP", a.told_rtcp_port)
    report = receiver_report(0x1111, 0x2222)
    a.rtcp.send(report, a.told_rtcp_port)
    assert (await b.rtcp.receive())[0] == report
    stats = await stats_of(relay_talk, "A")
    assert (stats.foreign, stats.refused, stats.rtcp_received) == (1, 1, 1)


async def test_a_second_ssrc_after_the_lock_is_dropped_while_the_first_speaks(
    relay_talk: Talk,
) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    await a.speaks_to(b)
    # In one burst, so that the first stream has not been silent when the second appears.
    good = [a.voice() for _ in range(3)]
    for index, packet in enumerate(good):
        a.snd(packet)
        a.snd(rtp(0, 500 + index, 500, 0xBAD))
    for packet in good:
        await b.rcv(packet)
    await a.speaks_to(b)
    assert (await stats_of(relay_talk, "A")).refused == 3


async def test_payload_types_that_were_not_negotiated_are_dropped(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.offer(a, b, a.sdp("0 8 101"))
    await relay_talk.answer(a, b, b.sdp("0 101"))
    await a.speaks_to(b)
    a.snd(a.voice(8))  # offered, not answered
    a.snd(a.voice(18))  # never heard of
    a.snd(b"\x80")  # not RTP
    a.snd(b"\x00" * 172)  # version 0
    a.snd(a.voice(72))  # RTCP on the RTP port without rtcp-mux
    await a.speaks_to(b)
    stats = await stats_of(relay_talk, "A")
    assert stats.refused == 5
    assert stats.packets_received == 2
    assert stats.payload_type == 0


async def test_an_answer_may_number_a_codec_otherwise(relay_talk: Talk) -> None:
    """RFC 3264 6.1: events are 101 to the caller and 96 to the callee; both numbers pass."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.offer(a, b)
    await relay_talk.answer(a, b, b.sdp("0 96", extra="a=rtpmap:96 telephone-event/8000\r\n"))
    for payload_type in (0, 96, 101):
        packet = a.voice(payload_type)
        a.snd(packet)
        await b.rcv(packet)


async def test_a_reinvite_without_a_new_address_opens_nothing(relay_talk: Talk) -> None:
    """Session refreshes come all the time; an attacker must not be able to wait for one."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    neighbour = relay_talk.socket(NEIGHBOUR)
    await relay_talk.connect(a, b)
    await a.speaks_to(b)
    await relay_talk.offer(a, b, again=True)
    await relay_talk.answer(a, b)
    a.snd(rtp(0, 1, 160, 0xBAD), by=neighbour)
    await a.speaks_to(b)
    assert (await stats_of(relay_talk, "A")).foreign == 1


async def test_a_refused_reinvite_changes_nothing(relay_talk: Talk) -> None:
    """RFC 6141: after a 488 the session is what it was, so the offer alone moves nothing."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    await relay_talk.offer(relay_talk.phone("A"), b, again=True)
    await b.speaks_to(a)
    await a.speaks_to(b)


async def test_nothing_is_sent_to_a_party_on_hold_by_the_zero_address(relay_talk: Talk) -> None:
    """And what it sends while it holds (music) still goes through."""
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    await a.speaks_to(b)
    await relay_talk.offer(a, b, a.sdp(address="0.0.0.0"), again=True)
    await relay_talk.answer(a, b)
    b.snd(b.voice())
    await a.speaks_to(b)
    stats = await relay_talk.plane.query(relay_talk.call_id)
    assert stats.parties["B"].packets_received == 1
    assert stats.parties["A"].packets_sent == 0


async def test_loss_and_jitter_are_counted(relay_talk: Talk) -> None:
    a, b = relay_talk.phone("A"), relay_talk.phone("B")
    await relay_talk.connect(a, b)
    for seq in (65533, 65534, 65536, 65540):
        a.snd(rtp(0, seq, seq * 160, 0x1111))
        await b.rcv(rtp(0, seq, seq * 160, 0x1111))
    stats = await stats_of(relay_talk, "A")
    assert stats.lost == 4
    # 20 ms of timestamps went by in next to no time, so there is jitter and it is below 80 ms.
    assert 0 < stats.jitter_ms < 80
