"""The program run as an operator runs it, on ports that nobody else has."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sip.media.recording.keys import new_key
from tests.ports import free_port, free_ports

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ports:
    """Free ports of 127.0.0.1; `relay` is the first of a range of forty."""

    http: int
    sip: int
    retell_http: int
    retell_sip: int
    phone: int
    relay: int


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What was said on standard error, without the JSON of the log."""
        return [line for line in self.err.splitlines() if line and not line.startswith("{")]


Run = Callable[..., Ended]


@pytest.fixture
def ports() -> Ports:
    http, sip, retell_http, retell_sip, phone = (free_port() for _ in range(5))
    return Ports(
        http=http,
        sip=sip,
        retell_http=retell_http,
        retell_sip=retell_sip,
        phone=phone,
        relay=free_ports(40),
    )


@pytest.fixture
def config_text(ports: Ports) -> str:
    """config/sandbox.yaml as it is, on the test's own ports."""
    own = {
        ":8080": f":{ports.http}",
        ":5060": f":{ports.sip}",
        ":8090": f":{ports.retell_http}",
        ":5070": f":{ports.retell_sip}",
        ":5090": f":{ports.phone}",
        "20000-20999": f"{ports.relay}-{ports.relay + 39}",
    }
    text = (ROOT / "config" / "sandbox.yaml").read_text()
    assert all(usual in text for usual in own)
    # all at once: one of ours may begin like another usual one
    return re.sub("|".join(own), lambda usual: own[usual[0]], text)


@pytest.fixture
def config_file(tmp_path: Path, config_text: str) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(config_text)
    return path


@pytest.fixture
def recorded_config(tmp_path: Path, config_text: str) -> Path:
    """Every call is recorded, but for those of one number."""
    keys = tmp_path / "recording.keys"
    keys.write_text(new_key("main", os.urandom(32)))
    keys.chmod(0o600)
    path = tmp_path / "gateway.yaml"
    section = "recording: {directory: recordings, key_file: recording.keys, all: true}\n"
    quiet = "{agent: agent_sandbox, record: false}                 # method 1"
    text = config_text.replace("{agent: agent_sandbox}                 # method 1", quiet)
    assert quiet in text
    path.write_text(text + section)
    return path


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Runs `python -m gateway` in a directory of its own and waits for it to end."""

    def run(*arguments: str | Path, timeout_s: float = 60, **variables: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *map(str, arguments)],
            cwd=tmp_path,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


def environment(**variables: str) -> dict[str, str]:
    """This process's, without what an operator's shell may hold for the gateway."""
    ours = ("RETELL", "GATEWAY", "PSTN", "OVERRIDE", "LOGLEVEL", "PHONE", "PORT", "WS_PORT")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return kept | {"PYTHONPATH": str(ROOT)} | variables
