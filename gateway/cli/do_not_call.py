"""The commands `do-not-call …`: numbers that are never called."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from gateway.cli.asking import ask, print_json, utc
from gateway.cli.common import FAILED, MISUSED, ConfigOption, JsonOption, fail, out
from gateway.cli.trunk_tables import plain_table

do_not_call = typer.Typer(help="Numbers that are never called.", no_args_is_help=True)

Reason = Annotated[str, typer.Option(help="Why.")]


@do_not_call.command("list")
def show(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List them all."""
    listed = ask(config_file, lambda api: api.barred())
    if as_json:
        print_json(listed)
        return
    shown = plain_table("number", "since (UTC)", "by", "reason")
    for one in listed:
        cells = (one["number"], utc(one["at"]), one["by"] or "-", one["reason"] or "-")
        shown.add_row(*map(escape, cells))
    out.print(shown)


@do_not_call.command()
def add(
    numbers: Annotated[list[str], typer.Argument(help="Numbers such as +14155550123.")],
    config_file: ConfigOption = None,
    reason: Reason = "",
) -> None:
    """Never call these numbers."""
    count = ask(config_file, lambda api: api.bar(numbers, reason))
    out.print(f"{count} entered")


@do_not_call.command()
def remove(
    number: Annotated[str, typer.Argument(help="A number such as +14155550123.")],
    config_file: ConfigOption = None,
) -> None:
    """Take a number from the list."""
    if not ask(config_file, lambda api: api.unbar(number)):
        fail(f"{number} is not on the list", FAILED)


@do_not_call.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(help="A number a line; what follows a comma is not read.")
    ],
    config_file: ConfigOption = None,
    reason: Reason = "",
) -> None:
    """Never call the numbers of a file."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: {error}", MISUSED)
    cells = [line.partition(",")[0].strip().strip('"') for line in lines]
    # a head names the column, and has no digit
    numbers = [cell for cell in cells if any(letter.isdigit() for letter in cell)]
    if not numbers:
        fail(f"{file} has no numbers", MISUSED)
    count = ask(config_file, lambda api: api.bar(numbers, reason))
    out.print(f"{count} entered")
