"""Every transfer policy with every outcome once more, with the sandbox in Retell's place.

The agent's tool says what it was told; the sandbox knows how the call ended for Retell. Carrier
and target are SIPp. Afterwards nothing is left.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.interop.harness.gateway import PLAIN, Gateway, Json
from tests.interop.harness.network import Network
from tests.interop.harness.sandbox import Sandbox
from tests.interop.harness.scene import Scene
from tests.interop.harness.sipp import Sipp
from tests.interop.transfers.exchange import (
    MAY_RING_OUT,
    NOBODY,
    QUIET_MS,
    SALES,
    Policy,
    carrier,
    configure,
    way_out,
    well,
)

pytestmark = pytest.mark.asyncio(loop_scope="session")

STAYS, REFER = "caller-stays", "caller-takes-refer"
ANSWERS, BUSY, DECLINES = "transfers/target-stays", "callee-is-busy", "callee-declines"
RINGS, LATE = "callee-rings-until-cancelled", "transfers/target-answers-the-cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One policy and one outcome. `caller` and `target` are scenarios, `said` is what the
    carrier's NOTIFY says; `told` may be the last status that the agent is told."""

    policy: Policy
    caller: str
    target: str | None = None
    said: str = "200 OK"
    told: frozenset[int]
    verdict: tuple[str, str]


def cell(
    policy: Policy,
    caller: str,
    told: int | frozenset[int],
    verdict: tuple[str, str],
    target: str | None = None,
    said: str = "200 OK",
) -> Cell:
    codes = told if isinstance(told, frozenset) else frozenset({told})
    return Cell(policy=policy, caller=caller, target=target, said=said, told=codes, verdict=verdict)


REFERRED, BRIDGED = ("transferred", "refer"), ("transferred", "bridge")
IN_VAIN, NOT_BRIDGED = ("failed", "refer"), ("failed", "bridge")
UNKNOWN = ("unknown", "refer")
FORBIDS, KNOWS_NONE = "caller-forbids-refer", "caller-knows-no-refer"
SILENT, CHALLENGES = "caller-takes-refer-and-is-silent", "caller-challenges-refer"

CELLS = {
    "refer, accepted": cell("refer", REFER, 200, REFERRED),
    "refer, busy": cell("refer", REFER, 486, IN_VAIN, said="486 Busy Here"),
    "refer, no answer": cell("refer", REFER, 480, IN_VAIN, said="480 Temporarily Unavailable"),
    "refer, declined": cell("refer", REFER, 603, IN_VAIN, said="603 Decline"),
    "refer, 403": cell("refer", FORBIDS, 403, IN_VAIN),
    "refer, 405": cell("refer", KNOWS_NONE, 405, IN_VAIN),
    "refer, 603": cell("refer", "caller-declines-refer", 603, IN_VAIN),
    "refer, challenged": cell("refer", CHALLENGES, 200, REFERRED),
    "refer, no NOTIFY": cell("refer", SILENT, 480, IN_VAIN),
    "refer, NOTIFY after BYE": cell("refer", "caller-notifies-too-late", 200, UNKNOWN),
    "refer, caller gone": cell("refer", "caller-takes-refer-and-hangs-up", 200, UNKNOWN),
    "refer, the carrier hangs up": cell("peer", "caller-takes-refer-and-leaves", 200, REFERRED),
    "bridge, accepted": cell("bridge", STAYS, 200, BRIDGED, ANSWERS),
    "bridge, busy": cell("bridge", STAYS, 486, NOT_BRIDGED, BUSY),
    "bridge, declined": cell("bridge", STAYS, 603, NOT_BRIDGED, DECLINES),
    "bridge, no answer": cell("bridge", STAYS, MAY_RING_OUT, NOT_BRIDGED, RINGS),
    "bridge, answered late": cell("bridge", STAYS, MAY_RING_OUT, NOT_BRIDGED, LATE),
    "auto, accepted": cell("auto", REFER, 200, REFERRED),
    "auto, busy": cell("auto", REFER, 200, BRIDGED, ANSWERS, "486 Busy Here"),
    "auto, no answer": cell("auto", REFER, 200, BRIDGED, ANSWERS, "480 Temporarily Unavailable"),
    "auto, declined": cell("auto", REFER, 200, BRIDGED, ANSWERS, "603 Decline"),
    "auto, 403": cell("auto", FORBIDS, 200, BRIDGED, ANSWERS),
    "auto, 405": cell("auto", KNOWS_NONE, 200, BRIDGED, ANSWERS),
    "auto, 603": cell("auto", "caller-declines-refer", 200, BRIDGED, ANSWERS),
    "auto, challenged": cell("auto", CHALLENGES, 200, REFERRED),
    "auto, no NOTIFY": cell("auto", SILENT, 200, BRIDGED, ANSWERS),
    "auto, NOTIFY after BYE": cell("auto", "caller-notifies-too-late", 200, UNKNOWN),
    "auto, caller gone": cell("auto", "caller-takes-refer-and-hangs-up", 200, UNKNOWN),
    "auto, answered late": cell("auto", "caller-takes-refer-and-is-late", 200, REFERRED, RINGS),
    "auto, 405, busy": cell("auto", KNOWS_NONE, 486, NOT_BRIDGED, BUSY),
    "auto, 405, declined": cell("auto", KNOWS_NONE, 603, NOT_BRIDGED, DECLINES),
    "auto, 405, no answer": cell("auto", KNOWS_NONE, MAY_RING_OUT, NOT_BRIDGED, RINGS),
    "auto, 405, answered late": cell("auto", KNOWS_NONE, MAY_RING_OUT, NOT_BRIDGED, LATE),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    directory = tmp_path_factory.mktemp("sandbox")
    with Network() as network:
        async with (
            Gateway(
                network, "udp", directory, lambda settings: configure(network, settings)
            ) as gateway,
            Sandbox(gateway) as sandbox,
        ):
            warm_up = Scene(gateway, directory / "first-call")
            calling = await begin(warm_up, "bridge", STAYS, quiet_ms=500)
            await sandbox.called(PLAIN)
            well(await calling.finish())
            await warm_up.close()
            yield sandbox


@pytest_asyncio.fixture(loop_scope="session")
async def scene(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[Scene]:
    scene = Scene(sandbox.gateway, tmp_path)
    await scene.open()
    try:
        yield scene
    finally:
        await scene.close()
    await scene.nothing_left()


async def begin(
    scene: Scene, policy: Policy, caller: str, *, said: str = "", quiet_ms: int = QUIET_MS
) -> Sipp:
    """A caller of the carrier with that policy, who hangs up when nothing comes for so long."""
    return await scene.caller(
        f"transfers/{caller}",
        carrier(scene.network, policy),
        keys={"caller": "+12125550100", "outcome": said},
        login=("gateway", "interop-carrier-password"),
        recv_timeout_ms=quiet_ms,
    )


async def referred(sandbox: Sandbox, refer_to: str) -> str:
    """The agent of the call that has just begun transfers it; its Retell call id."""
    retell_id = await sandbox.called(PLAIN)
    await sandbox.uses(retell_id, kind="refer", refer_to=refer_to)
    return retell_id


def news(used: Json) -> list[int]:
    """What the agent was told, NOTIFY by NOTIFY."""
    return [status for status, _ in used["news"]]


@pytest.mark.parametrize("name", CELLS)
async def test_a_cell(sandbox: Sandbox, scene: Scene, name: str) -> None:
    wanted = CELLS[name]
    called = None
    if wanted.target is not None:
        called = await scene.callee(wanted.target, way_out(scene.network))
    calling = await begin(scene, wanted.policy, wanted.caller, said=wanted.said)
    retell_id = await referred(sandbox, f"tel:{SALES}")
    used = await sandbox.used(retell_id)
    log = well(await calling.finish())
    if called is not None:
        well(await called.finish())
    ended = await sandbox.ended(retell_id)
    told = news(used)
    assert used["status"] == 202
    assert told[0] == 100
    assert told[-1] in wanted.told
    outcome, _ = wanted.verdict
    record = await scene.record()
    [verdict] = record["transfers"]
    assert (verdict["outcome"], verdict["stage"]) == wanted.verdict
    if outcome == "failed":  # the caller stayed with the agent until it hung up itself
        assert used["outcome"] == "failed"
        assert not log.received("BYE")
        assert ended["disconnection_reason"] == "user_hangup"
        assert verdict["code"] == told[-1]
    else:
        assert used["outcome"] == "done"
        assert ended["disconnection_reason"] == "call_transfer"
    if wanted.verdict == BRIDGED:
        assert log.received("INVITE")


async def test_the_carriers_target_answers_after_the_time(sandbox: Sandbox, scene: Scene) -> None:
    """The agent has the caller back, and then the carrier takes the caller away all the same."""
    calling = await begin(scene, "refer", "caller-takes-refer-and-is-late", said="200 OK")
    retell_id = await referred(sandbox, f"tel:{SALES}")
    used = await sandbox.used(retell_id)
    log = well(await calling.finish())
    assert (used["outcome"], news(used)) == ("failed", [100, 480])
    assert log.received("BYE")
    assert (await sandbox.ended(retell_id))["disconnection_reason"] == "user_hangup"
    record = await scene.record()
    [verdict] = record["transfers"]
    assert (verdict["outcome"], verdict["stage"], verdict["code"]) == ("failed", "refer", 480)
    assert record["cause"] == "transferred"


@pytest.mark.parametrize(("policy", "caller"), [("bridge", STAYS), ("auto", KNOWS_NONE)])
async def test_the_caller_hangs_up_in_between(
    sandbox: Sandbox, scene: Scene, policy: Policy, caller: str
) -> None:
    called = await scene.callee(RINGS, way_out(scene.network))
    calling = await begin(scene, policy, caller, quiet_ms=900)
    retell_id = await referred(sandbox, f"tel:{SALES}")
    used = await sandbox.used(retell_id)
    well(await calling.finish())
    well(await called.finish())
    assert used["outcome"] == "cut-off"
    assert 200 not in news(used)
    assert (await sandbox.ended(retell_id))["disconnection_reason"] == "user_hangup"
    [verdict] = (await scene.record())["transfers"]
    assert (verdict["outcome"], verdict["stage"], verdict["code"]) == ("failed", "bridge", 487)


@pytest.mark.parametrize(("number", "status"), [(NOBODY, 404), (PLAIN, 482)])
async def test_a_target_that_may_not_be(
    sandbox: Sandbox, scene: Scene, number: str, status: int
) -> None:
    calling = await begin(scene, "bridge", STAYS)
    retell_id = await referred(sandbox, f"<sip:{number}@{scene.network.retell.host}>")
    used = await sandbox.used(retell_id)
    log = well(await calling.finish())
    assert (used["status"], used["outcome"], news(used)) == (status, "failed", [])
    assert not log.received("BYE")
    assert (await sandbox.ended(retell_id))["disconnection_reason"] == "user_hangup"


async def test_the_agent_hangs_up_in_between(sandbox: Sandbox, scene: Scene) -> None:
    """The caller is brought to the target all the same."""
    called = await scene.callee(ANSWERS, way_out(scene.network))
    calling = await begin(scene, "bridge", STAYS)
    retell_id = await referred(sandbox, f"tel:{SALES}")
    await asyncio.sleep(0.1)
    await sandbox.agent_hangs_up(retell_id)
    log = well(await calling.finish())
    well(await called.finish())
    assert log.received("INVITE")
    assert not log.received("BYE")
    [verdict] = (await scene.record())["transfers"]
    assert (verdict["outcome"], verdict["stage"]) == BRIDGED
