"""The command `audit`, of a running gateway."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import main
from tests.gateway.conftest import TOKEN, Gateway


@pytest.fixture
async def config(gateway: Gateway, tmp_path: Path) -> Path:
    """A configuration that leads to the gateway, which was asked for something."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for token in (headers, {}):
        async with gateway.http.post(f"{gateway.url}/api/v1/reload", headers=token) as response:
            assert response.status in (404, 401)
    file = tmp_path / "asking.yaml"
    listen = gateway.url.removeprefix("http://")
    file.write_text(f"http: {{listen: '{listen}', admin_token: {TOKEN}}}\n")
    return file


async def invoke(config: Path, *arguments: str) -> Result:
    command = ["audit", "--config", str(config), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, main.app, command)


async def test_it_is_listed(config: Path) -> None:
    result = await invoke(config)
    assert result.exit_code == 0
    heads, *rows = [line.split() for line in result.output.splitlines()]
    assert heads[:4] == ["at", "(UTC)", "by", "from"]
    assert [row[2:] for row in rows] == [
        ["nobody", "known", "127.0.0.1", "401", "-", "POST", "/api/v1/reload"],
        ["admin", "127.0.0.1", "404", "reload", "POST", "/api/v1/reload"],
    ]


async def test_for_scripts_and_for_one_token(config: Path) -> None:
    result = await invoke(config, "--json", "--by", "admin", "--limit", "5")
    [entry] = json.loads(result.output)
    assert (entry["by"], entry["status"], entry["what"]) == ("admin", 404, "reload")
