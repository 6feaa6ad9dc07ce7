"""Our softswitch with our application: calls that may not go on, and callers who may not call, on
the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.calls import spend_watch
from gateway.storage.queued_call import Result
from tests.contract.links import InMemory
from tests.contract.test_callee_first_of_both_halves import WANTED, calling
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, retell, start
from tests.ladder import PCMU, Ladder, make_ladder

__all__ = ["retell", "start"]  # fixtures

CALLEE = "+13125550177"
#: The ladder's peer whose calls are Retell's, and need no digest.
RETELL = {"api_key": "key_test", "trunk": "agent"}
RATES = [{"prefix": "+1", "per_minute": 0.06, "first_s": 30, "step_s": 6}]


@asynccontextmanager
async def softswitch(gateway: Gateway) -> AsyncIterator[Ladder]:
    async with make_ladder() as ladder:
        ladder.switch._link = InMemory(gateway).link
        yield ladder


def outbound(**spend: Any) -> dict[str, Any]:
    return {
        "default_country": "US",
        "routes": [{"trunks": ["carrier"]}],
        "rates": RATES,
        "spend": spend,
    }


async def test_a_call_ends_before_it_costs_too_much(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spend_watch, "LOOK_S", 0.01)
    at = [1_796_000_400.0]
    clocks = {"now": lambda: at[0], "clock": lambda: at[0]}
    gateway = await start(outbound=outbound(per_call=0.06), retell=RETELL, make=clocks)
    async with softswitch(gateway) as ladder:
        agent, carrier = ladder.peer("agent"), ladder.peer("carrier")
        await ladder.call_up("agent", "carrier", CALLEE)
        await gateway.until(lambda call: call["answered_at"] is not None)
        at[0] += 50
        await asyncio.gather(agent.silence(0.1), carrier.silence(0.1))
        at[0] += 8
        await asyncio.gather(agent.is_hung_up(), carrier.is_hung_up())
        record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault) == ("gateway", "spend-stop", "operator")
    assert (record.sip_status, record.cost_estimate) == (200, 0.06)


async def test_retell_hears_403_of_a_stop(start: Start) -> None:
    """Which it tells as telephony_provider_permission_denied, and tries nobody else."""
    gateway = await start(outbound=outbound(day=0), retell=RETELL)
    async with softswitch(gateway) as ladder:
        agent = ladder.peer("agent")
        await agent.send("INVITE", sdp=PCMU, to=CALLEE)
        await agent.expect(100)
        await agent.expect(403)
        await agent.send("ACK")
        record = await gateway.record()
    assert (record.cause, record.attempts, record.cost_estimate) == ("spend-stop", [], None)


async def test_a_blocked_caller_hears_603_and_reaches_nobody(start: Start) -> None:
    gateway = await start(inbound={"block": ["+1*"]})
    async with softswitch(gateway) as ladder:
        carrier = ladder.peer("carrier")
        await carrier.send("INVITE", sdp=PCMU, to=TRUNK_DID)
        await carrier.expect(100)
        await carrier.expect(603)
        await carrier.send("ACK")
        await ladder.peer("retell").silence(0.1)
        record = await gateway.record()
    assert (record.cause, record.fault) == ("caller-blocked", "caller")


async def test_a_call_whose_time_is_over_ends_on_both_sides(start: Start) -> None:
    gateway = await start(inbound={"max_duration_s": 0.3})
    async with softswitch(gateway) as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("retell")
        await ladder.call_up("carrier", "retell", TRUNK_DID)
        await asyncio.gather(carrier.is_hung_up(), agent.is_hung_up())
        record = await gateway.record()
    assert (record.ended_by, record.cause) == ("gateway", "max-duration")


# a person whom we call first


async def test_a_person_costs_what_the_carrier_takes_until_a_call_may_cost_no_more(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spend_watch, "LOOK_S", 0.01)
    at = [1_796_000_400.0]
    clocks = {"now": lambda: at[0], "clock": lambda: at[0]}
    gateway = await start(outbound=outbound(per_call=0.06), make=clocks)
    async with calling(gateway) as story:
        person, agent = story.person, story.agent
        await story.begin()
        await person.expect("INVITE")
        await person.send(180)
        await person.send(200, sdp=PCMU)
        await person.expect("ACK")
        await agent.expect("INVITE")
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        await gateway.until(lambda call: call["cost_estimate"] == 0.03)
        at[0] += 58
        await asyncio.gather(person.is_hung_up(), agent.is_hung_up())
        ended = await story.ended()
    assert (ended.cause, ended.cost_estimate) == ("spend-stop", 0.06)
    record = await gateway.record()
    assert [item["cost_estimate"] for item in record.attempts] == [0.06, None]


async def test_nobody_is_called_when_a_stop_is_reached(start: Start) -> None:
    gateway = await start(outbound=outbound(day=0.02))
    async with calling(gateway) as story:
        no_way = story.placer.judge(WANTED)
        assert no_way is not None
        assert no_way.refusal.cause == "spend-stop"
        await story.begin()
        ended = await story.ended()
        await story.person.silence(0.1)
    assert (ended.result, ended.cause) == (Result.BARRED, "spend-stop")
    assert "outbound.spend.day" in ended.detail
    assert await gateway.records() == []
