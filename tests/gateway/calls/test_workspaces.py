"""Several workspaces at Retell: whose call it is, whose key registers it, how many may be up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.http.app_keys import CALLS
from tests.gateway.conftest import DIAL_DID, Gateway, Json, Retell, Start
from tests.gateway.http.test_retell_webhooks import post, signature
from tests.gateway.peer import Jambonz

CALLEE = "+13125550177"
ONE, OTHER = "+14155550120", "+14155550121"
SALES: Json = {
    "name": "sales",
    "api_key": "key_sales",
    "login": {"username": "retell-sales", "password": "secret2"},
    "agent": "agent_s",
    "numbers": [ONE, DIAL_DID],
}


def retell_with(limits: Json | None = None) -> Json:
    return {
        "api_key": "key_test",
        "login": {"username": "retell", "password": "secret"},
        "limits": limits or {},
        "workspaces": [SALES],
    }


@asynccontextmanager
async def up(gateway: Gateway, user: str, from_: str = ONE) -> AsyncIterator[Jambonz]:
    """A call that Retell placed and that was answered."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, from_=from_, trunk=None, user=user)
        await jambonz.answered()
        yield jambonz
        await jambonz.callee_hangs_up()


async def refused(gateway: Gateway, user: str, from_: str = ONE) -> str:
    """One more is declined; the cause on record."""
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=CALLEE, from_=from_, trunk=None, user=user)
        [verb] = verbs
        assert (verb["verb"], verb["status"]) == ("sip:decline", 503)
        assert verb["headers"] == {"Retry-After": "5"}
        await jambonz.declined(503)
    async with gateway.http.get(
        f"{gateway.url}/api/v1/calls?limit=1", headers={"Authorization": "Bearer admin-token"}
    ) as response:
        [item] = (await response.json())["items"]
    assert item["fault"] == "operator"
    return str(item["cause"])


async def test_the_record_says_which_workspace_placed_it(start: Start) -> None:
    gateway = await start(retell=retell_with())
    async with up(gateway, "retell-sales"):
        pass
    record = await gateway.record()
    assert (record.direction, record.trunk) == ("retell", "retell-sales@gateway.example.com")


async def test_a_call_is_registered_with_the_key_and_agent_of_its_numbers_workspace(
    start: Start, retell: Retell
) -> None:
    gateway = await start(
        retell=retell_with(), numbers={DIAL_DID: {"method": "dial"}, OTHER: {"method": "dial"}}
    )
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert retell.authorizations == ["Bearer key_sales"]
    assert retell.requests[0]["agent_id"] == "agent_s"


@pytest.mark.parametrize("key", ["key_test", "key_sales"])
async def test_a_webhook_may_be_signed_by_any_of_the_keys(start: Start, key: str) -> None:
    gateway = await start(retell=retell_with())
    body = '{"event": "call_ended", "call": {"call_id": "call_1"}}'
    assert await post(gateway, body, signature(body, key)) == 204
    assert await post(gateway, body, signature(body, "key_of_nobody")) == 401


async def test_a_workspace_that_places_too_many(start: Start) -> None:
    gateway = await start(retell=retell_with(limits={"calls": 1}))
    async with up(gateway, "retell-sales"):  # which has no limit
        async with up(gateway, "retell-sales"), up(gateway, "retell", OTHER):
            assert await refused(gateway, "retell", ONE) == "workspace-full"
        await gateway.until(lambda call: call["ended_at"] is not None)
    async with up(gateway, "retell", OTHER):  # there is room again
        pass


async def test_each_number_of_a_workspace_counts_by_itself(start: Start) -> None:
    retell = {**retell_with(), "workspaces": [{**SALES, "limits": {"number": {"calls": 1}}}]}
    gateway = await start(retell=retell)
    async with (
        up(gateway, "retell", ONE),  # another workspace's, and no limit
        up(gateway, "retell-sales", ONE),
        up(gateway, "retell-sales", OTHER),
    ):
        assert await refused(gateway, "retell-sales", ONE) == "number-full"


async def test_too_many_in_a_second(start: Start) -> None:
    now = [1000.0]
    gateway = await start(
        retell=retell_with(limits={"calls_per_second": 1}), make={"clock": lambda: now[0]}
    )
    async with up(gateway, "retell"):
        assert await refused(gateway, "retell") == "workspace-full"
        now[0] += 1.01
        async with up(gateway, "retell"):
            pass


async def test_what_is_refused_for_another_reason_does_not_count(start: Start) -> None:
    gateway = await start(retell=retell_with(limits={"calls": 1}))
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to="+442079460000", from_=ONE, trunk=None, user="retell")
        await jambonz.declined(404)
    async with up(gateway, "retell"):
        pass
    await gateway.app[CALLS].none_left()


async def test_a_caller_who_is_handed_on_is_not_refused(start: Start) -> None:
    gateway = await start(retell=retell_with(limits={"calls": 1}))
    async with up(gateway, "retell", OTHER):
        await gateway.until(lambda call: call["answered_at"] is not None)
        async with gateway.jambonz() as expert:
            verbs = await expert.new_call(
                to="+13125550188", from_=CALLEE, trunk=None, user="retell"
            )
            assert verbs[0]["verb"] == "dial"
            await expert.caller("no-answer", 487, call_termination_by="caller")
            await expert.hang_up()
