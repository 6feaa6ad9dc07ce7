"""The commands `provision …`: plan, question, exit codes, and no secret on the terminal."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner, Result

from gateway.cli import main, provision
from tests.gateway.provisioning.retell_double import RetellDouble
from tests.gateway.provisioning.stage import AUTH, CONFIG, PASSWORD, TOKEN
from tests.gateway.provisioning.twilio_double import TwilioDouble

runner = CliRunner()


@contextmanager
def served(app: web.Application) -> Iterator[str]:
    """A double's URL; it runs in a thread, as each command has a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = TestServer(app)
    asyncio.run_coroutine_threadsafe(server.start_server(), loop).result(10)
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture
def retell() -> Iterator[tuple[RetellDouble, dict[str, Any]]]:
    double = RetellDouble()
    with served(double.app()) as url:
        data = deepcopy(CONFIG)
        data["retell"]["base_url"] = url
        yield double, data


@pytest.fixture
def twilio() -> Iterator[tuple[TwilioDouble, dict[str, Any]]]:
    double = TwilioDouble()
    double.owns("+14155550100")
    with served(double.app()) as url:
        data = deepcopy(CONFIG)
        data["twilio"]["api_url"] = data["provision"]["twilio"]["trunking_url"] = url
        yield double, data


def run(data: dict[str, Any], folder: Path, *words: str) -> Result:
    file = folder / "gateway.yaml"
    file.write_text(yaml.safe_dump(data))
    return runner.invoke(main.app, ["provision", *words, "-c", str(file)])


Retell = tuple[RetellDouble, dict[str, Any]]
Twilio = tuple[TwilioDouble, dict[str, Any]]


def test_plan_then_change_then_nothing(retell: Retell, tmp_path: Path) -> None:
    double, data = retell
    result = run(data, tmp_path, "retell", "--check")
    assert result.exit_code == provision.DIFFERS
    assert "make" in result.stdout
    assert "+14155550100" in result.stdout
    assert double.numbers == {}

    result = run(data, tmp_path, "retell", "--yes")
    assert result.exit_code == 0, result.stderr
    assert "5 changes made; a second look finds nothing to change" in result.stdout
    assert PASSWORD not in result.stdout

    result = run(data, tmp_path, "retell", "--check")
    assert (result.exit_code, result.stdout) == (0, "all is as the configuration says\n")
    assert run(data, tmp_path, "retell", "--destroy", "--yes").exit_code == 0
    assert double.numbers == {}


def test_nobody_is_there_to_be_asked(retell: Retell, tmp_path: Path) -> None:
    double, data = retell
    result = run(data, tmp_path, "retell")
    assert result.exit_code == 2
    assert "--yes carries it out" in result.stderr
    assert double.numbers == {}


@pytest.mark.parametrize(("said", "code"), [(True, 0), (False, 1)])
def test_the_operator_is_asked(
    said: bool, code: int, retell: Retell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double, data = retell
    asked: list[str] = []

    def confirm(text: str) -> bool:
        asked.append(text)
        return said

    monkeypatch.setattr(provision, "_at_a_terminal", lambda: True)
    monkeypatch.setattr(typer, "confirm", confirm)
    result = run(data, tmp_path, "retell")
    assert result.exit_code == code
    assert asked == ["Make 5 changes?"]
    assert bool(double.numbers) is said


def test_as_json(retell: Retell, tmp_path: Path) -> None:
    double, data = retell
    double.has("+14155550100")
    assert run(data, tmp_path, "retell", "--json").exit_code == 2
    result = run(data, tmp_path, "retell", "--json", "--yes")
    assert result.exit_code == 1, "one number is somebody else's"
    told = json.loads(result.stdout)
    assert (told["done"], told["left"]) == (4, 0)
    assert [one["name"] for one in told["conflicts"]] == ["+14155550100"]
    assert {one["action"] for one in told["changes"]} == {"make"}


def test_a_wrong_key_is_one_line(retell: Retell, tmp_path: Path) -> None:
    _, data = retell
    data["retell"]["api_key"] = "key_that_is_wrong"
    result = run(data, tmp_path, "retell", "--check")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: Retell answers 401: Invalid API key; its key or token is wrong:"
        " set the right one in the configuration\n"
    )


def test_an_api_that_is_not_there_is_one_line(retell: Retell, tmp_path: Path) -> None:
    _, data = retell
    data["retell"]["base_url"] = "http://127.0.0.1:9"
    data["retell"]["workspaces"] = []
    result = run(data, tmp_path, "retell", "--check")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Retell does not answer: ")
    assert result.stderr.count("\n") == 1


def test_a_trunk_and_its_numbers(twilio: Twilio, tmp_path: Path) -> None:
    double, data = twilio
    result = run(data, tmp_path, "twilio", "trunk", "--yes")
    assert result.exit_code == 0, result.stderr
    assert "X-Trunk-Token=(hidden)" in result.stdout
    for secret in (TOKEN, PASSWORD, AUTH):
        assert secret not in result.stdout
    assert len(double.trunks) == 1
    assert run(data, tmp_path, "twilio", "trunk", "--check").exit_code == 0
    assert run(data, tmp_path, "twilio", "numbers", "--check").exit_code == 0
    next(iter(double.trunks.values()))["secure"] = True
    result = run(data, tmp_path, "twilio", "trunk", "--check")
    assert result.exit_code == provision.DIFFERS
    assert "secure" in result.stdout


def test_numbers_are_bought_when_that_is_said(
    twilio: Twilio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double, data = twilio
    data["provision"]["twilio"] = data["provision"]["twilio"] | {"bind": "voice"}
    double.offers = [{"phone_number": "+14155550150", "address_requirements": "none"}]
    asked: list[str] = []

    def confirm(text: str) -> bool:
        asked.append(text)
        return True

    monkeypatch.setattr(provision, "_at_a_terminal", lambda: True)
    monkeypatch.setattr(typer, "confirm", confirm)
    result = run(data, tmp_path, "twilio", "numbers", "--buy", "1", "--area-code", "415")
    assert result.exit_code == 0, result.stderr
    assert asked == ["Make 2 changes, and pay for 1 number each month?"]
    assert double.number("+14155550150")["friendly_name"] == "retell-sip-gateway"

    result = run(data, tmp_path, "twilio", "numbers", "--release", "+14155550150")
    assert result.exit_code == 0, result.stderr
    assert asked[1:] == ["Make 1 change, and lose 1 number for ever?"]
    assert [one["phone_number"] for one in double.numbers.values()] == ["+14155550100"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("numbers", "--buy", "1"), "--buy and --area-code belong together"),
        (("numbers", "--area-code", "415"), "--buy and --area-code belong together"),
        (("numbers", "--buy", "1", "--area-code", "41"), "is not three digits"),
        (("numbers", "--buy", "1", "--area-code", "415", "--destroy"), "cannot be together"),
        (("numbers", "--release", "+14155550150", "--prune"), "--release stands alone"),
        (("numbers", "--release", "4155550150"), "is no number such as"),
    ],
)
def test_what_does_not_go_together(
    words: tuple[str, ...], reason: str, twilio: Twilio, tmp_path: Path
) -> None:
    _, data = twilio
    result = run(data, tmp_path, "twilio", *words)
    assert result.exit_code == 2
    assert reason in result.stderr


@pytest.mark.parametrize(
    ("without", "words", "reason"),
    [
        ("provision", ("retell",), "provision.sip_uris is required"),
        ("provision", ("twilio", "trunk"), "provision.sip_uris is required"),
    ],
)
def test_what_the_configuration_must_have(
    without: str, words: tuple[str, ...], reason: str, retell: Retell, tmp_path: Path
) -> None:
    _, data = retell
    del data[without]
    result = run(data, tmp_path, *words)
    assert result.exit_code == 2
    assert reason in result.stderr
