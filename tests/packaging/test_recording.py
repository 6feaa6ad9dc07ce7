"""A call is recorded by the program: its audio by content, the API, the commands, and erasure."""

import io
import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from testkit import melody
from tests.packaging.conftest import Ports, Run, environment

TOKEN = {"Authorization": "Bearer sandbox-admin-token"}


@contextmanager
def running(config: Path, ports: Ports) -> Iterator[Path]:
    """Sandbox and gateway; the gateway's log."""
    log = config.parent / "gateway.log"
    with log.open("w") as file, ExitStack() as stack:
        for command, place in (
            ("sandbox", f"{ports.retell_http}/"),
            ("run", f"{ports.http}/readyz"),
        ):
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "gateway", command, "--config", str(config)],
                    cwd=config.parent,
                    env=environment(),
                    stdout=file,
                    stderr=file,
                )
            )
            stack.callback(process.send_signal, signal.SIGINT)
            answers(f"http://127.0.0.1:{place}", process, log)
        yield log


def answers(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until something is served there."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError as error:
            if error.code != 503:
                return
        except OSError:
            pass
        else:
            return
        time.sleep(0.2)
    raise TimeoutError(url)


def ask(ports: Ports, path: str, method: str = "GET", body: Any = None) -> tuple[int, bytes]:
    url = f"http://127.0.0.1:{ports.http}/api/v1/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, TOKEN, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def recordings(ports: Ports, query: str = "") -> list[dict[str, Any]]:
    status, body = ask(ports, f"recordings{query}")
    assert status == 200, body
    found: list[dict[str, Any]] = json.loads(body)["items"]
    return found


def test_a_call_is_recorded_listed_played_and_erased(
    ports: Ports, program: Run, recorded_config: Path, tmp_path: Path
) -> None:
    with running(recorded_config, ports):
        story(ports, program, recorded_config, tmp_path)


def story(ports: Ports, program: Run, recorded_config: Path, tmp_path: Path) -> None:
    place = ["--via", f"127.0.0.1:{ports.sip}", "--listen-port", str(ports.phone)]
    for number in ("+14155550100", "+14155550101"):
        assert program("call", number, *place).code == 0
    newest = json.loads(program("calls", "--json", "--config", recorded_config).out)[0]
    one = finished(ports)
    assert one["name"] == newest["call_id"], "the other number is not recorded"
    assert recordings(ports, f"?call_id={newest['call_id']}") == [one]

    status, audio = ask(ports, f"recordings/{one['name']}/audio")
    assert status == 200
    left, right = channels(audio)
    assert melody.find(melody.CALLER, left).heard, "the caller is left"
    assert melody.find(melody.AGENT, right).heard, "the agent is right"
    assert not melody.find(melody.AGENT, left).heard
    stored = (tmp_path / "recordings" / f"{one['name']}.rec").read_bytes()
    assert audio[44:84] not in stored

    wav = tmp_path / "call.wav"
    assert program("recordings", "save", one["name"], wav, "--config", recorded_config).code == 0
    assert wav.read_bytes() == audio
    listed = program("recordings", "list", "--config", recorded_config)
    assert one["name"] in listed.out

    assert recordings(ports, "?caller=%2B14155550198") == []
    assert ask(ports, "recordings", "DELETE")[0] == 400
    erased = program("recordings", "erase", newest["from"], "--config", recorded_config)
    assert (erased.code, erased.out.split()) == (0, [one["name"], "1", "deleted"])
    assert recordings(ports) == []
    assert list((tmp_path / "recordings").iterdir()) == []
    for path in (one["name"], "../gateway", "x%2F..%2Fy"):
        assert ask(ports, f"recordings/{path}")[0] == 404
    over = ask(ports, f"calls/{newest['call_id']}/recording", "POST", {"action": "pause"})
    assert over[0] == 409
    with urllib.request.urlopen(f"http://127.0.0.1:{ports.http}/metrics", timeout=10) as page:
        metrics = page.read()
    assert b'gateway_recordings_total{reason="ended"} 1.0' in metrics


def test_a_full_disk_ends_the_recording_and_not_the_call(
    recorded_config: Path, tmp_path: Path, ports: Ports, program: Run
) -> None:
    disk = tmp_path / "recordings"
    disk.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "none", str(disk)], check=True)
    try:
        with running(recorded_config, ports) as log:
            place = ["--via", f"127.0.0.1:{ports.sip}", "--listen-port", str(ports.phone)]
            assert program("call", "+14155550101", *place).code == 0
            one = finished(ports)
            assert one["duration_s"] > 0, "what was written before is kept"
            assert ask(ports, f"recordings/{one['name']}/audio")[0] == 200
        lines = [json.loads(line) for line in log.read_text().splitlines() if line[:1] == "{"]
        ended = [line for line in lines if line["event"] == "recording.ended"]
        assert [line["reason"] for line in ended] == ["disk-full"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def finished(ports: Ports) -> dict[str, Any]:
    """The one recording, when its end is written."""
    before: list[dict[str, Any]] = []
    for _ in range(40):
        now = recordings(ports)
        if now and now == before:
            break
        before = now
        time.sleep(0.5)
    [one] = before
    return one


def channels(audio: bytes) -> tuple[bytes, bytes]:
    with wave.open(io.BytesIO(audio)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        frames = file.readframes(file.getnframes())
        assert len(frames) == 4 * file.getnframes()
    pairs = re.findall(rb"(..)(..)", frames, re.DOTALL)
    return b"".join(left for left, _ in pairs), b"".join(right for _, right in pairs)
