"""A call as a value: its transitions, and that it can be written down and read back."""

import json

import pytest

from sip.b2bua.call_events import Cause
from sip.b2bua.call_state import CallState, Doing, EndedBy
from sip.b2bua.hub import MAX_ENDED
from sip.b2bua.leg_report import LegReport, Progress
from sip.b2bua.legs.leg import Direction
from tests.b2bua.stage import Stage, staged
from tests.b2bua.test_call_stories import bridged, talk
from tests.ladder import Ladder, ladder_test, states_written


def a_leg(call_sid: str = "s1", direction: Direction = Direction.OUTBOUND) -> LegReport:
    return LegReport(call_sid=call_sid, direction=direction, since=1.0)


def read_back(state: CallState) -> CallState:
    return CallState.from_json(json.loads(json.dumps(state.to_json())))


def test_a_leg_gets_further_in_a_report_of_its_own() -> None:
    """What was true before stays what it was: a report is a value."""
    tried = a_leg().tried(2.0, "id@here")
    rang = tried.rang(3.0, 183, "Session Progress", early_media=True)
    assert (tried.progress, tried.since) == (Progress.TRYING, 2.0)
    assert (rang.progress, rang.since, rang.early_media) == (Progress.EARLY_MEDIA, 3.0, True)
    assert rang.answered(4.0).early_media


def test_the_next_attempt_knows_nothing_of_how_the_last_one_failed() -> None:
    failed = a_leg().failed(2.0, 503, "Busy", Cause.REJECTED, (("Retry-After", "1"),), "no room")
    assert failed.final
    again = failed.tried(3.0, "other@here")
    assert not again.final
    assert (again.cause, again.detail, again.headers) == (None, None, ())


def test_the_duration_is_that_of_talking() -> None:
    answered = a_leg().answered(5.0)
    assert answered.duration_s == 0
    assert answered.ended(65.0, Cause.BYE).duration_s == 60
    assert a_leg().failed(9.0, 486, "Busy Here", Cause.REJECTED).duration_s == 0


@staged
async def test_joined_legs_have_each_other(stage: Stage) -> None:
    call = stage.call()
    call.note("b1", a_leg())
    before = call.state
    call.joined("a", "b1")
    assert (call.partner("a"), call.partner("b1"), call.partner("b2")) == ("b1", "a", None)
    assert (before.joined, call.state.joined) == ((), (("a", "b1"),))
    with pytest.raises(AssertionError):
        call.joined("b1", "b2")
    call.parted("a", "b1")
    assert call.partner("a") is None
    call.end_all()


@staged
async def test_the_reports_of_legs_that_are_over_are_bounded(stage: Stage) -> None:
    """An application may dial for hours; the first leg and those that are there stay."""
    call = stage.call()
    call.note("b1", a_leg().answered(2.0))
    for number in range(2, 50):
        call.note(f"b{number}", a_leg())
        call.note(f"b{number}", a_leg().failed(3.0, 486, "", Cause.REJECTED))
    assert list(call.reports) == [
        "a",
        "b1",
        *(f"b{number}" for number in range(50 - MAX_ENDED, 50)),
    ]
    assert len(call.reports) == MAX_ENDED + 2
    call.end_all()


def test_every_part_of_a_state_is_written_down() -> None:
    ended = a_leg().answered(2.0).ended(3.5, Cause.SESSION_EXPIRED, (("X-Outcome", "booked"),))
    state = CallState(
        first="a",
        legs={
            "a": a_leg("s0", Direction.INBOUND),
            "b1": ended,
            "b2": a_leg("s2").failed(4.0, 408, "Timeout", Cause.SILENT, (), "no route"),
        },
        joined=(("a", "b1"),),
        doing=(Doing(activity="talking", legs=("a", "b1"), since=2.0),),
        ended_by=EndedBy.CALLEE,
    )
    assert read_back(state) == state
    for field in ("first", "legs", "joined", "doing", "ended_by"):
        told = state.to_json()
        del told[field]
        with pytest.raises(KeyError):
            CallState.from_json(told)


def test_a_state_that_cannot_be_read_back_fails_its_story() -> None:
    """The property that every ladder holds can fail."""
    with pytest.raises(AssertionError), states_written() as states:
        states.append(CallState(first="a", legs={"a": a_leg()}))


@ladder_test
async def test_the_states_of_a_call_tell_its_story(ladder: Ladder) -> None:
    bridged(ladder)
    await talk(ladder)
    await ladder.peer("carrier").hang_up()
    await ladder.peer("agent").is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    doing = [tuple(one.activity for one in state.doing) for state in ladder.states]
    assert list(dict.fromkeys(doing)) == [
        (),
        ("idle",),
        ("idle", "ringing"),
        ("idle", "talking"),
    ]
    last = ladder.states[-1]
    assert (last.doing, last.joined, last.ended_by) == ((), (), EndedBy.CALLER)
    assert {name: leg.progress for name, leg in last.legs.items()} == {
        "a": Progress.ENDED,
        "b1": Progress.ENDED,
    }
