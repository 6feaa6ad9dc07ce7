"""docs/media.md lists where the engines differ, each with its reason: no more, and no fewer."""

from importlib import import_module
from pathlib import Path

from tests.media.scenarios.differences import listed, shown


def test_the_differences_that_scenarios_show_are_those_of_the_document() -> None:
    for path in Path(__file__).parent.glob("test_*.py"):
        import_module(f"{__package__}.{path.stem}")
    assert sorted(listed()) == sorted(shown)
    assert all(len(why) > 20 for why in listed().values()), "each has a reason"
