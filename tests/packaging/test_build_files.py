"""Lock files, Makefile helpers and container files keep what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from build_backend.one_package import FOLDERS, PACKAGE
from config.settings import LimitSettings
from gateway.start.http import SHUTDOWN_S
from sip.softswitch.softswitch import CLOSE_TIMEOUT_S, GOODBYE_TIMEOUT_S
from tests.packaging.conftest import ROOT

LOCKS = ["requirements.lock", "requirements-run.lock", "requirements-dev.lock"]


def pins(name: str) -> dict[str, str]:
    text = (ROOT / name).read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", [*LOCKS, "requirements-bench.lock"])
def test_every_package_is_pinned_with_hashes_and_no_index_is_named(name: str) -> None:
    text = (ROOT / name).read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 30
    for entry in entries:
        assert re.match(r"[A-Za-z0-9._-]+==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]
    assert "://" not in text
    assert "--index" not in text


def test_each_lock_contains_the_one_before_it() -> None:
    runtime, run, dev = (pins(name) for name in LOCKS)
    assert runtime.items() <= run.items() <= dev.items()
    assert "pyvoip" in run
    assert "pyvoip" not in runtime, "it is GPL: an extra"


def python_stub(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def find_python(path: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", str(ROOT / ".ci" / "find-python")],
        env={"PATH": f"{path}:/nonexistent", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_shim_without_a_version_behind_it_is_passed_over(tmp_path: Path) -> None:
    python_stub(tmp_path, "python3.13", "echo 'command not found' >&2; exit 127")
    python_stub(tmp_path, "python3.12", "exit 1  # an older one: the version test fails")
    python_stub(tmp_path, "python3", f'exec "{sys.executable}" "$@"')
    found = find_python(tmp_path)
    assert found.returncode == 0, found.stderr
    assert os.path.samefile(found.stdout.strip(), sys.executable)
    assert found.stderr == ""


def test_without_a_python_the_message_says_what_to_do(tmp_path: Path) -> None:
    python_stub(tmp_path, "python3", "exit 1")
    found = find_python(tmp_path)
    assert found.returncode == 1
    assert found.stdout == ""
    assert found.stderr.splitlines() == [
        "error: no Python 3.11 or newer was found. Install one, or name it:"
        " make run PYTHON=/path/to/python3"
    ]


def test_without_venv_the_message_names_the_package(tmp_path: Path) -> None:
    python_stub(
        tmp_path,
        "python3",
        f'case "$2" in *ensurepip*) exit 1;; *executable*) echo "{tmp_path}/python3";;'
        f' *) exec "{sys.executable}" "$@";; esac',
    )
    found = find_python(tmp_path)
    assert found.returncode == 1
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    (line,) = found.stderr.splitlines()
    assert line.endswith(f"sudo apt-get install python{version}-venv")


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("service", ["gateway", "sandbox", "phone"])
def test_containers_are_given_nothing_they_do_not_need(service: str) -> None:
    settings = compose()["services"][service]
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["network_mode"] == "host"
    assert "no-new-privileges:true" in settings["security_opt"]
    assert not settings.get("privileged", False)


def test_compose_waits_for_calls_longer_than_the_gateway_does() -> None:
    """Else it kills the gateway with calls up. A second of each goodbye, and some for the rest."""
    grace = compose()["services"]["gateway"]["stop_grace_period"]
    goodbyes_s = CLOSE_TIMEOUT_S + GOODBYE_TIMEOUT_S + SHUTDOWN_S
    assert float(grace.removesuffix("s")) > LimitSettings().drain_s + goodbyes_s


def test_compose_mounts_a_folder_that_holds_the_configuration_alone() -> None:
    """It is in a clone, or Docker would make it as root; and nothing in it is ever committed."""
    mounts = compose()["services"]["gateway"]["volumes"]
    [folder] = [mount.split(":")[0] for mount in mounts if "/etc/retell-sip-gateway" in mount]
    assert folder == "./etc"
    assert [path.name for path in (ROOT / "etc").glob("*.py")] == []
    assert (ROOT / "etc" / ".gitignore").read_text().splitlines()[1:] == ["*", "!.gitignore"]


def test_the_image_looks_after_itself_and_a_drain_is_no_illness() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r'^HEALTHCHECK .*\\\n    CMD \["retell-sip-gateway", "health"\]$', text, re.M)
    for service in ("sandbox", "phone"):
        assert compose()["services"][service]["healthcheck"] == {"disable": True}


def test_the_image_is_not_run_by_root_and_holds_no_secret() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER gateway$", text, re.MULTILINE)
    assert re.findall(r"^FROM (\S+) AS", text, re.MULTILINE)[0] == "debian:trixie-slim"
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[1] == "*"
    assert "config/gateway.yaml" in ignored
    assert "!.env" not in ignored


def test_the_image_is_built_from_all_that_the_wheel_is_built_from() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert copied == {PACKAGE, "build_backend", *FOLDERS}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{folder}" for folder in copied} < set(ignored)


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []
