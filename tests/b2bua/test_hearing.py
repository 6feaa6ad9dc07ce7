"""The operator is told of a leg that talks and is not heard, and of no other."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from structlog.testing import capture_logs

from sip.b2bua.call import Call
from sip.b2bua.leg_report import LegReport
from sip.media.events import Heard, MediaEvent, OneWay, Silent
from sip.media.plane import SILENCE_S
from tests.b2bua.stage import Stage, sdp_at, staged

CARRIER, AGENT, PERSON = 41000, 42000, 43000


@contextmanager
def warned() -> Iterator[list[tuple[str, str]]]:
    """What is logged of silences, as (event, leg)."""
    found: list[tuple[str, str]] = []
    with capture_logs() as logs:
        yield found
        found += [(log["event"], log["leg"]) for log in logs if log["event"].startswith("media.")]


async def ringing(stage: Stage) -> tuple[Call, asyncio.Task[LegReport]]:
    """The agent rings, with early media."""
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    dialling = stage.dial(call, "agent")
    await agent.expect("INVITE")
    await agent.send(183, sdp=sdp_at(AGENT))
    await carrier.expect(183)
    return call, dialling


async def answered(stage: Stage) -> None:
    carrier, agent = stage.peer("carrier"), stage.peer("agent")
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)


async def hung_up(stage: Stage, dialling: asyncio.Task[LegReport]) -> None:
    await stage.peer("carrier").hang_up()
    await stage.peer("agent").is_hung_up()
    await dialling


def tell(stage: Stage, call: Call, kind: type[Any], party: str = "a") -> None:
    """The media plane speaks of a party; the agent is "b1"."""
    more = {} if kind is Heard else {"since_s": SILENCE_S}
    event: MediaEvent = kind(party=party, at=call.ua.clock.now(), **more)
    stage.media.tell(call.status.call_sid, event)


@staged
async def test_a_leg_that_talks_and_is_not_heard(stage: Stage) -> None:
    call, dialling = await ringing(stage)
    await answered(stage)
    sid = call.status.call_sid
    with capture_logs() as logs:
        tell(stage, call, OneWay)
        tell(stage, call, Silent, "b9")  # a leg that is gone
        tell(stage, call, Heard)
        tell(stage, call, Silent, "b1")
    ids = {"call_sid": sid, "leg": "a", "sip_call_id": call.status.sip_call_id}
    assert logs[:2] == [
        {"event": "media.one-way", "log_level": "warning", "silent_s": SILENCE_S, **ids},
        {"event": "media.heard-again", "log_level": "info", **ids},
    ]
    assert [(log["event"], log["leg"]) for log in logs[2:]] == [("media.silent", "b1")]
    assert logs[2]["sip_call_id"] != call.status.sip_call_id
    await hung_up(stage, dialling)


@staged
async def test_a_leg_that_rings_may_be_silent(stage: Stage) -> None:
    call, dialling = await ringing(stage)
    with warned() as told:
        tell(stage, call, OneWay)
        await asyncio.sleep(SILENCE_S + 1)
        tell(stage, call, Heard)  # of which nothing was said
        await answered(stage)
        await asyncio.sleep(SILENCE_S + 1)
    assert told == []
    await hung_up(stage, dialling)


@staged
async def test_a_silence_from_before_counts_from_when_it_talks(stage: Stage) -> None:
    """The engine tells it once, while it still rings; that it lasts is for us to see."""
    call, dialling = await ringing(stage)
    tell(stage, call, Silent)
    tell(stage, call, Silent, "b1")
    with warned() as told:
        await answered(stage)
        await asyncio.sleep(SILENCE_S / 2)
        tell(stage, call, Heard, "b1")
        tell(stage, call, OneWay)  # and the agent is heard: no reason to be told any sooner
        await asyncio.sleep(SILENCE_S / 2 - 1)
    assert told == []
    with warned() as told:
        await asyncio.sleep(2)
        tell(stage, call, Heard)
    assert told == [("media.one-way", "a"), ("media.heard-again", "a")]
    await hung_up(stage, dialling)


@staged
async def test_a_silence_is_not_told_of_a_leg_that_has_stopped_talking(stage: Stage) -> None:
    call, dialling = await ringing(stage)
    tell(stage, call, Silent)
    await answered(stage)
    with warned() as told:
        await stage.peer("agent").hang_up()
        await dialling
        await asyncio.sleep(2 * SILENCE_S)
        tell(stage, call, Silent)
    assert told == []
    await stage.peer("carrier").hang_up()


@staged
async def test_a_silence_that_is_known_is_not_told_again_of_the_next_agent(stage: Stage) -> None:
    call, dialling = await ringing(stage)
    await answered(stage)
    with warned() as told:
        tell(stage, call, OneWay)
        await stage.peer("agent").hang_up()
        await dialling
        dialling = stage.dial(call, "person")
        await stage.peer("person").answer_call(sdp=sdp_at(PERSON))
        await asyncio.sleep(2 * SILENCE_S)
    assert told == [("media.one-way", "a")]
    await stage.peer("carrier").hang_up()
    await stage.peer("person").is_hung_up()
    await dialling
