"""The commands `queue` and `callbacks`: calls that go out, and who was not told of them."""

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gateway.cli.asking import ask, print_json, utc
from gateway.cli.call import standing
from gateway.cli.common import MISUSED, ConfigOption, JsonOption, fail, out
from gateway.cli.trunk_tables import plain_table


def queue(
    queued_id: Annotated[
        str | None, typer.Argument(help="One call, with its tries; default: the latest ones.")
    ] = None,
    config_file: ConfigOption = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Call this person no more.")] = False,
    pause: Annotated[bool, typer.Option("--pause", help="Make no new tries at all.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Make tries again.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 20,
    state: Annotated[
        str | None, typer.Option(help="Only: waiting, calling, done, cancelled or unknown.")
    ] = None,
    campaign: Annotated[str | None, typer.Option(help="Only those of this campaign.")] = None,
    to: Annotated[str | None, typer.Option(help="Only those to this number.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the running gateway's calls that go out, show one, or cancel it."""
    filters = {"state": state, "campaign": campaign, "to": to}
    said = {name: value for name, value in filters.items() if value is not None}
    if cancel and queued_id is None:
        fail("--cancel is about one call: name it", MISUSED)
    if queued_id is not None and (said or pause or resume):
        fail("filters, --pause and --resume are for the list: leave out the call's id", MISUSED)
    if pause and resume:
        fail("--pause and --resume at once", MISUSED)
    if pause or resume:
        ask(config_file, lambda api: api.steer_queue("pause" if pause else "resume"))
    if queued_id is not None:
        if cancel:
            ask(config_file, lambda api: api.cancel(queued_id))
        one = ask(config_file, lambda api: api.queued(queued_id))
        print_json(one) if as_json else out.print(details(one))
        return
    listed = ask(config_file, lambda api: api.queue(limit, **said))
    if as_json:
        print_json(listed)
        return
    out.print(table(listed))
    out.print(_counted(ask(config_file, lambda api: api.summary())))


def callbacks(
    event_id: Annotated[
        str | None, typer.Argument(help="With --resend: the event to tell again.")
    ] = None,
    config_file: ConfigOption = None,
    resend: Annotated[
        bool, typer.Option("--resend", help="Tell this event again, now; with --dead, all those.")
    ] = False,
    dead: Annotated[bool, typer.Option("--dead", help="Only those that were given up.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """List the events that their receivers have not heard, or tell one again, or all dead ones."""
    if resend and (event_id is not None) is dead:
        fail("--resend wants the event's id, or --dead for all that were given up", MISUSED)
    if event_id is not None and not resend:
        fail("an event's id stands beside --resend", MISUSED)
    if resend and event_id is None:
        count = ask(config_file, lambda api: api.resend_dead())
        print_json({"count": count}) if as_json else out.print(f"{count} are told again")
        return
    if event_id is not None:
        listed = [ask(config_file, lambda api: api.resend(event_id))]
    else:
        listed = ask(config_file, lambda api: api.callbacks(limit, "dead" if dead else None))
    if as_json:
        print_json(listed)
        return
    shown = plain_table("event", "state", "tries", "to", "why")
    for one in listed:
        cells = (one["event_id"], one["state"], str(one["tries"]), one["url"], one["error"] or "-")
        shown.add_row(*map(escape, cells))
    out.print(shown)


def table(listed: list[dict[str, Any]]) -> Table:
    """The list as it is printed."""
    shown = plain_table("queued", "made (UTC)", "to", "agent", "state", "result", "tries", "next")
    for call in listed:
        cells = (
            call["queued_id"],
            utc(call["created_at"]),
            call["to"],
            call["agent"] or "-",
            call["state"],
            call["result"] or "-",
            str(call["tries"]),
            utc(call["due_at"]) if call["state"] == "waiting" else "-",
        )
        shown.add_row(*map(escape, cells))
    return shown


def details(call: dict[str, Any]) -> Table:
    """One call with its tries."""
    shown = plain_table("try", "call", "began (UTC)", "answered", "result", "SIP", "why")
    shown.title = escape(f"{call['to']}: {standing(call)}")
    shown.title_justify = "left"
    for one in call["history"]:
        cells = (
            str(one["number"]),
            one["call_id"],
            utc(one["started_at"]),
            utc(one["answered_at"]),
            one["result"] or "-",
            str(one["sip_status"] or "-"),
            one["detail"] or one["reason"] or one["cause"] or "-",
        )
        shown.add_row(*map(escape, cells))
    return shown


def _counted(summary: dict[str, Any]) -> str:
    counts = {name: count for name, count in summary["counts"].items() if ":" not in name}
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "nothing queued"
    return f"{told}{'; paused: queue --resume goes on' if summary['paused'] else ''}"
