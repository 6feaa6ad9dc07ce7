"""Tables of trunks and bans, as text."""

from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.cli import trunk_tables
from tests.gateway.http.test_trunks_api import REFUSED, REGISTRATION, trunk


def text(table: Table, *, colours: bool = False) -> str:
    system: Any = "standard" if colours else None
    console = Console(width=200, force_terminal=colours, color_system=system, highlight=False)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def gateway(uri: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "uri": uri,
        "state": state,
        "since": "2026-11-21T05:40:12.000Z",
        "last_status": None,
        "last_error": None,
        "round_trip_ms": None,
        **more,
    }


IDENTIFY = {
    "addresses": ["192.0.2.0/24"],
    "login": "pbx",
    "certificates": ["sip.example.com"],
    "headers": ["X-Token"],
    "registration": True,
}


def test_a_row_for_each_gateway() -> None:
    dead = gateway("sip:two.example.com", "down", last_error="no answer in 8 s")
    alive = gateway("sip:one.example.com", "up", last_status=404, round_trip_ms=23.4)
    shown = text(
        trunk_tables.table(
            [
                trunk("carrier", gateways=[alive, dead], registration=REGISTRATION),
                trunk("pbx", gateways=[], bindings=[{}], calls={"now": 0, "limit": None}),
            ]
        )
    ).splitlines()
    assert len(shown) == 4
    assert shown[1].split() == [
        *("carrier", "carrier", "sip:one.example.com", "up", "11-21", "05:40:12", "404,", "23"),
        *("ms", "registered", "for", "1800", "s", "more", "2", "of", "10"),
    ]
    assert shown[2].split() == [
        *("sip:two.example.com", "down", "11-21", "05:40:12"),
        *("no", "answer", "in", "8", "s"),
    ]
    assert shown[3].split() == ["pbx", "carrier", "-", "-", "-", "-", "1", "contact", "0"]


def test_states_have_colours_in_a_terminal_alone() -> None:
    table = [trunk("carrier", gateways=[gateway("sip:192.0.2.1", "down")])]
    assert "\x1b[31mdown" in text(trunk_tables.table(table), colours=True)
    assert "\x1b" not in text(trunk_tables.table(table))


def test_the_details_of_a_trunk() -> None:
    refused = {
        **REGISTRATION,
        "state": "rejected",
        "expires_in_s": None,
        "last_status": 403,
        "last_error": "it forbids it: the password is wrong",
    }
    binding = {
        "contact": "sip:pbx@10.0.0.5;[x]",
        "source": "udp:198.51.100.20:40312",
        "expires_in_s": 60,
    }
    shown = text(
        trunk_tables.details(
            trunk("pbx", registration=refused, bindings=[binding], identify=IDENTIFY)
        )
    )
    assert "rejected (403)" in shown
    assert "it forbids it: the password is wrong" in shown
    assert "sip:pbx@10.0.0.5;[x] from udp:198.51.100.20:40312, for 60 s more" in shown
    assert (
        "192.0.2.0/24, login pbx, certificate of sip.example.com, a secret X-Token header,"
        " its registration" in shown
    )


def test_a_refused_registration_may_hold_from_before() -> None:
    refused = {**REGISTRATION, "state": "waiting", "expires_in_s": 40, "last_status": None}
    shown = text(trunk_tables.table([trunk("carrier", registration=refused)]))
    assert "waiting, the last one holds for 40 s more" in shown


def test_nobody_registered_is_said() -> None:
    shown = text(trunk_tables.details(trunk("pbx", bindings=[], identify=IDENTIFY)))
    assert "none: the peer has not registered with us" in shown


def test_refused_calls() -> None:
    stranger = {**REFUSED, "trunk": None, "sip_status": None, "to": "", "detail": "no [trunk]"}
    stranger |= {"from": "", "fix": "add it"}
    first, second = text(trunk_tables.refused_table([REFUSED, stranger])).splitlines()[1:]
    assert first.split() == [
        *("11-21", "05:40:12", "3", "192.0.2.10:5060", "carrier", "+12125550101", "+14155550100"),
        *("503", "limits.calls", "limits.calls"),
    ]
    assert second.split()[4:] == ["-", "-", "-", "limits.calls", "no", "[trunk];", "add", "it"]


def test_bans() -> None:
    ban = {
        "address": "2001:db8::/64",
        "since": "2026-11-21T05:40:12.000Z",
        "until": "2026-11-21T05:45:12.000Z",
        "strikes": 3,
        "reason": "wrong passwords",
    }
    _, row = text(trunk_tables.ban_table([ban])).splitlines()
    assert row.split() == [
        *("2001:db8::/64", "11-21", "05:40:12", "11-21", "05:45:12", "3", "wrong", "passwords"),
    ]
