"""Our softswitch with our application: callers who wait for room at Retell, on the wire."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from sip.softswitch.jambonz.sounds import Sounds
from tests.contract.links import InMemory
from tests.gateway.conftest import TRUNK_DID, Retell, Start, retell, start
from tests.ladder import PCMU, make_ladder

__all__ = ["retell", "start"]  # fixtures

HERE = Path(__file__).parent
#: Any file of the folder that the ladder's softswitch plays from: the media is a stand-in.
FILE = "links.py"
FULL = {"current_concurrency": 20, "concurrency_limit": 20}


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_a_caller_hears_music_before_the_answer(
    start: Start, retell: Retell, hangs_up: bool
) -> None:
    figure, heard = dict(FULL), asyncio.Event()
    asked = 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked > 1:
            heard.set()
        return web.json_response(figure)

    retell.others["GET", "/get-concurrency"] = answer
    gateway = await start(
        retell={
            "api_key": "key_test",
            "login": {"username": "retell", "password": "secret"},
            "when_full": "wait",
            "waiting_music": FILE,
            "concurrency": {"poll_s": 0.05},
        }
    )
    await asyncio.wait_for(heard.wait(), 5)
    async with make_ladder(sounds=Sounds(folder=HERE)) as ladder:
        ladder.switch._link = InMemory(gateway).link
        carrier, agent = ladder.peer("carrier"), ladder.peer("retell")
        await carrier.send("INVITE", sdp=PCMU, to=TRUNK_DID)
        await carrier.expect(100)
        await carrier.expect(183)
        await agent.silence(0.3)
        if hangs_up:
            await carrier.send("CANCEL")
            await carrier.expect(200)
            await carrier.expect(487)
            await carrier.send("ACK")
            record = await gateway.record()
            assert (record.cause, record.attempts) == ("cancelled", [])
            return
        figure["current_concurrency"] = 19
        await agent.expect("INVITE")
        await agent.send(180)
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        await carrier.expect(180)
        await carrier.expect(200)
        await carrier.send("ACK")
        await carrier.hang_up()
        await agent.is_hung_up()
        record = await gateway.record()
    assert (record.cause, record.retell) == ("hangup", {"full": "waits"})
