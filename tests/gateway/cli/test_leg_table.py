"""The legs of a call on the terminal."""

from io import StringIO
from typing import Any

from rich.console import Console

from gateway.cli.leg_table import leg_table


def text_of(legs: dict[str, Any]) -> str:
    table = leg_table(legs)
    if table is None:
        return ""
    console = Console(file=StringIO(), width=120)
    console.print(table)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_row_a_leg() -> None:
    quality = {
        "loss_percent": 1.5,
        "jitter_avg_ms": 12.04,
        "round_trip_ms": 31.4,
        "mos_avg": 4.206,
        "mos_min": 3.9,
        "clock_drift_ppm": -12.4,
        "one_way_s": 0.0,
    }
    lines = text_of(
        {
            "a": {"packets_received": 500, "quality": quality},
            "b": {"packets_received": 7, "quality": {"mos_avg": None}},
        }
    ).splitlines()
    assert lines[1].split("  ")[0] == "caller's (a)"
    assert lines[1].split()[2:] == (
        ["500", "1.50", "%", "12.0", "ms", "31", "ms", "4.21", "3.90", "-12", "ppm", "0.0", "s"]
    )
    assert lines[2].split()[2:] == ["7", *["-"] * 7]


def test_nothing_is_drawn_of_nothing() -> None:
    assert text_of({}) == ""
    assert text_of({"a": {"quality": None}, "b": "good"}) == ""
