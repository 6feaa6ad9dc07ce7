"""Loss, order and bursts of a sequence, given packet by packet."""

from collections.abc import Iterable

import pytest

from sip.media.relay.losses import LATE_S, MAX_MISORDER, Losses


def received(numbers: Iterable[int], *, step_s: float = 0.02) -> Losses:
    """What these numbers leave, arriving one after another."""
    losses = Losses()
    expected, now = -1, 0.0
    for number in numbers:
        if expected < 0 or number == expected:
            expected = number + 1
        elif number > expected:
            losses.pass_over(expected, number - expected, now)
            expected = number + 1
        else:
            losses.behind(number, now)
        now += step_s
    return losses


def without(count: int, *lost: int) -> list[int]:
    return [number for number in range(count) if number not in lost]


def test_what_is_missing_is_lost() -> None:
    losses = received(without(100, 7, 8, 40))
    assert (losses.lost, losses.reordered, losses.duplicates) == (3, 0, 0)


def test_a_packet_that_comes_after_a_later_one_is_reordered_and_not_lost() -> None:
    losses = received([0, 1, 3, 2, 4, 7, 6, 5, 8])
    assert (losses.lost, losses.reordered, losses.duplicates, losses.late) == (0, 3, 0, 0)


def test_a_packet_that_comes_twice_hides_no_loss() -> None:
    losses = received([0, 1, 1, 3, 3, 2, 2, 5])
    assert (losses.lost, losses.reordered, losses.duplicates) == (1, 1, 3)


def test_a_packet_that_comes_when_its_time_is_over_is_late() -> None:
    losses = received([0, 2, 1], step_s=LATE_S / 2)
    assert (losses.reordered, losses.late) == (1, 0)
    losses = received([0, 2, 1], step_s=2 * LATE_S)
    assert (losses.reordered, losses.late) == (1, 1)


def test_runs_of_losses_are_counted_once_they_are_final() -> None:
    losses = received(without(1000, 10, 11, 12, 50, 300, 301))
    losses.settle(1000)
    assert (losses.lost, losses.runs) == (6, 3)


def test_bursts_are_those_of_rfc_3611() -> None:
    """Losses with fewer than 16 packets between them are one burst; a loss alone is none."""
    losses = received(without(400, 20, 22, 37, 38, 100, 200, 216, 300, 317))
    losses.close()
    assert losses.bursts == 2
    assert losses.burst_packets == (38 - 20 + 1) + (216 - 200 + 1)
    assert losses.burst_lost == 6
    assert losses.runs == 8


def test_a_long_gap_is_one_run() -> None:
    losses = received([*range(10), *range(2500, 2600)])
    losses.close()
    assert (losses.lost, losses.runs, losses.bursts, losses.burst_lost) == (2490, 1, 1, 2490)
    assert losses.burst_packets == 2490


def test_of_a_long_gap_only_the_newest_are_waited_for() -> None:
    losses = received([0, 1000, 1000 - MAX_MISORDER, 1000 - MAX_MISORDER - 1])
    assert (losses.reordered, losses.duplicates) == (1, 1)


@pytest.mark.parametrize("every", [2, 5, 50])
def test_what_is_remembered_is_bounded(every: int) -> None:
    losses = received(number for number in range(20_000) if number % every)
    assert len(losses._missing) <= MAX_MISORDER
    assert losses.lost == 20_000 // every - 1
