"""Campaigns as people save them: what is read, and which line is wrong for which reason."""

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outbound.campaign_csv import CsvError, Row, read_rows, write_rows


def rows(text: str | bytes, most: int = 100) -> list[Row]:
    raw = text if isinstance(text, bytes) else text.encode()
    return list(read_rows(io.BytesIO(raw), most))


def test_columns_are_members_of_a_call() -> None:
    head = "number,agent,from,var.name,var.Plan,metadata.crm,tag.x,header.X-Case,priority"
    [row] = rows(f'{head}\n+14155550123,agent_1,,"Ann, jun.",gold,4711,y,7,5\n')
    assert row == Row(
        2,
        {
            "to": "+14155550123",
            "agent": "agent_1",
            "variables": {"name": "Ann, jun.", "Plan": "gold"},
            "metadata": {"crm": "4711"},
            "tag": {"x": "y"},
            "headers": {"X-Case": "7"},
            "priority": "5",
        },
    )


@pytest.mark.parametrize(
    "text",
    [
        "number,agent\r\n+1415,a\r\n",
        "number;agent\n+1415;a\n",
        "number\tagent\n+1415\ta",
        "\ufeffnumber,agent\n+1415,a\n",
        "Number, Agent \n +1415 , a \n\n,\n",
        '"number","agent"\n"+1415","a"\n',
    ],
)
def test_as_spreadsheets_save_it(text: str) -> None:
    assert [row.fields for row in rows(text)] == [{"to": "+1415", "agent": "a"}]


def test_lines_are_those_of_the_file() -> None:
    text = 'number,var.note\n+1,"two\nlines"\n\n+2,x\n+3,x,y\n'
    assert [(row.line, row.wrong) for row in rows(text)] == [
        (3, ""),
        (5, ""),
        (6, "has 3 cells, and the head has 2 columns"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("\n+1\n", "the file is empty"),
        ("agent\na\n", "number is missing"),
        ("number,phone\n", "there is no column 'phone'"),
        ("number,var.\n", "there is no column 'var.'"),
        ("number,agent,Agent\n", "agent is there twice"),
        (b"number,agent\n\xff\xfe,1\n", "not UTF-8"),
        ('number,agent\n"+1"x,a\n', "line 2"),
        ("number\n" + "+1\n" * 4, "more than 3 calls"),
    ],
)
def test_what_is_no_campaign_is_told_whole(text: str | bytes, words: str) -> None:
    with pytest.raises(CsvError, match=words.replace(".", r"\.")):
        rows(text, most=3)


def test_ten_thousand_rows() -> None:
    lines = "".join(f"+1415{number:07d},Ann {number}\n" for number in range(10_000))
    found = rows("number,var.name\n" + lines, most=10_000)
    assert len(found) == 10_000
    assert found[-1] == Row(10_001, {"to": "+14150009999", "variables": {"name": "Ann 9999"}})


@given(st.lists(st.text(st.characters(exclude_categories=("Cs", "Cc")))))
def test_any_cell_comes_back(cells: list[str]) -> None:
    """What is written is read as it was, but for what a spreadsheet would run."""
    head = ["number", *(f"var.v{number}" for number in range(len(cells)))]
    [row] = rows(write_rows([head, ["+1415", *cells]]))
    for number, cell in enumerate(cells):
        read = row.fields.get("variables", {}).get(f"v{number}", "")
        assert read.removeprefix("'") == cell.strip().removeprefix("'")


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_an_error(raw: bytes) -> None:
    try:
        found = rows(b"number\n" + raw)
    except CsvError:
        return
    assert all(row.line > 1 for row in found)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("+14155550123", "+14155550123"),
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-1", "'-1"),
        ("+cmd|x", "'+cmd|x"),
        (-1, "-1"),
        (None, ""),
        ("", ""),
    ],
)
def test_a_spreadsheet_runs_nothing(cell: Any, written: str) -> None:
    assert write_rows([[cell, "x"]]) == f"{written},x\r\n"
