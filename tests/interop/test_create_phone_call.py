"""create-phone-call on the sandbox: an authenticated INVITE to us, and SIPp as the carriers."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.interop.harness.gateway import TO_A_THEN_B, TO_B_ONLY
from tests.interop.harness.sandbox import Sandbox
from tests.interop.harness.scene import Scene, ending, good, tried

pytestmark = pytest.mark.asyncio(loop_scope="session")

RETELLS_NUMBER = "+14155550120"


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox(scene: Scene) -> AsyncIterator[Sandbox]:
    async with Sandbox(scene.gateway) as sandbox:
        await sandbox.import_number(RETELLS_NUMBER)
        yield sandbox


async def test_carrier_a_out_of_service_b_answers(scene: Scene, sandbox: Sandbox) -> None:
    a = await scene.callee("callee-is-unavailable", scene.network.carrier_a)
    b = await scene.callee("callee-hangs-up", scene.network.carrier_b, d_ms=1000)
    call_id = await sandbox.create_phone_call(RETELLS_NUMBER, TO_A_THEN_B)
    good(await a.finish())
    b_leg = good(await b.finish())

    [invite] = b_leg.received("INVITE")
    assert invite.uri.startswith(f"sip:{TO_A_THEN_B}@{scene.network.carrier_b}")
    assert RETELLS_NUMBER in invite.header("from")
    call = await sandbox.ended(call_id)
    assert (call["call_status"], call["disconnection_reason"]) == ("ended", "user_hangup")
    record = await scene.record()
    assert ending(record) == ("callee", "hangup", 200)
    assert tried(record) == [("carrier-a", 503), ("carrier-b", 200)]
    assert (record["from"], record["to"]) == (RETELLS_NUMBER, TO_A_THEN_B)


async def test_busy_is_final(scene: Scene, sandbox: Sandbox) -> None:
    a = await scene.callee("callee-is-busy", scene.network.carrier_a)
    b = await scene.callee("callee-answers", scene.network.carrier_b, calls=None)
    call_id = await sandbox.create_phone_call(RETELLS_NUMBER, TO_A_THEN_B)
    good(await a.finish())
    call = await sandbox.ended(call_id)
    assert (call["call_status"], call["disconnection_reason"]) == ("not_connected", "dial_busy")
    assert (await b.stop()).created == 0
    record = await scene.record()
    assert ending(record) == ("callee", "busy", 486)


async def test_the_carrier_challenges_us_too(scene: Scene, sandbox: Sandbox) -> None:
    b = await scene.callee(
        "callee-challenges-and-hangs-up",
        scene.network.carrier_b,
        keys={"realm": "carrier.example.com"},
        d_ms=1000,
    )
    call_id = await sandbox.create_phone_call(RETELLS_NUMBER, TO_B_ONLY)
    good(await b.finish())
    call = await sandbox.ended(call_id)
    assert (call["call_status"], call["disconnection_reason"]) == ("ended", "user_hangup")
    record = await scene.record()
    assert ending(record) == ("callee", "hangup", 200)
