"""The program is asked how it is, given other settings, and stopped; tests/interop/test_stopping.py
stops it under calls, tests/soak does it again and again."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packaging.conftest import Ports, Run, environment


@contextmanager
def gateway(config: Path, ports: Ports, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, ready; it is ended by the test."""
    log = folder / "gateway.log"
    command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            give_up_at = time.monotonic() + 60
            while ready(ports) != 200:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < give_up_at, log.read_text()
                time.sleep(0.1)
            yield process
        finally:
            process.kill()


def ready(ports: Ports) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{ports.http}/readyz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def test_health_is_what_the_image_asks_for(
    config_file: Path, ports: Ports, tmp_path: Path, program: Run
) -> None:
    """Alive while it runs, and an error when it does not."""
    with gateway(config_file, ports, tmp_path):
        for options, told in ((), "alive"), (("--ready",), "ready"):
            ended = program("health", *options, "--config", config_file)
            assert (ended.code, ended.out.strip()) == (0, told)
    ended = program("health", "--config", config_file)
    assert (ended.code, ended.lines) == (1, ["error: the gateway does not answer"])


def test_sighup_and_the_command_reload(
    config_file: Path, config_text: str, ports: Ports, tmp_path: Path, program: Run
) -> None:
    """The command tells what changed; after SIGHUP the log does. A bad file is told with its line,
    and the gateway goes on."""
    log = tmp_path / "gateway.log"
    with gateway(config_file, ports, tmp_path) as process:
        config_file.write_text(config_text.replace("limits: {calls: 250}", "limits: {calls: 7}"))
        ended = program("reload", "--config", config_file)
        assert (ended.code, ended.out.splitlines()) == (0, ["changed: limits.calls"])
        relay = f"{ports.relay}-{ports.relay + 39}"
        config_file.write_text(config_text.replace(relay, f"{ports.relay}-{ports.relay + 7}"))
        process.send_signal(signal.SIGHUP)
        until_logged(log, '"restart":["media.ports"]')
        config_file.write_text(config_text.replace("advertise:", "advertize:"))
        process.send_signal(signal.SIGHUP)
        until_logged(log, "sip.advertize: unknown key; did you mean advertise?")
        ended = program("reload", "--config", config_file)
        assert ended.code == 2
        assert "sip.advertize" in ended.lines[0]
        assert ready(ports) == 200


def until_logged(log: Path, text: str) -> None:
    give_up_at = time.monotonic() + 20
    while text not in log.read_text():
        assert time.monotonic() < give_up_at, log.read_text()
        time.sleep(0.05)


def test_without_a_call_drain_ends_it_at_once(
    config_file: Path, ports: Ports, tmp_path: Path, program: Run
) -> None:
    with gateway(config_file, ports, tmp_path) as process:
        ended = program("drain", "--config", config_file)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.splitlines()[0] == "draining: no call is up, 60 s left"
        assert ended.out.splitlines()[-1] == "stopped"
        assert process.wait(10) == 0
    assert '"gateway.draining"' in (tmp_path / "gateway.log").read_text()
