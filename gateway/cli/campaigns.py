"""The commands `campaigns …`: many people are called."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.asking import ask, print_json, utc
from gateway.cli.common import FAILED, ConfigOption, JsonOption, fail, out
from gateway.cli.outbound_api import BadLinesError, OutboundApi
from gateway.cli.trunk_tables import plain_table
from gateway.visible import visible

campaigns = typer.Typer(help="Have many people called, from a file.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The campaign, as `campaigns list` names it.")]
#: Wrong lines that are printed.
MOST_TOLD = 50


@campaigns.command()
def start(
    file: Annotated[Path, typer.Argument(help="CSV with a column `number`, or .json.")],
    config_file: ConfigOption = None,
    name: Annotated[str | None, typer.Option(help="What people call it.")] = None,
    agent: Annotated[str | None, typer.Option(help="Where a line names none.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="Our number, where a line names none.")
    ] = None,
    mode: Annotated[
        Literal["callee_first", "retell", "twilio"] | None,
        typer.Option(help="Where a line says none of them."),
    ] = None,
    amd: Annotated[
        Literal["hangup", "message", "agent"] | None,
        typer.Option(help="Tell machines from people, and do this with them."),
    ] = None,
    message: Annotated[
        str | None,
        typer.Option(help="What --amd message leaves: a sound; with --mode twilio, words."),
    ] = None,
    window: Annotated[str | None, typer.Option(help="The schedule to call in.")] = None,
    callback: Annotated[str | None, typer.Option(metavar="URL", help="Who hears of it.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Say what is wrong, and call nobody.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out lines that are wrong.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Have the running gateway call everybody in a file."""
    given = {
        "name": name or file.stem,
        "agent": agent,
        "from": from_,
        "mode": mode,
        "on_machine": amd,
        "message": message,
        "window": window,
        "callback": callback,
        "check": "true" if check else None,
        "skip_bad": "true" if skip_bad else None,
    }
    query = {key: value for key, value in given.items() if value is not None}

    async def question(api: OutboundApi) -> dict[str, Any] | BadLinesError:
        try:
            return await api.start_campaign(file, query)
        except BadLinesError as error:
            return error

    taken = ask(config_file, question)
    if isinstance(taken, BadLinesError):
        _tell(taken.errors)
        fail(str(taken), FAILED)
    if as_json:
        print_json(taken)
    else:
        _tell(taken["errors"])
        begun = taken["campaign_id"]
        words = f"{taken['calls']} calls, {taken['error_count']} lines are wrong"
        out.print(f"{'checked' if begun is None else begun}: {words}", markup=False)
    if check and taken["error_count"]:
        raise typer.Exit(FAILED)


def _tell(errors: list[dict[str, Any]]) -> None:
    for error in errors[:MOST_TOLD]:
        out.print(f"line {error['line']}: {error['code']}: {error['reason']}", markup=False)
    if len(errors) > MOST_TOLD:
        out.print(f"… and {len(errors) - MOST_TOLD} more")


@campaigns.command("list")
def list_all(
    config_file: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List campaigns, the newest first."""
    listed = ask(config_file, lambda api: api.campaigns(limit))
    print_json(listed) if as_json else out.print(table(listed))


@campaigns.command()
def show(campaign_id: Id, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one, its calls by state and result."""
    _show(ask(config_file, lambda api: api.campaign(campaign_id)), as_json=as_json)


@campaigns.command()
def pause(campaign_id: Id, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make no new tries; calls that are up go on."""
    found = ask(config_file, lambda api: api.steer_campaign(campaign_id, "pause"))
    _show(found, as_json=as_json)


@campaigns.command()
def resume(campaign_id: Id, config_file: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make tries again."""
    found = ask(config_file, lambda api: api.steer_campaign(campaign_id, "resume"))
    _show(found, as_json=as_json)


@campaigns.command()
def cancel(campaign_id: Id, config_file: ConfigOption = None) -> None:
    """Call nobody more, and end the calls that are up."""
    done = ask(config_file, lambda api: api.steer_campaign(campaign_id, "cancel"))
    out.print(f"{done['calls']} calls that waited or were up are cancelled")


@campaigns.command()
def results(
    campaign_id: Id,
    config_file: ConfigOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a file in place of printing.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Print what came of its calls, as CSV."""
    content = ask(config_file, lambda api: api.results(campaign_id, as_json=as_json))
    if output is None:
        for line in content.decode().splitlines():
            print(visible(line))
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        fail(f"{output}: {error.strerror}", FAILED)
    out.print(f"{output}: {len(content.splitlines())} lines", markup=False)


def table(listed: list[dict[str, Any]]) -> Table:
    """The list as it is printed."""
    shown = plain_table("campaign", "name", "made (UTC)", "state", "calls", "waiting", "done")
    for one in listed:
        counts = one["counts"]
        over = sum(counts.get(state, 0) for state in ("done", "cancelled", "unknown"))
        cells = (
            one["campaign_id"],
            one["name"] or "-",
            utc(one["created_at"]),
            one["state"],
            str(one["calls"]),
            str(counts.get("waiting", 0)),
            str(over),
        )
        shown.add_row(*map(escape, cells))
    return shown


def _show(campaign: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(campaign)
        return
    out.print(table([campaign]))
    for name, count in sorted(campaign["counts"].items()):
        out.print(f"{count:>8} {name.removeprefix('result:')}", markup=False)
