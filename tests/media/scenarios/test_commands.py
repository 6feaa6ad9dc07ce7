"""What an engine is asked beside offers and answers."""

import pytest

from sip.media.ng.client import NgClient
from sip.media.plane import Capability, MediaError, Withheld
from tests.media.scenarios.differences import differs
from tests.media.scenarios.test_packets import hears, hears_nothing, loud
from tests.media.talk import Phone, Talk


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
    a.snd(loud(a.voice()))
    await hears_nothing(b.rtp)
    said = loud(b.voice())
    b.snd(said)
    await hears(a, said)
    await talk.plane.let_pass(talk.call_id, "A", Withheld.BLOCKED)
    await _speaks_again(a, b)


async def test_a_silenced_party_is_heard_as_silence(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await talk.plane.withhold(talk.call_id, "A", Withheld.SILENCED)
    for _ in range(3):
        a.snd(loud(a.voice()))
    await hears_nothing(b.rtp)
    await talk.plane.let_pass(talk.call_id, "A", Withheld.SILENCED)
    await _speaks_again(a, b)


async def test_both_ways_of_withholding_end_apart(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    for how in Withheld:
        await talk.plane.withhold(talk.call_id, "A", how)
    await talk.plane.let_pass(talk.call_id, "A", Withheld.SILENCED)
    a.snd(loud(a.voice()))
    await hears_nothing(b.rtp)
    await talk.plane.let_pass(talk.call_id, "A", Withheld.BLOCKED)
    await _speaks_again(a, b)


async def test_what_a_reinvite_changes_is_not_who_is_withheld(talk: Talk) -> None:
    a, b = talk.phone("A"), talk.phone("B")
    await talk.connect(a, b)
    await a.speaks_to(b)
    await talk.plane.withhold(talk.call_id, "A", Withheld.BLOCKED)
    await talk.offer(a, b, again=True)
    await talk.answer(a, b)
    a.snd(loud(a.voice()))
    await hears_nothing(b.rtp)


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
    said = loud(a.voice())
    a.snd(said)
    await hears(b, said)
    await hears(ear, said)
    b.snd(loud(b.voice()))
    await hears_nothing(ear.rtp)
    await talk.plane.unsubscribe(talk.call_id, offered.tag)
    said = loud(a.voice(), 0x43)
    a.snd(said)
    await hears(b, said)
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


async def _speaks_again(a: Phone, b: Phone) -> None:
    said = loud(a.voice(), 0x43)
    a.snd(said)
    await hears(b, said)
