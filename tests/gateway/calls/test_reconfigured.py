"""Calls after a reload: planned, and registered with Retell, by the new settings."""

from pydantic import SecretStr

from config.money_settings import InboundSettings
from gateway.http.app import configure
from gateway.http.app_keys import CALLS
from gateway.storage.call_records import CallRecord
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Retell


async def test_the_next_call_is_registered_with_the_new_key(
    gateway: Gateway, retell: Retell
) -> None:
    await _register(gateway)
    now = gateway.app_settings()
    other = now.retell.model_copy(update={"api_key": SecretStr("another key")})
    await configure(gateway.app, now.model_copy(update={"retell": other}))
    await _register(gateway)
    assert retell.authorizations == ["Bearer key_test", "Bearer another key"]


async def test_a_call_keeps_its_plan_and_the_next_one_meets_the_new_numbers(
    gateway: Gateway,
) -> None:
    now = gateway.app_settings()
    async with gateway.jambonz() as talks, gateway.jambonz() as comes:
        [dial, _] = await talks.new_call(to=TRUNK_DID)
        assert dial["verb"] == "dial"
        await talks.answered()
        await configure(gateway.app, now.model_copy(update={"numbers": {}}))
        [decline] = await comes.new_call(to=TRUNK_DID)
        assert (decline["verb"], decline["status"]) == ("sip:decline", 404)
        await comes.declined(404)
        await talks.caller_hangs_up()
    endings = {(one.ended_by, one.cause) for one in await _ended(gateway)}
    assert endings == {("caller", "hangup"), ("gateway", "number-not-configured")}


async def test_the_next_caller_meets_the_new_rules(gateway: Gateway) -> None:
    """What was counted stands: the call that is up is one of the cap."""
    now = gateway.app_settings()
    inbound = InboundSettings.model_validate({"caller": {"calls": 1}})
    async with gateway.jambonz() as talks, gateway.jambonz() as comes:
        await talks.new_call(to=TRUNK_DID)
        await configure(gateway.app, now.model_copy(update={"inbound": inbound}))
        [decline] = await comes.new_call(to=TRUNK_DID)
        assert (decline["verb"], decline["status"]) == ("sip:decline", 486)
        await comes.declined(486)
        await talks.answered()
        await talks.caller_hangs_up()
    await gateway.app_is_idle()


async def _register(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.refused(486)
        await jambonz.declined(486)


async def _ended(gateway: Gateway) -> list[CallRecord]:
    await gateway.app[CALLS].none_left()
    return await gateway.records()
