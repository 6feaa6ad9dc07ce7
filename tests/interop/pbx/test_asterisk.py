"""Asterisk 22 as the office's PBX, in every way in which it and the gateway find each other."""

import asyncio
from pathlib import Path

import pytest

from tests.interop.harness.gateway import PLAIN
from tests.interop.harness.pbx import TRANSPORTS, WAYS, Transport, Way
from tests.interop.harness.scene import ending, tried
from tests.interop.pbx.conftest import RETELLS_NUMBER, Office
from tests.interop.pbx.voices import GREETING, hears

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: The agent sings for 1.4 s and then says its greeting, which takes 3.7 s.
TALK_S = 5.8

every_way = pytest.mark.parametrize("way", WAYS)
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@every_transport
@every_way
async def test_an_extension_calls_the_agent(
    office: Office, way: Way, transport: Transport, tmp_path: Path
) -> None:
    trunk = office.trunk(way, transport)
    call = await office.asterisk.call(trunk, PLAIN)
    await asyncio.sleep(TALK_S)
    await office.asterisk.hang_up(call["channel"])
    await office.asterisk.gone(call["channel"])
    call_id = await office.sandbox.latest(PLAIN)
    await office.sandbox.ended(call_id)
    at_the_agent = await office.sandbox.heard(call_id, tmp_path / "agent.wav")
    hears(at_the_agent, office.extension.once, GREETING)
    hears(office.asterisk.heard(trunk), GREETING, office.extension.once)
    record = await office.record(PLAIN)
    assert (record["trunk"], *ending(record)) == (trunk.name, "caller", "hangup", 200)


@every_transport
@every_way
async def test_the_agent_calls_an_extension(
    office: Office, way: Way, transport: Transport, tmp_path: Path
) -> None:
    trunk = office.trunk(way, transport)
    since = len(office.asterisk.manager.events)
    call_id = await office.sandbox.create_phone_call(RETELLS_NUMBER, trunk.number)
    call = await office.asterisk.called(trunk, since)
    await asyncio.sleep(TALK_S)
    await office.sandbox.agent_hangs_up(call_id)
    await office.asterisk.gone(call["channel"])
    at_the_agent = await office.sandbox.heard(call_id, tmp_path / "agent.wav")
    hears(at_the_agent, office.extension.once, GREETING)
    hears(office.asterisk.heard(trunk), GREETING, office.extension.once)
    record = await office.record(trunk.number)
    assert (tried(record), *ending(record)) == ([(trunk.name, 200)], "caller", "hangup", 200)
