"""The command `calls`: the running gateway's calls, or one with its ladder."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from config.settings import Settings
from gateway.cli import ladder_drawing
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
from gateway.cli.leg_table import leg_table


def _filter(name: str, text: str) -> Any:
    return typer.Option(name, help=text, rich_help_panel="Filters", show_default=False)


def calls(
    call_id: Annotated[
        str | None, typer.Argument(help="One call, with its ladder; default: the latest calls.")
    ] = None,
    config_file: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many to list.")] = 20,
    number: Annotated[
        str | None, _filter("--number", "A number of either side, or its beginning and a *.")
    ] = None,
    carrier: Annotated[
        str | None, _filter("--carrier", "A trunk that it came by or was tried by.")
    ] = None,
    direction: Annotated[str | None, _filter("--direction", "inbound, retell or outbound.")] = None,
    trunk: Annotated[str | None, _filter("--trunk", "The trunk that the call came by.")] = None,
    from_: Annotated[str | None, _filter("--from", "The caller, such as +14155550199.")] = None,
    to: Annotated[str | None, _filter("--to", "The number that was called.")] = None,
    state: Annotated[str | None, _filter("--state", "live, ended or interrupted.")] = None,
    cause: Annotated[str | None, _filter("--cause", "How it ended, such as busy.")] = None,
    fault: Annotated[str | None, _filter("--fault", "Who has to mend it: carrier, …")] = None,
    agent: Annotated[str | None, _filter("--agent", "The agent that was asked for.")] = None,
    retell_call_id: Annotated[str | None, _filter("--retell-call-id", "Retell's id.")] = None,
    part_of: Annotated[
        str | None, _filter("--part-of", "The legs of the call of this id that are calls too.")
    ] = None,
    sip_status: Annotated[
        int | None, _filter("--sip-status", "What the caller got, such as 486.")
    ] = None,
    since: Annotated[
        str | None, _filter("--since", "Begun at this time or later: 2026-11-20T08:00:00Z.")
    ] = None,
    until: Annotated[str | None, _filter("--until", "Begun before this time.")] = None,
    cursor: Annotated[str | None, _filter("--cursor", "Older than the call of this id.")] = None,
    parts: Annotated[
        bool, typer.Option("--parts", help="Also calls that are a leg of another one.")
    ] = False,
    text: Annotated[bool, typer.Option("--text", help="Of one call: its messages whole.")] = False,
    pcap: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of one call: write its messages for Wireshark."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the running gateway's calls, or show one."""
    given = {
        "number": number,
        "carrier": carrier,
        "direction": direction,
        "trunk": trunk,
        "from": from_,
        "to": to,
        "state": state,
        "cause": cause,
        "fault": fault,
        "agent": agent,
        "retell_call_id": retell_call_id,
        "part_of": part_of,
        "sip_status": sip_status,
        "since": since,
        "until": until,
        "cursor": cursor,
        "parts": "true" if parts else None,
    }
    filters = {name: str(value) for name, value in given.items() if value is not None}
    if call_id is None and (text or pcap is not None):
        fail("--text and --pcap are about one call: name it", MISUSED)
    if call_id is not None and filters:
        fail("filters are for the list: leave out the call's id", MISUSED)
    settings = settings_of(config_path(config_file))
    try:
        if call_id is None:
            listed = asyncio.run(_list(settings, limit, filters))
            out.print_json(data=listed) if as_json else out.print(table(listed))
        elif text or pcap is not None:
            _export(settings, call_id, pcap)
        else:
            _show(settings, call_id, as_json=as_json)
    except ApiError as error:
        fail(one_line(error), FAILED)


def table(listed: list[dict[str, Any]]) -> Table:
    """The list as it is printed."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    for title in (
        "call",
        "started (UTC)",
        "",
        "from",
        "to",
        "carrier",
        "talked",
        "ended by",
        "how",
    ):
        shown.add_column(title, overflow="fold")
    for record in listed:
        talked = record["duration_s"]
        cells = (
            record["call_id"],
            str(record["started_at"])[5:19].replace("T", " "),
            "in" if record["direction"] == "inbound" else "out",
            record["from"],
            "\n".join((record["to"], *_transfers(record))),
            _carrier(record),
            f"{talked:.1f} s" if talked is not None else "-",
            record["ended_by"] or record["state"],
            f"{record['sip_status'] or ''} {record['cause'] or ''}".strip() or "-",
        )
        shown.add_row(*map(escape, cells))
    return shown


def _transfers(record: Mapping[str, Any]) -> Iterator[str]:
    """Whom the caller was handed to: by us, and by a call of Retell's, as far as that is known."""
    for transfer in record["transfers"]:
        if transfer["outcome"] in ("transferred", "unknown"):
            doubt = "" if transfer["outcome"] == "transferred" else "?"
            yield f"→ {transfer['target']}{doubt}"
    for entry in record["related"]:
        if entry["role"] == "transfer":
            doubt = "" if entry["certainty"] == "certain" else "?"
            yield f"↳ {entry['to']}{doubt}"


def _carrier(record: Mapping[str, Any]) -> str:
    """Who carried the call: the trunk that it came by, and for a call of Retell's the one that it
    went out by, the last if several were tried."""
    if record["direction"] != "retell":
        return str(record["trunk"])
    return str(record["attempts"][-1]["trunk"]) if record["attempts"] else "-"


def _show(settings: Settings, call_id: str, *, as_json: bool) -> None:
    async def ask() -> tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]:
        async with ApiClient(settings) as api:
            return (
                await api.call(call_id),
                await api.quality(call_id),
                await api.ladder(call_id),
            )

    record, quality, messages = asyncio.run(ask())
    if as_json:
        out.print_json(data=record | {"quality": quality, "ladder": messages})
        return
    out.print(json.dumps(record, indent=2, ensure_ascii=False), markup=False)
    legs = leg_table(quality)
    if legs is not None:
        out.print(legs)
    out.print(ladder_drawing.draw(messages, a_leg=record["a_sip_call_id"]))


def _export(settings: Settings, call_id: str, pcap: Path | None) -> None:
    async def ask() -> bytes:
        async with ApiClient(settings) as api:
            return await api.ladder_file(call_id, "txt" if pcap is None else "pcap")

    content = asyncio.run(ask())
    if pcap is None:
        print(content.decode())
        return
    try:
        pcap.write_bytes(content)
    except OSError as error:
        fail(f"{pcap}: {error.strerror}", FAILED)
    out.print(f"{pcap}: {len(content)} bytes, for Wireshark and its like", markup=False)


async def _list(settings: Settings, limit: int, filters: Mapping[str, str]) -> list[dict[str, Any]]:
    async with ApiClient(settings) as api:
        return await api.calls(limit, **filters)
