"""What /metrics shows of the softswitch: nothing before it is there, then all that it counts."""

import math
from typing import Any, cast

from gateway.start.drain import Drain
from gateway.start.shown import Shown
from tests.ladder import Ladder, ladder_test


def test_a_softswitch_that_is_not_there_yet_has_nothing_open() -> None:
    shown = Shown(expected=True, drain=Drain(1.0))
    read = {name: value() for name, value in shown.gauges().items()}
    ports = [read.pop(name) for name in ("media_ports", "media_ports_in_use")]
    assert set(read.values()) == {0.0}
    assert all(map(math.isnan, ports))


@ladder_test
async def test_a_call_is_shown_while_it_is_up(ladder: Ladder) -> None:
    shown = Shown(expected=True, drain=Drain(1.0))
    shown.takes_calls(ladder.switch, cast(Any, None))
    await ladder.call_up()
    page = {name: read() for name, read in shown.gauges().items()}
    assert (page["open_calls"], page["open_legs"]) == (1, 2)
    await ladder.hung_up_by("carrier")
    await ladder.settled()
    page = {name: read() for name, read in shown.gauges().items()}
    assert (page["open_calls"], page["open_legs"]) == (0, 0)


@ladder_test
async def test_all_that_the_softswitch_counts_is_shown(ladder: Ladder) -> None:
    shown = Shown(expected=True, drain=Drain(1.0))
    shown.takes_calls(ladder.switch, cast(Any, None))
    assert len(shown.gauges()) == len(ladder.switch.gauges) + 1 + 2
