"""Texts as a column takes them: PostgreSQL counts letters and refuses NUL and half characters,
and one row that it refuses would hold up all rows that are stored with it."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import String, Table

#: The letters that each column of text takes; None for any number.
Lengths: TypeAlias = Mapping[str, int | None]


def lengths(table: Table) -> Lengths:
    """The columns of text of a table."""
    return {
        column.name: column.type.length
        for column in table.columns
        if isinstance(column.type, String)
    }


def fit(row: dict[str, Any], of: Lengths) -> dict[str, Any]:
    """The same row, its texts cut to their columns in place."""
    for name, length in of.items():
        value = row.get(name)
        if not value:
            continue
        long = length is not None and len(value) > length
        if long or "\0" in value or not value.isascii():
            row[name] = fitting(value, length)
    return row


def fitting(value: str, length: int | None) -> str:
    """`value` without what no column takes, cut to `length` letters."""
    if not value.isascii():
        value = value.encode(errors="replace").decode()
    if "\0" in value:
        value = value.replace("\0", "")
    return value if length is None else value[:length]
