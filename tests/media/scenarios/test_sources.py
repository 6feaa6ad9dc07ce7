"""Whose packets are heard, and where a party is sent to: what is learned follows what is
signalled."""

from tests.media.scenarios.differences import differs
from tests.media.scenarios.test_packets import hears, hears_nothing, loud
from tests.media.talk import PHONES, Talk

STRANGERS = "127.0.0.66"


async def test_a_stranger_is_not_heard_once_the_party_was(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    stranger = talk.socket(STRANGERS)
    a.snd(loud(a.voice()), by=stranger)
    await hears_nothing(b.rtp)
    said = loud(a.voice(), 0x43)
    a.snd(said)
    await hears(b, said)


async def test_nor_is_a_stranger_sent_to(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    stranger = talk.socket(STRANGERS)
    a.snd(a.voice(), by=stranger)
    await b.speaks_to(a)
    await hears_nothing(stranger, 0.1)


@differs("rtpengine", "strangers-first")
async def test_a_stranger_is_not_heard_before_the_party_either(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    stranger = talk.socket(STRANGERS)
    a.snd(loud(a.voice()), by=stranger)
    await hears_nothing(b.rtp)
    said = loud(b.voice(), 0x43)
    b.snd(said)
    await hears(a, said)


@differs("rtpengine", "other-port-while-heard")
async def test_another_port_of_the_host_is_not_heard_while_the_party_sends(talk: Talk) -> None:
    """Another program of the same machine, or who shares the party's address."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    neighbour = talk.socket()
    a.snd(a.voice(), by=neighbour)  # before anybody else: may be the party behind its NAT
    await a.speaks_to(b)  # the address of its description is heard at once
    await b.speaks_to(a)


async def test_a_party_behind_nat_is_found_by_what_it_sends(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    outside = talk.socket()
    await talk.offer(a, b, a.sdp(address="10.20.30.40"), received_from=PHONES)
    await talk.answer(a, b)
    packet = a.voice()
    a.snd(packet, by=outside)
    await b.rcv(packet)
    packet = b.voice()
    b.snd(packet)
    await a.rcv(packet, on=outside)


@differs("rtpengine", "offers-move")
async def test_an_offer_alone_moves_nobody(talk: Talk) -> None:
    """RFC 3264 8.3.1: until the answer, and after a refusal, the old address holds."""
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    elsewhere = talk.phone("A")
    await talk.offer(elsewhere, b, again=True)
    await a.speaks_to(b)
    await b.speaks_to(a)


async def test_a_moved_party_is_sent_to_where_it_is_now_and_nowhere_else(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    moved = talk.phone("A")
    await talk.offer(moved, b, again=True)
    await talk.answer(moved, b)
    packet = b.voice()
    b.snd(packet)
    await moved.rcv(packet)
    await hears_nothing(a.rtp, 0.1)


async def test_late_packets_from_where_a_party_was_do_not_bring_it_back(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    moved = talk.phone("A")
    await talk.offer(moved, b, again=True)
    await talk.answer(moved, b)
    a.snd(a.voice())  # was under way
    packet = b.voice()
    b.snd(packet)
    await moved.rcv(packet)
