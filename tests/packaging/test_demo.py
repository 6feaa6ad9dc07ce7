"""What `make run` shows: one call through gateway and sandbox, proved by content."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.packaging.conftest import Ports, Run, environment


def test_one_call_is_proved_and_shown(
    config_file: Path, ports: Ports, program: Run, tmp_path: Path
) -> None:
    ended = program("run", "--demo", "--once", "--config", config_file, timeout_s=110)
    assert ended.code == 0, ended.out + ended.err
    assert ended.lines == []
    assert "Proved: each side heard the other." in ended.out
    # both legs of the ladder: four messages towards Retell have their counterpart on the left
    for message in ("INVITE", "180 Ringing", "200 OK", "ACK", "BYE"):
        assert len(re.findall(rf"[◀─]─+ {message} ─", ended.out)) >= 2, message
    assert re.search(r"agent → caller +its melody heard \(similarity (1\.00|0\.9\d)", ended.out)
    assert re.search(r"caller → agent → caller +our melody heard", ended.out)
    assert "it heard the caller's melody" in ended.out
    assert re.search(r"at Retell call_\w+", ended.out)
    log = (tmp_path / ".run" / "gateway.log").read_text().splitlines()
    events = [json.loads(line)["event"] for line in log if line.startswith("{")]
    assert events.count("call.begin") == events.count("call.end") == 1


def test_it_stays_up_until_ctrl_c_and_takes_more_calls(
    config_file: Path, ports: Ports, program: Run, tmp_path: Path
) -> None:
    arguments = ["run", "--demo", "--config", str(config_file)]
    screen = tmp_path / "screen.txt"
    with (
        screen.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-u", "-m", "gateway", *arguments],
            cwd=tmp_path,
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as demo,
    ):
        try:
            _until(lambda: "The gateway is up" in screen.read_text(), demo)
            place = ["--via", f"127.0.0.1:{ports.sip}", "--listen-port", str(ports.phone)]
            second = program("call", "+14155550101", *place)
            assert second.code == 0, second.out
            listed = program("calls", "--json", "--config", config_file)
            calls = json.loads(listed.out)
            assert [call["to"] for call in calls] == ["+14155550101", "+14155550100"]
            assert [call["method"] for call in calls] == ["dial", "trunk"]
            one = program("calls", calls[0]["call_id"], "--config", config_file)
            assert one.code == 0
            assert calls[0]["retell_call_id"] in one.out
            assert "INVITE" in one.out
            again = program("run", "--demo", "--config", config_file)
            assert again.code == 2
            assert again.lines == [
                f"error: a gateway is running already at http://127.0.0.1:{ports.http};"
                " end it first"
            ]
        finally:
            demo.send_signal(signal.SIGINT)
            code = demo.wait(timeout=30)
    assert code == 0
    assert not _still_there(tmp_path), "its programs have ended with it"


def _until(condition: Callable[[], bool], demo: "subprocess.Popen[bytes]") -> None:
    give_up_at = time.monotonic() + 90
    while not condition():
        assert demo.poll() is None, "the demonstration has ended early"
        assert time.monotonic() < give_up_at
        time.sleep(0.2)


def _still_there(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(folder):
                found.append(process.name)
        except OSError:
            continue
    return found
