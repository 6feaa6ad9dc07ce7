"""The story that takes 32 s, and what is forgotten meanwhile: after the others, for that reason."""

import asyncio

import pytest

from tests.interop.harness.gateway import Gateway
from tests.interop.harness.scene import Scene, ending, good

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: T4: for so long a client transaction takes in late answers to our BYE (RFC 3261 17.1.2.2).
T4_S = 5.0


async def test_the_ack_never_comes(scene: Scene) -> None:
    """RFC 3261 13.3.1.4: 200 again and again for 64 x T1, then BYE, to both sides."""
    agent = await scene.callee("callee-answers", scene.network.retell)
    caller = await scene.caller("caller-never-acks")
    outcome = await caller.finish(timeout=50)
    assert (outcome.exit_code, outcome.succeeded) == (0, 1), str(outcome)
    good(await agent.finish())

    oks = outcome.log.received("INVITE", 200)
    # T1 doubling to T2: 0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5 s
    assert len(oks) == 11
    [bye] = outcome.log.received("BYE")
    assert 31.5 <= bye.at_s - oks[0].at_s <= 33.0
    record = await scene.record()
    assert ending(record) == ("gateway", "no-ack", 200)


async def test_every_transaction_is_forgotten(gateway: Gateway) -> None:
    """Their timers run 64 x T1 at most; the story before this one has taken as long."""
    left = await gateway.holdings()
    for _ in range(int((T4_S + 2) * 10)):
        if not left.transactions and not left.legs:
            break
        await asyncio.sleep(0.1)
        left = await gateway.holdings()
    assert (left.live_calls, left.legs, left.transactions) == (0, 0, 0)


async def test_nothing_went_wrong_inside(gateway: Gateway) -> None:
    assert gateway.problems() == []
