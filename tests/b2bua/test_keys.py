"""Keys from leg to leg, in every form, each once: whole calls with our relay, on virtual time."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sip.b2bua.keys import DOUBT_S
from sip.b2bua.legs.leg_keys import MAX_WAITING
from sip.core.info_keys import ALONE, KEYS, RELAY
from sip.core.sdp_keys import has_keys
from sip.media.terms import KeyForm
from tests.b2bua.keyed import (
    EVENTS,
    IN,
    INFO,
    INFO_ALONE,
    RETELL,
    TONES,
    Kind,
    StagedTalk,
    staged_talk,
)
from tests.fakes.relay import RelayHere
from tests.media.keyboard import Heard, clean_events
from tests.ports import free_ports
from tests.virtual import virtual_time


@asynccontextmanager
async def conversation(caller: Kind, called: Kind) -> AsyncIterator[StagedTalk]:
    async with RelayHere(free_ports(40)) as relay:
        async with staged_talk(relay, caller, called) as talk:
            yield talk
        await talk.stage.cleared()
        assert len(relay.sessions) == 0


@pytest.mark.parametrize(("kind", "caller"), IN)
@virtual_time
async def test_into_events(kind: str, caller: Kind) -> None:
    async with conversation(caller, RETELL) as talk:
        for key in KEYS:
            await talk.press(key, kind)
            await talk.speaks(0.5)
        assert [each.key for each in talk.events] == list(KEYS)
        assert talk.told.keys == [("a", key) for key in KEYS]
    stats = talk.call.stats
    assert stats is not None
    counted = {tag: (each.keys_received, each.keys_sent) for tag, each in stats.parties.items()}
    assert counted == {"a": (16, 0), "b1": (0, 16)}


@pytest.mark.parametrize(("kind", "caller"), IN)
@pytest.mark.parametrize(("body", "agent"), [(RELAY, INFO), (ALONE, INFO_ALONE)])
@virtual_time
async def test_into_info(kind: str, caller: Kind, body: str, agent: Kind) -> None:
    async with conversation(caller, agent) as talk:
        for key in KEYS:
            await talk.press(key, kind)
            await talk.speaks(0.3)
            assert await talk.informed(body) == key
        assert {each.payload_type for each in talk.b.heard} == {0}
        assert talk.tones == []
        assert talk.told.keys == [("a", key) for key in KEYS]
    stats = talk.call.stats
    assert stats is not None
    assert stats.parties["b1"].keys_sent == stats.parties["a"].keys_received == 16


@pytest.mark.parametrize(("kind", "caller"), IN)
@virtual_time
async def test_into_tones(kind: str, caller: Kind) -> None:
    async with conversation(caller, TONES) as talk:
        for key in KEYS:
            await talk.press(key, kind)
            await talk.speaks(0.6)
        assert talk.tones == list(KEYS)
        assert talk.told.keys == [("a", key) for key in KEYS]


@virtual_time
async def test_events_with_losses_into_info() -> None:
    """With each packet lost in turn; all keys so, in `tests/media/test_keys.py`."""
    async with conversation(EVENTS, INFO) as talk:
        for index, key in enumerate(KEYS):
            await talk.press(key, lost=index % 8)
            await talk.speaks(0.3)
            assert await talk.informed(RELAY) == key


@pytest.mark.parametrize("caller", [EVENTS, INFO, TONES])
@pytest.mark.parametrize("agent", [RETELL, INFO, TONES])
@virtual_time
async def test_each_side_is_told_of_events_if_it_has_them(caller: Kind, agent: Kind) -> None:
    """The other side is offered them whatever the caller has, and the caller answered its own."""
    async with conversation(caller, agent) as talk:
        assert has_keys(talk.b_sdp)
        assert has_keys(talk.a_sdp) is caller.events


@virtual_time
async def test_who_has_info_by_its_trunk_is_offered_no_events() -> None:
    async with conversation(EVENTS, INFO_ALONE) as talk:
        assert not has_keys(talk.b_sdp)
        assert has_keys(talk.a_sdp)


@virtual_time
async def test_an_info_waits_for_the_answer_to_the_one_before() -> None:
    """And a refused one holds up none."""
    async with conversation(EVENTS, INFO) as talk:
        for key in "123":
            await talk.press(key)
        await talk.speaks(0.46)
        first = await talk.agent.expect("INFO")
        assert b"Signal=1" in first.body
        assert await talk.agent.drain(0.1) == []
        await talk.agent.send(415, answering="INFO")
        assert [await talk.informed(RELAY), await talk.informed(RELAY)] == ["2", "3"]


@virtual_time
async def test_an_info_that_comes_again_is_one_key() -> None:
    async with conversation(INFO, RETELL) as talk:
        info = await talk.carrier.send(
            "INFO", sdp="Signal=7\r\n", headers=(("Content-Type", RELAY),)
        )
        await talk.carrier.transmit(info.to_bytes())
        await talk.carrier.expect(200, of="INFO")
        await talk.speaks(1.0)
        assert talk.events == [Heard("7", 250)]
        assert talk.told.keys == [("a", "7")]


@virtual_time
async def test_a_flash_and_other_bodies_are_no_keys() -> None:
    async with conversation(INFO, RETELL) as talk:
        for body, kind, status in (
            ("Signal=!\r\n", RELAY, 200),
            ("", RELAY, 200),
            ("<x/>", "application/media_control+xml", 415),
        ):
            await talk.carrier.send("INFO", sdp=body, headers=(("Content-Type", kind),))
            reply = await talk.carrier.expect(status, of="INFO")
            if status == 415:
                assert reply.headers.get("accept") == f"{ALONE}, {RELAY}"
        await talk.speaks(0.5)
        assert talk.events == []
        assert talk.told.keys == []


@pytest.mark.parametrize("first", ["event", RELAY])
@virtual_time
async def test_a_phone_that_sends_both_is_heard_once(first: str) -> None:
    """Some have telephone-event, and send each key by INFO as well."""
    second = RELAY if first == "event" else "event"
    async with conversation(Kind(events=True, info=True), RETELL) as talk:
        for key in "1123":
            await talk.press(key, first)
            await talk.speaks(0.2)
            await talk.press(key, second)
            await talk.speaks(0.4)
        await talk.speaks(2 * DOUBT_S)
        assert [each.key for each in talk.events] == list("1123")
        assert talk.told.keys == [("a", key) for key in "1123"]


@virtual_time
async def test_a_phone_that_has_events_and_sends_info_alone_is_heard() -> None:
    """The first key waits until it is clear that it does not come in the media as well."""
    async with conversation(Kind(events=True, info=True), RETELL) as talk:
        await talk.press("1", RELAY)
        await talk.press("2", RELAY)
        await talk.speaks(DOUBT_S - 0.1)
        assert talk.told.keys == []
        await talk.speaks(0.9)
        await talk.press("3", RELAY)
        await talk.speaks(0.5)
        assert [each.key for each in talk.events] == ["1", "2", "3"]
        assert talk.told.keys == [("a", "1"), ("a", "2"), ("a", "3")]


@virtual_time
async def test_by_its_trunk_only_one_form_counts() -> None:
    async with conversation(Kind(events=True, dtmf=KeyForm.INFO), RETELL) as talk:
        await talk.press("1", "event")
        await talk.press("2", RELAY)
        await talk.speaks(1.0)
        assert [each.key for each in talk.events] == ["2"]
    async with conversation(Kind(events=True, info=True, dtmf=KeyForm.EVENTS), RETELL) as talk:
        await talk.press("1", RELAY)
        await talk.speaks(2.0)
        await talk.press("2", "event")
        await talk.speaks(1.0)
        assert [each.key for each in talk.events] == ["2"]


@virtual_time
async def test_the_agent_presses_keys_for_the_caller() -> None:
    """The way back: an agent's events become what the caller has."""
    async with conversation(RETELL, INFO) as talk:
        body = "Signal=9\r\nDuration=100\r\n"
        await talk.agent.send("INFO", sdp=body, headers=(("Content-Type", RELAY),))
        await talk.agent.expect(200, of="INFO")
        await talk.speaks(0.5)
        assert clean_events(talk.a.heard, 101) == [Heard("9", 100)]
        assert talk.told.keys == [("b1", "9")]


@virtual_time
async def test_too_many_that_wait_are_left_out() -> None:
    async with conversation(INFO, INFO) as talk:
        for _ in range(MAX_WAITING + 5):
            await talk.press("1", RELAY)
        for _ in range(MAX_WAITING + 1):
            assert await talk.informed(RELAY) == "1"
        assert await talk.agent.drain(2) == []
