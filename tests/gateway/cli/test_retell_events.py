"""retell-events, of a running gateway."""

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from gateway.cli import main
from gateway.http.app_keys import EVENT_WORK
from gateway.webhooks import event_work
from tests.gateway.conftest import TOKEN, Gateway
from tests.gateway.http.test_retell_webhooks import RETELL_CALL, event


@pytest.fixture(autouse=True)
def _no_log_between_the_lines() -> Iterator[None]:
    """The gateway runs in the same process, and would write where the command does."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(io.StringIO()))
    yield
    structlog.reset_defaults()


async def invoke(gateway: Gateway, folder: Path, *command: str) -> Result:
    file = folder / "asking.yaml"
    listen = gateway.url.removeprefix("http://")
    file.write_text(f"http: {{listen: '{listen}', admin_token: {TOKEN}}}\n")
    asked = ["retell-events", *command, "--config", str(file)]
    return await asyncio.to_thread(CliRunner().invoke, main.app, asked)


async def test_events_are_listed_and_shown(gateway: Gateway, tmp_path: Path) -> None:
    for name in ("call_started", "call_ended"):
        await event(gateway, name)
    result = await invoke(gateway, tmp_path)
    assert result.exit_code == 0
    lines = result.output.splitlines()[1:]
    assert ["call_ended" in line for line in lines if "call_" in line] == [True, False]
    result = await invoke(gateway, tmp_path, "--event", "call_started", "--json")
    [one] = json.loads(result.output)
    assert (one["state"], one["retell_call_id"]) == ("done", RETELL_CALL)
    result = await invoke(gateway, tmp_path, one["event_id"])
    assert json.loads(result.output[result.output.index("{") :]) == {
        "event": "call_started",
        "call": {"call_id": RETELL_CALL},
    }


async def test_a_broken_one_is_acted_on_again(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts(*_: Any) -> dict[str, Any]:
        raise LookupError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(event_work, "facts_of", facts)
        await event(gateway, "call_ended")
    [broken] = json.loads((await invoke(gateway, tmp_path, "--state", "broken", "--json")).output)
    result = await invoke(gateway, tmp_path, broken["event_id"], "--retry")
    assert (result.exit_code, "waiting" in result.output) == (0, True)
    await gateway.app[EVENT_WORK].idle()
    assert json.loads((await invoke(gateway, tmp_path, "--state", "broken", "--json")).output) == []


@pytest.mark.parametrize(
    ("wrong", "code"), [(["--retry"], 2), (["one", "--state", "done"], 2), (["rte_none"], 1)]
)
async def test_what_cannot_be(
    gateway: Gateway, tmp_path: Path, wrong: list[str], code: int
) -> None:
    result = await invoke(gateway, tmp_path, *wrong)
    assert result.exit_code == code
    assert result.stderr.startswith("error: ")
