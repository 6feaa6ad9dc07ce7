"""Timers of the relay's loop: what they call, and what the loop wakes up for."""

import pytest

from sip.media.relay.timers import NEVER, Timers


def test_each_timer_is_called_once_in_the_order_of_time() -> None:
    timers, called = Timers(), list[tuple[str, float]]()
    timers.at(2.0, lambda now: called.append(("later", now)))
    timers.at(1.0, lambda now: called.append(("sooner", now)))
    timers.run(0.5)
    assert called == []
    timers.run(2.5)
    assert called == [("sooner", 2.5), ("later", 2.5)]
    timers.run(3.0)
    assert len(called) == 2


def test_what_a_timer_starts_and_is_due_runs_in_the_same_turn() -> None:
    timers, called = Timers(), list[float]()

    def begins(now: float) -> None:
        timers.at(now, called.append)

    timers.at(1.0, begins)
    timers.run(1.0)
    assert called == [1.0]


def test_nobody_wakes_up_for_a_cancelled_timer() -> None:
    timers, called = Timers(), list[float]()
    first, second = timers.at(1.0, called.append), timers.at(2.0, called.append)
    timers.at(3.0, called.append)
    assert timers.next_due == 1.0
    second.cancel()
    first.cancel()
    assert timers.next_due == 3.0
    timers.run(3.0)
    assert called == [3.0]
    assert timers.next_due == NEVER


def test_a_fault_leaves_the_other_timers_due() -> None:
    timers, called = Timers(), list[float]()

    def broken(_: float) -> None:
        raise RuntimeError("a bug")

    timers.at(1.0, broken)
    timers.at(1.0, called.append)
    with pytest.raises(RuntimeError):
        timers.run(1.0)
    assert timers.next_due == 1.0
    timers.run(1.1)
    assert called == [1.1]
