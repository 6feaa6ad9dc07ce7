"""The command `audit`: who had the running gateway do what over its API."""

import asyncio
import json
from typing import Annotated, Any

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


def audit(
    config_file: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 20,
    by: Annotated[str | None, typer.Option(help="The name of a token.", show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """List who had the running gateway do what, the latest first."""
    settings = settings_of(config_path(config_file))

    async def ask() -> list[dict[str, Any]]:
        async with ApiClient(settings) as api:
            return await api.audit(limit, by)

    try:
        entries = asyncio.run(ask())
    except ApiError as error:
        fail(one_line(error), FAILED)
    if as_json:
        print(json.dumps(entries, indent=2, ensure_ascii=False))
    else:
        out.print(table(entries))


def table(entries: list[dict[str, Any]]) -> Table:
    """The list as it is printed."""
    shown = plain_table("at (UTC)", "by", "from", "status", "what", "path")
    for entry in entries:
        cells = (
            str(entry["at"])[5:19].replace("T", " "),
            entry["by"] or "nobody known",
            entry["client"],
            str(entry["status"]),
            entry["what"] or "-",
            f"{entry['method']} {entry['path']}",
        )
        shown.add_row(*map(escape, cells))
    return shown
