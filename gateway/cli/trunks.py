"""Commands on the SIP edge: trunks, bans, refused, unban, profiles."""

import asyncio
import ipaddress
import json
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.markup import escape

from config.problems import did_you_mean
from config.reading.profiles import names, profile, titles
from config.settings import ConfigError
from gateway.cli import trunk_tables
from gateway.cli.api_client import ApiClient, ApiError
from gateway.cli.common import (
    FAILED,
    MISUSED,
    ConfigOption,
    JsonOption,
    config_path,
    fail,
    one_line,
    out,
    settings_of,
)

Result = TypeVar("Result")


def trunks(
    name: Annotated[
        str | None, typer.Argument(help="One trunk, with everything known of it.")
    ] = None,
    config_file: ConfigOption = None,
    register: Annotated[
        str | None,
        typer.Option(
            "--register",
            metavar="NAME",
            help="Register with this trunk now; exit 1 if the registrar does not accept.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the running gateway's trunks: which are up, registered, busy."""
    if register is not None:
        if name not in (None, register):
            fail(f"--register {register} and {name} are two trunks; name one", MISUSED)
        shown = _ask(config_file, lambda api: api.register(register))
    elif name is None:
        listed = _ask(config_file, lambda api: api.trunks())
        _print_json(listed) if as_json else out.print(trunk_tables.table(listed))
        return
    else:
        shown = _ask(config_file, lambda api: api.trunk(name))
    _print_json(shown) if as_json else out.print(trunk_tables.details(shown))
    if register is not None and not trunk_tables.registered(shown):
        raise typer.Exit(FAILED)


def bans(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the addresses that the running gateway does not listen to."""
    listed = _ask(config_file, lambda api: api.bans())
    if as_json:
        _print_json(listed)
    elif not listed:
        out.print("no address is banned")
    else:
        out.print(trunk_tables.ban_table(listed))


def refused(config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the calls that the running gateway refused at the door; they have no record."""
    listed = _ask(config_file, lambda api: api.refused())
    if as_json:
        _print_json(listed)
    elif not listed:
        out.print("no call was refused at the door")
    else:
        out.print(trunk_tables.refused_table(listed))


def unban(
    address: Annotated[str, typer.Argument(help="As `bans` lists it, such as 198.51.100.7.")],
    config_file: ConfigOption = None,
) -> None:
    """Listen to a banned address again."""
    try:
        ipaddress.ip_interface(address)
    except ValueError:
        fail(f"{address} is no IP address", MISUSED)
    if not _ask(config_file, lambda api: api.unban(address)):
        fail(f"{address} is not banned", FAILED)
    out.print(f"{address} is listened to again")


def profiles(
    name: Annotated[
        str | None, typer.Argument(help="One profile: its notes, sources and keys.")
    ] = None,
) -> None:
    """List the carriers and PBXs whose ways are known (trunks[].profile)."""
    try:
        if name is None:
            table = trunk_tables.plain_table("profile", "kind", "for")
            for known in titles().values():
                table.add_row(known.name, known.kind, escape(known.title))
            out.print(table)
            return
        chosen = profile(name)
    except KeyError:
        hint = did_you_mean(name or "", names())
        fail(f"there is no profile {name}{hint or '; run profiles without a name'}", MISUSED)
    except ConfigError as error:
        fail(one_line(error), FAILED)
    out.print(f"[bold]{escape(chosen.title)}[/bold]", soft_wrap=True)
    for note in chosen.notes:
        out.print(f"- {note}", markup=False, soft_wrap=True)
    out.print(
        "\nIn the configuration (what is commented out comes with the profile; a key of your own"
        " takes its place):\n",
        soft_wrap=True,
    )
    own = f"  - name: {name}\n    profile: {name}"
    text = Path(chosen.source.name).read_text()
    lent = textwrap.indent(text[text.index("\ntrunk:") + len("\ntrunk:") :].strip("\n"), "  # ")
    out.print(f"trunks:\n{own}\n{lent}", markup=False, soft_wrap=True)
    out.print("\nSources:", *chosen.sources, sep="\n  ", markup=False, soft_wrap=True)


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
