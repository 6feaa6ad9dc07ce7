"""A call that our softswitch places, with our application: the person answers, the agent comes."""

import pytest

from gateway.storage.call_records import CallRecord
from tests.contract.test_both_halves import gateway, on_record, softswitch
from tests.gateway.conftest import TRUNK_DID, Gateway, retell, start

__all__ = ["gateway", "retell", "start"]  # fixtures

PERSON = "+14155550123"


async def talked(gateway: Gateway, ended_by: str) -> CallRecord:
    """The record of a placed call whose one party hung up."""
    to = {"type": "phone", "number": PERSON, "trunk": "carrier"}
    async with softswitch(gateway) as ladder:
        person, agent = ladder.peer("carrier"), ladder.peer("retell")
        ladder.switch.place({"from": TRUNK_DID, "to": to})
        await person.answer_call()
        invite = await agent.answer_call()
        assert invite.uri.startswith(f"sip:{TRUNK_DID}@")
        assert invite.from_.uri.user == PERSON
        await person.silence(0.2)
        first, second = (person, agent) if ended_by == "callee" else (agent, person)
        await first.hang_up()
        await second.is_hung_up()
        return await on_record(gateway)


@pytest.mark.parametrize("ended_by", ["callee", "agent"])
async def test_one_hangs_up(gateway: Gateway, ended_by: str) -> None:
    record = await talked(gateway, ended_by)
    assert (record.direction, record.from_number, record.to_number) == (
        "outbound",
        TRUNK_DID,
        PERSON,
    )
    assert (record.cause, record.fault) == ("hangup", "nobody")
    assert record.answered_ms is not None
