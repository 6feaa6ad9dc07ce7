"""Pieces that come late, twice or not at all; pure, and any order of a few of them."""

from hypothesis import given
from hypothesis import strategies as st

from sip.streams.mending import MAX_JUMP, WAIT_S, Mending


def test_what_comes_in_order_does_not_wait() -> None:
    mending: Mending[int] = Mending()
    assert [mending.take(n, n, 0.0) for n in (7, 8, 9)] == [[7], [8], [9]]
    assert mending.due is None


def test_a_piece_that_overtook_another_waits_for_it() -> None:
    mending: Mending[int] = Mending()
    assert mending.take(1, 1, 0.0) == [1]
    assert mending.take(3, 3, 0.02) == []
    assert mending.due == 0.02 + WAIT_S
    assert mending.take(2, 2, 0.03) == [2, 3]
    assert mending.due is None


def test_a_missing_piece_is_waited_for_50_ms() -> None:
    mending: Mending[int] = Mending()
    mending.take(1, 1, 0.0)
    mending.take(3, 3, 0.02)
    assert mending.overdue(0.06) == []
    assert mending.overdue(0.07) == [3]
    assert mending.missing == 1
    assert mending.take(2, 2, 0.08) == [], "it is too late now"
    assert mending.late == 1


def test_the_first_piece_may_come_late_too() -> None:
    """Where it is known which is the first: nothing of the first word is lost."""
    mending: Mending[int] = Mending(first=1)
    assert mending.take(2, 2, 0.0) == []
    assert mending.take(1, 1, 0.03) == [1, 2]
    late: Mending[int] = Mending(first=1)
    assert late.take(3, 3, 0.0) == []
    assert late.overdue(WAIT_S) == [3]


def test_a_second_copy_is_left_out() -> None:
    mending: Mending[int] = Mending()
    assert [mending.take(n, n, 0.0) for n in (1, 1, 3, 3, 2, 2)] == [[1], [], [], [], [2, 3], []]


def test_another_numbering_is_followed() -> None:
    mending: Mending[int] = Mending()
    mending.take(1, 1, 0.0)
    mending.take(3, 3, 0.0)
    far = 4 + MAX_JUMP
    assert mending.take(far, far, 0.0) == [3, far]


@given(st.permutations(range(6)))
def test_within_the_wait_every_order_is_mended(order: list[int]) -> None:
    mending: Mending[int] = Mending()
    gone = mending.take(-1, -1, 0.0)
    for number in order:
        gone += mending.take(number, number, 0.0)
    assert gone == [-1, *range(6)]
    assert (mending.missing, mending.late, mending.due) == (0, 0, None)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0, 0.04)), max_size=60))
def test_nothing_goes_twice_or_backwards(arrivals: list[tuple[int, float]]) -> None:
    mending: Mending[int] = Mending()
    now, gone = 0.0, []
    for number, passed_s in arrivals:
        now += passed_s
        gone += mending.overdue(now)
        gone += mending.take(number, number, now)
    gone += mending.overdue(now + 1)
    assert gone == sorted(set(gone))
