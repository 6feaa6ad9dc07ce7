"""When the next attempt of a plan is tried: by code, by cause, never once somebody was heard."""

import pytest

from gateway.calls.endings import Role
from gateway.calls.failover import BY_CAUSE, another_may_follow
from sip.b2bua.call_events import Cause


@pytest.mark.parametrize(
    ("role", "follows"),
    [
        (Role.CARRIER, {408, *range(500, 600)}),
        (Role.RETELL, set(range(300, 700))),
        (Role.AGENT, set(range(300, 700))),
        (Role.FALLBACK, set()),
    ],
)
def test_codes_after_which_another_attempt_may_follow(role: Role, follows: set[int]) -> None:
    codes = range(300, 700)
    assert follows == {
        code for code in codes if another_may_follow(role, "failed", code, early_media=False)
    }
    assert not any(another_may_follow(role, "failed", code, early_media=True) for code in codes)


@pytest.mark.parametrize("cause", BY_CAUSE)
def test_our_own_softswitch_says_more_than_a_status(cause: str) -> None:
    """It has each of these words."""
    assert cause in {one.word for one in Cause}
    for code in (404, 408, 484, 503):
        follows = another_may_follow(Role.CARRIER, "failed", code, False, cause)
        assert follows is (cause != "bad-number")
        assert not another_may_follow(Role.CARRIER, "failed", code, True, cause)
