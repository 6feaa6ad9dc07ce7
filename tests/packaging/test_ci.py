"""CI takes no skipped test for a passed one; elsewhere a skip is only told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, environment

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


SOURCES = {
    "told by its Release file": (
        "http://a.example/apt jammy main Ubuntu\nhttp://b.example/debian sid main Debian\n",
        "ID=ubuntu\nVERSION_CODENAME=jammy\n",
        "http://b.example/debian",
    ),
    "Debian's own before its first update": (
        "https://c.example/x nodistro main \nhttp://d.example/safe bookworm-security main \n"
        "http://d.example/debian bookworm contrib \nhttp://d.example/debian bookworm main \n",
        'ID=debian\nVERSION_CODENAME="bookworm"\n',
        "http://d.example/debian",
    ),
    "a disc is none": ("cdrom:[Debian] bookworm main Debian\n", "ID=debian\n", ""),
    "Ubuntu's is none": (
        "http://a.example/apt noble main Ubuntu\n",
        "ID=ubuntu\nVERSION_CODENAME=noble\n",
        "",
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_debians_mirror_is_that_of_the_machines_sources(tmp_path: Path, name: str) -> None:
    targets, release, mirror = SOURCES[name]
    (tmp_path / "targets").write_text(targets)
    (tmp_path / "os-release").write_text(release)
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\n[ "$1" = indextargets ] && cat "{tmp_path}/targets"\n')
    apt.chmod(0o755)
    paths = f"{tmp_path}:{os.environ['PATH']}"
    ended = subprocess.run(
        [ROOT / ".ci/debian-mirror"],
        env=environment(PATH=paths, OS_RELEASE=str(tmp_path / "os-release")),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert ended.stdout.strip() == mirror


def test_no_script_names_a_host() -> None:
    scripts = [*(ROOT / ".ci").iterdir(), ROOT / "Makefile"]
    assert not [path.name for path in scripts if "://" in path.read_text()]
