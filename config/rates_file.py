"""A file of rates, as carriers publish them: CSV, its first line the names of the columns."""

import csv
import re
from pathlib import Path
from typing import Final, NamedTuple

#: Columns by name; those with None must be there.
_COLUMNS: Final = {
    "prefix": None,
    "per_minute": None,
    "per_call": "0",
    "first_s": "60",
    "step_s": "60",
    "trunk": "",
}
_PREFIX: Final = re.compile(r"\+?(\d{0,15})")
_MONEY: Final = re.compile(r"\d{1,6}(\.\d{1,6})?")
_SECONDS: Final = re.compile(r"[1-9]\d{0,4}")


class Listed(NamedTuple):
    """A line of it, with the keys of `outbound.rates[]`."""

    prefix: str
    per_minute: float
    per_call: float
    first_s: int
    step_s: int
    trunk: str | None


def read_rates(file: Path) -> tuple[Listed, ...]:
    """Every rate of the file; an empty one has none. Raises ValueError with a sentence that names
    file and line."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            rows = csv.reader(lines)
            names = [name.strip() for name in next(rows, [])]
            if names:
                _check_names(file, names)
            seen: dict[tuple[str, str | None], int] = {}
            found = []
            for row in rows:
                if not any(map(str.strip, row)):
                    continue
                try:
                    rate = _rate(names, row)
                    first = seen.setdefault((rate.prefix, rate.trunk), rows.line_num)
                    if first != rows.line_num:
                        raise ValueError(f'prefix "{rate.prefix}" has a rate in line {first}')
                except ValueError as error:
                    raise ValueError(f"{file.name}:{rows.line_num}: {error}") from None
                found.append(rate)
            return tuple(found)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read {file}: {error}") from None


def _check_names(file: Path, names: list[str]) -> None:
    wrong = [name for name in names if name not in _COLUMNS]
    missing = [name for name, left_out in _COLUMNS.items() if left_out is None]
    missing = [name for name in missing if name not in names]
    if wrong or missing or len(set(names)) < len(names):
        which = (
            f"no column {missing[0]}" if missing else f"a column {(wrong or names)[0]!r} too many"
        )
        raise ValueError(f"{file.name}:1: there is {which}; columns are {', '.join(_COLUMNS)}")


def _rate(names: list[str], row: list[str]) -> Listed:
    if len(row) != len(names):
        raise ValueError(f"{len(row)} columns, and the first line names {len(names)}")
    given = dict(zip(names, map(str.strip, row), strict=True))
    told = {name: given.get(name) or left_out or "" for name, left_out in _COLUMNS.items()}
    prefix = _PREFIX.fullmatch(told["prefix"])
    if prefix is None:
        raise ValueError(f"{told['prefix']!r} is not the start of an E.164 number")
    for name, form, like in (
        ("per_minute", _MONEY, "an amount such as 0.0085"),
        ("per_call", _MONEY, "an amount such as 0.01"),
        ("first_s", _SECONDS, "a number of seconds"),
        ("step_s", _SECONDS, "a number of seconds"),
    ):
        if not form.fullmatch(told[name]):
            raise ValueError(f"{name}: {told[name]!r} is not {like}")
    return Listed(
        prefix=f"+{prefix[1]}" if prefix[1] else "",
        per_minute=float(told["per_minute"]),
        per_call=float(told["per_call"]),
        first_s=int(told["first_s"]),
        step_s=int(told["step_s"]),
        trunk=told["trunk"] or None,
    )
