"""The gateway is stopped under calls: who talks goes on, who comes is sent elsewhere, and the
records, read by the gateway that is started next, say what happened."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.interop.harness.gateway import Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.scene import Scene, ending, good, tried
from tests.interop.harness.siplog import MessageLog

Json = dict[str, Any]
REASON = 'SIP;cause=503;text="Gateway Is Shutting Down"'


async def test_who_talks_goes_on_and_who_comes_is_sent_elsewhere(
    network: Network, tmp_path: Path
) -> None:
    gateway = Gateway(network, "udp", tmp_path)
    async with gateway:
        scene = Scene(gateway, tmp_path / "calls")
        agent = await scene.callee("callee-answers", network.retell)
        talks = await scene.caller("caller-hangs-up", d_ms=4000)
        await _talking(gateway)
        gateway.program.send(signal.SIGTERM)
        await asyncio.sleep(0.5)
        comes = await scene.caller("caller-gets-unavailable", network.carrier_b)
        refused = good(await comes.finish())
        assert gateway.program.running, "it waits for who talks"
        good(await talks.finish())
        good(await agent.finish())
        await gateway.program.wait(10)
        await scene.close()
    assert _headers(refused, "retry-after") == {"60"}
    [record] = await _records(gateway)
    assert ending(record) == ("caller", "hangup", 200)


@pytest.mark.parametrize(("drain_s", "signals"), [(60, 2), (1, 1)], ids=["twice", "time over"])
async def test_who_still_talks_in_the_end_hears_why(
    drain_s: int, signals: int, network: Network, tmp_path: Path
) -> None:
    gateway = Gateway(network, "udp", tmp_path, lambda keys: keys["limits"].update(drain_s=drain_s))
    async with gateway:
        scene = Scene(gateway, tmp_path / "calls")
        agent = await scene.callee("callee-answers", network.retell)
        talks = await scene.caller("caller-is-hung-up-on")
        await _talking(gateway)
        for _ in range(signals):
            gateway.program.send(signal.SIGTERM)
            await asyncio.sleep(0.3)
        outcomes = [await party.finish() for party in (talks, agent)]
        await gateway.program.wait(10)
        await scene.close()
    for outcome in outcomes:
        assert _headers(good(outcome), "reason") == {REASON}
    [record] = await _records(gateway)
    assert (ending(record), record["fault"]) == (("gateway", "shutdown", 200), "operator")
    assert tried(record) == [("retell", 200)]
    assert record["duration_s"] > 0


async def _talking(gateway: Gateway) -> None:
    for _ in range(200):
        if any(record["answered_at"] for record in await gateway.calls()):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("nobody talks")


def _headers(log: MessageLog, name: str) -> set[str]:
    """Every value of that header in what was received."""
    return {value for one in log.messages if not one.sent for value in one.headers(name)}


async def _records(gateway: Gateway) -> list[Json]:
    """As the next run reads them."""
    async with gateway:
        return await gateway.calls()
