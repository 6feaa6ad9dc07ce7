"""Calls that jambonz's REST API placed: the person has answered, and the agent is brought in."""

from typing import Any

import pytest

from tests.gateway.conftest import DIAL_DID, FALLBACK_DID, TRUNK_DID, Gateway, Retell
from tests.gateway.peer import Jambonz

PERSON = "+12125550100"
HANGUP = [{"verb": "hangup"}]


async def placed(jambonz: Jambonz, *, from_: str) -> Any:
    """session:new, which comes on the answer and has no INVITE; what its ack carries."""
    jambonz.session = {
        "call_sid": jambonz.call_sid,
        "direction": "outbound",
        "from": from_,
        "to": PERSON,
        "call_id": jambonz.a_call_id,
        "sip_status": 200,
        "sip_reason": "OK",
        "call_status": "in-progress",
    }
    return await jambonz.ack(await jambonz.send("session:new", jambonz.session))


async def test_retell_is_dialled_as_our_number_and_shown_the_person(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        dial, hangup = await placed(jambonz, from_=TRUNK_DID)
        assert dial["target"] == [{"type": "phone", "number": TRUNK_DID, "trunk": "retell"}]
        assert dial["callerId"] == PERSON
        assert [hangup] == HANGUP
        await jambonz.leg("trying", 100)
        await jambonz.leg("in-progress", 200)
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert (record.direction, record.from_number, record.to_number) == (
        "outbound",
        TRUNK_DID,
        PERSON,
    )
    assert record.answered_ms == record.started_ms


async def test_a_call_is_registered_as_outbound(gateway: Gateway, retell: Retell) -> None:
    async with gateway.jambonz() as jambonz:
        assert await placed(jambonz, from_=DIAL_DID) == [{"verb": "config"}]
        dial, _ = await jambonz.command()
        assert dial["target"][0]["sipUri"].startswith("sip:call_")
        assert dial["callerId"] == PERSON
        await jambonz.leg("trying", 100)
        await jambonz.leg("in-progress", 200)
        await jambonz.caller_hangs_up()
    [request] = retell.requests
    assert (request["direction"], request["from_number"], request["to_number"]) == (
        "outbound",
        DIAL_DID,
        PERSON,
    )
    assert (await gateway.record()).retell_call_id is not None


@pytest.mark.parametrize(
    ("hangs_up", "by"), [("caller_hangs_up", "callee"), ("callee_hangs_up", "caller")]
)
async def test_the_person_is_the_callee(gateway: Gateway, hangs_up: str, by: str) -> None:
    """jambonz's caller is whoever is on the first leg, which here is whom we called."""
    async with gateway.jambonz() as jambonz:
        await placed(jambonz, from_=TRUNK_DID)
        await jambonz.leg("trying", 100)
        await jambonz.leg("in-progress", 200)
        await getattr(jambonz, hangs_up)()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == (by, "hangup", 200)


async def test_an_answered_call_without_an_agent_is_hung_up(gateway: Gateway) -> None:
    """sip:decline has no effect on an answered call."""
    async with gateway.jambonz() as jambonz:
        await placed(jambonz, from_=TRUNK_DID)
        assert await jambonz.refused(503) == HANGUP
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=2)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault, record.sip_status) == (
        "caller",
        "unavailable",
        "retell",
        200,
    )


async def test_an_agents_fallback_follows(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await placed(jambonz, from_=FALLBACK_DID)
        dial, _ = await jambonz.refused(503)
        assert (dial["target"][0]["trunk"], dial["callerId"]) == ("pbx", PERSON)
        await jambonz.leg("trying", 100)
        await jambonz.leg("in-progress", 200)
        await jambonz.callee_hangs_up()


async def test_a_number_that_is_not_ours_is_hung_up(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        assert await placed(jambonz, from_="+14155550188") == HANGUP
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=0)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.cause, record.fault, record.direction) == (
        "number-not-configured",
        "operator",
        "outbound",
    )


async def test_a_call_that_cannot_be_begun_is_hung_up(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        data = {"direction": "outbound", "call_status": "in-progress"}
        msgid = await jambonz.send("session:new", data, call_sid=None)
        assert await jambonz.ack(msgid) == HANGUP
