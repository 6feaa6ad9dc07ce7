"""Trunks and bans of the API as an operator reads them in a terminal."""

from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

Json = dict[str, Any]

_COLOURS = {
    "up": "green",
    "registered": "green",
    "refreshing": "green",
    "down": "red",
    "rejected": "red",
    "waiting": "red",
    "trying": "yellow",
    "registering": "yellow",
    "unknown": "dim",
}
REGISTERED = ("registered", "refreshing")


def plain_table(*titles: str) -> Table:
    """A table without lines, as all of the program's are."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def table(trunks: list[Json]) -> Table:
    """A row for each gateway; the trunk stands in the first one of its own."""
    shown = plain_table(
        "trunk", "kind", "gateway", "state", "since (UTC)", "last", "login", "calls"
    )
    for trunk in trunks:
        first = [escape(trunk["name"]), trunk["kind"]]
        last = [_registrations(trunk), _calls(trunk)]
        for gateway in trunk["gateways"] or [None]:
            shown.add_row(*first, *_gateway(gateway), *last)
            first, last = ["", ""], ["", ""]
    return shown


def details(trunk: Json) -> Table:
    """Everything about one trunk."""
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(style="dim")
    shown.add_column(overflow="fold")
    shown.add_row("trunk", escape(trunk["name"]))
    shown.add_row("kind", " ".join(filter(None, (trunk["kind"], trunk["profile"]))))
    shown.add_row("calls", _calls(trunk))
    shown.add_row("known by", _identify(trunk["identify"]))
    for gateway in trunk["gateways"]:
        uri, state, since, last = _gateway(gateway)
        shown.add_row("gateway", f"{uri} {state} since {since}, {last}")
    registration = trunk["registration"]
    if registration is not None:
        shown.add_row("registered with", escape(registration["registrar"]))
        shown.add_row("", _registration(registration))
        if registration["last_error"]:
            shown.add_row("", escape(registration["last_error"]))
    if trunk["bindings"] is not None and not trunk["bindings"]:
        shown.add_row("contacts", "[red]none: the peer has not registered with us[/red]")
    for binding in trunk["bindings"] or ():
        text = f"{binding['contact']} from {binding['source']}"
        shown.add_row("contact", f"{escape(text)}, for {binding['expires_in_s']} s more")
    return shown


def registered(trunk: Json) -> bool:
    """Whether our registration with this trunk holds."""
    registration = trunk["registration"]
    return registration is not None and registration["state"] in REGISTERED


def ban_table(bans: list[Json]) -> Table:
    """A row for each ban."""
    shown = plain_table("address", "since (UTC)", "until (UTC)", "strikes", "for")
    for ban in bans:
        since, until = _moment(ban["since"]), _moment(ban["until"])
        shown.add_row(ban["address"], since, until, str(ban["strikes"]), escape(ban["reason"]))
    return shown


def refused_table(refused: list[Json]) -> Table:
    """A row for each source and reason."""
    shown = plain_table("last (UTC)", "calls", "source", "trunk", "from", "to", "reason", "why")
    for one in refused:
        status = f"{one['sip_status']} " if one["sip_status"] else ""
        shown.add_row(
            _moment(one["last_at"]),
            str(one["count"]),
            one["source"],
            escape(one["trunk"] or "-"),
            escape(one["from"] or "-"),
            escape(one["to"] or "-"),
            escape(status + one["reason"]),
            escape("; ".join(filter(None, (one["detail"], one["fix"])))),
        )
    return shown


def _gateway(gateway: Json | None) -> tuple[str, str, str, str]:
    if gateway is None:
        return "-", "-", "-", "-"
    if gateway["last_error"]:
        last = escape(gateway["last_error"])
    elif gateway["last_status"] is None:
        last = "nothing yet"
    else:
        last = str(gateway["last_status"])
    if gateway["round_trip_ms"] is not None:
        last += f", {gateway['round_trip_ms']:.0f} ms"
    state = _coloured(gateway["state"], gateway["state"])
    return escape(gateway["uri"]), state, _moment(gateway["since"]), last


def _registrations(trunk: Json) -> str:
    """Both ways in which a trunk may log in: we with it, it with us."""
    parts = []
    if trunk["registration"] is not None:
        parts.append(_registration(trunk["registration"]))
    if trunk["bindings"] is not None:
        count = len(trunk["bindings"])
        text = f"{count} contact{'' if count == 1 else 's'}"
        parts.append(_coloured("up" if count else "down", text))
    return ", ".join(parts) or "-"


def _registration(registration: Json) -> str:
    state, left_s = registration["state"], registration["expires_in_s"]
    text = _coloured(state, state)
    if state in REGISTERED:
        return f"{text} for {left_s} s more"
    if registration["last_status"] is not None:
        text += f" ({registration['last_status']})"
    return text if left_s is None else f"{text}, the last one holds for {left_s} s more"


def _calls(trunk: Json) -> str:
    calls = trunk["calls"]
    return str(calls["now"]) if calls["limit"] is None else f"{calls['now']} of {calls['limit']}"


def _identify(identify: Json) -> str:
    parts = [*identify["addresses"]]
    if identify["login"]:
        parts.append(f"login {identify['login']}")
    parts += [f"certificate of {name}" for name in identify["certificates"]]
    parts += [f"a secret {name} header" for name in identify["headers"]]
    if identify["registration"]:
        parts.append("its registration")
    return escape(", ".join(parts)) or "nothing: it cannot call us"


def _moment(iso: str | None) -> str:
    if iso is None:
        return "-"
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%m-%d %H:%M:%S")


def _coloured(state: str, text: str) -> str:
    colour = _COLOURS.get(state)
    return f"[{colour}]{text}[/{colour}]" if colour else text
