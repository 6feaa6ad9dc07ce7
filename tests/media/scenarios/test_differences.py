"""docs/media.md lists where the engines differ, each with its reason: no more, and no fewer."""

from importlib import import_module
from pathlib import Path

from sip.media.plane import Capability
from tests.media.scenarios.differences import PAGE, listed, shown


def test_the_differences_that_scenarios_show_are_those_of_the_document() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        import_module(f"{__package__}.{path.stem}")
    assert sorted(listed()) == sorted(shown)
    assert all(len(why) > 20 for why in listed().values()), "each has a reason"


def test_every_capability_has_a_row() -> None:
    _, _, after = PAGE.read_text().partition("## What each engine can\n")
    table, _, _ = after.partition("\n## ")
    rows = {line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")}
    assert {capability.name for capability in Capability} <= rows
