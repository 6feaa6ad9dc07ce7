"""/readyz and the trunks while the gateway starts: ready means that calls are taken."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from config.settings import load
from gateway.main import running
from sip.softswitch.softswitch import Softswitch
from tests.packaging.conftest import Ports


async def test_it_is_ready_once_it_listens(
    config_file: Path, ports: Ports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart reads the bindings before it listens; who asks meanwhile hears "not yet"."""
    monkeypatch.chdir(tmp_path)  # the database
    asked = []
    listen = Softswitch.listen

    async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{ports.http}") as http:

        async def ready() -> tuple[int, Any]:
            async with http.get("/readyz") as response:
                return response.status, (await response.json())["checks"]["sip"]

        async def asking(switch: Softswitch, *args: Any) -> None:
            asked.append(await ready())
            await listen(switch, *args)

        monkeypatch.setattr(Softswitch, "listen", asking)
        async with running(load(config_file, {})):
            asked.append(await ready())

    assert asked == [(503, False), (503, False), (200, True)]
