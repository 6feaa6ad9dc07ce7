"""What a program says of itself: its version, and what a shell may complete."""

import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from gateway import version
from tests.packaging.conftest import ROOT, Run

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_version_is_the_projects(program: Run) -> None:
    ended = program("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"retell-sip-gateway {VERSION}\n", "")


def test_outside_a_checkout_it_is_that_of_the_installed_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def installed(name: str) -> str:
        asked.append(name)
        return "9.8.7"

    monkeypatch.setattr(version, "installed", installed)
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    assert version.version() == "9.8.7"
    # a project that happens to stand around the installed package is not ours
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "1"\n')
    assert version.version() == "9.8.7"
    assert asked == ["retell-sip-gateway"] * 2


def test_without_either_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(version, "installed", missing)
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    assert "unknown" in version.version()


def test_the_shell_gets_a_script_for_the_programs_own_name(program: Run) -> None:
    ended = program(_RETELL_SIP_GATEWAY_COMPLETE="source_bash")
    assert ended.code == 0, ended.err
    assert "complete -o default -F _retell_sip_gateway_completion retell-sip-gateway" in ended.out


def test_commands_and_options_are_completed(program: Run) -> None:
    def completed(words: str, word: int) -> list[str]:
        ended = program(
            _RETELL_SIP_GATEWAY_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(word)
        )
        return ended.out.split()

    assert completed("retell-sip-gateway tr", 1) == ["trunks"]
    assert "--demo" in completed("retell-sip-gateway run --", 2)
