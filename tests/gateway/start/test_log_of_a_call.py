"""The log of a gateway process: one grep by `call_id` finds all of a call, and no other's."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.version import version
from tests.hostile.parties import Caller
from tests.hostile.victim import Victim
from tests.ladder import DID

Json = dict[str, Any]

pytestmark = pytest.mark.slow

WATCHED = "+14155550101"


def _configure(settings: Json, keys: Json) -> None:
    settings["log"] |= keys
    settings["numbers"] |= {WATCHED: {}}


@pytest.mark.parametrize(
    ("keys", "whole"),
    [
        ({"level": "debug", "sip": True}, [True, True]),
        ({"level": "info", "watch": [WATCHED.removeprefix("+")]}, [False, True]),
        ({"level": "info"}, [False, False]),
    ],
    ids=["everything", "one number", "by default"],
)
async def test_one_grep_finds_a_call(keys: Json, whole: list[bool], tmp_path: Path) -> None:
    victim = Victim(tmp_path, change=lambda settings: _configure(settings, keys))
    async with victim, Caller(victim.honest, victim.gateway) as caller:
        calls = []
        for number in (DID, WATCHED):
            live = await caller.open(number)
            await asyncio.sleep(0.2)
            await live.hang_up()
            calls.append(live.call_id)
    lines = [json.loads(line) for line in victim.log().splitlines()]
    (ready,) = (line for line in lines if line["event"] == "gateway.ready")
    assert (ready["version"], ready["file"]) == (version(), str(tmp_path / "gateway.yaml"))
    for sip_call_id, everything in zip(calls, whole, strict=True):
        (end,) = (
            line
            for line in lines
            if line["event"] == "call.end" and line["sip_call_id"] == sip_call_id
        )
        legs = {sip_call_id, end["b_sip_call_id"], end["call_sid"]}
        of_call = [line for line in lines if legs & {str(value) for value in line.values()}]
        assert {line.get("call_id") for line in of_call} == {end["call_id"]}
        events = [line["event"] for line in lines if line.get("call_id") == end["call_id"]]
        assert events[0] == ("message.sip" if everything else "call.begin")
        messages = [
            line["message"].split()[0] for line in of_call if line["event"] == "message.sip"
        ]
        assert messages.count("INVITE") == messages.count("BYE") == (2 if everything else 0)
        assert ("call.phase" in events) == everything


async def test_a_call_is_watched_from_a_reload_on(tmp_path: Path) -> None:
    """SIGHUP: the trouble is there now, and a restart would end it or the calls."""
    victim = Victim(tmp_path, change=lambda settings: _configure(settings, {"level": "warning"}))
    async with victim, Caller(victim.honest, victim.gateway) as caller:
        before_reload = await caller.open(WATCHED)
        await before_reload.hang_up()
        assert not await victim.unrecorded([before_reload.call_id])  # its last line is behind us
        file = tmp_path / "gateway.yaml"
        settings = yaml.safe_load(file.read_text())
        _configure(settings, {"level": "info", "watch": [WATCHED]})
        file.write_text(yaml.safe_dump(settings))
        os.kill(victim.pid, signal.SIGHUP)
        async with asyncio.timeout(20):
            while '"gateway.reloaded"' not in victim.log():  # noqa: ASYNC110 - a file sets no event
                await asyncio.sleep(0.05)
        await (await caller.open(WATCHED)).hang_up()
    events = [json.loads(line)["event"] for line in victim.log().splitlines()]
    before, after = events[: events.index("gateway.reloaded")], events
    assert not {"call.begin", "message.sip"} & set(before)
    assert after.count("call.begin") == after.count("call.end") == 1
    assert after.count("message.sip") > 10
