"""The commands `spend`, `blocked`, `block` and `unblock`, of a running gateway."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import main
from tests.gateway.conftest import TOKEN, Gateway, Start

CALLEE = "+13125550177"


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    outbound = {
        "default_country": "US",
        "routes": [{"trunks": ["carrier"]}],
        "rates": [{"prefix": "+1", "per_minute": 0.5}],
        "spend": {"currency": "EUR", "day": 20, "trunk": {"second": 3}},
        "guard": {"time_zone": "Europe/Berlin"},
    }
    return await start(outbound=outbound)


@pytest.fixture
def config(gateway: Gateway, tmp_path: Path) -> Path:
    """A configuration that leads to the gateway."""
    file = tmp_path / "asking.yaml"
    listen = gateway.url.removeprefix("http://")
    file.write_text(f"http: {{listen: '{listen}', admin_token: {TOKEN}}}\n")
    return file


async def invoke(config: Path, command: str, *arguments: str) -> Result:
    words = [command, *arguments, "--config", str(config)]
    return await asyncio.to_thread(CliRunner().invoke, main.app, words)


async def test_what_a_day_has_cost(gateway: Gateway, config: Path) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=CALLEE, user="retell")
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    await gateway.app_is_idle()
    result = await invoke(config, "spend")
    assert result.exit_code == 0
    head, *rows, day = [line.split() for line in result.output.splitlines() if line.strip()]
    assert head == ["of", "spent", "reserved", "stop", "legs", "minutes"]
    assert rows == [
        ["all", "0.50", "0.00", "20.00", "1", "0.0"],
        ["trunk", "carrier", "0.50", "0.00", "-", "1", "0.0"],
        ["trunk", "second", "0.00", "0.00", "3.00", "0", "0.0"],
        ["country", "US", "0.50", "0.00", "-", "1", "0.0"],
        ["rate", "+1", "0.50", "0.00", "-", "1", "0.0"],
    ]
    assert day[1:] == ["in", "Europe/Berlin,", "EUR"]
    told = json.loads((await invoke(config, "spend", "--json")).output)
    assert (told["all"]["spent"], told["currency"]) == (0.5, "EUR")
    other = json.loads((await invoke(config, "spend", "--json", "--day", "2020-02-29")).output)
    assert (other["day"], other["all"]["spent"]) == ("2020-02-29", 0.0)
    assert (await invoke(config, "spend", "--day", "today")).exit_code == 2


async def test_a_caller_is_blocked_listed_and_let_through(config: Path) -> None:
    assert "nobody is blocked" in (await invoke(config, "blocked")).output
    more = ("--number", "+14155550100", "--note", "at night", "--hours", "24")
    done = await invoke(config, "block", "+1900*", *more)
    assert "+1900* is refused; unblock " in done.output
    [one] = json.loads((await invoke(config, "blocked", "--json")).output)
    assert (one["caller"], one["number"], one["note"]) == ("+1900*", "+14155550100", "at night")
    assert one["until"] is not None
    listed = (await invoke(config, "blocked")).output
    assert "at night" in listed
    assert (await invoke(config, "unblock", one["block_id"])).exit_code == 0
    again = await invoke(config, "unblock", one["block_id"])
    assert (again.exit_code, again.stderr) == (1, f"error: there is no block {one['block_id']}\n")


async def test_what_is_no_caller_is_one_line(config: Path) -> None:
    result = await invoke(config, "block", "no caller")
    assert result.exit_code == 1
    assert "caller must be a number, the beginning of one and a *" in result.stderr
