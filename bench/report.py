"""Results as tables: on the terminal, as Markdown, and as JSON for whoever compares runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WORDS = {True: "yes", False: "NO", None: "-"}
_COLOURS = {True: "green", False: "red", None: "dim"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `met` is None where there is no target or it could not be decided."""

    quality: str
    system: str
    measured: str
    target: str = ""
    met: bool | None = None


_HEADINGS = ("quality", "system", "measured", "target", "met")


@dataclass(slots=True, kw_only=True)
class Details:
    """A table of figures behind the rows, without targets."""

    headings: tuple[str, ...]
    lines: list[tuple[str, ...]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Section:
    """Rows that belong together, and the sentences needed to read them."""

    title: str
    rows: list[Row] = field(default_factory=list)
    details: Details | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Report:
    """Everything one run of the benchmark found."""

    date: str
    commit: str
    plan: str
    machine: Mapping[str, str]
    sections: list[Section] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def print(self, console: Console) -> None:
        """Tables on the terminal."""
        for section in self.sections:
            table = _table(section.title, _HEADINGS)
            for row in section.rows:
                met = Text(_WORDS[row.met], style=_COLOURS[row.met])
                table.add_row(row.quality, row.system, row.measured, row.target, met)
            console.print(table)
            if section.details is not None:
                details = _table("", section.details.headings)
                for line in section.details.lines:
                    details.add_row(*line)
                console.print(details)
            for note in section.notes:
                console.print(f"  {note}", style="dim", highlight=False, markup=False)
        for error in self.errors:
            console.print(f"error: {error}", style="red", highlight=False, markup=False)

    def markdown(self, method: str) -> str:
        """The whole report as a page."""
        lines = [f"# Benchmark of {self.date}, {self.commit} ({self.plan})", ""]
        lines += [f"- {name}: {value}" for name, value in self.machine.items()]
        for section in self.sections:
            lines += ["", f"## {section.title}", ""]
            lines += _markdown_table(
                _HEADINGS,
                [
                    (row.quality, row.system, row.measured, row.target, _WORDS[row.met])
                    for row in section.rows
                ],
            )
            if section.details is not None:
                lines += ["", *_markdown_table(section.details.headings, section.details.lines)]
            lines += [line for note in section.notes for line in ("", note)]
        if self.errors:
            lines += ["", "## Could not be run", "", *(f"- {error}" for error in self.errors)]
        return "\n".join([*lines, "", "## Method", "", method.strip(), ""])

    def write(self, directory: Path, method: str) -> Path:
        """Both files, named by date and commit; the Markdown one's path."""
        directory.mkdir(parents=True, exist_ok=True)
        page = _unused(directory, f"{self.date}-{self.commit}")
        page.write_text(self.markdown(method), encoding="utf-8")
        document = {
            "date": self.date,
            "commit": self.commit,
            "plan": self.plan,
            "machine": dict(self.machine),
            "figures": self.figures,
            "errors": self.errors,
        }
        text = json.dumps(document, indent=1, allow_nan=True) + "\n"
        page.with_suffix(".json").write_text(text, encoding="utf-8")
        return page


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title or None, title_justify="left", title_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _markdown_table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(headings)} |",
        "|---" * len(headings) + "|",
        *(f"| {' | '.join(line)} |" for line in lines),
    ]


def _unused(directory: Path, stem: str) -> Path:
    """An earlier run of the same day and commit keeps its file."""
    candidates = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    return next(
        path
        for path in (directory / f"{candidate}.md" for candidate in candidates)
        if not path.exists()
    )
