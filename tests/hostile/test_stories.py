"""Honest calls under attack and through outages: slices of what `make hostile` measures.

Each story is a gateway of its own and waits more than it works, so that several run at once.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.gateway.storage import postgres
from tests.hostile.outages import OUTAGES, through
from tests.hostile.stories import STORIES
from tests.hostile.under_attack import under_attack
from tests.hostile.victim import Victim

SECONDS = 5.0
#: Stories at a time: their gateways start at once, a core's work for some seconds each.
AT_ONCE = 3

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(240)]


class Told(NamedTuple):
    """What went wrong in a story, and how it went."""

    problems: list[str]
    lines: list[str]


async def attacked(name: str, directory: Path) -> Told:
    async with Victim(directory, limits=None) as victim:
        outcome = await under_attack(victim, name, SECONDS)
        problems = outcome.problems() + await victim.unrecorded(outcome.attacked.made)
    return Told(problems + victim.problems(), outcome.lines())


async def lived_through(name: str, directory: Path) -> Told:
    outcome, problems = await through(directory, name, SECONDS)
    return Told(problems, outcome.lines())


@pytest.fixture(scope="module")
def stories(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Told | BaseException]:
    """How each story went that is to be told in this run."""
    wanted = [
        str(item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module
    ]
    room = asyncio.Semaphore(AT_ONCE)

    async def told(name: str) -> Told:
        async with room:
            directory = tmp_path_factory.mktemp("story")
            return await (attacked if name in STORIES else lived_through)(name, directory)

    async def all_of_them() -> list[Told | BaseException]:
        return await asyncio.gather(*map(told, wanted), return_exceptions=True)

    return dict(zip(wanted, asyncio.run(all_of_them()), strict=True))


def well(story: Told | BaseException) -> None:
    if isinstance(story, BaseException):
        raise story
    assert story.problems == [], story.lines


@pytest.mark.parametrize("name", STORIES)
def test_no_honest_call_fails_under_attack(
    name: str, stories: Mapping[str, Told | BaseException]
) -> None:
    well(stories[name])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.programs if name == "database stopped" else ())
        for name in OUTAGES
    ],
)
def test_no_honest_call_fails_through_an_outage(
    name: str, stories: Mapping[str, Told | BaseException]
) -> None:
    """Each call has its record when it is over."""
    if name == "database stopped" and postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed (Debian package postgresql)")
    well(stories[name])
