"""What every command of the program shares: its configuration, its exit codes, its way to fail."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Never

import typer
from rich.console import Console

from config.settings import SANDBOX_FILE, ConfigError, Settings, load

FAILED, MISUSED = 1, 2
USUAL_FILES = (Path("config/gateway.yaml"), Path("/etc/retell-sip-gateway/gateway.yaml"))

out = Console(highlight=False, width=None if sys.stdout.isatty() else 150)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="GATEWAY_CONFIG",
        metavar="FILE",
        help="The configuration. Default: config/gateway.yaml, or the one in"
        " /etc/retell-sip-gateway; without those and without RETELL_API_KEY, the sandbox's.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def fail(text: str, code: int) -> Never:
    """One line on standard error, and out."""
    print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def config_path(given: Path | None) -> Path | None:
    """The file to read; None: the environment alone, as with the jambonz Retell example."""
    if given is not None:
        return given
    for usual in USUAL_FILES:
        if os.path.exists(usual):  # False, not an error, in a folder we may not look into
            return usual
    if os.environ.get("RETELL_API_KEY"):
        return None
    return SANDBOX_FILE


def settings_of(path: Path | None) -> Settings:
    """The configuration; ends the program with one line a problem if it has any."""
    try:
        return load(path, os.environ)
    except ConfigError as error:
        # As they are: file:line: key: reason, which editors can follow.
        for problem in error.problems:
            print(problem, file=sys.stderr)
        sys.exit(MISUSED)


def shown(path: Path | None) -> str:
    """How a configuration is named to the operator."""
    if path is None:
        return "the environment"
    with suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)
