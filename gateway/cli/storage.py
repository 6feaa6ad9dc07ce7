"""Commands on the database: storage version, storage upgrade, storage copy."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table

from config.texts import StorageUrl
from gateway import log
from gateway.cli.common import (
    FAILED,
    MISUSED,
    ConfigOption,
    config_path,
    fail,
    one_line,
    out,
    settings_of,
)
from gateway.storage.errors import SchemaError, StorageError

Result = TypeVar("Result")

UrlArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[URL]", help="Default: the configuration's storage.url.", show_default=False
    ),
]

storage = typer.Typer(
    help="The database of call records: its version, upgrades, moving it.", no_args_is_help=True
)


@storage.command()
def version(url: UrlArgument = None, config_file: ConfigOption = None) -> None:
    """Show the version of a database's schema, and change nothing."""
    from gateway.storage.database import schema_version
    from gateway.storage.migrations import NEWEST

    found = _run(schema_version(_url(url, config_file)))
    if found is None:
        out.print(f"no tables yet: the gateway makes them at its start (version {NEWEST})")
    elif found == NEWEST:
        out.print(f"schema version {found}, this gateway's own")
    else:
        out.print(f"schema version {found}: the gateway upgrades it to {NEWEST} at its start")


@storage.command()
def upgrade(url: UrlArgument = None, config_file: ConfigOption = None) -> None:
    """Upgrade a database's schema now, as the next start of the gateway would."""
    from gateway.storage.database import schema_version
    from gateway.storage.migrations import NEWEST
    from gateway.storage.shared_state import upgrade_alone

    chosen = _url(url, config_file)
    old = _run(schema_version(chosen))
    _run(upgrade_alone(chosen))
    was = "made" if old is None else "already there" if old == NEWEST else f"upgraded from {old}"
    out.print(f"schema version {NEWEST}: {was}")


@storage.command()
def copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Its URL: sqlite:///gateway.db.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="Its URL: postgresql://USER@HOST/DATABASE.")
    ],
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Copy into a database that has rows; FROM's win by key."),
    ] = False,
) -> None:
    """Copy call records, contacts and bans from one database to another, all or none.

    A password need not be in a URL: PGPASSWORD and ~/.pgpass are read.
    """
    from gateway.storage.copy import copy as copy_all
    from gateway.storage.copy import user_of_source

    source_url, target_url = _checked(source, "FROM"), _checked(target, "TO")
    if source_url == target_url:
        fail("FROM and TO are one database", MISUSED)
    copied = _run(copy_all(source_url, target_url, merge=merge))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("table")
    for title in ("copied", "there now"):
        table.add_column(title, justify="right")
    for one in copied:
        table.add_row(one.table, str(one.rows), str(one.target_rows))
    out.print(table)
    user = _run(user_of_source(source_url))
    if user is not None:
        out.print(
            f"A gateway uses FROM ({user}): stop it, and copy what it still wrote with --merge.",
            soft_wrap=True,
        )


def _url(given: str | None, config_file: Path | None) -> str:
    if given is not None:
        return _checked(given, "URL")
    return settings_of(config_path(config_file)).storage.url.get_secret_value()


def _checked(url: str, name: str) -> str:
    """A URL of the command line, by the rules of storage.url; exit 2 if it breaks them."""
    try:
        return TypeAdapter(StorageUrl).validate_python(url).get_secret_value()
    except ValidationError as error:
        reason = error.errors(include_input=False, include_url=False)[0]["msg"]
        fail(f"{name}: {reason.removeprefix('Value error, ')}", MISUSED)


def _run(job: Coroutine[Any, Any, Result]) -> Result:
    """A job's result; the program ends with one line if there is none."""
    log.configure("error")
    try:
        return asyncio.run(job)
    except SchemaError as error:
        fail(one_line(error), MISUSED)
    except StorageError as error:
        fail(one_line(error), FAILED)
