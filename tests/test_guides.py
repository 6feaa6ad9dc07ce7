"""The README says where the parts of older guides are: each row names tests that show it, and they
pass when they are called as the README calls them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[1]
_SECTION = re.compile(r"^## Coming from a guide$(.*?)^## ", re.MULTILINE | re.DOTALL)
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
#: Places whose tests need programs that are no Python packages.
_PROGRAMS = "tests/interop/"


def rows() -> list[tuple[str, list[tuple[str, str]]]]:
    """What a guide has, and the places (file, test or "") that show it here."""
    section = _SECTION.search((ROOT / "README.md").read_text())
    assert section is not None
    lines = [line for line in section[1].splitlines() if line.startswith("|")][2:]
    return [(line.split("|")[1].strip(), _TEST.findall(line.split("|")[3])) for line in lines]


def places(tests: list[tuple[str, str]]) -> list[str]:
    """As `make test T=` takes them."""
    return [f"{file}::{name}" if name else file for file, name in tests]


@pytest.mark.parametrize(("guide", "tests"), rows(), ids=lambda each: str(each)[:40])
def test_a_row_of_the_guides_names_tests(guide: str, tests: list[tuple[str, str]]) -> None:
    assert tests, f"nothing shows {guide}"
    for file, name in tests:
        text = (ROOT / file).read_text()
        assert re.search(rf"^(?:async )?def {name or 'test_'}", text, re.MULTILINE), (file, name)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What became of each test of every row: "" where it passed, else why not."""
    told = tmp_path_factory.mktemp("guides") / "results.xml"
    every = sorted({place for _, tests in rows() for place in places(tests)})
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            f"--junitxml={told}",
            *every,
        ],
        cwd=ROOT,
        env=own | {"CI": "false"},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    found = {}
    for case in ET.parse(told).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        lacks = [each for each in case if each.tag in ("failure", "error", "skipped")]
        words = "\n".join(f"{each.tag}: {each.get('message')}\n{each.text}" for each in lacks)
        found[f"{file}::{case.get('name')}"] = words
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            places(tests),
            id=guide[:60],
            marks=[pytest.mark.programs] if any(_PROGRAMS in one for one, _ in tests) else [],
        )
        for guide, tests in rows()
    ],
)
def test_a_row_of_the_guides_passes(row: list[str], results: Mapping[str, str]) -> None:
    for place in row:
        of_it = re.compile(re.escape(place) + r"(?:$|\[|::)")
        became = {name: words for name, words in results.items() if of_it.match(name)}
        assert became, f"nothing ran of {place}"
        lacks = {name: words for name, words in became.items() if words}
        if lacks and all(words.startswith("skipped") for words in lacks.values()):
            pytest.skip(f"{lacks}"[:1000])
        assert not lacks
