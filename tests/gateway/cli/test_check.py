"""The command check: what it says of this machine, and in which forms it says it."""

import ast
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from config.findings import Level
from config.problems import key_text
from config.settings import SANDBOX_FILE, Settings, load
from gateway.cli import checks, main
from gateway.cli.check_guard import guarded
from gateway.cli.check_money import rated
from gateway.start.errors import StartupError
from gateway.start.sounds import check_sounds
from sip.media.ringback import ringback
from tests.fakes.stun import stun_server
from tests.transport.tls.authority import Authority

ROOT = Path(__file__).parents[3]
runner = CliRunner()
DAY_S = 86_400.0


@pytest.fixture(autouse=True)
def _a_plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GATEWAY_CONFIG", "RETELL_API_KEY", "GATEWAY_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gateway.yaml"
    file.write_text(text)
    return file


def checked(file: Path, *options: str) -> tuple[int, Any]:
    ended = runner.invoke(main.app, ["check", "-c", str(file), "--json", *options])
    return ended.exit_code, json.loads(ended.stdout)


DOUBTFUL = """\
http: {listen: "127.0.0.1:5998"}
sip:
  listen: ["udp:127.0.0.1:5999"]
  advertise: 10.0.0.5
storage: {url: "sqlite:///:memory:"}
media: {ports: 40000-43999}
"""


def test_a_finding_has_code_level_key_place_text_and_what_to_do(tmp_path: Path) -> None:
    file = write(tmp_path, DOUBTFUL)
    code, told = checked(file)
    (found,) = [one for one in told["findings"] if one["level"] == "warning"]
    assert found == {
        "code": "advertise-private",
        "level": "warning",
        "key": "sip.advertise",
        "file": str(file),
        "line": 4,
        "text": "10.0.0.5 is private, and trunk retell is outside:"
        " what it sends there does not arrive",
        "fix": "write the public address that leads here",
    }
    assert (code, told["counts"]["warning"]) == (0, 1)
    assert checked(file, "--strict")[0] == 1, "a pipeline stops at a warning"
    line = runner.invoke(main.app, ["check", "-c", str(file)]).stdout.splitlines()[0]
    assert line.startswith(f"warning {file}:4: sip.advertise: 10.0.0.5 is private")
    assert line.endswith("[advertise-private]")


def test_a_configuration_that_cannot_be_used_is_json_as_well(tmp_path: Path) -> None:
    code, told = checked(write(tmp_path, "sip:\n  advertize: 10.0.0.5\n"))
    assert code == 2
    (found,) = told["findings"]
    assert (found["code"], found["level"]) == ("config-invalid", "error")
    assert (found["key"], found["line"]) == ("sip.advertize", 2)


@pytest.mark.parametrize(
    ("days_left", "code", "level"),
    [
        (-1, "certificate-expired", "error"),
        (3, "certificate-expires", "warning"),
        (29, "certificate-expires", "warning"),
        (31, "certificate-valid", "fine"),
    ],
)
def test_a_certificate_is_told_of_in_time(
    days_left: float, code: str, level: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    authority.issue("sip.example.com", file="tls.pem")
    tls = "tls: {certificate: tls.pem, key: tls.pem}"
    text = f"sip: {{listen: ['udp:127.0.0.1:5999', 'tls:127.0.0.1:5998'], {tls}}}\n"
    settings = load(write(tmp_path, text), {})
    (valid,) = checks.certificates(settings, 0.0)
    assert valid.code == "certificate-valid"
    (found,) = checks.certificates(settings, _ends(settings) - days_left * DAY_S)
    assert (found.code, found.level.value) == (code, level)
    assert found.path == ("sip", "tls", "certificate")


def _ends(settings: Settings) -> float:
    from gateway.start.tls import certificates

    ((_, shown),) = certificates(settings)
    assert not isinstance(shown, str)
    assert shown.expires_at is not None
    return shown.expires_at


def test_a_key_that_is_another_certificates_is_an_error(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    for name in ("one.example.com", "other.example.com"):
        authority.issue(name, file=f"{name}.pem")
    listener = "{address: 'tls:127.0.0.1:5998', certificate: one.example.com.pem, "
    listener += "key: other.example.com.pem}"
    settings = load(write(tmp_path, f"sip: {{listen: [{listener}]}}\n"), {})
    (found,) = checks.certificates(settings, 0.0)
    assert (found.code, found.path) == (
        "certificate-unusable",
        ("sip", "listen", 0, "certificate"),
    )
    assert "is not the key of" in found.text


@pytest.mark.parametrize(("limit", "codes"), [(-1, []), (4096, []), (1024, ["descriptors-few"])])
def test_a_low_limit_of_descriptors_is_told_with_the_calls_it_is_enough_for(
    limit: int, codes: list[str], tmp_path: Path
) -> None:
    found = list(checks.descriptors(load(SANDBOX_FILE, {}), limit))
    assert [one.code for one in found] == codes
    assert all("enough for 128 calls" in one.text for one in found)


def test_several_relay_processes_share_the_calls_and_so_the_descriptors() -> None:
    settings = load(SANDBOX_FILE, {})
    media = settings.media.model_copy(update={"processes": 4})
    assert list(checks.descriptors(settings.model_copy(update={"media": media}), 1024)) == []


async def test_a_name_and_a_stun_server_are_asked_what_they_lead_to() -> None:
    async with stun_server("203.0.113.77") as server:
        told = f"stun:127.0.0.1:{server.port}"
        settings = Settings.model_validate(
            {"sip": {"advertise": "nobody.invalid"}, "media": {"advertise": told}}
        )
        unknown, found = await checks.found_addresses(settings)
    assert (unknown.code, unknown.path) == ("advertise-unknown", ("sip", "advertise"))
    assert unknown.text.startswith("nobody.invalid")
    assert (found.code, found.path) == ("advertise-found", ("media", "advertise"))
    assert found.text == f"{told} is 203.0.113.77"
    assert await checks.found_addresses(load(SANDBOX_FILE, {})) == []


def test_behind_a_nat_a_missing_advertise_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By this machine's own address, as a packet to the outside would have it."""
    file = write(tmp_path, DOUBTFUL.replace("  advertise: 10.0.0.5\n", ""))
    settings = load(file, {})
    monkeypatch.setattr(checks, "_OUTSIDE", ("127.0.0.1", 9))
    (found,) = checks.own_address(settings)
    assert found.code == "advertise-missing"
    sandbox = load(SANDBOX_FILE, {})
    assert list(checks.own_address(sandbox)) == []


def test_neither_check_nor_run_begins_by_reading_retells_sdk() -> None:
    """Its models take most of a second to read, and without a key nobody uses them."""
    program = "import gateway.cli.check, gateway.cli.checks, gateway.main, sys"
    told = subprocess.run(
        [sys.executable, "-c", f"{program}; print('retell' in sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert told.stdout == "False\n"


def test_every_code_is_explained_in_the_documents() -> None:
    """docs/operating.md has a row for each: symptom, cause, fix."""
    sources = [*(ROOT / "config/advice").glob("*.py"), *(ROOT / "gateway/cli").glob("check*.py")]
    codes = {code for path in sources for code in codes_of(ast.parse(path.read_text()))}
    assert {"media-ports-few", "certificate-expired"} <= codes, "they are found in the sources"
    page = (ROOT / "docs/operating.md").read_text()
    assert sorted(codes) == sorted(re.findall(r"^\| `([a-z]+-[a-z-]+)` \|", page, re.MULTILINE))


def codes_of(tree: ast.AST) -> Iterator[str]:
    """What `code=` is given, alone or on either side of an `if`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "code":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def test_a_file_that_cannot_be_played_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "good.wav").write_bytes(ringback("US").wav())
    (tmp_path / "song.wav").write_bytes(b"ID3")
    keys = {
        "sip": {"listen": ["udp:127.0.0.1:5998"]},
        "media": {"sounds": "sounds", "hold": "music", "hold_music": "song.wav"},
        "numbers": {
            "+14155550100": {"announcement": {"file": "good.wav"}, "ringing": "missing.wav"}
        },
    }
    settings = load(write(tmp_path, yaml.safe_dump(keys)), {})
    music, good, missing = checks.sounds(settings)
    assert (music.code, music.path) == ("sound-unplayable", ("media", "hold_music"))
    assert "song.wav: no WAV file" in music.text
    assert (good.code, good.level) == ("sound-playable", Level.FINE)
    assert missing.path == ("numbers", "+14155550100", "ringing")
    assert "missing.wav: No such file" in missing.text
    with pytest.raises(StartupError, match=r"^media\.hold_music: .*song\.wav: no WAV file"):
        check_sounds(settings)


def test_every_sound_of_transfers_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    closed = {"announcement": "2.wav"}
    target = {"trunk": "pbx", "to": "200", "whisper": "3.wav"}
    entry = {"announcement": "4.wav", "ringing": "5.wav", "closed": closed, "targets": [target]}
    keys = {
        "sip": {"listen": ["udp:127.0.0.1:5998"]},
        "media": {"sounds": "sounds"},
        "trunks": [{"name": "pbx", "kind": "pbx", "gateways": ["sip:192.0.2.7"]}],
        "transfer": {"announcement": "0.wav", "ringing": "1.wav"},
        "numbers": {"*": {"schedule": "s", "closed": closed}},
        "directory": {"Sales": {**entry, "schedule": "s"}},
        "schedules": {"s": {"time_zone": "UTC", "hours": {}}},
    }
    settings = load(write(tmp_path, yaml.safe_dump(keys)), {})
    found = [(key_text(one.path), one.code) for one in checks.sounds(settings)]
    assert found == [
        ("transfer.announcement", "sound-unplayable"),
        ("transfer.ringing", "sound-unplayable"),
        ("numbers.*.closed.announcement", "sound-unplayable"),
        ("directory.Sales.announcement", "sound-unplayable"),
        ("directory.Sales.ringing", "sound-unplayable"),
        ("directory.Sales.closed.announcement", "sound-unplayable"),
        ("directory.Sales.targets[0].whisper", "sound-unplayable"),
    ]


def test_a_way_out_that_no_rate_fits_is_an_error_where_money_is_limited(tmp_path: Path) -> None:
    """Of routes each carrier, of phones each one."""
    carrier, pbx = ({"name": name, "gateways": ["sip:192.0.2.1"]} for name in ("carrier", "pbx"))
    outbound: dict[str, Any] = {
        "routes": [
            {"prefix": "+1", "trunks": ["carrier", "pbx"]},
            {"prefix": "+44", "trunks": ["carrier"]},
            {"prefix": "", "trunks": ["carrier"]},  # some of its numbers have one
        ],
        "rates": [
            {"prefix": "+1212", "trunk": "carrier", "per_minute": 0.01},
            {"prefix": "+1900", "per_minute": 9},
        ],
        "spend": {"day": 5},
    }
    keys: dict[str, Any] = {
        "retell": {"fallback": {"trunk": "carrier", "to": "+13125550177"}},
        "trunks": [carrier, pbx],
        "numbers": {"+14155550100": {"fallback": {"trunk": "carrier", "to": "+12125550177"}}},
        "outbound": outbound,
    }

    def found() -> list[tuple[str, str]]:
        told = rated(load(write(tmp_path, yaml.safe_dump(keys)), {}))
        return [(one.code, key_text(one.path)) for one in told]

    assert found() == [
        ("rate-missing", "outbound.routes[1].trunks[0]"),
        ("spend-refuses", "retell.fallback.to"),
    ]
    outbound["spend"]["unknown"] = 0.5
    assert found() == []
    outbound["spend"]["per_call"] = 0.001
    assert {code for code, _ in found()} == {"spend-refuses"}
    outbound["spend"] = {}
    assert found() == []


def test_a_phone_that_the_guard_refuses_is_an_error(tmp_path: Path) -> None:
    """A call that is lost at three in the morning is found when the file is written."""
    keys = {
        "trunks": [{"name": "carrier", "gateways": ["sip:192.0.2.7"]}],
        "retell": {"fallback": {"trunk": "carrier", "to": "+14155550144"}},
        "numbers": {"+14155550100": {"fallback": {"trunk": "carrier", "to": "+19005550100"}}},
        "directory": {
            "Duty": {"targets": [{"trunk": "carrier", "to": "+442012345678"}]},
            "Loop": {"targets": [{"trunk": "carrier", "to": "+14155550100"}]},
        },
        "outbound": {"guard": {"countries": ["US"]}},
    }
    found = list(guarded(load(write(tmp_path, yaml.safe_dump(keys)), {})))
    assert [(one.code, one.level, key_text(one.path)) for one in found] == [
        ("guard-refuses", Level.ERROR, "numbers.+14155550100.fallback.to"),
        ("guard-refuses", Level.ERROR, "directory.Duty.targets[0].to"),
    ]
    assert "outbound.guard.block" in found[0].text
    assert "outbound.guard.countries" in found[1].text


@contextmanager
def an_rtpengine() -> Iterator[int]:
    """Answers one ping; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind(("127.0.0.1", 0))
        asked.settimeout(10)

        def answer() -> None:
            request, client = asked.recvfrom(4096)
            cookie, _, _ = request.partition(b" ")
            asked.sendto(cookie + b" d6:result4:ponge", client)

        thread = threading.Thread(target=answer)
        thread.start()
        yield asked.getsockname()[1]
        thread.join()


def test_an_rtpengine_is_asked_whether_it_is_there() -> None:
    with an_rtpengine() as port:
        there, nowhere = f"ng:udp:127.0.0.1:{port}", "ng:udp:127.0.0.1:9"
        found = {
            names: [(one.code, one.level) for one in checks.engines(with_engines(*names))]
            for names in ((there,), (nowhere,), ("builtin", nowhere), ("builtin",))
        }
    assert found == {
        (there,): [("engine-up", "fine")],
        (nowhere,): [("engine-silent", "error")],
        ("builtin", nowhere): [("engine-silent", "warning")],
        ("builtin",): [],
    }


def with_engines(*engines: str) -> Settings:
    return Settings.model_validate({"media": {"engine": list(engines)}})
