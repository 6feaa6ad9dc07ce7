"""What is imported is declared, and what is declared is used."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from tests.packaging.conftest import ROOT
from tests.test_imports import imports, modules

OURS = {"config", "gateway", "sip", "testkit", "build_backend", "tests", "bench"}

# Declared, but used without being imported by us.
UNSEEN = {
    "httpx-aiohttp": "retell-sdk's aiohttp transport imports it",
    "aiosqlite": "SQLAlchemy imports it for sqlite URLs",
    "asyncpg": "SQLAlchemy imports it for postgresql URLs",
    "tzdata": "zoneinfo reads it where the system has no tables of its own",
    "audioop-lts": "it is the standard library's audioop from Python 3.13 on",
}
# Imported from a package that another one brings and speaks in the terms of.
BROUGHT = {
    "yarl": "the URLs that aiohttp takes",
    "multidict": "the forms that aiohttp gives",
    "requests": "schemathesis sends and judges its requests and answers",
    "httpx": "retell-sdk's timeouts and errors are httpx's",
    "pydantic-core": "pydantic's own undefined value",
}


def declared(table: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    if table == "dependencies":
        entries = project["project"]["dependencies"]
    elif table == "phone":
        entries = project["project"]["optional-dependencies"]["phone"]
    else:
        entries = [one for one in project["dependency-groups"][table] if isinstance(one, str)]
    return {re.split(r"[\[<>=;! ]", entry, maxsplit=1)[0].lower() for entry in entries}


def used(*packages: str, but: str = "") -> set[str]:
    """The distributions that the modules under these packages import."""
    known = packages_distributions()
    return {
        known.get(top, [top])[0].lower().replace("_", "-")
        for package in packages
        for name, path in modules(package)
        if not (but and name.startswith(but))
        for top in (imported.partition(".")[0] for imported in imports(name, path))
        if top not in OURS and top not in sys.stdlib_module_names and top != "__future__"
    }


def test_the_gateway_imports_only_what_a_deployment_installs() -> None:
    missing = used("config", "gateway", "sip", "testkit", but="testkit.phone") - declared(
        "dependencies"
    )
    assert missing - BROUGHT.keys() == set()


def test_the_tests_import_only_what_make_test_installs() -> None:
    installed = declared("dependencies") | declared("phone") | declared("dev") | BROUGHT.keys()
    assert used("tests") - installed == set()


def test_every_dependency_is_used() -> None:
    assert declared("dependencies") - used("config", "gateway", "sip") - UNSEEN.keys() == set()


@pytest.mark.parametrize("table", ["dependencies", "dev", "bench"])
def test_every_dependency_has_its_reason(table: str) -> None:
    """Each entry, but for pytest itself and types of what is above, has a comment before it."""
    text = (ROOT / "pyproject.toml").read_text()
    section = text.partition(f"\n{table} = [")[2].partition("\n]")[0]
    lines = [line.strip() for line in section.splitlines() if line.strip()]
    plain = ("{include-group", '"pytest>', '"mypy', '"ruff', '"types-')
    unexplained = [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if line.startswith(('"', "{")) and not line.startswith(plain) and not before.startswith("#")
    ]
    assert unexplained == []
