"""What the record says of calls that a stopping gateway ended or did not take."""

from gateway.http.app_keys import CALLS
from gateway.storage.call_records import CallRecord
from tests.gateway.conftest import TRUNK_DID, Gateway


def told(record: CallRecord) -> tuple[str | None, str | None, int | None, str | None]:
    return record.ended_by, record.cause, record.sip_status, record.fault


async def test_a_call_that_was_up_when_the_time_was_over(gateway: Gateway) -> None:
    """In the order of our softswitch: the caller's last status comes after the callee's."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.leg("completed", 200, cause="shutdown")
        last = {"cause": "shutdown", "call_termination_by": "jambonz", "duration": 9}
        await jambonz.caller("completed", 200, **last)
        await jambonz.hang_up()
    record = await gateway.record()
    assert told(record) == ("gateway", "shutdown", 200, "operator")
    assert [attempt["code"] for attempt in record.attempts] == [200]
    assert record.answered_ms is not None


async def test_a_call_that_rang(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.leg("trying", 100)
        await jambonz.leg("ringing", 180)
        await jambonz.leg("no-answer", 487, cause="cancelled")
        await jambonz.caller("failed", 503, cause="shutdown", call_termination_by="jambonz")
        await jambonz.hang_up()
    assert told(await gateway.record()) == ("gateway", "shutdown", 503, "operator")


async def test_a_call_that_a_jambonz_brings_is_sent_elsewhere(gateway: Gateway) -> None:
    gateway.app[CALLS].drain()
    async with gateway.jambonz() as jambonz:
        verbs = await jambonz.new_call(to=TRUNK_DID)
        decline = {"verb": "sip:decline", "status": 503, "reason": "Service Unavailable"}
        assert verbs == [{**decline, "headers": {"Retry-After": "60"}}]
        await jambonz.declined(503)
    assert told(await gateway.record()) == ("gateway", "shutdown", 503, "operator")
