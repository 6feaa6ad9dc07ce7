"""Whoever logs waits for nobody: not for a reader that stalls or is gone, nor for a full disk."""

import asyncio
import errno
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway import log, log_queue
from gateway.log_queue import LogQueue

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that holds 64 kB; whatever a test leaves open is closed."""
    ends = os.pipe()
    yield ends
    for end in ends:
        with suppress(OSError):
            os.close(end)


def until(check: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def read_all(descriptor: int) -> list[dict[str, Any]]:
    """The lines until the other end is closed."""
    data = b""
    while piece := os.read(descriptor, 1 << 20):
        data += piece
    return [json.loads(line) for line in data.splitlines()]


async def test_a_stalled_reader_stops_nobody_and_is_told_what_it_missed(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that was stopped, `| less`, a log shipper that hangs."""
    monkeypatch.setattr(log_queue, "MOST", 200_000)
    reader, writer = pipe
    begun = time.monotonic()
    with LogQueue(writer) as queue:
        log.configure("info", "json", queue)
        logger = structlog.get_logger()
        for number in range(5_000):  # a megabyte and a half; the pipe holds 64 kB
            logger.info("call.end", number=number, filler="x" * 200)
        await asyncio.sleep(0)
        assert time.monotonic() - begun < 5
        assert log.dropped() > 3_000
        lines: list[dict[str, Any]] = []
        reading = threading.Thread(target=lambda: lines.extend(read_all(reader)))
        reading.start()
        until(lambda: not queue.waiting)
        logger.info("after")
    os.close(writer)
    reading.join()
    assert lines[-1]["event"] == "after"
    kept = [line["number"] for line in lines if line["event"] == "call.end"]
    assert kept == sorted(kept)
    told = [line for line in lines if line["event"] == "log.dropped"]
    assert sum(line["lines"] for line in told) == log.dropped() == 5_000 - len(kept)
    assert {(line["level"], line["reason"]) for line in told} == {("error", "nobody takes them")}


def test_a_stalled_reader_keeps_nobody_from_ending(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queue, "CLOSE_S", 0.1)
    begun = time.monotonic()
    with LogQueue(pipe[1]) as queue:
        for _ in range(100):
            queue.write("x" * 1000 + "\n")
    assert time.monotonic() - begun < 5
    os.close(pipe[0])  # so that the thread ends


def test_a_reader_that_is_gone_costs_lines_only(pipe: Pipe) -> None:
    reader, writer = pipe
    os.close(reader)
    with LogQueue(writer) as queue:
        log.configure("info", "json", queue)
        structlog.get_logger().info("nobody.hears")
    assert log.dropped() == 1


def test_a_full_disk_costs_lines_only_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a full disk took half of ends there: the next line begins a new one."""
    file = tmp_path / "gateway.log"
    room = 100
    real = os.write

    def write(descriptor: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", write)
    with file.open("wb", buffering=0) as stream, LogQueue(stream.fileno()) as queue:
        log.configure("info", "json", queue)
        logger = structlog.get_logger()
        for number in range(3):
            logger.info("call.end", number=number)
        until(lambda: log.dropped() > 0)
        room = 100_000
        logger.info("again")
    lines = file.read_text().splitlines()
    told, again = map(json.loads, lines[-2:])
    assert (told["event"], told["lines"]) == ("log.dropped", 3)
    assert told["reason"] == "No space left on device"
    assert again["event"] == "again"


def test_lines_gather_into_one_write(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    real = os.write

    def write(descriptor: int, data: memoryview) -> int:
        writes.append(len(data))
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    with LogQueue(pipe[1]) as queue:
        for _ in range(200):
            queue.write("a line\n")
    assert sum(writes) == 200 * len("a line\n")
    assert len(writes) <= 3


def test_what_cannot_be_made_into_a_line_harms_nobody(pipe: Pipe) -> None:
    class Rude:
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    reader, writer = pipe
    with LogQueue(writer) as queue:
        log.configure("info", "json", queue)
        structlog.get_logger().info("call.end", who=Rude())
        structlog.get_logger().info("call.end", who="polite")
    os.close(writer)
    assert [line["event"] for line in read_all(reader)] == ["log.dropped", "call.end"]


# whose line it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["json", "console"])
def test_one_grep_by_call_id_finds_lines_that_were_written_before_it_was_known(
    pipe: Pipe, style: log.Style
) -> None:
    """The INVITE comes first, and the application makes the call's id of it."""
    reader, writer = pipe
    with LogQueue(writer) as queue:
        log.configure("debug", style, queue)
        logger = structlog.get_logger()
        logger.info("message.sip", sip_call_id="a-leg@host", message="INVITE")
        logger.info("media.silent", call_sid="sid-1", leg="a")
        logger.info("message.sip", sip_call_id="stranger@host")
        log.name_call("0123", "sid-1", "a-leg@host")
        logger.info("call.begin", call_id="0123")
        log.name_call("0123", "sid-1b", "b-leg@host")
        logger.info("leg.failed", sip_call_id="b-leg@host")
        logger.info("relay.foreign-packets", call_sid="sid-1")
    os.close(writer)
    with os.fdopen(os.dup(reader)) as text:
        lines = text.read().splitlines()
    assert len(lines) == 6
    assert ["0123" in line for line in lines] == [True, True, False, True, True, True]
    assert all(line.startswith("{") == (style == "json") for line in lines)


WATCHED = [
    ("+14155550100", True),
    ("4155550100", True),
    ("0100", False),
    ("+14155550199", False),
    ("carrier", True),
    ("a-leg@host", True),
    ("b-leg@host", False),
]


@pytest.mark.parametrize(("watch", "seen"), WATCHED)
def test_a_watched_call_tells_everything_and_no_other_does(
    pipe: Pipe, watch: str, seen: bool
) -> None:
    reader, writer = pipe
    with LogQueue(writer) as queue:
        log.configure("info", "json", queue, watch=[watch])
        logger = structlog.get_logger()
        parties = {"from": "12125550100", "to": "+1 415 555-0100"}
        logger.debug("message.sip", sip_call_id="a-leg@host", trunk="carrier", **parties)
        log.name_call("0123", "sid-1", "a-leg@host")
        logger.info("call.begin", call_id="0123")
        log.name_call("0123", "sid-1b", "other-leg@host")
        logger.debug("message.sip", sip_call_id="other-leg@host")
        logger.debug("call.phase", call_id="0123")
        logger.debug("call.phase", call_id="4567", sip_call_id="of another call")
    os.close(writer)
    events = [line["event"] for line in read_all(reader)]
    everything = ["message.sip", "call.begin", "message.sip", "call.phase"]
    assert events == (everything if seen else ["call.begin"])


def test_level_format_and_watch_change_while_the_program_runs(pipe: Pipe) -> None:
    reader, writer = pipe
    logger = structlog.get_logger()
    with LogQueue(writer) as queue:
        log.configure("warning", "console", queue)
        logger.info("unseen")
        logger.warning("first")
        log.reconfigure("debug", "json")
        logger.debug("second")
        log.reconfigure("error", "json", watch=["sid-1"])
        logger.info("unseen")
        logger.debug("third", call_sid="sid-1")
    os.close(writer)
    with os.fdopen(os.dup(reader)) as text:
        first, second, third = text.read().splitlines()
    assert "first" in first
    assert not first.startswith("{")
    assert json.loads(second)["event"] == "second"
    assert json.loads(third)["event"] == "third"
