"""A campaign as a CSV file: one person a line, named columns, UTF-8.

    number,agent,from,var.name,metadata.crm_id,priority,not_before
    +14155550123,agent_1,+14155550100,Ann,4711,5,2026-12-01T08:00:00Z

A column is a member of a call as the API takes it; `number` is whom to call, `var.NAME` a variable
of the agent's prompt, `metadata.NAME`, `tag.NAME` and `header.NAME` members of those. An empty cell
says nothing. Commas or semicolons divide cells, quotes as RFC 4180 has them.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

from gateway.value import frozen

#: Columns that are a member of a call by the same or another name.
COLUMNS: Final = {
    "number": "to",
    "from": "from",
    "agent": "agent",
    "agent_version": "agent_version",
    "mode": "mode",
    "trunk": "trunk",
    "ring_timeout_s": "ring_timeout_s",
    "time_limit_s": "time_limit_s",
    "callback": "callback",
    "priority": "priority",
    "not_before": "not_before",
    "expires": "expires",
    "window": "window",
    "time_zone": "time_zone",
}
#: Columns that are a member of a member, by what their name begins with.
GROUPS: Final = {
    "var.": "variables",
    "metadata.": "metadata",
    "tag.": "tag",
    "header.": "headers",
}
#: Characters of one cell.
LONGEST_CELL: Final = 4096
DIVIDERS: Final = ",;\t"
#: How a text begins that a spreadsheet would take for a formula (owasp.org, CSV Injection).
_FORMULA: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_NUMBER: Final = re.compile(r"\+[0-9]+")


class CsvError(ValueError):
    """The file as a whole cannot be read: a sentence for whoever sent it."""


@frozen
class Row:
    """One person: the `line` of the file on which it ends, counted from 1, and what it says.
    `wrong` is why it cannot be read, where it cannot."""

    line: int
    fields: dict[str, Any]
    wrong: str = ""


def read_rows(file: IO[bytes], most: int) -> Iterator[Row]:
    """Every line after the head that says anything. Raises CsvError: no head, columns that are
    none, no UTF-8, or more than `most` lines."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _rows(text, most)
    except UnicodeDecodeError as error:
        raise CsvError(f"the file is not UTF-8: save it as CSV UTF-8 ({error.reason})") from None
    finally:
        text.detach()  # the file is its opener's


def _rows(text: io.TextIOWrapper, most: int) -> Iterator[Row]:
    head_line = text.readline()
    divider = max(DIVIDERS, key=head_line.count)
    head = next(csv.reader([head_line], delimiter=divider), [])
    places = [_place(name.strip()) for name in head]
    _check(head, places)
    reader = csv.reader(text, delimiter=divider, strict=True)
    count = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise CsvError(f"line {reader.line_num + 1}: {error}") from None
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > most:
            raise CsvError(f"the file has more than {most} calls: send it in parts")
        yield _row(reader.line_num + 1, places, cells)


def _place(name: str) -> tuple[str, ...]:
    """Where a column's cells go: a member, or a member of one; () where there is no such column."""
    if name.lower() in COLUMNS:
        return (COLUMNS[name.lower()],)
    for begin, member in GROUPS.items():
        if name.lower().startswith(begin) and len(name) > len(begin):
            return member, name[len(begin) :]
    return ()


def _check(head: list[str], places: list[tuple[str, ...]]) -> None:
    if not any(head):
        raise CsvError("the file is empty: its first line names the columns, such as number,agent")
    unknown = [name.strip() for name, place in zip(head, places, strict=True) if not place]
    if unknown:
        raise CsvError(
            f"line 1: there is no column {', '.join(map(repr, unknown[:5]))}; columns are"
            f" {', '.join(COLUMNS)}, and {', '.join(begin + 'NAME' for begin in GROUPS)}"
        )
    if ("to",) not in places:
        raise CsvError("line 1: the column number is missing: whom to call")
    twice = next(
        (name for name, place in zip(head, places, strict=True) if places.count(place) > 1), None
    )
    if twice is not None:
        raise CsvError(f"line 1: the column {twice.strip()} is there twice")


def _row(line: int, places: list[tuple[str, ...]], cells: list[str]) -> Row:
    if len(cells) > len(places):
        return Row(line, {}, f"has {len(cells)} cells, and the head has {len(places)} columns")
    fields: dict[str, Any] = {}
    for place, cell in zip(places, cells, strict=False):
        value = cell.strip()
        if not value:
            continue
        if len(value) > LONGEST_CELL:
            return Row(line, {}, f"has a cell of more than {LONGEST_CELL} characters")
        if len(place) == 1:
            fields[place[0]] = value
        else:
            fields.setdefault(place[0], {})[place[1]] = value
    return Row(line, fields)


def write_rows(rows: Iterable[Iterable[object]]) -> str:
    """Lines of a CSV file. A text that a spreadsheet would take for a formula gets a quote before
    it; telephone numbers stay as they are."""
    text = io.StringIO()
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([_harmless(cell) for cell in row])
    return text.getvalue()


def _harmless(cell: object) -> object:
    if cell is None:
        return ""
    if not isinstance(cell, str) or not cell or cell[0] not in _FORMULA:
        return cell
    return cell if _NUMBER.fullmatch(cell) else f"'{cell}"
