"""Logs: one event a line, ours and the libraries' alike, and no secret in any."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import structlog
from pydantic import SecretStr

from gateway import log
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Start


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging as pytest had it, afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_secrets_are_masked_by_key_and_by_type() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    structlog.get_logger().info(
        "event",
        password="p1",
        admin_token="t1",
        Authorization="Bearer b1",
        retell_api_key="k1",
        harmless=SecretStr("s1"),
        call_id="shown",
    )
    line = lines(stream)[0]
    assert line["call_id"] == "shown"
    for secret in ("p1", "t1", "b1", "k1", "s1"):
        assert secret not in stream.getvalue()


def test_libraries_log_in_the_same_format() -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    logging.getLogger("somebody").warning("careful %s", "now")
    logging.getLogger("httpx").info("HTTP Request: POST https://api.example.com")
    logging.getLogger("alembic.runtime.plugins").info("setup plugin alembic.autogenerate.types")
    assert [(line["event"], line["level"], line["logger"]) for line in lines(stream)] == [
        ("careful now", "warning", "somebody")
    ]


def test_level_and_console(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    log.configure("warning", "console", stream)
    structlog.get_logger().info("unseen")
    structlog.get_logger().warning("seen", call_id="c1")
    assert "unseen" not in stream.getvalue()
    assert "call_id=c1" in stream.getvalue()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("style", ["console", "json"])
def test_nothing_in_a_line_moves_the_cursor(style: log.Style) -> None:
    stream = io.StringIO()
    log.configure("info", style, stream)
    harm = "".join(map(chr, [0, 7, 8, 27, 127, 0x9B, 0x202E]))
    structlog.get_logger().info("seen", uri=f"sip:{harm}@a", reason=f"a {harm}b", found=[harm])
    logging.getLogger("somebody").warning("a%sb", harm)
    assert "seen" in stream.getvalue()
    assert not set(stream.getvalue()) & set(harm)


async def test_call_has_one_opening_and_one_closing_line(start: Start) -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    gateway: Gateway = await start()
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    told = (line for line in lines(stream) if line.get("call_id") == record.call_id)
    opening, closing = (line for line in told if line["event"].startswith("call."))
    assert opening["event"] == "call.begin"
    assert (opening["sip_call_id"], opening["agent"]) == (jambonz.a_call_id, "agent_2")
    assert closing["event"] == "call.end"
    assert closing["attempts"] == ["retell:200"]
    assert (closing["by"], closing["cause"], closing["fault"]) == ("callee", "hangup", "nobody")
    assert closing["b_sip_call_id"] == jambonz.b_call_id
    assert closing["setup_s"] >= 0
    assert closing["talk_s"] >= 0
    assert "key_test" not in stream.getvalue()


async def test_refused_call_says_why_once(start: Start) -> None:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    gateway: Gateway = await start()
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.refused(404)
        await jambonz.declined(404)
    await gateway.record()
    closing = [line for line in lines(stream) if line["event"] == "call.end"]
    assert [(line["cause"], line["sip_status"], line["attempts"]) for line in closing] == [
        ("number-not-imported", 404, ["retell:404"])
    ]


def test_another_level_holds_for_loggers_that_were_used_already(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made once and kept, for speed; a reload makes them anew."""
    module = ModuleType("some_module")
    module.log = structlog.get_logger("some")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_module", module)
    log.configure("info", "json")
    module.log.info("first")
    log.reconfigure("debug", "json")
    module.log.debug("second")
    log.reconfigure("error", "json")
    module.log.info("third")
    told = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert told == ["first", "second"]
