"""How good the legs of a call were, as a table for the terminal."""

from collections.abc import Mapping
from typing import Any, Final

from rich.table import Table

#: The legs of a call, and what they are called.
_LEGS: Final = {"a": "caller's", "b": "dialled"}


def leg_table(legs: Mapping[str, Any]) -> Table | None:
    """A row a leg that was measured; None where none was. `legs` are the API's."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    shown.add_column("leg")
    for title in ("packets", "lost", "jitter", "round trip", "MOS", "lowest", "drift", "one-way"):
        shown.add_column(title, justify="right")
    for leg, name in _LEGS.items():
        counted = legs.get(leg)
        if not isinstance(counted, dict) or not isinstance(counted.get("quality"), dict):
            continue
        quality = counted["quality"]
        shown.add_row(
            f"{name} ({leg})",
            str(counted.get("packets_received", "-")),
            _number(quality, "loss_percent", "{:.2f} %"),
            _number(quality, "jitter_avg_ms", "{:.1f} ms"),
            _number(quality, "round_trip_ms", "{:.0f} ms"),
            _number(quality, "mos_avg", "{:.2f}"),
            _number(quality, "mos_min", "{:.2f}"),
            _number(quality, "clock_drift_ppm", "{:+.0f} ppm"),
            _number(quality, "one_way_s", "{:.1f} s"),
        )
    return shown if shown.row_count else None


def _number(quality: Mapping[str, Any], name: str, form: str) -> str:
    value = quality.get(name)
    return form.format(value) if isinstance(value, int | float) else "-"
