"""Retell hands a caller on by a call of its own: SIPp as caller, agent, Retell and expert."""

import asyncio

import pytest

from tests.interop.harness.gateway import CALLER, LOGIN, PLAIN, TO_B_ONLY, Json
from tests.interop.harness.scene import Scene, ending, good, tried

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def answered(scene: Scene) -> Json:
    """The one call of this story, once the agent has answered."""
    async with asyncio.timeout(10):
        while True:
            for record in await scene.records():
                if record["answered_at"]:
                    return record
            await asyncio.sleep(0.05)


async def test_one_record_and_one_ladder_have_both_legs_of_retell(scene: Scene) -> None:
    """The carrier has no such number as the caller's: it is told the one that was called."""
    agent = await scene.callee("callee-answers", scene.network.retell)
    expert = await scene.callee("callee-answers", scene.network.carrier_b)
    caller = await scene.caller("caller-hangs-up", d_ms=4000)
    await answered(scene)
    # from another of Retell's addresses
    retell = await scene.caller(
        "retell-hands-on",
        scene.network.impostor,
        TO_B_ONLY,
        login=LOGIN,
        keys={"caller": CALLER},
        d_ms=500,
    )
    handing_on = good(await retell.finish())
    [invite] = good(await expert.finish()).received("INVITE")[-1:]
    good(await caller.finish())
    good(await agent.finish())

    assert handing_on.sent("INVITE")[0].header("p-asserted-identity").startswith(f"<sip:{CALLER}@")
    assert invite.uri.startswith(f"sip:{TO_B_ONLY}@{scene.network.carrier_b}")
    assert f"sip:{PLAIN}@" in invite.header("from")
    assert CALLER not in invite.text
    record = await scene.record()
    assert (tried(record), *ending(record)) == ([("retell", 200)], "caller", "hangup", 200)
    [leg] = record["related"]
    assert (leg["role"], leg["certainty"], leg["to"]) == ("transfer", "certain", TO_B_ONLY)
    assert (leg["trunk"], leg["ended_by"], leg["cause"]) == ("carrier-b", "caller", "hangup")
    assert leg["sip_call_ids"] == [handing_on.sent("INVITE")[0].call_id, invite.call_id]
    assert record["started_at"] < record["answered_at"]
    assert leg["started_ms"] <= leg["answered_ms"] <= leg["ended_ms"]
    ladder = await scene.gateway.ladder(record["call_id"])
    invites = [m["sip_call_id"] for m in ladder if m["summary"].startswith("INVITE")]
    own = [record["a_sip_call_id"], record["b_sip_call_id"]]
    assert list(dict.fromkeys(invites)) == [*own, *leg["sip_call_ids"]]
