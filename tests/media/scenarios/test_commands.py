"""What an engine is asked beside offers and answers."""

import asyncio
from contextlib import suppress

import pytest

from sip.media.ng.client import NgClient
from sip.media.plane import Capability, MediaError, Withheld
from tests.media.scenarios.differences import differs
from tests.media.scenarios.test_packets import hears_nothing
from tests.media.talk import Phone, Talk

SILENCE = {0xFF, 0xD5, 0x55, 0x7F}
"""G.711's silence, in either law, either sign."""


async def test_a_call_is_listed_while_it_is_there(talk: Talk) -> None:
    assert talk.call_id not in await talk.plane.calls()
    await talk.connect(talk.phone("A"), talk.phone("B"))
    assert talk.call_id in await talk.plane.calls()
    talk.deleted = True
    await talk.plane.delete(talk.call_id)
    assert talk.call_id not in await talk.plane.calls()


async def test_statistics_count_calls(talk: Talk) -> None:
    before = await talk.plane.statistics()
    await talk.connect(talk.phone("A"), talk.phone("B"))
    during = await talk.plane.statistics()
    assert during.sessions == before.sessions + 1
    talk.deleted = True
    await talk.plane.delete(talk.call_id)
    after = await talk.plane.statistics()
    assert after.sessions == before.sessions
    assert after.ended == before.ended + 1
    assert after.uptime_s >= before.uptime_s


async def test_statistics_count_packets_at_once(talk: Talk) -> None:
    before = await talk.plane.statistics()
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    for _ in range(10):
        await a.speaks_to(b)
    after = await talk.plane.statistics()
    assert (after.packets - before.packets, after.octets - before.octets) == (10, 1720)


async def test_what_is_blocked_is_not_heard_and_the_other_direction_is(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await b.speaks_to(a)
    await talk.plane.withhold(talk.call_id, "A", Withheld.BLOCKED)
    said = a.voice()
    a.snd(said)
    heard = await _heard(b)
    assert said[12:] not in heard
    await b.speaks_to(a)
    await talk.plane.let_pass(talk.call_id, "A", Withheld.BLOCKED)
    await _speaks_again(a, b)


async def test_a_silenced_party_is_heard_as_silence(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await talk.plane.withhold(talk.call_id, "A", Withheld.SILENCED)
    for _ in range(3):
        a.snd(a.voice()[:12] + b"\x42" * 160)
    for payload in await _heard(b):
        assert set(payload) <= SILENCE
    await talk.plane.let_pass(talk.call_id, "A", Withheld.SILENCED)
    await _speaks_again(a, b)


async def test_both_ways_of_withholding_end_apart(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    for how in Withheld:
        await talk.plane.withhold(talk.call_id, "A", how)
    await talk.plane.let_pass(talk.call_id, "A", Withheld.SILENCED)
    said = a.voice()[:12] + b"\x42" * 160
    a.snd(said)
    assert said[12:] not in await _heard(b)
    await talk.plane.let_pass(talk.call_id, "A", Withheld.BLOCKED)
    await _speaks_again(a, b)


async def test_what_a_reinvite_changes_is_not_who_is_withheld(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await talk.plane.withhold(talk.call_id, "A", Withheld.BLOCKED)
    await talk.offer(a, b, again=True)
    await talk.answer(a, b)
    said = a.voice()[:12] + b"\x42" * 160
    a.snd(said)
    assert said[12:] not in await _heard(b)


async def test_nobody_is_withheld_in_a_call_that_is_not_there(plane: NgClient) -> None:
    with pytest.raises(MediaError) as unknown:
        await plane.withhold("nobody's", "A", Withheld.BLOCKED)
    assert unknown.value.slug == "unknown-call"


@differs("relay", "subscribers")
async def test_a_subscriber_hears_one_party(talk: Talk) -> None:
    a, b, ear = talk.phone("A"), talk.phone("B"), talk.phone("C")
    await talk.connect(a, b)
    offered = await talk.plane.subscribe(talk.call_id, "A")
    ear.hear_of(offered.sdp)
    assert "a=sendonly" in offered.sdp
    answer = ear.sdp("0").replace("sendrecv", "recvonly")
    await talk.plane.answer_subscription(talk.call_id, offered.tag, answer)
    packet = a.voice()
    a.snd(packet)
    await b.rcv(packet)
    assert (await ear.rtp.receive())[0][12:] == packet[12:]
    b.snd(b.voice())
    await hears_nothing(ear.rtp)
    await talk.plane.unsubscribe(talk.call_id, offered.tag)
    await a.speaks_to(b)
    await hears_nothing(ear.rtp)


async def test_what_an_engine_cannot_is_refused_as_unsupported(talk: Talk) -> None:
    await talk.connect(talk.phone("A"), talk.phone("B"))
    requests = {Capability.SUBSCRIBE: talk.plane.subscribe(talk.call_id, "A")}
    for capability, request in requests.items():
        if capability in talk.plane.capabilities:
            await request
            continue
        with pytest.raises(MediaError) as refused:
            await request
        assert refused.value.slug == "unsupported"


async def test_an_unknown_command_is_refused(plane: NgClient) -> None:
    with pytest.raises(MediaError) as refused:
        await plane.request("transmogrify", {"call-id": "x"})
    assert refused.value.slug == "unsupported"


async def _heard(phone: Phone) -> list[bytes]:
    """The payloads that arrive within a moment."""
    payloads = []
    with suppress(TimeoutError):
        async with asyncio.timeout(0.25):
            while True:
                packet, _ = await phone.rtp.receive()
                payloads.append(packet[12:])
    return payloads


async def _speaks_again(a: Phone, b: Phone) -> None:
    """What `a` says is heard, though the packet may be numbered anew."""
    said = a.voice()[:12] + b"\x43" * 160
    a.snd(said)
    while (heard := (await b.rtp.receive())[0])[12:] != said[12:]:
        assert set(heard[12:]) <= SILENCE
