"""The ladders of transfers in docs/call-flows.md, drawn from what SIPp saw.

A ladder stands below the heading `### its name`. A story compares its own messages with it, party
by party, since nobody says which of two parties hears first. `WRITE_LADDERS=1` in the environment
has the stories write theirs into the page instead.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interop.harness.siplog import Logged, MessageLog

PAGE = Path(__file__).parents[3] / "docs" / "call-flows.md"
PARTIES = ("caller", "Retell", "target")
_UPRIGHTS = (3, 21, 39, 57)
"""The columns of caller, gateway, Retell and target."""
_AT = {"caller": 0, "Retell": 2, "target": 3}
_SILENT = frozenset({("BYE", 200), ("CANCEL", 200), ("NOTIFY", 200), ("REFER", 100)})


@dataclass(frozen=True, slots=True)
class Step:
    """One message between a party and the gateway."""

    party: str
    sent: bool
    """by the party"""
    label: str


def steps(logs: Mapping[str, MessageLog]) -> list[Step]:
    """What the parties saw from the first REFER of Retell's on, in time; without ACK, 100 and the
    200 of BYE, CANCEL and NOTIFY."""
    begin_s = logs["Retell"].sent("REFER")[0].at_s
    seen: set[str] = set()
    found: list[tuple[float, Step]] = []
    # SIPp notes a message when it gets round to it: what answers the REFER went out first
    first = {(202, "202"), (0, "NOTIFY 100")}
    for party, log in logs.items():
        for message in _since_they_talk(party, log):
            label = _label(message)
            if label is None or message.text in seen:
                continue
            seen.add(message.text)
            answers = party == "Retell" and (message.status, label) in first
            at_s = begin_s if answers else max(begin_s, message.at_s)
            found.append((at_s, Step(party, message.sent, label)))
    return [step for _, step in sorted(found, key=lambda one: (one[0], one[1].party != "Retell"))]


def _since_they_talk(party: str, log: MessageLog) -> list[Logged]:
    """Retell's from its REFER on, the caller's from its ACK on, all of the target's."""
    first = {"caller": "ACK", "Retell": "REFER"}.get(party)
    starts = (
        at
        for at, one in enumerate(log.messages)
        if one.sent and (one.status, one.method) == (0, first)
    )
    return log.messages[next(starts, 0) :]


def _label(message: Logged) -> str | None:
    if message.method == "ACK" or message.status == 100:
        return None
    if message.status:
        silent = (message.method, message.status) in _SILENT
        return None if silent else str(message.status)
    if message.method == "NOTIFY":
        return f"NOTIFY {message.body.split()[1]}"
    if message.method == "INVITE" and ";tag=" in message.header("to"):
        return "re-INVITE"
    return message.method


def draw(story: Sequence[Step]) -> str:
    """As text: one line a message."""
    shown = [party for party in PARTIES if any(step.party == party for step in story)]
    uprights = {0: "caller", 1: "gateway", 2: "Retell"} | ({3: "target"} if len(shown) > 2 else {})
    lines = [_row((_UPRIGHTS[at] - len(name) // 2, name) for at, name in uprights.items())]
    bars = [_UPRIGHTS[at] for at in uprights]
    for step in story:
        here, there = _UPRIGHTS[1], _UPRIGHTS[_AT[step.party]]
        left, right = min(here, there), max(here, there)
        rightwards = (there > here) is not step.sent
        rung = f" {step.label} ".center(right - left - 2, "─")
        rung = f"{rung}>" if rightwards else f"<{rung}"
        row = [(bar, "│") for bar in bars if not left < bar < right]
        lines.append(_row(sorted([*row, (left + 1, rung)])))
    return "\n".join(lines) + "\n"


def _row(pieces: Iterator[tuple[int, str]] | Sequence[tuple[int, str]]) -> str:
    line = ""
    for at, text in pieces:
        line = line.ljust(at) + text
    return line


def read(text: str) -> list[Step]:
    """The steps of a drawn ladder."""
    found = []
    for line in text.splitlines()[1:]:
        match = re.search(r"(<)?─+ ([^─]+) ─+(>)?", line)
        assert match is not None, line
        end = match.end() if match.start() >= _UPRIGHTS[1] else match.start()
        party = min(_AT, key=lambda name: abs(_UPRIGHTS[_AT[name]] - end))
        leftwards = match[1] is not None
        found.append(Step(party, leftwards is not (party == "caller"), match[2]))
    return found


def held(name: str, logs: Mapping[str, MessageLog]) -> None:
    """The ladder of that name is what the parties saw."""
    story, page = steps(logs), PAGE.read_text()
    if os.environ.get("WRITE_LADDERS"):
        _write(name, draw(story), page)
        return
    section = _section(name, page)
    assert section is not None, f"docs/call-flows.md has no ladder ### {name}:\n{draw(story)}"
    drawn = read(section[1])
    for party in PARTIES:
        told, seen = ([one for one in each if one.party == party] for each in (drawn, story))
        assert told == seen, f"### {name} is now\n{draw(story)}"


def _section(name: str, page: str) -> re.Match[str] | None:
    return re.search(rf"### {re.escape(name)}\n(?:(?!###)[^`])*?```\n(.*?)```\n", page, re.DOTALL)


def _write(name: str, ladder: str, page: str) -> None:
    section = _section(name, page)
    if section is None:
        PAGE.write_text(f"{page.rstrip()}\n\n### {name}\n\n```\n{ladder}```\n")
    else:
        PAGE.write_text(page[: section.start(1)] + ladder + page[section.end(1) :])
