"""Commands about money and unwanted callers: spend, blocked, block, unblock."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.api_client import ApiClient, ApiError
from gateway.cli.common import (
    FAILED,
    ConfigOption,
    JsonOption,
    config_path,
    fail,
    one_line,
    out,
    settings_of,
)
from gateway.cli.trunk_tables import plain_table

Result = TypeVar("Result")

#: Rows of a part of the table.
_MOST = 10


def spend(
    config_file: ConfigOption = None,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Another day than today.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the running gateway's calls cost on a day, by its rates."""
    asked = None if day is None else day.date().isoformat()
    told = _ask(config_file, lambda api: api.spend(asked))
    if as_json:
        _print_json(told)
        return
    out.print(spend_table(told))
    out.print(f"{told['day']} in {told['time_zone']}, {told['currency']}", markup=False)


def blocked(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the callers whom the running gateway refuses, but for those of inbound.block."""
    held = _ask(config_file, lambda api: api.blocked())
    if as_json:
        _print_json(held)
        return
    if not held:
        out.print("nobody is blocked, but for inbound.block of the configuration")
        return
    table = plain_table("caller", "of", "until (UTC)", "by", "why", "id")
    for one in held:
        until = "for good" if one["until"] is None else str(one["until"])[:16].replace("T", " ")
        cells = (one["caller"], one["number"] or "any number", until, one["by"] or "-")
        table.add_row(*map(escape, (*cells, one["note"] or "-", one["block_id"])))
    out.print(table)


def block(
    caller: Annotated[
        str, typer.Argument(help="+14155550100, the beginning of numbers +1900*, or anonymous.")
    ],
    config_file: ConfigOption = None,
    number: Annotated[str, typer.Option(help="Only from this number of ours.")] = "",
    note: Annotated[str, typer.Option(help="Why.")] = "",
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="For how long.", show_default=False)
    ] = None,
) -> None:
    """Have the running gateway refuse a caller."""
    until = None
    if hours is not None:
        until = (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="seconds")
    wish = {"caller": caller, "number": number, "note": note, "until": until}
    done = _ask(config_file, lambda api: api.block(wish))
    out.print(f"{done['caller']} is refused; unblock {done['block_id']} ends it", markup=False)


def unblock(
    block_id: Annotated[str, typer.Argument(help="As `blocked` lists it.")],
    config_file: ConfigOption = None,
) -> None:
    """Have the running gateway let a caller through again."""
    if not _ask(config_file, lambda api: api.unblock(block_id)):
        fail(f"there is no block {block_id}", FAILED)
    out.print("it holds no more")


def spend_table(told: dict[str, Any]) -> Table:
    """A day as it is printed."""
    table = plain_table("of", "spent", "reserved", "stop", "legs", "minutes")
    parts = (
        ("all", [told["all"] | {"name": ""}]),
        ("trunk", told["trunks"]),
        ("country", told["countries"]),
        ("rate", told["prefixes"]),
    )
    for kind, rows in parts:
        for row in rows[:_MOST]:
            limit = row["limit"]
            table.add_row(
                escape(f"{kind} {row['name'] or ('' if kind == 'all' else 'other')}".strip()),
                f"{row['spent']:.2f}",
                f"{row['reserved']:.2f}",
                "-" if limit is None else f"{limit:.2f}",
                str(row["calls"]),
                f"{row['talked_s'] / 60:.1f}",
            )
    return table


def _ask(config_file: Path | None, question: Callable[[ApiClient], Awaitable[Result]]) -> Result:
    """The running gateway's answer; the program ends with one line if there is none."""
    settings = settings_of(config_path(config_file))

    async def ask() -> Result:
        async with ApiClient(settings) as api:
            return await question(api)

    try:
        return asyncio.run(ask())
    except ApiError as error:
        fail(one_line(error), FAILED)


def _print_json(data: Any) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))
