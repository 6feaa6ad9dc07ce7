"""Retell hands a caller on by a call of its own: who is meant, and one record with both legs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.calls.warm_transfer import Certainty, Held, relation
from gateway.http.app_keys import STORE
from gateway.jambonz.messages import NewCall
from gateway.storage.call_query import Query
from gateway.storage.call_records import CallRecord
from tests.gateway.conftest import DIAL_DID, FALLBACK_DID, TRUNK_DID, Gateway, Start
from tests.gateway.http.test_ladders_api import Remembered
from tests.gateway.peer import Jambonz

Json = dict[str, Any]
CALLER = "+12125550100"
EXPERT = "+13125550177"


def invite(from_number: str = "anonymous", **headers: str) -> NewCall:
    return NewCall(
        call_sid="sid",
        sip_call_id="id",
        from_number=from_number,
        to_number=EXPERT,
        trunk="retell",
        authenticated_user="",
        headers=headers,
    )


FIRST = Held(call_id="1", person=CALLER, number=TRUNK_DID)
OTHER = Held(call_id="2", person="+12125550101", number=TRUNK_DID)
AGAIN = Held(call_id="3", person=CALLER, number=TRUNK_DID)
ELSEWHERE = Held(call_id="4", person=CALLER, number=DIAL_DID)
NOBODY = Held(call_id="5", person="anonymous", number=TRUNK_DID)


@pytest.mark.parametrize(
    ("call", "held", "certainty", "call_ids", "number"),
    [
        (invite(CALLER), [OTHER, FIRST], Certainty.CERTAIN, ("1",), TRUNK_DID),
        (invite("2125550100"), [FIRST], Certainty.CERTAIN, ("1",), TRUNK_DID),
        (invite(CALLER), [FIRST, OTHER, AGAIN], Certainty.PROBABLE, ("1", "3"), TRUNK_DID),
        (invite(CALLER), [FIRST, ELSEWHERE], Certainty.PROBABLE, ("1", "4"), None),
        (invite(**{"from": f'"A" <sip:{CALLER}@192.0.2.1>;tag=x'}), [FIRST],
         Certainty.CERTAIN, ("1",), TRUNK_DID),
        (invite(TRUNK_DID, **{"P-Asserted-Identity": f"<sip:x@y>, <tel:{CALLER}>"}), [FIRST],
         Certainty.CERTAIN, ("1",), TRUNK_DID),
        (invite("101"), [Held(call_id="6", person="101", number="200")],
         Certainty.CERTAIN, ("6",), "200"),
    ],
)  # fmt: skip
def test_a_transfer_is_recognised_by_the_callers_number(
    call: NewCall, held: list[Held], certainty: Certainty, call_ids: tuple[str, ...], number: str
) -> None:
    found = relation(call, held, "US")
    assert found is not None
    assert (found.certainty, found.call_ids, found.number) == (certainty, call_ids, number)


@pytest.mark.parametrize(
    ("call", "held"),
    [
        (invite(CALLER), []),
        (invite(CALLER), [OTHER]),
        (invite(TRUNK_DID), [FIRST]),  # a call of Retell's from our own number, as any
        (invite("anonymous"), [NOBODY]),
        (invite(""), [Held(call_id="7", person="", number=TRUNK_DID)]),
        (invite(TRUNK_DID, **{"from": "<<<;;,", "diversion": f"<sip:{CALLER}@x>"}), [FIRST]),
    ],
)
def test_any_other_call_is_its_own(call: NewCall, held: list[Held]) -> None:
    assert relation(call, held, "US") is None


def test_an_agent_that_calls_another_agent_hands_nobody_on() -> None:
    """Its own call came in by the carrier, from a number of ours, and talks to Retell too."""
    held = [Held(call_id="1", person=TRUNK_DID, number=DIAL_DID)]
    assert relation(invite(TRUNK_DID), held, "US", {TRUNK_DID, DIAL_DID}.__contains__) is None


@asynccontextmanager
async def talking(gateway: Gateway, to: str = TRUNK_DID) -> AsyncIterator[Jambonz]:
    """A caller who talks to the agent."""
    async with gateway.jambonz() as caller:
        await caller.new_call(to=to, from_=CALLER)
        await caller.answered()
        yield caller


async def every(gateway: Gateway) -> list[CallRecord]:
    """All records, the oldest first."""
    records = await gateway.app[STORE].page(Query(parts=True))
    return records[::-1]


async def until(gateway: Gateway, holds: Callable[[list[CallRecord]], bool]) -> None:
    """Returns once this is so of all records, the oldest first."""
    async with asyncio.timeout(5):
        while True:
            if holds(await every(gateway)):
                return
            await asyncio.sleep(0.01)


async def told(gateway: Gateway, jambonz: Jambonz) -> None:
    """Returns once all that this call's softswitch said is understood."""
    await jambonz.ack(await jambonz.send("verb:hook", {}, hook="/any"))


async def test_one_record_has_both_legs_of_retell(start: Start) -> None:
    gateway = await start(make={"messages": Remembered()})
    async with talking(gateway) as caller:
        async with gateway.jambonz() as expert:
            verbs = await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
            # where it goes is what it would be without: and the carrier knows our number
            assert verbs[0]["target"] == [{"type": "phone", "number": EXPERT, "trunk": "carrier"}]
            assert verbs[0]["callerId"] == TRUNK_DID
            assert CALLER in verbs[0]["headers"]["Diversion"]
            await expert.answered()
            await told(gateway, expert)
            status, body = await gateway.get("/api/v1/calls")
            assert status == 200
            [first] = body["items"]
            [leg] = first["related"]
            assert (leg["role"], leg["certainty"]) == ("transfer", "certain")
            assert (leg["to"], leg["trunk"], leg["ended_ms"]) == (EXPERT, "carrier", None)
            assert leg["answered_ms"] >= leg["started_ms"]
            assert leg["sip_call_ids"] == [expert.a_call_id, expert.b_call_id]
            _, ladder = await gateway.get(f"/api/v1/calls/{first['call_id']}/ladder")
            legs = {message["sip_call_id"] for message in ladder["messages"]}
            assert legs == {caller.a_call_id, caller.b_call_id, *leg["sip_call_ids"]}
            await expert.callee_hangs_up()
        await caller.caller_hangs_up()
    await gateway.record()
    first_record, second = await every(gateway)
    [leg] = first_record.related
    assert (leg["call_id"], leg["cause"], leg["sip_status"]) == (second.call_id, "hangup", 200)
    assert (leg["ended_by"], leg["ended_ms"]) == ("callee", second.ended_ms)
    assert second.part_of == first_record.call_id
    assert second.related == [
        {"call_id": first_record.call_id, "role": "origin", "certainty": "certain"}
    ]
    for query, shown in {
        "": [first_record],
        "?parts=true": [second, first_record],
        f"?part_of={first_record.call_id}": [second],
    }.items():
        _, body = await gateway.get(f"/api/v1/calls{query}")
        assert [one["call_id"] for one in body["items"]] == [one.call_id for one in shown], query
    _, part = await gateway.get(f"/api/v1/calls/{second.call_id}")
    assert (part["part_of"], part["related"]) == (first_record.call_id, second.related)
    status, _ = await gateway.get("/api/v1/calls?parts=perhaps")
    assert status == 400


async def test_the_caller_may_be_gone_before_the_transfer_is(gateway: Gateway) -> None:
    """Its record is told all the same how the other leg ended."""
    async with gateway.jambonz() as expert:
        async with talking(gateway) as caller:
            await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
            await caller.caller_hangs_up()
        await until(gateway, lambda records: records[0].state == "ended")
        await expert.refused(486, status="busy")
        await expert.declined(486)
    await gateway.record()
    first, second = await every(gateway)
    assert (second.part_of, second.cause) == (first.call_id, "busy")
    assert (first.cause, first.related[0]["cause"]) == ("hangup", "busy")
    assert first.related[0]["ended_ms"] == second.ended_ms


async def test_what_may_be_another_callers_is_only_probable(gateway: Gateway) -> None:
    """Two calls of one number: each is told, and the third is a call of its own."""
    async with (
        talking(gateway) as one,
        talking(gateway, FALLBACK_DID) as other,
        gateway.jambonz() as expert,
    ):
        verbs = await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
        assert verbs[0]["callerId"] == CALLER  # which of our numbers it was is not known
        assert "headers" not in verbs[0]
        await expert.answered()
        await expert.caller_hangs_up()
        await other.caller_hangs_up()
        await one.caller_hangs_up()
    await until(gateway, lambda records: all(one.state == "ended" for one in records))
    first, second, third = await every(gateway)
    assert third.part_of is None
    assert [(entry["call_id"], entry["certainty"]) for entry in third.related] == [
        (first.call_id, "probable"),
        (second.call_id, "probable"),
    ]
    for each in (first, second):
        [entry] = each.related
        assert (entry["call_id"], entry["certainty"]) == (third.call_id, "probable")


@pytest.mark.parametrize("status", ["ringing", "over", "not Retell's"])
async def test_who_does_not_talk_to_retell_is_not_handed_on(gateway: Gateway, status: str) -> None:
    async with gateway.jambonz() as caller:
        await caller.new_call(to=FALLBACK_DID, from_=CALLER)
        await caller.leg("trying", 100)
        if status == "over":
            await caller.leg("in-progress", 200)
            await caller.caller("in-progress", 200)
            await caller.leg("completed", 200)
        elif status == "not Retell's":
            await caller.leg("failed", 503)
            await caller.dial_ended("failed", 503)
            await caller.answered()
        await told(gateway, caller)
        async with gateway.jambonz() as expert:
            await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
            await expert.caller("no-answer", 487, call_termination_by="caller")
            await expert.hang_up()
        await caller.caller("completed", 200, call_termination_by="caller")
        await caller.hang_up()
    await until(gateway, lambda records: all(one.state == "ended" for one in records))
    assert [one.related for one in await every(gateway)] == [[], []]


async def test_a_carrier_that_takes_callers_of_others_is_told_the_caller(start: Start) -> None:
    trunks = [
        {
            "name": name,
            "gateways": ["sip:192.0.2.10"],
            "transfer": {"foreign_caller_id": name == "foreign"},
        }
        for name in ("foreign", "strict")
    ]
    numbers: Json = {TRUNK_DID: {}}
    outbound = {"default_country": "US", "routes": [{"trunks": ["foreign", "strict"]}]}
    gateway = await start(trunks=trunks, numbers=numbers, outbound=outbound)
    async with talking(gateway) as caller:
        async with gateway.jambonz() as expert:
            verbs = await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
            assert verbs[0]["callerId"] == CALLER
            assert TRUNK_DID in verbs[0]["headers"]["Diversion"]
            verbs = await expert.refused(503)
            assert verbs[0]["callerId"] == TRUNK_DID
            assert CALLER in verbs[0]["headers"]["Diversion"]
            await expert.caller("no-answer", 487, call_termination_by="caller")
            await expert.hang_up()
        await caller.caller_hangs_up()


async def test_a_second_call_of_an_agent_is_its_own(gateway: Gateway) -> None:
    """One of our numbers has called another, by the telephone network; then it calls a person."""
    async with gateway.jambonz() as between:
        await between.new_call(to=DIAL_DID, from_=TRUNK_DID)
        await between.command()
        await between.answered()
        await told(gateway, between)
        async with gateway.jambonz() as placed:
            verbs = await placed.new_call(to=EXPERT, from_=TRUNK_DID, user="retell")
            assert verbs[0]["callerId"] == TRUNK_DID
            assert "Diversion" not in verbs[0].get("headers", {})
            await placed.caller("no-answer", 487, call_termination_by="caller")
            await placed.hang_up()
        await between.caller_hangs_up()
    await gateway.app_is_idle()
    _, second = await every(gateway)
    assert (second.part_of, second.related) == (None, [])


async def test_two_callers_on_one_number_and_each_is_handed_on_as_themselves(
    gateway: Gateway,
) -> None:
    other = "+12125550101"
    async with talking(gateway) as first, gateway.jambonz() as second:
        await second.new_call(to=TRUNK_DID, from_=other)
        await second.answered()
        await told(gateway, second)
        for caller in (other, CALLER):
            async with gateway.jambonz() as expert:
                await expert.new_call(to=EXPERT, from_=caller, user="retell")
                await expert.caller("no-answer", 487, call_termination_by="caller")
                await expert.hang_up()
        async with gateway.jambonz() as expert:  # shows our number: nobody knows whose it is
            await expert.new_call(to=EXPERT, from_=TRUNK_DID, user="retell")
            await expert.caller("no-answer", 487, call_termination_by="caller")
            await expert.hang_up()
        await second.caller_hangs_up()
        await first.caller_hangs_up()
    await gateway.app_is_idle()
    one, two, *transfers = await every(gateway)
    assert [each.part_of for each in transfers] == [two.call_id, one.call_id, None]


async def test_a_person_whom_retell_called_is_handed_on_too(gateway: Gateway) -> None:
    async with gateway.jambonz() as placed:
        await placed.new_call(to=CALLER, from_=TRUNK_DID, user="retell")
        await placed.answered()
        await told(gateway, placed)
        async with gateway.jambonz() as expert:
            verbs = await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
            assert verbs[0]["callerId"] == TRUNK_DID
            await expert.caller("no-answer", 487, call_termination_by="caller")
            await expert.hang_up()
        await placed.caller_hangs_up()
    await gateway.record()
    first, second = await every(gateway)
    assert second.part_of == first.call_id


async def test_the_carrier_is_that_of_our_number_not_of_the_callers(start: Start) -> None:
    """The expert is called by the carrier of the number that the caller had called."""
    routes: list[Json] = [{"trunks": ["second"]}, {"from": [TRUNK_DID], "trunks": ["carrier"]}]
    gateway = await start(outbound={"routes": routes})
    async with talking(gateway) as caller:
        async with gateway.jambonz() as expert:
            verbs = await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
            assert [one["trunk"] for one in verbs[0]["target"]] == ["carrier"]
            await expert.caller("no-answer", 487, call_termination_by="caller")
            await expert.hang_up()
        await caller.caller_hangs_up()


async def test_the_caller_id_for_all_calls_stays_that(start: Start) -> None:
    outbound = {"caller_id": "user-id", "routes": [{"trunks": ["carrier"]}]}
    gateway = await start(outbound=outbound)
    async with talking(gateway) as caller:
        async with gateway.jambonz() as expert:
            verbs = await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
            assert verbs[0]["callerId"] == "user-id"
            await expert.caller("no-answer", 487, call_termination_by="caller")
            await expert.hang_up()
        await caller.caller_hangs_up()


async def test_a_restart_between_loses_nothing(start: Start) -> None:
    """The caller hung up before it; the transfer goes on, and its end is told to the record."""
    before = await start()
    expert = before.jambonz()
    await expert.connect()
    async with talking(before) as caller:
        await expert.new_call(to=EXPERT, from_=CALLER, user="retell")
        await expert.answered()
        await told(before, expert)
        await caller.caller_hangs_up()
    reading = asyncio.create_task(expert.socket.receive(timeout=5))
    await asyncio.gather(before.stop(), reading)
    after = await start()
    expert.move_to(after.http, f"{after.url}/retell")
    async with expert:
        await expert.ack(await expert.send("session:reconnect", expert.session))
        await expert.callee_hangs_up()
    await until(after, lambda records: records[0].related[0]["ended_ms"] is not None)
    first, second = await every(after)
    assert (first.related[0]["cause"], second.part_of) == ("hangup", first.call_id)
