"""Honest calls under attack and through outages: slices of what `make hostile` measures."""

from pathlib import Path

import pytest

from tests.hostile.outages import OUTAGES, through
from tests.hostile.stories import STORIES
from tests.hostile.under_attack import under_attack
from tests.hostile.victim import Victim

SECONDS = 5.0


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", STORIES)
async def test_no_honest_call_fails_under_attack(name: str, tmp_path: Path) -> None:
    async with Victim(tmp_path, limits=None) as victim:
        outcome = await under_attack(victim, name, SECONDS)
        assert outcome.problems() == [], outcome.lines()
        assert await victim.unrecorded(outcome.attacked.made) == []
    assert victim.problems() == []


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", OUTAGES)
async def test_no_honest_call_fails_through_an_outage(name: str, tmp_path: Path) -> None:
    """Each call has its record when it is over."""
    outcome, problems = await through(tmp_path, name, SECONDS)
    assert problems == [], outcome.lines()
