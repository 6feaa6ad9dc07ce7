"""The verbs in the folder, and docs/verbs.md: one is what the other says."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sip.softswitch.jambonz import verbs
from sip.softswitch.jambonz.verbs import VERBS
from sip.softswitch.jambonz.verbs.schema import ANY, Shape, VerbError, unsupported
from sip.softswitch.jambonz.verbs.targets import TARGETS

ROOT = Path(__file__).parents[3]
JAMBONZ = json.loads((ROOT / "tests/contract/data/verb-properties.json").read_text())
DOCS = (ROOT / "docs" / "verbs.md").read_text()


def rows(first: str) -> dict[str, dict[str, str]]:
    """The table whose first column is called `first`: its cells by row and column."""
    _, _, table = DOCS.partition(f"\n| {first} |")
    head, _, *lines = f"| {first} |{table}".partition("\n\n")[0].splitlines()
    columns = cells(head)
    found = [dict(zip(columns, cells(line), strict=True)) for line in lines]
    return {row[first].strip("`"): row for row in found}


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def named(cell: str) -> set[str]:
    assert cell, "an empty cell: write none"
    return set(re.findall(r"`(\w+)`", cell))


Names = set[str]


def properties(shape: Shape[Any]) -> tuple[Names, Names, Names, Names]:
    """The properties that have an effect, that have none, that are told of, that are refused."""
    own = {name: how for name, how in shape.properties.items() if name not in {*ANY, "type"}}
    idle = {name for name, how in own.items() if how is None}
    told = {name for name, how in own.items() if how and how[1].__name__.startswith("undone")}
    refused = {name for name, how in own.items() if how and how[1] is unsupported}
    return own.keys() - idle - told - refused, idle, told, refused


def test_every_file_is_a_verb_and_has_a_row() -> None:
    parts = {"__init__", "amd", "schema", "targets"}
    files = {path.stem for path in Path(verbs.__path__[0]).glob("*.py")} - parts
    assert len(VERBS) == len(files)
    assert {name.rpartition(":")[2] for name in VERBS} == files
    assert rows("verb").keys() == VERBS.keys()


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_has_the_properties_of_its_row(name: str) -> None:
    row = rows("verb")[name]
    effect, idle, told, refused = properties(VERBS[name])
    assert named(row["properties"]) == effect
    assert named(row["taken, of no effect"]) == idle
    assert named(row["taken and not done, which is told"]) == told
    assert named(row["not supported"]) == refused
    assert named(row["hooks"]) == {key for key in effect if key.endswith("Hook")}
    assert row["what it does"]


def test_what_jambonz_knows_of_a_verb_is_known_here() -> None:
    """Done, told of, or refused with words that say so; what it does not know is no word here."""
    known = {name: set(rules["known"]) for name, rules in JAMBONZ.items()}
    targets = known.pop("target")
    assert known == {name: shape.properties.keys() - {"verb"} for name, shape in VERBS.items()}
    for shape in TARGETS.values():
        assert shape.properties.keys() == targets
    assert all(VERBS[name].required in {None, *JAMBONZ[name]["required"]} for name in VERBS)
    assert not VERBS.keys() & verbs.JAMBONZ_VERBS


def test_targets_have_the_properties_of_their_rows() -> None:
    table = rows("type")
    assert table.keys() == TARGETS.keys()
    for kind, shape in TARGETS.items():
        effect, idle, told, refused = properties(shape)
        assert named(table[kind]["properties"]) == effect
        assert named(table[kind]["taken, of no effect"]) == idle
        assert named(table[kind]["not supported"]) == refused
        assert not told


def test_the_page_is_found() -> None:
    assert "(docs/verbs.md)" in (ROOT / "README.md").read_text()
    assert "(verbs.md)" in (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"verb": "redirect", "actionHook": "/x", "statusHook": "/y"}, "statusHook is known"),
        (
            {"verb": "config", "bargeIn": {"enable": True}},
            "bargeIn is known to jambonz, not supported here",
        ),
        ({"verb": "config", "notify": True}, "unknown property notify"),
        ({"verb": "config", "record": {"recordingID": "x"}}, "action is missing"),
        (
            {"verb": "config", "record": {"action": "stop"}},
            "action must be startCallRecording, pauseCallRecording, resumeCallRecording or stop",
        ),
        (
            {"verb": "config", "record": {"action": "stopCallRecording", "recordingID": "../x"}},
            "recordingID must be 1 to 64 letters",
        ),
        (
            {
                "verb": "config",
                "record": {
                    "action": "startCallRecording",
                    "siprecServerURL": "sip:srs",
                },
            },
            "siprecServerURL is known to jambonz, not supported here",
        ),
        ({"verb": "hangup", "headers": "X"}, "headers must be an object"),
        ({"verb": "answer", "headers": {}}, "unknown property headers"),
        ({"verb": "redirect", "actionHook": "wss://app.example.com/b"}, "another WebSocket is kn"),
        ({"verb": "say"}, "'say' is known to jambonz, not supported here"),
        ({"verb": 7}, "verb 7 is not known"),
        ({"verb": "schema"}, "'schema' is not known"),
    ],
)
def test_what_a_verb_does_not_take_is_refused_in_words(item: object, words: str) -> None:
    with pytest.raises(VerbError, match=words):
        verbs.parse_verbs([item], print)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"anchorMedia": True, "id": "d1", "tag": {"orderId": 7}, "referHook": ""}, []),
        ({"anchorMedia": False}, ["anchorMedia false is known"]),
        ({"forwardPAI": False, "referHook": "/refer"}, ["forwardPAI is"]),
    ],
)
def test_what_a_dial_goes_without_is_told(more: dict[str, Any], told: list[str]) -> None:
    heard: list[str] = []
    target = [{"type": "phone", "number": "+14155550100", "name": "any"}]
    assert verbs.parse_verbs([{"verb": "dial", "target": target, **more}], heard.append)
    assert len(heard) == len(told)
    assert all(words in text for words, text in zip(told, heard, strict=True))
