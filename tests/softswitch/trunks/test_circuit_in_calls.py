"""What callers notice of a dead gateway: some of them a wait, and after that nobody anything."""

import asyncio
from collections.abc import Mapping
from typing import Any

from structlog.testing import capture_logs

from config.settings import HealthSettings
from sip.core.uri import Uri
from sip.softswitch.trunks.circuit import CircuitState
from sip.softswitch.trunks.trunk import Trunk
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_with


def gateways(*names: str, **more: Any) -> Any:
    """A trunk `pair` whose gateways are these peers; it is told dead after 4 s."""

    def make(peers: Mapping[str, Peer]) -> list[Trunk]:
        uris = tuple(Uri.parse(f"sip:127.0.0.1:{peers[name].port}") for name in names)
        return [Trunk(name="pair", gateways=uris, no_response_s=4.0, **more)]

    return make


async def call(ladder: Ladder) -> None:
    """A call from the carrier for the trunk, until our 100."""
    ladder.app.verbs = lambda _: [dial("pair"), {"verb": "hangup"}]
    await ladder.peer("carrier").send("INVITE", sdp=PCMU)
    await ladder.peer("carrier").expect(100)


async def answered_by(ladder: Ladder, name: str) -> None:
    carrier, callee = ladder.peer("carrier"), ladder.peer(name)
    await callee.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await callee.is_hung_up()


async def fails(ladder: Ladder) -> float:
    """The call is refused; after how many seconds."""
    begun = asyncio.get_running_loop().time()
    await ladder.peer("carrier").expect(603)
    await ladder.peer("carrier").send("ACK")
    return asyncio.get_running_loop().time() - begun


def states(ladder: Ladder) -> list[CircuitState]:
    return [state.state for state in ladder.switch.health.states() if state.trunk == "pair"]


@ladder_with(trunks_to=gateways("agent", "second", health=HealthSettings(failures=2)))
async def test_after_two_calls_nobody_waits_for_the_dead_gateway(ladder: Ladder) -> None:
    agent, second = ladder.peer("agent"), ladder.peer("second")
    for _ in range(2):
        await call(ladder)
        await agent.expect("INVITE")
        await second.expect("INVITE")
        await second.send(486)
        await second.expect("ACK")
        await fails(ladder)
    await agent.drain(40)
    assert states(ladder) == [CircuitState.OPEN, CircuitState.CLOSED]
    begun = asyncio.get_running_loop().time()
    await call(ladder)
    await answered_by(ladder, "second")
    assert asyncio.get_running_loop().time() - begun < 1
    assert await agent.drain(1) == []


@ladder_with(trunks_to=gateways("agent", health=HealthSettings(failures=2, cool_down_s=60)))
async def test_the_only_gateway_dead_calls_fail_at_once_and_one_tries_again(
    ladder: Ladder,
) -> None:
    """So that a fallback, or the next trunk of a route, need not wait either."""
    agent = ladder.peer("agent")
    with capture_logs() as logs:
        for _ in range(2):
            await call(ladder)
            await agent.expect("INVITE")
            assert 3.9 < await fails(ladder) < 5
        await agent.drain(30)
        await call(ladder)
        assert await fails(ladder) < 0.5
        assert await agent.drain(40) == []
        await call(ladder)
        await answered_by(ladder, "agent")
        assert states(ladder) == [CircuitState.CLOSED]
    told = [
        line["event"]
        for line in logs
        if line["event"] in ("trunk.gateway-down", "trunk.gateway-up")
    ]
    assert told == ["trunk.gateway-down", "trunk.gateway-up"]

    def statuses() -> list[int]:
        hooks = [hook["data"] for hook in ladder.app.told("verb:hook")]
        return [data["dial_sip_status"] for data in hooks if "dial_sip_status" in data]

    await ladder.app.until(lambda: len(statuses()) == 4)
    assert statuses() == [408, 408, 503, 200]


@ladder_with(trunks_to=gateways("agent", health=HealthSettings(failures=1, cool_down_s=60)))
async def test_two_callers_at_once_only_one_tries_a_gateway_on_trial(ladder: Ladder) -> None:
    agent, carrier, retry = (ladder.peer(name) for name in ("agent", "carrier", "second"))
    await call(ladder)
    await agent.expect("INVITE")
    await fails(ladder)
    await agent.drain(62)
    assert states(ladder) == [CircuitState.HALF_OPEN]
    await call(ladder)
    await agent.expect("INVITE")
    await retry.send("INVITE", sdp=PCMU, to=DID)
    await retry.expect(100)
    await retry.expect(603)
    await retry.send("ACK")
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    assert states(ladder) == [CircuitState.CLOSED], "busy is an answer"


@ladder_with(trunks_to=gateways("agent", health=HealthSettings(failures=1)))
async def test_a_busy_or_cancelled_call_is_no_failure_of_the_gateway(ladder: Ladder) -> None:
    agent, carrier = ladder.peer("agent"), ladder.peer("carrier")
    for status in (486, 404, 500):
        await call(ladder)
        await agent.expect("INVITE")
        await agent.send(status)
        await agent.expect("ACK")
        await fails(ladder)
    await call(ladder)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    assert states(ladder) == [CircuitState.CLOSED]
