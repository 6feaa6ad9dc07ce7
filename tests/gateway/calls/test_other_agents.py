"""Numbers that an agent of another house answers, and a PBX's extension that is an agent."""

from typing import Any

from tests.gateway.conftest import TRUNK_DID, Gateway, Retell, Start
from tests.gateway.peer import Jambonz

Json = dict[str, Any]
ELEVENLABS = {"name": "elevenlabs", "gateways": ["sip:192.0.2.30"]}
VAPI = {"name": "vapi", "gateways": ["sip:192.0.2.31"]}
PBX = {"name": "pbx", "kind": "pbx", "gateways": ["sip:192.0.2.12"]}
CARRIER = {"name": "carrier", "gateways": ["sip:192.0.2.10"]}


async def started(start: Start, **numbers: Json) -> Gateway:
    return await start(trunks=[CARRIER, PBX, ELEVENLABS, VAPI], numbers=numbers)


async def test_another_agent_answers_and_gets_what_retell_would(start: Start) -> None:
    entry = {"agents": [{"trunk": "elevenlabs"}], "variables": {"plan": "gold"}, "srtp": "required"}
    gateway = await started(start, **{TRUNK_DID: entry})
    async with gateway.jambonz() as jambonz:
        dial, _ = await jambonz.new_call(to=TRUNK_DID, headers={"X-Customer": "42"})
        assert dial["target"] == [{"type": "phone", "number": TRUNK_DID, "trunk": "elevenlabs"}]
        assert (dial["timeout"], dial["callerId"]) == (45, "+12125550100")
        assert dial["srtpEncryption"] == "sdes"
        record = (await gateway.records())[0]
        assert dial["headers"] == {
            "X-Gateway-Call-Id": record.call_id,
            "X-plan": "gold",
            "X-Customer": "42",
        }
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert (record.method, record.agent) == ("trunk", f"elevenlabs/{TRUNK_DID}")
    assert [(a["trunk"], a["role"]) for a in record.attempts] == [("elevenlabs", "agent")]
    assert (record.ended_by, record.cause, record.fault) == ("callee", "hangup", "nobody")


async def test_an_agent_is_called_as_its_house_wants_it(start: Start) -> None:
    entry = {"agents": [{"trunk": "vapi", "to": "front-desk", "agent": "front desk"}]}
    gateway = await started(start, **{TRUNK_DID: entry})
    async with gateway.jambonz() as jambonz:
        dial, _ = await jambonz.new_call(to=TRUNK_DID)
        assert dial["target"] == [{"type": "phone", "number": "front-desk", "trunk": "vapi"}]
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    assert (await gateway.record()).agent == "front desk"


async def test_another_agent_that_is_down_is_to_blame_and_the_fallback_follows(
    start: Start,
) -> None:
    entry: Json = {"agents": [{"trunk": "elevenlabs"}], "fallback": {"trunk": "pbx", "to": "200"}}
    gateway = await started(
        start, **{TRUNK_DID: entry, "+14155550101": {**entry, "fallback": None}}
    )
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        dial, _ = await jambonz.refused(486, status="busy")
        assert dial["target"] == [{"type": "phone", "number": "200", "trunk": "pbx"}]
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to="+14155550101")
        assert (await jambonz.refused(503))[0]["status"] == 503
        await jambonz.declined(503)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to="+14155550101")
        assert (await jambonz.refused(404))[0]["status"] == 404
        await jambonz.declined(404)
    found = [(one.cause, one.fault) for one in await gateway.records()]
    assert found == [
        ("unknown-destination", "operator"),
        ("unavailable", "agent"),
        ("hangup", "nobody"),
    ]


async def test_two_agents_share_a_number_and_the_record_says_who_had_the_call(
    start: Start,
) -> None:
    """The call's id is the die: the same ids meet the same agents."""
    entry = {
        "agents": [{"trunk": "elevenlabs"}, {"trunk": "retell", "agent": "a", "method": "dial"}]
    }
    gateway = await started(start, **{TRUNK_DID: entry})
    met: list[list[str]] = []
    for _ in range(2):
        met.append([])
        for number in range(8):
            async with gateway.jambonz() as jambonz:
                jambonz.call_sid = f"call-{number}"
                verbs = await jambonz.new_call(to=TRUNK_DID)
                met[-1].append(verbs[0]["verb"])
                await _given_up(jambonz)
    assert met[0] == met[1]
    assert set(met[0]) == {"dial", "config"}
    agents = {one.call_sid: (one.method, one.agent) for one in await gateway.records()}
    assert {agents[f"call-{number}"] for number, verb in enumerate(met[0]) if verb == "config"} == {
        ("dial", "a")
    }
    assert ("trunk", f"elevenlabs/{TRUNK_DID}") in agents.values()


async def _given_up(jambonz: Jambonz) -> None:
    await jambonz.caller("no-answer", 487, call_termination_by="caller")
    await jambonz.hang_up()


async def test_an_extension_of_the_pbx_reaches_the_agent_of_a_number(start: Start) -> None:
    gateway = await started(start, **{"pbx/200": {"retell_number": "+14155550109"}})
    async with gateway.jambonz() as jambonz:
        dial, _ = await jambonz.new_call(to="200", from_="101", trunk="pbx")
        assert dial["target"] == [{"type": "phone", "number": "+14155550109", "trunk": "retell"}]
        assert dial["callerId"] == "101"
        await _given_up(jambonz)
    record = await gateway.record()
    assert (record.trunk, record.from_number, record.to_number) == ("pbx", "101", "200")
    async with gateway.jambonz() as jambonz:  # the same extension elsewhere is not ours
        verbs = await jambonz.new_call(to="200", trunk="carrier")
        assert verbs[0] == {"verb": "sip:decline", "status": 404, "reason": "Not Found"}
        await jambonz.declined(404)


async def test_an_extension_by_the_other_method_is_registered_as_that_number(
    start: Start, retell: Retell
) -> None:
    entry = {"method": "dial", "agent": "a", "retell_number": "+14155550109"}
    gateway = await started(
        start, **{"pbx/200": entry, "pbx/201": {"method": "dial", "agent": "a"}}
    )
    for extension, told in (("200", "+14155550109"), ("201", "201")):
        async with gateway.jambonz() as jambonz:
            await jambonz.new_call(to=extension, from_="101", trunk="pbx")
            dial, _ = await jambonz.command()
            assert dial["target"][0]["type"] == "sip"
            await _given_up(jambonz)
        request = retell.requests[-1]
        assert (request["from_number"], request["to_number"]) == ("101", told)
