"""Exit codes and messages: 0 fine, 1 failed, 2 bad usage or configuration, one line a problem."""

import json
import re
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from config.settings import SANDBOX_FILE
from gateway.cli import common, main
from tests.packaging.conftest import Ports, Run
from tests.transport.tls.authority import Authority

runner = CliRunner()
COMMANDS = (
    *("run", "check", "call", "sandbox", "calls"),
    *("trunks", "bans", "refused", "unban", "profiles", "health", "reload", "drain", "audit"),
    *("queue", "callbacks", "campaigns", "do-not-call"),
    *("spend", "blocked", "block", "unblock"),
    "provision",
)


@pytest.fixture(autouse=True)
def _a_plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GATEWAY_CONFIG", "RETELL_API_KEY", "GATEWAY_DEBUG"):
        monkeypatch.delenv(name, raising=False)


# --- configuration ------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["run", "check", "sandbox", "calls"])
def test_a_misspelt_key_is_one_line_with_its_place(
    command: str, config_file: Path, config_text: str
) -> None:
    config_file.write_text(config_text.replace("advertise:", "advertize:"))
    line = 1 + config_text[: config_text.index("advertise:")].count("\n")
    result = runner.invoke(main.app, [command, "--config", str(config_file)])
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        f"{config_file}:{line}: sip.advertize: unknown key; did you mean advertise?"
    ]


def test_a_missing_secret_is_one_line(config_file: Path, config_text: str) -> None:
    text, changed = re.subn(r"api_key: .*", "api_key: ${A_KEY_THAT_IS_NOT_SET}", config_text)
    assert changed == 1
    config_file.write_text(text)
    result = runner.invoke(main.app, ["check", "-c", str(config_file)])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{config_file}:")
    assert "retell.api_key" in line
    assert "A_KEY_THAT_IS_NOT_SET" in line


def test_an_unreadable_certificate_is_one_line(config_file: Path, config_text: str) -> None:
    tls = "  tls: {certificate: nowhere/tls.crt, key: nowhere/tls.key}\n"
    config_file.write_text(config_text.replace("media:\n", tls + "media:\n"))
    result = runner.invoke(main.app, ["run", "-c", str(config_file)])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2, "one for each file"
    for line, key in zip(result.stderr.splitlines(), ("certificate", "key"), strict=True):
        assert f"sip.tls.{key}" in line
        assert "nowhere" in line


def test_several_mistakes_are_all_told(config_file: Path, config_text: str) -> None:
    text = config_text.replace("advertise:", "advertize:").replace("listen: 127", "listen: x:127")
    config_file.write_text(text)
    result = runner.invoke(main.app, ["check", "-c", str(config_file)])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2


def test_a_file_that_is_not_there_is_one_line() -> None:
    result = runner.invoke(main.app, ["check", "-c", "nowhere.yaml"])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "nowhere.yaml" in result.stderr


# --- usage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["call"],
        ["call", "+14155550100", "--via", "sip:127.0.0.1;transport=tcp"],
        ["call", "+14155550100", "--via", "nonsense:99999"],
        ["call", "+14155550100", "--play", "nowhere.wav"],
        ["call", "+14155550100", "--expect", "miracles"],
        ["run", "--once"],
        ["fly"],
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    result = runner.invoke(main.app, arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_every_command_explains_itself() -> None:
    result = runner.invoke(main.app, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert f" {name} " in result.stdout
        assert runner.invoke(main.app, [name, "--help"]).exit_code == 0


def test_an_unexpected_error_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("nobody expects it")

    monkeypatch.setattr(main, "app", broken)
    with pytest.raises(SystemExit) as ending:
        main.main()
    assert ending.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ZeroDivisionError: nobody expects it")
    monkeypatch.setenv("GATEWAY_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main.main()


# --- which configuration ------------------------------------------------------------------------


def test_the_usual_file_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert common.config_path(None) == SANDBOX_FILE
    monkeypatch.setenv("RETELL_API_KEY", "key")
    assert common.config_path(None) is None, "the environment alone, as in the jambonz example"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gateway.yaml").touch()
    assert common.config_path(None) == Path("config/gateway.yaml")
    assert common.config_path(Path("mine.yaml")) == Path("mine.yaml")


def test_a_key_without_a_configuration_is_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RETELL_API_KEY", "key")
    result = runner.invoke(main.app, ["run", "--demo"])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert "config/gateway.example.yaml" in line
    assert "unset RETELL_API_KEY" in line


# --- what is in the way --------------------------------------------------------------------------


def hold(kind: int, port: int) -> socket.socket:
    held = socket.socket(socket.AF_INET, kind)
    held.bind(("127.0.0.1", port))
    if kind == socket.SOCK_STREAM:
        held.listen()
    return held


@pytest.mark.parametrize(
    ("key", "kind", "which"),
    [
        ("http.listen", socket.SOCK_STREAM, "http"),
        ("sip.listen", socket.SOCK_DGRAM, "sip"),
        ("sip.listen", socket.SOCK_STREAM, "sip"),
    ],
    ids=["http", "sip-udp", "sip-tcp"],
)
def test_a_taken_port_is_one_line_and_nothing_is_half_started(
    key: str, kind: int, which: str, config_file: Path, ports: Ports, program: Run
) -> None:
    with hold(kind, getattr(ports, which)):
        ended = program("run", "--config", config_file)
        assert ended.code == 2
        (line,) = ended.lines
        assert line.startswith(f"error: {key}: ")
        assert f"127.0.0.1:{getattr(ports, which)} is taken" in line
        checked = runner.invoke(main.app, ["check", "--config", str(config_file)])
        assert checked.exit_code == 1
        assert f"error {config_file}" in checked.stdout
        assert "taken by another program" in checked.stdout
    assert not _listening(ports.http)
    assert not _listening(ports.sip)


@pytest.mark.parametrize("command", [["sandbox"], ["run", "--demo", "--once"]])
def test_nothing_to_call_is_one_line(
    command: list[str], config_file: Path, config_text: str, program: Run
) -> None:
    """`sip.listen: []`: a jambonz does the SIP."""
    text = re.sub(r"(?m)^  listen: \[.*$", "  listen: []", config_text)
    config_file.write_text(text)
    ended = program(*command, "--config", config_file)
    assert ended.code == 2
    (line,) = ended.lines
    assert line.startswith("error: sip.listen is empty")


def test_taken_relay_ports_are_one_line(config_file: Path, ports: Ports, program: Run) -> None:
    held = [hold(socket.SOCK_DGRAM, port) for port in range(ports.relay, ports.relay + 40)]
    try:
        ended = program("run", "--config", config_file)
    finally:
        for one in held:
            one.close()
    assert ended.code == 2
    assert ended.lines == [
        f"error: media.ports: all of {ports.relay}-{ports.relay + 39} are taken by other programs;"
        " choose another range, and open it in the firewall"
    ]


def test_a_taken_port_for_keys_is_found_by_check(config_file: Path, config_text: str) -> None:
    with hold(socket.SOCK_DGRAM, 0) as held:
        port = held.getsockname()[1]
        keys = f"  engine: ng:udp:127.0.0.1:2223\n  rtpengine: {{dtmf_log: 127.0.0.1:{port}}}\n"
        config_file.write_text(config_text.replace("media:\n", "media:\n" + keys))
        checked = runner.invoke(main.app, ["check", "--config", str(config_file)])
    assert checked.exit_code == 1
    assert f"udp:127.0.0.1:{port} is taken by another program" in checked.stdout


def test_a_taken_port_of_the_sandbox_is_one_line(
    config_file: Path, ports: Ports, program: Run
) -> None:
    with hold(socket.SOCK_STREAM, ports.retell_http):
        ended = program("sandbox", "--config", config_file)
    assert ended.code == 2
    (line,) = ended.lines
    assert f"127.0.0.1:{ports.retell_http}" in line


def test_the_sandbox_cannot_stand_in_for_retell_itself(
    config_file: Path, config_text: str, ports: Ports
) -> None:
    config_file.write_text(
        config_text.replace(f"http://127.0.0.1:{ports.retell_http}", "https://api.retellai.com")
    )
    result = runner.invoke(main.app, ["sandbox", "-c", str(config_file)])
    assert result.exit_code == 2
    assert "points to Retell itself" in result.stderr


def test_with_a_key_the_sandbox_of_a_container_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETELL_API_KEY", "key")
    result = runner.invoke(main.app, ["sandbox", "--unless-key"])
    assert result.exit_code == 0


def test_check_finds_all_well(config_file: Path, program: Run) -> None:
    ended = program("check", "--config", config_file)
    assert (ended.code, ended.lines) == (0, [])
    assert ended.out.count(" free\n") == 4
    assert "fine storage.url" in ended.out


def test_check_reads_the_certificate_of_a_tls_listener(
    config_file: Path, tmp_path: Path, program: Run
) -> None:
    """Its names and its last day; and a key that is another certificate's is told at once."""
    (pki := tmp_path / "pki").mkdir()
    authority = Authority(pki)
    for name in ("sip.example.com", "other.example.com"):
        authority.issue(name, file=f"{name}.pem")
    text = config_file.read_text().replace("sip:\n", "sip:\n  tls: {TLS}\n")
    listen = text.replace("listen: [udp:", "listen: [tls:127.0.0.1:5071, udp:")
    for key, code, told in (
        ("sip.example.com", 0, "tls:127.0.0.1:5071: the certificate of sip.example.com, "),
        ("other.example.com", 1, "is not the key of"),
    ):
        files = f"certificate: {pki}/sip.example.com.pem, key: {pki}/{key}.pem"
        config_file.write_text(listen.replace("TLS", files))
        ended = program("check", "--config", config_file)
        assert (ended.code, ended.lines) == (code, [])
        assert told in ended.out


def test_calls_without_a_gateway_says_so(config_file: Path, ports: Ports, program: Run) -> None:
    ended = program("calls", "--config", config_file)
    assert ended.code == 1
    assert ended.lines == [
        f"error: no gateway answers at http://127.0.0.1:{ports.http} (connection refused):"
        " is it running?"
    ]


def test_a_call_to_nobody_is_a_report_and_1(ports: Ports, program: Run) -> None:
    place = ["--via", f"127.0.0.1:{ports.sip}", "--listen-port", "0"]
    ended = program("call", "+14155550100", *place)
    assert ended.code == 1
    assert "nothing listens" in ended.out
    ended = program("call", "+14155550100", "--json", *place)
    assert ended.code == 1
    report = json.loads(ended.out)
    assert report["proved"] is False
    assert report["ended"] == "nothing_listens"


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
