"""A phone behind Asterisk puts the agent on hold and takes the call back.

Asterisk passes the hold on as a re-INVITE (`moh_passthrough`), the gateway passes it on to Retell.
"""

import asyncio
import re
from pathlib import Path

import pytest

from tests.interop.harness.asterisk_config import DESK
from tests.interop.harness.baresip import Baresip
from tests.interop.harness.gateway import PLAIN
from tests.interop.harness.pbx import TRANSPORTS, WAYS, PbxTrunk, Transport, Way
from tests.interop.harness.siplog import Logged, MessageLog
from tests.interop.pbx.conftest import Office
from tests.interop.pbx.voices import GREETING, Voice, hears, hears_some

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: The agent still sings when it is put on hold; it says its greeting after that.
SINGING_S, HELD_S, TALK_S = 0.5, 1.5, 5.0


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("way", WAYS)
async def test_hold_and_resume(
    office: Office, way: Way, transport: Transport, visitor: Voice, tmp_path: Path
) -> None:
    trunk = office.trunk(way, transport)
    since = len(office.asterisk.manager.events)
    desk = office.network.phone("desk", 0)
    async with Baresip(
        desk, visitor.again, tmp_path / "desk", user=DESK[0], password=DESK[1]
    ) as phone:
        await phone.dial(office.asterisk.desk_uri(trunk, PLAIN))
        await phone.event("CALL_ESTABLISHED")
        call_id = await office.sandbox.called(PLAIN)
        await asyncio.sleep(SINGING_S)
        await phone.hold()
        await asyncio.sleep(HELD_S)
        held = await office.sandbox.report(call_id)
        await phone.resume()
        await asyncio.sleep(TALK_S)
        await phone.hangup()
        channel = await office.asterisk.manager.event(
            "Hangup", lambda event: event["channel"].startswith("PJSIP/desk-"), since=since
        )
        await office.sandbox.ended(call_id)

    assert channel["cause"] == "16"
    assert directions(office.asterisk.messages(), trunk) == [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("sendrecv", "sendrecv"),
    ]
    # silence fills the hold, as the agent may receive; after that the greeting, which only then
    # began. Asterisk records a channel in both directions at once, with holes where one is late.
    assert held["heard"]["packets"] >= 0.6 * HELD_S / 0.020
    hears_some(office.asterisk.told(trunk), GREETING, visitor.once)
    at_the_agent = await office.sandbox.heard(call_id, tmp_path / "agent.wav")
    hears(at_the_agent, visitor.once, GREETING)


def directions(log: MessageLog, trunk: PbxTrunk) -> list[tuple[str, str]]:
    """How audio was to flow by each offer of Asterisk's in its last call, and by our answer."""
    offers = [one for one in log.sent("INVITE") if f" {trunk.pbx}" in one.header("via")]
    call_id = offers[-1].call_id
    answers = {
        one.header("cseq"): one for one in log.received("INVITE", 200) if one.call_id == call_id
    }
    return [
        (direction(offer), direction(answers[offer.header("cseq")]))
        for offer in offers
        if offer.call_id == call_id
    ]


def direction(message: Logged) -> str:
    [found] = re.findall(r"^a=(sendrecv|sendonly|recvonly|inactive)$", message.body, re.MULTILINE)
    return str(found)
