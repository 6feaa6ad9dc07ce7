"""What Twilio tells of a call, in any order and however often: one record, always the same."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calls.endings import Role
from gateway.storage.call_records import CallRecord
from gateway.twilio import course
from gateway.twilio.requests import Told, asked_of, told_of
from tests.gateway.twilio.vendor import call_of, sid

BEGAN_MS = 1_796_000_000_000

Step = Callable[[CallRecord], None]


def record() -> CallRecord:
    return CallRecord(
        call_id="0" * 32,
        call_sid=sid(),
        direction="inbound",
        trunk="twilio",
        from_number="+12125550100",
        to_number="+14155550100",
        method="dial",
        agent="agent_1",
        retell_call_id="call_1",
        started_ms=BEGAN_MS,
    )


def told(**fields: str) -> Told:
    found = told_of(call_of(**fields))
    assert found is not None
    return found


def leg(at_s: int, **fields: str) -> Step:
    return lambda each: course.leg_told(
        each, Role.RETELL, course.REGISTERED, told(**fields), BEGAN_MS + at_s * 1000
    )


def dial(at_s: int, **fields: str) -> Step:
    return lambda each: course.dial_over(
        each, Role.RETELL, course.REGISTERED, told(**fields), BEGAN_MS + at_s * 1000
    )


def over(at_s: int, **fields: str) -> Step:
    return lambda each: course.call_over(each, told(**fields), BEGAN_MS + at_s * 1000)


TALKED = [
    leg(1, CallStatus="initiated"),
    leg(2, CallStatus="ringing"),
    leg(3, CallStatus="in-progress"),
    leg(33, CallStatus="completed", CallDuration="30"),
    dial(33, CallStatus="in-progress", DialCallStatus="completed", DialCallDuration="30"),
    over(33, CallStatus="completed", CallDuration="33"),
]
BUSY = [
    leg(1, CallStatus="initiated"),
    leg(2, CallStatus="busy", SipResponseCode="486"),
    dial(2, CallStatus="completed", DialCallStatus="busy"),
    over(2, CallStatus="completed"),
]


def facts(each: CallRecord) -> dict[str, Any]:
    return {
        "end": (each.state, each.cause, each.ended_by, each.fault, each.sip_status),
        "times": (each.answered_ms, each.ended_ms, each.duration_s),
        "attempts": [(one["role"], one["code"], one["reason"]) for one in each.attempts],
    }


@pytest.mark.parametrize("story", [TALKED, BUSY], ids=["talked", "busy"])
@given(data=st.data())
def test_order_and_repetition_change_nothing(story: list[Step], data: st.DataObject) -> None:
    """twilio.com/docs/voice/api/call-resource: callbacks may arrive out of order."""
    straight = record()
    for step in story:
        step(straight)
    again = data.draw(st.lists(st.sampled_from(range(len(story))), max_size=6))
    order = data.draw(st.permutations([*range(len(story)), *again]))
    shuffled = record()
    for place in order:
        story[place](shuffled)
    assert facts(shuffled) == facts(straight)


def test_a_call_that_talked() -> None:
    each = record()
    for step in TALKED:
        step(each)
    assert facts(each) == {
        "end": ("ended", "hangup", "callee", "nobody", 200),
        "times": (BEGAN_MS + 3000, BEGAN_MS + 33_000, 30.0),
        "attempts": [("retell", 200, None)],
    }


def test_every_pair_of_what_is_told_is_taken() -> None:
    for first, second in itertools.product([*TALKED, *BUSY], repeat=2):
        each = record()
        first(each)
        second(each)
        assert each.state in ("live", "ended")


def test_a_moment_is_read_and_nonsense_is_none() -> None:
    assert told(Timestamp="Mon, 30 Nov 2026 00:53:20 +0000").at_ms == 1_796_000_000_000
    assert told(Timestamp="yesterday").at_ms is None
    odd = told(DialSipResponseCode="99999", DialCallDuration="-1", DialSipCallId="a\x1bb")
    assert (odd.sip_code, odd.duration_s, "\x1b" in odd.sip_call_id) == (0, None, False)


@pytest.mark.parametrize("call_sid", ["", "CA1", "CA" + "g" * 32, "../x"])
def test_a_request_about_no_call(call_sid: str) -> None:
    assert told_of({"CallSid": call_sid}) is None
    assert asked_of({"CallSid": call_sid}, "") is None
