"""The relay's log: one line a class, quoting, and a reader that does not read."""

import json
import os
from collections.abc import Iterator

import pytest

from sip.media.relay.problems import INTERVAL_S, MAX_VALUE, ProblemLog


class Pipe:
    """A log's end and ours; the clock is ours too."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        self.now = 0.0
        self.log = ProblemLog(lambda: self.now, self.writer)

    def lines(self) -> list[str]:
        try:
            return os.read(self.reader, 1 << 20).decode().splitlines()
        except BlockingIOError:
            return []


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)
    os.close(pipe.writer)


def test_one_line_a_class_and_then_a_count(pipe: Pipe) -> None:
    for _ in range(5):
        pipe.log.problem("relay.no-ports", leased=4)
    pipe.log.problem("relay.control-garbage")
    assert pipe.lines() == [
        '{"level": "warning", "event": "relay.no-ports", "leased": 4}',
        '{"level": "warning", "event": "relay.control-garbage"}',
    ]
    pipe.now += INTERVAL_S
    pipe.log.problem("relay.no-ports", leased=5)
    assert pipe.lines() == [
        '{"level": "warning", "event": "relay.no-ports", "leased": 5, "held_back": 4}'
    ]


def test_a_received_value_cannot_forge_a_line(pipe: Pipe) -> None:
    forged = 'a b"\n{"level": "error", "event": "relay.forged"}'
    pipe.log.line("info", "relay.x", value=forged, long="y" * 5000, other=OSError("\x1b[31m"))
    (line,) = pipe.lines()
    assert json.loads(line) == {
        "level": "info", "event": "relay.x", "value": forged, "long": "y" * MAX_VALUE,
        "other": "\x1b[31m",
    }  # fmt: skip
    assert line.isprintable()


def test_a_reader_that_does_not_read_stops_nothing(pipe: Pipe) -> None:
    for number in range(5000):
        pipe.log.line("info", "relay.flood", number=number)
    assert len(pipe.lines()) < 5000
