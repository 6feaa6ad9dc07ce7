"""CI takes no skipped test for a passed one; elsewhere a skip is only told."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import environment

SUITE = """
import pytest

def test_that_runs():
    assert True

@pytest.mark.skip(reason="the program is not installed")
def test_that_cannot_run():
    assert False
"""


def suite(
    tmp_path: Path, text: str, *options: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    path = tmp_path / "test_suite.py"
    path.write_text(text)
    line = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*line, *options, "-ra", "-c", "/dev/null", "--rootdir", str(tmp_path), str(path)],
        env=environment(**({"CI": ""} | variables)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "by-workers"])
@pytest.mark.parametrize(("ci", "code"), [("true", 1), ("", 0)], ids=["in-ci", "at-home"])
def test_a_skip_fails_ci_only(tmp_path: Path, ci: str, code: int, options: tuple[str, ...]) -> None:
    ended = suite(tmp_path, SUITE, *options, CI=ci)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "the program is not installed" in ended.stdout
    assert ("CI=true allows no skip" in ended.stdout) is (code == 1)


def test_without_a_skip_ci_passes(tmp_path: Path) -> None:
    ended = suite(tmp_path, SUITE.partition("@pytest")[0], CI="true")
    assert ended.returncode == 0, ended.stdout + ended.stderr
