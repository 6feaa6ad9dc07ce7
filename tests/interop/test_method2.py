"""Method 2, dial to SIP URI: the registered call id is what Retell is called by."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.interop.harness.gateway import BY_SIP_URI, CALLER
from tests.interop.harness.retell_rest import RetellRest
from tests.interop.harness.scene import Scene, ending, good, tried

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def rest(scene: Scene) -> AsyncIterator[RetellRest]:
    async with RetellRest(scene.network.rest) as rest:
        yield rest


async def test_the_registered_call_is_dialled(scene: Scene, rest: RetellRest) -> None:
    agent = await scene.callee("callee-hangs-up", scene.network.retell, d_ms=500)
    caller = await scene.caller("caller-is-hung-up-on", number=BY_SIP_URI, d_ms=200)
    a_leg = good(await caller.finish())
    b_leg = good(await agent.finish())

    [registered] = rest.registered
    request = registered["request"]
    assert request["agent_id"] == "agent_interop"
    assert (request["from_number"], request["to_number"]) == (CALLER, BY_SIP_URI)
    assert request["direction"] == "inbound"
    assert request["retell_llm_dynamic_variables"]["plan"] == "gold"

    [invite] = b_leg.received("INVITE")
    assert invite.uri.startswith(f"sip:{registered['call_id']}@{scene.network.retell}")

    record = await scene.record()
    assert ending(record) == ("callee", "hangup", 200)
    assert record["method"] == "dial"
    assert record["retell_call_id"] == registered["call_id"]
    assert record["a_sip_call_id"] == a_leg.sent("INVITE")[0].call_id
    assert record["b_sip_call_id"] == invite.call_id
    # what Retell knows leads back to our record
    assert record["call_id"] in str(request["metadata"])


async def test_a_refused_registration_is_not_dialled(scene: Scene, rest: RetellRest) -> None:
    rest.refuse_with = 500
    agent = await scene.callee("callee-answers", scene.network.retell, calls=None)
    caller = await scene.caller("caller-gets-unavailable", number=BY_SIP_URI)
    good(await caller.finish())
    assert (await agent.stop()).created == 0
    record = await scene.record()
    assert ending(record) == ("callee", "retell-server-error", 503)
    assert record["retell_call_id"] is None
    assert tried(record) == [("retell", None)]
