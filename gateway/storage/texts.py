"""Values as a column takes them. PostgreSQL counts letters and bits, and refuses NUL and half
characters; one row that it refuses would hold up all rows that are stored with it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson
from sqlalchemy import BigInteger, Float, Integer, String, Table


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the columns of a table take: `letters` by name, None for any number of them; the
    numbers of `whole` columns lie from minus their bound to one less than it."""

    letters: Mapping[str, int | None]
    whole: Mapping[str, int]
    real: tuple[str, ...]

    @classmethod
    def of(cls, table: Table) -> Self:
        """Those of a table."""
        columns = {column.name: column.type for column in table.columns}
        return cls(
            {name: kind.length for name, kind in columns.items() if isinstance(kind, String)},
            {
                name: 2**63 if isinstance(kind, BigInteger) else 2**31
                for name, kind in columns.items()
                if isinstance(kind, Integer)
            },
            tuple(name for name, kind in columns.items() if isinstance(kind, Float)),
        )


def fit(row: dict[str, Any], bounds: Bounds) -> dict[str, Any]:
    """The same row, its values cut to their columns in place; what is no number is left out."""
    for name, length in bounds.letters.items():
        value = row.get(name)
        if not value or not isinstance(value, str):
            continue
        long = length is not None and len(value) > length
        if long or "\0" in value or not value.isascii():
            row[name] = fitting(value, length)
    for name, bound in bounds.whole.items():
        value = row.get(name)
        if isinstance(value, int) and not -bound <= value < bound:
            row[name] = -bound if value < 0 else bound - 1
    for name in bounds.real:
        if row.get(name) != row.get(name):
            row[name] = None
    return row


def fitting(value: str, length: int | None) -> str:
    """`value` without what no column takes, cut to `length` letters."""
    if not value.isascii():
        value = value.encode(errors="replace").decode()
    if "\0" in value:
        value = value.replace("\0", "")
    return value if length is None else value[:length]


def as_json(value: Any) -> str:
    """JSON that a column of text takes and `orjson` reads, whatever a peer made us hold."""
    try:
        text = orjson.dumps(value).decode()
    except TypeError:  # half characters, numbers beyond 64 bits, keys that are no texts
        return json.dumps(_fitting_all(value), default=str)
    return text if "\\u0000" not in text else orjson.dumps(_fitting_all(value)).decode()


def _fitting_all(value: Any) -> Any:
    match value:
        case str():
            return fitting(value, None)
        case Mapping():
            return {fitting(str(key), None): _fitting_all(item) for key, item in value.items()}
        case list() | tuple():
            return [_fitting_all(item) for item in value]
    return value
