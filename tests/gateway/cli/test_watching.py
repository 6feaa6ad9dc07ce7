"""The commands `events` and `export`, of a running gateway."""

import asyncio
import csv
import io
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import main
from gateway.http.app_keys import FEED
from tests.gateway.conftest import TOKEN, Gateway
from tests.gateway.http.test_ladders_api import one_call


@pytest.fixture
def config(gateway: Gateway, tmp_path: Path) -> Path:
    """A configuration that leads to the gateway."""
    file = tmp_path / "asking.yaml"
    listen = gateway.url.removeprefix("http://")
    file.write_text(f"http: {{listen: '{listen}', admin_token: {TOKEN}}}\n")
    return file


async def invoke(config: Path, command: str, *arguments: str) -> Result:
    line = [command, "--config", str(config), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main.app, line)


async def test_what_happens_is_shown(gateway: Gateway, config: Path) -> None:
    await one_call(gateway)
    result = await invoke(
        config, "events", "--after", "none", "--kind", "live-call", "--count", "3"
    )
    assert result.exit_code == 0
    missed, begun, _, ended = result.output.splitlines()
    assert missed.startswith("events.missed: ")
    assert begun[12:].startswith(" live-call.begun ")
    assert "cause=hangup" in ended
    result = await invoke(config, "events", "--after", "none", "--count", "1", "--json")
    assert json.loads(result.output.splitlines()[1])["kind"] == "live-call.begun"


async def test_a_stream_that_ends_is_told(gateway: Gateway, config: Path) -> None:
    asking = asyncio.create_task(invoke(config, "events"))
    for _ in range(2000):
        if len(gateway.app[FEED]):
            break
        await asyncio.sleep(0.01)
    gateway.app[FEED].close()
    result = await asking
    assert result.exit_code == 1
    assert "events.ended: the gateway stops" in result.output


async def test_calls_are_written(gateway: Gateway, config: Path, tmp_path: Path) -> None:
    await one_call(gateway)
    result = await invoke(config, "export", "--filter", "number=+1415*")
    [row] = csv.DictReader(io.StringIO(result.output))
    assert row["cause"] == "hangup"
    file = tmp_path / "calls.ndjson"
    result = await invoke(config, "export", "--format", "ndjson", "-o", str(file))
    assert result.exit_code == 0
    assert json.loads(file.read_text())["call_id"] == row["call_id"]
    assert "calls.ndjson.part" not in os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--filter", "cause"], 2, "write NAME=VALUE"),
        (["--filter", "caus=busy"], 1, "unknown parameter caus; did you mean cause?"),
        (["-o", "/nowhere/calls.csv"], 1, "/nowhere/calls.csv: No such file"),
    ],
)
async def test_what_cannot_be_written_is_said(
    config: Path, arguments: list[str], code: int, told: str
) -> None:
    result = await invoke(config, "export", *arguments)
    assert result.exit_code == code
    assert told in result.output


async def test_a_refusal_leaves_the_file_as_it_is(config: Path, tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("as it was")
    assert (await invoke(config, "export", "-o", str(file), "--filter", "x=1")).exit_code == 1
    assert file.read_text() == "as it was"
