"""The keys of `log`: what the program logs, and how. LOGLEVEL is laid over them."""

from pathlib import Path

import pytest
import structlog

import gateway.main
from config.settings import Settings
from gateway.cli import main
from tests.gateway.test_log import restored

__all__ = ["restored"]


@pytest.mark.parametrize(
    ("keys", "loglevel", "events"),
    [
        ("{}", "", ["an.event", "a.fault"]),
        ("{level: debug}", "", ["a.detail", "an.event", "a.fault"]),
        ("{level: warning}", "", ["a.fault"]),
        ("{level: debug}", "warning", ["a.fault"]),
        ("{level: warning}", "trace", ["a.detail", "an.event", "a.fault"]),
        ("{format: console}", "", ["an.event", "a.fault"]),
        ("{level: error, watch: ['+14155550100']}", "", ["a.detail"]),
        ("{level: error, watch: ['+14155550101']}", "", []),
    ],
)
def test_what_is_logged(
    keys: str,
    loglevel: str,
    events: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def serve(_: Settings, **__: object) -> None:
        log = structlog.get_logger()
        log.debug("a.detail", to="+14155550100")
        log.info("an.event")
        log.warning("a.fault")

    monkeypatch.setattr(gateway.main, "serve", serve)
    monkeypatch.setenv("LOGLEVEL", loglevel)
    file = tmp_path / "gateway.yaml"
    file.write_text(f"log: {keys}\nmedia: {{engine: 'ng:udp:127.0.0.1:2223'}}\n")
    main.run(file)
    lines = capfd.readouterr().err.splitlines()
    assert [next(event for event in events if event in line) for line in lines] == events
    assert all(line.startswith("{") is ("console" not in keys) for line in lines)
