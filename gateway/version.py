"""Which version this is."""

import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

NAME = "retell-sip-gateway"
_PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def version() -> str:
    """The version of this checkout, by its pyproject.toml; else that of the installed package.

    A checkout comes first: its editable install remembers the version of the day it was made.
    """
    try:
        project = tomllib.loads(_PROJECT.read_text())["project"]
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        project = {}
    if project.get("name") == NAME:
        return str(project["version"])
    try:
        return installed(NAME)
    except PackageNotFoundError:
        return "of unknown version: neither installed nor in a checkout"
