"""Calls that leave for a carrier: what the guard bars of a plan, and what is counted."""

from typing import Any

from tests.gateway.conftest import FALLBACK_DID, TRUNK_DID, Gateway, Start

Json = dict[str, Any]

PREMIUM = "+19005550100"
CALLEE = "+13125550177"
ROUTES: Json = {"default_country": "US", "routes": [{"trunks": ["carrier", "second"]}]}


def guarded(**guard: Any) -> Json:
    return {**ROUTES, "guard": guard}


async def test_a_premium_number_is_refused_to_retell(start: Start) -> None:
    gateway = await start(outbound=ROUTES)
    async with gateway.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to=PREMIUM, user="retell")
        assert (declined["verb"], declined["status"]) == ("sip:decline", 403)
        await jambonz.declined(403)
    record = await gateway.record()
    assert (record.cause, record.fault, record.attempts) == ("guard-kind", "operator", [])


async def test_retell_calls_any_country_unless_some_are_listed(start: Start) -> None:
    for countries, verb in ((None, "dial"), (["US"], "sip:decline")):
        gateway = await start(outbound=guarded(countries=countries))
        async with gateway.jambonz() as jambonz:
            verbs = await jambonz.new_call(to="+442079460000", user="retell")
            assert verbs[0]["verb"] == verb
            await jambonz.caller("no-answer", 487, call_termination_by="caller")
            await jambonz.hang_up()
        await gateway.app_is_idle()


async def test_a_fallback_that_may_not_be_called_is_left_out(start: Start) -> None:
    numbers = {FALLBACK_DID: {"agent": "a", "fallback": {"trunk": "carrier", "to": PREMIUM}}}
    gateway = await start(numbers=numbers)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        [declined] = await jambonz.refused(503)
        assert declined["status"] == 503
        await jambonz.declined(503)
    assert [each["role"] for each in (await gateway.record()).attempts] == ["retell"]


async def test_a_cap_holds_while_calls_are_up(start: Start) -> None:
    gateway = await start(outbound=guarded(caps={"number": {"calls": 1}}))
    async with gateway.jambonz() as first, gateway.jambonz() as second:
        assert (await first.new_call(to=CALLEE, user="retell"))[0]["verb"] == "dial"
        [declined] = await second.new_call(to=CALLEE, user="retell")
        assert declined["status"] == 503
        await second.declined(503)
        await first.answered()
        await first.caller_hangs_up()
    await gateway.app_is_idle()
    async with gateway.jambonz() as third:
        assert (await third.new_call(to=CALLEE, user="retell"))[0]["verb"] == "dial"
        await third.caller("no-answer", 487, call_termination_by="caller")
        await third.hang_up()


async def test_a_carrier_that_failed_is_no_call_that_is_up(start: Start) -> None:
    """The next carrier's leg is one, under its own trunk."""
    gateway = await start(outbound=guarded(caps={"trunk": {"calls": 1}}))
    async with gateway.jambonz() as first, gateway.jambonz() as second:
        await first.new_call(to=CALLEE, user="retell")
        await first.refused(503)
        verbs = await second.new_call(to=CALLEE, user="retell")
        assert verbs[0]["target"][0]["trunk"] == "carrier"
        for each in (first, second):
            await each.caller("no-answer", 487, call_termination_by="caller")
            await each.hang_up()


async def test_the_calls_of_a_day(start: Start) -> None:
    gateway = await start(outbound=guarded(caps={"all": {"calls_per_day": 1}}))
    async with gateway.jambonz() as first:
        await first.new_call(to=CALLEE, user="retell")
        await first.answered()
        await first.caller_hangs_up()
    await gateway.app_is_idle()
    async with gateway.jambonz() as second:
        [declined] = await second.new_call(to=CALLEE, user="retell")
        assert declined["status"] == 403
        await second.declined(403)


async def test_a_restart_begins_no_day_anew(start: Start) -> None:
    outbound = guarded(caps={"all": {"calls_per_day": 1}})
    before = await start(outbound=outbound)
    async with before.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    await before.stop()
    after = await start(outbound=outbound)
    async with after.jambonz() as jambonz:
        [declined] = await jambonz.new_call(to=CALLEE, user="retell")
        assert declined["status"] == 403
        await jambonz.declined(403)


async def test_calls_to_retell_are_none_of_the_guards_business(start: Start) -> None:
    gateway = await start(outbound=guarded(countries=["DE"], caps={"all": {"calls_per_day": 1}}))
    for _ in range(2):
        async with gateway.jambonz() as jambonz:
            assert (await jambonz.new_call(to=TRUNK_DID))[0]["verb"] == "dial"
            await jambonz.answered()
            await jambonz.callee_hangs_up()


async def test_an_override_on_retells_invite(start: Start) -> None:
    transfer = {"override": {"numbers": ["+1415555*"], "carriers": ["second"]}}
    gateway = await start(outbound=ROUTES, transfer=transfer)
    headers = {"X-Override-Number": "+14155550188", "X-Override-Carrier": "second"}
    async with gateway.jambonz() as jambonz:
        [dial, _] = await jambonz.new_call(to=CALLEE, user="retell", headers=headers)
        assert dial["target"] == [{"type": "phone", "number": "+14155550188", "trunk": "second"}]
        assert "headers" not in dial
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    await gateway.app_is_idle()
    async with gateway.jambonz() as jambonz:
        other = {"X-Override-Carrier": "carrier"}
        [declined] = await jambonz.new_call(to=CALLEE, user="retell", headers=other)
        assert declined["status"] == 403
        await jambonz.declined(403)


async def test_a_callers_override_is_not_read(gateway: Gateway) -> None:
    """Nothing that a caller sends chooses where a call goes, nor reaches the agent as a word of
    ours."""
    async with gateway.jambonz() as jambonz:
        headers = {"X-Override-Number": PREMIUM, "X-Override-Carrier": "second"}
        [dial, _] = await jambonz.new_call(to=TRUNK_DID, headers=headers)
        [target] = dial["target"]
        assert (target["number"], target["trunk"]) == (TRUNK_DID, "retell")
        assert not {"X-Override-Number", "X-Override-Carrier"} & set(dial["headers"])
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
