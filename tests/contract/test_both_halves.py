"""Our softswitch with our application: what is on record of calls that neither party ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.http.app_keys import CALLS
from gateway.storage.call_records import CallRecord
from tests.contract.links import InMemory
from tests.gateway.conftest import TRUNK_DID, Gateway, retell, start
from tests.ladder import PCMU, Ladder, make_ladder

__all__ = ["retell", "start"]  # fixtures


@pytest.fixture
async def gateway(start: Callable[[], Coroutine[Any, Any, Gateway]]) -> Gateway:
    return await start()


@asynccontextmanager
async def softswitch(gateway: Gateway) -> AsyncIterator[Ladder]:
    async with make_ladder() as ladder:
        ladder.switch._link = InMemory(gateway).link
        yield ladder


async def on_record(gateway: Gateway) -> CallRecord:
    async with asyncio.timeout(5):
        return await gateway.record()


async def test_a_stop_while_two_talk(gateway: Gateway) -> None:
    async with softswitch(gateway) as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("retell")
        await ladder.call_up("carrier", "retell", TRUNK_DID)
        await asyncio.gather(ladder.switch.close(), carrier.is_hung_up(), agent.is_hung_up())
    record = await on_record(gateway)
    assert (record.ended_by, record.cause, record.fault) == ("gateway", "shutdown", "operator")
    assert (record.sip_status, record.attempts[0]["code"]) == (200, 200)
    assert record.answered_ms is not None


async def test_a_stop_while_one_rings(gateway: Gateway) -> None:
    async with softswitch(gateway) as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("retell")
        await carrier.send("INVITE", sdp=PCMU, to=TRUNK_DID)
        await carrier.expect(100)
        await agent.expect("INVITE")
        await agent.send(180)
        await carrier.expect(180)
        stopping = asyncio.create_task(ladder.switch.close())
        await carrier.expect(503)
        await carrier.send("ACK")
        await agent.expect("CANCEL")
        await agent.send(200, answering="CANCEL")
        await agent.send(487)
        await agent.expect("ACK")
        await stopping
    record = await on_record(gateway)
    assert (record.ended_by, record.cause, record.fault) == ("gateway", "shutdown", "operator")
    assert (record.sip_status, record.answered_ms) == (503, None)


@pytest.mark.parametrize("by", ["carrier", "retell"])
async def test_a_party_hangs_up(gateway: Gateway, by: str) -> None:
    async with softswitch(gateway) as ladder:
        await ladder.call_up("carrier", "retell", TRUNK_DID)
        await ladder.hung_up_by(by)
        record = await on_record(gateway)
    ended_by = "caller" if by == "carrier" else "callee"
    assert (record.ended_by, record.cause, record.fault) == (ended_by, "hangup", "nobody")


async def test_our_own_mistake_while_two_talk(gateway: Gateway) -> None:
    async with softswitch(gateway) as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("retell")
        await ladder.call_up("carrier", "retell", TRUNK_DID)
        [call] = gateway.app[CALLS]._calls.values()
        call.command(gateway.app[CALLS].mistake(call))
        await asyncio.gather(carrier.is_hung_up(), agent.is_hung_up())
        record = await on_record(gateway)
    assert (record.ended_by, record.cause, record.fault) == (
        "gateway",
        "internal-error",
        "gateway",
    )
