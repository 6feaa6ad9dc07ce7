"""The program is stopped by command; tests/interop/test_stopping.py does it under calls."""

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
