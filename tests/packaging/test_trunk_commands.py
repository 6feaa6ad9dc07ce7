"""trunks, bans, unban and profiles, asked of a gateway that runs as an operator runs it."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from config.reading.profiles import names
from gateway.cli import main
from sip.core.message import Request, make_response
from sip.core.parser import parse_message
from tests.packaging.conftest import Ports, Run, environment

runner = CliRunner()
SCANNER = "127.0.0.9"
SECRETS = ("carrier-password", "pbx-password", "token-of-the-carrier")


@pytest.fixture(autouse=True)
def _a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATEWAY_CONFIG", "RETELL_API_KEY", "GATEWAY_DEBUG"):
        monkeypatch.delenv(name, raising=False)


class Carrier(threading.Thread):
    """Answers whatever comes: 404 to OPTIONS, 200 to REGISTER for ten minutes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.registered = 0
        self.refuses = False

    def run(self) -> None:
        while True:
            data, source = self.socket.recvfrom(65535)
            if data == b"end":
                return
            request = parse_message(data) if data.strip() else None
            if not isinstance(request, Request):
                continue
            if request.method == "REGISTER" and not self.refuses:
                self.registered += 1
                assert request.contact is not None
                contact = f"<{request.contact.uri}>;expires=600"
                answer = make_response(request, 200, to_tag="c", headers=[("Contact", contact)])
            else:
                status = 404 if request.method == "OPTIONS" else 403
                answer = make_response(request, status, to_tag="c")
            self.socket.sendto(answer.to_bytes(), source)

    def end(self) -> None:
        self.socket.sendto(b"end", ("127.0.0.1", self.port))
        self.join(5)
        self.socket.close()


@pytest.fixture
def carrier() -> Iterator[Carrier]:
    carrier = Carrier()
    carrier.start()
    yield carrier
    carrier.end()


@pytest.fixture
def edge_config(config_file: Path, config_text: str, carrier: Carrier) -> Path:
    """The sandbox's configuration with a carrier that answers and a PBX that is to register."""
    data = yaml.safe_load(config_text)
    data["http"]["admin_token"] = "a-token"
    data["retell"]["identify"] = ["127.0.0.1"]
    data["trunks"] += [
        {
            "name": "carrier",
            "gateways": [f"sip:127.0.0.1:{carrier.port}"],
            "register": True,
            "credentials": {"username": "us", "password": SECRETS[0]},
            "identify": ["192.0.2.0/24"],
            "identify_headers": {"X-Token": SECRETS[2]},
            "health": {"options": True},
            "max_calls": 7,
        },
        {
            "name": "pbx",
            "kind": "pbx",
            "registrar": True,
            "login": {"username": "pbx", "password": SECRETS[1]},
        },
    ]
    config_file.write_text(yaml.safe_dump(data))
    return config_file


@contextmanager
def running(config: Path, ports: Ports, folder: Path) -> Iterator[None]:
    """The gateway as a process of its own, ready."""
    log = folder / "gateway.log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-m", "gateway", "run", "--config", str(config)],
            cwd=folder,
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        ) as gateway,
    ):
        try:
            _until_ready(gateway, f"http://127.0.0.1:{ports.http}/readyz", log)
            yield
        finally:
            gateway.send_signal(signal.SIGTERM)
            code = gateway.wait(timeout=30)
    assert code == 0, log.read_text()
    assert not any(secret in log.read_text() for secret in SECRETS)


def _until_ready(gateway: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        assert gateway.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def scan(port: int) -> None:
    """What every SIP server on the internet gets all day."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as scanner:
        scanner.bind((SCANNER, 0))
        for number in range(25):
            lines = (
                f"OPTIONS sip:{number}@127.0.0.1 SIP/2.0",
                f"Via: SIP/2.0/UDP {SCANNER};branch=z9hG4bK-{number};rport",
                f"From: <sip:{number}@{SCANNER}>;tag={number}",
                f"To: <sip:{number}@127.0.0.1>",
                f"Call-ID: {number}",
                "CSeq: 1 OPTIONS",
                "Max-Forwards: 70",
                "Content-Length: 0",
            )
            scanner.sendto("\r\n".join((*lines, "", "")).encode(), ("127.0.0.1", port))


def ask(config: Path, *arguments: str) -> Result:
    return runner.invoke(main.app, [*arguments, "--config", str(config)])


def until_listed(config: Path, command: str, *words: str) -> str:
    """The table of trunks or bans, once these words are in it."""
    give_up_at = time.monotonic() + 20
    while True:
        shown = ask(config, command).stdout
        if all(word in shown for word in words):
            return shown
        assert time.monotonic() < give_up_at, shown
        time.sleep(0.3)


def test_a_running_gateways_trunks(
    edge_config: Path, ports: Ports, carrier: Carrier, program: Run, tmp_path: Path
) -> None:
    with running(edge_config, ports, tmp_path):
        shown = until_listed(edge_config, "trunks", "404", "registered for")
        lines = {line.split()[0]: line for line in shown.splitlines()}
        assert list(lines) == ["trunk", "retell", "phone", "softphone", "carrier", "pbx"]
        for word in (f"sip:127.0.0.1:{carrier.port}", " up ", "404", "0 of 7"):
            assert word in lines["carrier"]
        assert "unknown" in lines["phone"]
        assert "0 contacts" in lines["pbx"]

        one = ask(edge_config, "trunks", "carrier")
        assert one.exit_code == 0
        assert "192.0.2.0/24, a secret X-Token header" in one.stdout
        pbx = ask(edge_config, "trunks", "pbx")
        assert "none: the peer has not registered with us" in pbx.stdout

        listed = ask(edge_config, "trunks", "--json")
        trunks = {trunk["name"]: trunk for trunk in json.loads(listed.stdout)}
        assert trunks["carrier"]["gateways"][0]["watched_by"] == "options"
        assert json.loads(ask(edge_config, "trunks", "pbx", "--json").stdout) == trunks["pbx"]
        for text in (shown, one.stdout, listed.stdout):
            assert not any(secret in text for secret in SECRETS)

        before = carrier.registered
        again = ask(edge_config, "trunks", "--register", "carrier")
        assert again.exit_code == 0, again.output
        assert "registered with" in again.stdout
        assert "registered for 600 s more" in again.stdout
        assert carrier.registered > before
        carrier.refuses = True
        refused = ask(edge_config, "trunks", "--register", "carrier")
        assert refused.exit_code == 1
        assert "rejected (403), the last one holds for" in refused.stdout
        assert "forbids it (403 Forbidden)" in refused.stdout

        nobody = ask(edge_config, "trunks", "nobody")
        assert nobody.exit_code == 1
        assert nobody.stderr.strip().endswith("there is no trunk nobody")
        phone = ask(edge_config, "trunks", "--register", "phone")
        assert phone.exit_code == 1
        assert "we do not register with trunk phone" in phone.stderr

        bans = ask(edge_config, "bans")
        assert (bans.exit_code, bans.stdout) == (0, "no address is banned\n")
        assert json.loads(ask(edge_config, "bans", "--json").stdout) == []
        unban = ask(edge_config, "unban", SCANNER)
        assert unban.exit_code == 1
        assert unban.stderr == f"error: {SCANNER} is not banned\n"
        scan(ports.sip)
        listed_bans = until_listed(edge_config, "bans", SCANNER)
        assert listed_bans.splitlines()[1].startswith(SCANNER)
        assert "requests that no trunk" in listed_bans
        unban = ask(edge_config, "unban", SCANNER)
        assert (unban.exit_code, unban.stdout) == (0, f"{SCANNER} is listened to again\n")
        assert ask(edge_config, "bans").stdout == "no address is banned\n"

        other = tmp_path / "other.yaml"
        other.write_text(edge_config.read_text().replace("a-token", "another-token"))
        wrong = ask(other, "trunks")
        assert wrong.exit_code == 1
        assert "does not take this configuration's http.admin_token" in wrong.stderr

        plain = program("trunks", "--config", edge_config)
        assert plain.code == 0
        assert "\x1b" not in plain.out, "no colours where nobody sees them"


@pytest.mark.parametrize(
    "arguments",
    [["trunks"], ["trunks", "carrier"], ["trunks", "--register", "carrier"], ["bans"]],
)
def test_without_a_gateway_it_says_so(
    arguments: list[str], config_file: Path, ports: Ports
) -> None:
    result = ask(config_file, *arguments)
    assert result.exit_code == 1
    assert result.stderr == (
        f"error: no gateway answers at http://127.0.0.1:{ports.http} (connection refused):"
        " is it running?\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["unban"],
        ["unban", "somebody"],
        ["unban", "198.51.100.7.9"],
        ["trunks", "one", "--register", "two"],
        ["profiles", "no-such-profile"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    result = runner.invoke(main.app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_profiles_are_listed() -> None:
    result = runner.invoke(main.app, ["profiles"])
    assert result.exit_code == 0
    listed = [line.split()[0] for line in result.stdout.splitlines()]
    assert listed == ["profile", *names()]


@pytest.mark.parametrize("name", names())
def test_a_profile_is_shown_so_that_it_can_be_taken_over(name: str) -> None:
    """What it prints is a trunk's entry; without the comment signs too."""
    result = runner.invoke(main.app, ["profiles", name])
    assert result.exit_code == 0
    shown = result.stdout
    assert "Sources:\n  http" in shown
    entry = shown[shown.index("trunks:\n") : shown.index("\nSources:")]
    assert yaml.safe_load(entry) == {"trunks": [{"name": name, "profile": name}]}
    whole = yaml.safe_load(entry.replace("\n  # ", "\n  "))
    assert set(whole["trunks"][0]) > {"name", "profile"}


def test_a_misspelt_profile_is_guessed() -> None:
    result = runner.invoke(main.app, ["profiles", "telnx"])
    assert result.exit_code == 2
    assert result.stderr == "error: there is no profile telnx; did you mean telnyx?\n"
