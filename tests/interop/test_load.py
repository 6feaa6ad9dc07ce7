"""A thousand calls with sound on both sides, and what is left of them: nothing."""

import asyncio
from pathlib import Path

import pytest

from tests.interop.harness.gateway import TRANSACTION_S, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.scene import Scene, ending
from tests.interop.harness.sipp import Outcome

CALLS = 1000
CALLS_PER_SECOND = 30
TALK_MS = 2500
PACKETS_PER_SECOND = 50


@pytest.mark.alone
@pytest.mark.timeout(240)
async def test_a_thousand_calls(network: Network, tmp_path: Path, words: Path) -> None:
    async with Gateway(network, "udp", tmp_path) as gateway:
        await _calls(Scene(gateway, tmp_path / "warm-up"), 20, words)
        before = await gateway.holdings()
        scene = Scene(gateway, tmp_path / "load")
        await scene.open()

        caller, agent = await _calls(scene, CALLS, words)

        for outcome in (caller, agent):
            assert outcome.failed == 0, str(outcome)
            assert outcome.succeeded == CALLS, str(outcome)
            # neither did the gateway repeat itself, nor was it so slow that SIPp had to
            assert outcome.log.repeated() == {}
            assert outcome.retransmitted == 0
        records = await scene.records()
        assert len(records) == CALLS
        assert {record["state"] for record in records} == {"ended"}
        assert {ending(record) for record in records} == {("caller", "hangup", 200)}

        # What the agent got, counted by SIPp: every packet of every call, but for set-up.
        spoken = CALLS * TALK_MS / 1000 * PACKETS_PER_SECOND
        assert agent.echoed >= 0.97 * spoken, (
            f"{agent.echoed} of {spoken:.0f} packets reached the agent"
        )
        await scene.nothing_left()

        # The transactions keep for 64 x T1 what they need to absorb retransmissions, no longer.
        await asyncio.sleep(TRANSACTION_S)
        after = await gateway.holdings()
        assert after.transactions == 0
        assert after.tasks <= before.tasks
        assert sum(after.sockets) <= sum(before.sockets)
        assert gateway.problems() == []


async def _calls(scene: Scene, calls: int, words: Path) -> tuple[Outcome, Outcome]:
    """So many calls, each spoken in and echoed back: how the caller fared, and the agent."""
    agent = await scene.callee(
        "callee-answers", scene.network.retell, calls=None, echo=True, limit_s=200
    )
    caller = await scene.caller(
        "caller-hangs-up-with-audio",
        calls=calls,
        rate=CALLS_PER_SECOND,
        at_once=4 * CALLS_PER_SECOND * TALK_MS // 1000,
        d_ms=TALK_MS,
        limit_s=200,
        files=[words],
    )
    return await caller.finish(), await agent.stop()
