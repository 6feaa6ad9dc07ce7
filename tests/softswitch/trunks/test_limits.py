"""Channels and calls per second of one trunk."""

import pytest

from sip.softswitch.shared import MemorySlots
from sip.softswitch.trunks.limits import TrunkFullError, TrunkLimits
from tests.softswitch.invites import trunk


def test_channels_count_both_ways_and_come_back() -> None:
    limits, it = TrunkLimits(), trunk(max_calls=2)
    received, placed = limits.receive(it), limits.place(it, 0.0)
    assert limits.calls("it") == 2
    with pytest.raises(TrunkFullError, match="Carries 2 Calls"):
        limits.receive(it)
    with pytest.raises(TrunkFullError, match="Carries 2 Calls"):
        limits.place(it, 0.0)
    received.give_back()
    received.give_back()
    assert limits.calls("it") == 1
    with limits.receive(it):
        assert limits.calls("it") == 2
    placed.give_back()
    assert limits.calls("it") == 0


def test_calls_per_second_count_what_we_place() -> None:
    limits, it = TrunkLimits(), trunk(calls_per_second=2)
    limits.receive(it)
    limits.place(it, 10.0)
    limits.place(it, 10.4)
    with pytest.raises(TrunkFullError, match="2 New Calls A Second"):
        limits.place(it, 10.9)
    limits.place(it, 11.0)
    with pytest.raises(TrunkFullError):
        limits.place(it, 11.3)
    limits.receive(it)


def test_a_refused_call_is_not_counted() -> None:
    limits, it = TrunkLimits(), trunk(calls_per_second=1, max_calls=1)
    held = limits.receive(it)
    for _ in range(3):
        with pytest.raises(TrunkFullError, match="Carries 1"):
            limits.place(it, 0.0)
    held.give_back()
    limits.place(it, 0.0)


def test_without_limits_nothing_is_refused() -> None:
    limits, it = TrunkLimits(), trunk()
    for _ in range(1000):
        limits.place(it, 0.0)
    assert limits.calls("it") == 1000


def test_the_calls_of_other_gateways_count_too() -> None:
    slots = MemorySlots()
    one, other, it = TrunkLimits(slots), TrunkLimits(slots), trunk(max_calls=2)
    held = one.receive(it)
    other.receive(it)
    assert one.calls(it.name) == other.calls(it.name) == 2
    with pytest.raises(TrunkFullError):
        one.place(it, 0.0)
    held.give_back()
    held.give_back()
    other.receive(it)
