"""The wall clock may be set while a call is up: what lasted four seconds lasted four seconds."""

import pytest

from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Start


class Clocks:
    """Both clocks, as the test moves them."""

    def __init__(self) -> None:
        self.monotonic_s = 100.0
        self.wall_s = 1_800_000_000.0

    def wait(self, seconds: float) -> None:
        self.monotonic_s += seconds
        self.wall_s += seconds

    def step(self, seconds: float) -> None:
        """NTP, or a hand, sets the wall clock."""
        self.wall_s += seconds


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
@pytest.mark.parametrize("number", [TRUNK_DID, DIAL_DID])
async def test_a_step_of_an_hour_is_in_no_duration(
    start: Start, step_s: float, number: str
) -> None:
    clocks = Clocks()
    gateway = await start(make={"now": lambda: clocks.wall_s, "clock": lambda: clocks.monotonic_s})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=number)
        if number == DIAL_DID:
            await jambonz.command()
        clocks.wait(2.0)
        await jambonz.answered()
        await gateway.until(lambda call: call["answered_at"] is not None)
        clocks.wait(1.5)
        clocks.step(step_s)
        clocks.wait(2.5)
        await jambonz.caller_hangs_up()
    record = await gateway.record()
    assert record.started_ms == 1_800_000_000_000
    assert (record.answered_ms, record.ended_ms) == (1_800_000_002_000, 1_800_000_006_000)
    assert record.duration_s == 4.0
    page = await gateway.page()
    assert 'gateway_call_talk_seconds_sum{direction="inbound"} 4.0' in page
    assert 'gateway_call_setup_seconds_sum{direction="inbound"} 2.0' in page
