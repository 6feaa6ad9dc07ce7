"""The command `retell-events`: what Retell's webhooks told, and what could not be acted on."""

from typing import Annotated, Any, Literal

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.asking import ask, print_json, utc
from gateway.cli.common import MISUSED, ConfigOption, JsonOption, fail, out
from gateway.cli.trunk_tables import plain_table


def retell_events(
    event_id: Annotated[
        str | None,
        typer.Argument(help="One event, with all that it said; default: the latest ones."),
    ] = None,
    config_file: ConfigOption = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Act on this event, which is broken, once more.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 20,
    event: Annotated[str | None, typer.Option(help="Only Retell's such as call_ended.")] = None,
    call: Annotated[str | None, typer.Option(help="Only those of our call of this id.")] = None,
    retell_call: Annotated[
        str | None, typer.Option(help="Only those of Retell's call of this id.")
    ] = None,
    state: Annotated[
        Literal["waiting", "done", "broken"] | None,
        typer.Option(help="broken: it could not be acted on."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List what Retell's webhooks told, show one event, or have it acted on again."""
    filters = {"event": event, "call_id": call, "retell_call_id": retell_call, "state": state}
    said = {name: value for name, value in filters.items() if value is not None}
    if retry and event_id is None:
        fail("--retry is about one event: name it", MISUSED)
    if event_id is not None and said:
        fail("filters are for the list: leave out the event's id", MISUSED)
    if event_id is None:
        listed = ask(config_file, lambda api: api.retell_events(limit, **said))
        print_json(listed) if as_json else out.print(table(listed))
        return
    one = ask(
        config_file,
        lambda api: api.retry_retell_event(event_id) if retry else api.retell_event(event_id),
    )
    if as_json:
        print_json(one)
        return
    out.print(table([one]))
    if not retry:
        print_json(one["told"])


def table(listed: list[dict[str, Any]]) -> Table:
    """The list as it is printed."""
    shown = plain_table("event", "came (UTC)", "what", "state", "call", "Retell's call")
    for one in listed:
        cells = (
            one["event_id"],
            utc(one["received_at"]),
            one["event"],
            one["state"],
            one["call_id"] or "-",
            one["retell_call_id"] or "-",
        )
        shown.add_row(*map(escape, cells))
    return shown
