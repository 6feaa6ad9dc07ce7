"""The verdict table: final codes back to the caller, causes, whose fault, and who may follow."""

import pytest

from gateway.calls.endings import (
    ANSWERED_BY_CALLER,
    Fault,
    Role,
    dial_refusal,
    registration_refusal,
    unheard,
)
from gateway.retell.failures import RetellFailure


@pytest.mark.parametrize(
    ("role", "status", "code", "back", "cause", "fault"),
    [
        (Role.CARRIER, "busy", 486, 486, "busy", Fault.CALLEE),
        (Role.CARRIER, "busy", 600, 600, "busy", Fault.CALLEE),
        (Role.CARRIER, "busy", 0, 486, "busy", Fault.CALLEE),
        (Role.CARRIER, "failed", 603, 603, "declined", Fault.CALLEE),
        (Role.CARRIER, "no-answer", 487, 480, "no-answer", Fault.CALLEE),
        (Role.CARRIER, "ringing", 180, 480, "no-answer", Fault.CALLEE),
        (Role.CARRIER, "early-media", 183, 480, "no-answer", Fault.CALLEE),
        (Role.CARRIER, "failed", 404, 404, "unknown-destination", Fault.CALLEE),
        (Role.CARRIER, "failed", 408, 408, "silent", Fault.CARRIER),
        (Role.CARRIER, "failed", 503, 503, "unavailable", Fault.CARRIER),
        (Role.CARRIER, "failed", 0, 500, "unavailable", Fault.CARRIER),
        (Role.CARRIER, "failed", 401, 403, "not-authorized", Fault.OPERATOR),
        (Role.CARRIER, "failed", 407, 403, "not-authorized", Fault.OPERATOR),
        (Role.CARRIER, "failed", 403, 403, "forbidden", Fault.OPERATOR),
        (Role.CARRIER, "failed", 302, 480, "rejected", Fault.CARRIER),
        (Role.CARRIER, "failed", 488, 488, "no-common-codec", Fault.OPERATOR),
        (Role.CARRIER, "failed", 999, 500, "unavailable", Fault.CARRIER),
        (Role.CARRIER, "unheard-of", 0, 480, "no-answer", Fault.CALLEE),
        (Role.RETELL, "failed", 404, 404, "number-not-imported", Fault.OPERATOR),
        (Role.RETELL, "failed", 408, 408, "silent", Fault.RETELL),
        (Role.RETELL, "busy", 486, 486, "busy", Fault.RETELL),
        (Role.AGENT, "failed", 404, 404, "unknown-destination", Fault.OPERATOR),
        (Role.AGENT, "failed", 408, 408, "silent", Fault.AGENT),
        (Role.AGENT, "busy", 486, 486, "busy", Fault.AGENT),
        (Role.FALLBACK, "busy", 486, 486, "busy", Fault.CALLEE),
        (Role.FALLBACK, "failed", 500, 500, "unavailable", Fault.CARRIER),
    ],
)
def test_dial_refusal(
    role: Role, status: str, code: int, back: int, cause: str, fault: Fault
) -> None:
    refusal = dial_refusal(role, status, code, "")
    assert (refusal.status, refusal.cause, refusal.fault) == (back, cause, fault)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("status", ["failed", "busy", "no-answer", "ringing", "early-media", "odd"])
def test_nothing_but_a_final_failure_goes_back(role: Role, status: str) -> None:
    codes = {dial_refusal(role, status, code, "").status for code in range(1000)}
    assert min(codes) >= 400
    assert max(codes) <= 699


def test_phrase_goes_back_only_with_its_own_code() -> None:
    assert dial_refusal(Role.CARRIER, "failed", 404, "Unallocated").reason == "Unallocated"
    assert dial_refusal(Role.CARRIER, "failed", 407, "Proxy Auth").reason == "Forbidden"
    assert dial_refusal(Role.CARRIER, "failed", 404, "a\r\nb: c").reason == "ab: c"


@pytest.mark.parametrize(
    ("media", "cause"),
    [
        ({"a": {"packets_received": 0}, "b": {"packets_received": 9}}, "one-way-media"),
        ({"a": {"packets_received": 0}, "b": {"packets_received": 0}}, "no-media"),
        # it may have been heard by an engine that died, and its counters with it
        ({"a": {"packets_received": 0}, "b": {"packets_received": 9}, "moves": 1}, "hangup"),
    ],
)
def test_a_side_that_was_not_heard_is_the_verdict(media: dict[str, object], cause: str) -> None:
    ending = unheard(ANSWERED_BY_CALLER, media, 30.0, Fault.CALLER, Fault.RETELL)
    assert ending.cause == cause


def test_every_failure_of_retells_api_has_a_verdict() -> None:
    for failure in RetellFailure:
        refusal = registration_refusal(failure)
        assert 400 <= refusal.status <= 699
        assert refusal.cause == f"retell-{failure}"
        # a carrier tries its next route on 5xx: only where that may help
        assert (refusal.status >= 500) is (refusal.fault is Fault.RETELL)
