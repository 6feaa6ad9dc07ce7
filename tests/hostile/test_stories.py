"""Honest calls under attack, against a gateway process: slices of what `make hostile` measures."""

from pathlib import Path

import pytest

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
