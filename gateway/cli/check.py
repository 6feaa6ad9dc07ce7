"""The command check: everything found, as lines that an editor can follow, or as JSON."""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from config.findings import Finding, Level
from config.problems import ConfigError, Placed, Problem, key_text
from config.settings import read
from gateway import log
from gateway.cli.common import FAILED, MISUSED, ConfigOption, JsonOption, config_path, out, shown

_COLOURS = {
    Level.ERROR: "red",
    Level.WARNING: "yellow",
    Level.NOTE: "cyan",
    Level.FINE: "green",
}
#: Worst first; within a level in the order of the file.
_ORDER = list(Level)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A finding and where it stands; `place.reason` is its text."""

    finding: Finding
    place: Placed

    @property
    def line(self) -> str:
        """As an error of the configuration is told, with its code behind."""
        fix = f"; {self.finding.fix}" if self.finding.fix else ""
        return f"{self.place}{fix} [{self.finding.code}]"

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.finding.code,
            "level": self.finding.level.value,
            "key": self.place.key,
            "file": self.place.file,
            "line": self.place.line or None,
            "text": self.place.reason,
            "fix": self.finding.fix or None,
        }


def check(
    config_file: ConfigOption = None,
    as_json: JsonOption = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail on warnings too, for a pipeline.")
    ] = False,
) -> None:
    """Check the configuration, the ports and the storage, and start nothing."""
    log.configure("error")
    path = config_path(config_file)
    try:
        found = asyncio.run(_find(path))
    except ConfigError as error:
        if as_json:
            _print_json(path, [_invalid(placed) for placed in error.placed])
        else:
            for problem in error.problems:
                typer.echo(problem, err=True)
        raise typer.Exit(MISUSED) from None
    if as_json:
        _print_json(path, found)
    else:
        _print_lines(path, found)
    failing = {Level.ERROR, Level.WARNING} if strict else {Level.ERROR}
    if any(one.finding.level in failing for one in found):
        raise typer.Exit(FAILED)


async def _find(path: Path | None) -> list[_Shown]:
    """Everything about the configuration and about this machine, worst first."""
    from config.advice.all import advice
    from gateway.cli.checks import inspect

    settings, source = read(path, os.environ)
    found = [*advice(settings), *await inspect(settings)]
    placed = [_Shown(one, source.place(Problem(one.path, one.text, between=True))) for one in found]
    return sorted(placed, key=lambda one: (_ORDER.index(one.finding.level), one.place.line))


def _invalid(placed: Placed) -> _Shown:
    """A problem for which the configuration cannot be used at all."""
    finding = Finding(code="config-invalid", level=Level.ERROR, path=(), text=placed.reason)
    return _Shown(finding, placed)


def _print_json(path: Path | None, found: list[_Shown]) -> None:
    counts = {level.value: _count(found, level) for level in Level}
    body = {
        "file": shown(path),
        "counts": counts,
        "findings": [one.as_json() for one in found],
    }
    print(json.dumps(body, indent=2, ensure_ascii=False))


def _print_lines(path: Path | None, found: list[_Shown]) -> None:
    for one in found:
        level = one.finding.level
        colour = f"[{_COLOURS[level]}]{level.value}[/]"
        if level is Level.FINE:
            text = f"{key_text(one.finding.path)}: {one.finding.text}"
        else:
            text = one.line
        out.print(f"{colour} {escape(text)}", soft_wrap=True)
    errors, warnings = _count(found, Level.ERROR), _count(found, Level.WARNING)
    if errors or warnings:
        out.print(f"{shown(path)}: {errors} errors, {warnings} warnings", soft_wrap=True)
    else:
        out.print(f"{shown(path)}: [green]fine[/green]", soft_wrap=True)


def _count(found: list[_Shown], level: Level) -> int:
    return sum(one.finding.level is level for one in found)
