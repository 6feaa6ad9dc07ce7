"""A small slice of each soak: `make soak` runs them whole."""

from pathlib import Path

from tests.soak.reloads import reloads
from tests.soak.restarts import restarts


async def test_two_gateways_are_restarted_in_turn(tmp_path: Path) -> None:
    report = await restarts(3, rate=10, directory=tmp_path)
    assert report.problems == []
    assert report.rounds == 3
    assert report.answered > 30


async def test_a_gateway_is_reloaded_under_load(tmp_path: Path) -> None:
    report = await reloads(12, rate=10, directory=tmp_path)
    assert report.problems == []
    assert report.rounds == 12
    assert report.answered > 30
