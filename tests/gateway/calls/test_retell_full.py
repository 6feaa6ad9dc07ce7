"""Retell has no room: its caller goes on at once, or waits with music, each in turn."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from tests.gateway.conftest import (
    DIAL_DID,
    DIAL_FALLBACK_DID,
    FALLBACK_DID,
    TRUNK_DID,
    Gateway,
    Retell,
    Start,
)

LOGIN = {"username": "retell", "password": "secret"}


class Figure:
    """What Retell says of its calls at once."""

    def __init__(self, retell: Retell, current: int) -> None:
        self.current = current
        self._told = 0
        #: set from the second answer on: the first one was read
        self.heard = asyncio.Event()
        retell.others["GET", "/get-concurrency"] = self.answer

    async def answer(self, _: web.Request) -> web.Response:
        self._told += 1
        if self._told > 1:
            self.heard.set()
        return web.json_response({"current_concurrency": self.current, "concurrency_limit": 20})


async def begin(start: Start, figure: Figure, when_full: str, **keys: Any) -> Gateway:
    retell = {
        "api_key": "key_test",
        "login": LOGIN,
        "when_full": when_full,
        "concurrency": {"poll_s": 0.05},
        **keys,
    }
    gateway = await start(retell=retell)
    async with asyncio.timeout(5):
        await figure.heard.wait()
    return gateway


def names(verbs: Any) -> list[str]:
    return [verb["verb"] for verb in verbs]


@pytest.mark.parametrize("number", [FALLBACK_DID, DIAL_FALLBACK_DID])
async def test_a_caller_goes_to_the_fallback_at_once(
    start: Start, retell: Retell, number: str
) -> None:
    gateway = await begin(start, Figure(retell, 20), "fallback")
    async with gateway.jambonz() as jambonz:
        dial = (await jambonz.new_call(to=number))[0]
        assert dial["verb"] == "dial"
        assert dial["target"][0]["trunk"] in ("pbx", "carrier")
        await jambonz.answered()
        _, body = await gateway.get("/api/v1/calls")
        assert body["items"][0]["retell"] == {"full": "fallback"}
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert (record.cause, record.retell, record.agent) == ("hangup", {"full": "fallback"}, None)
    assert retell.requests == []
    assert 'gateway_retell_full_total{outcome="fallback"} 1.0' in await gateway.page()


@pytest.mark.parametrize("current", [19, None])
async def test_where_there_is_room_or_nobody_knows_retell_is_called(
    start: Start, retell: Retell, current: int | None
) -> None:
    if current is not None:
        gateway = await begin(start, Figure(retell, current), "fallback")
    else:
        gateway = await start(
            retell={"api_key": "key_test", "login": LOGIN, "when_full": "fallback"}
        )
    async with gateway.jambonz() as jambonz:
        dial = (await jambonz.new_call(to=FALLBACK_DID))[0]
        assert dial["target"][0]["trunk"] == "retell"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).retell == {}


async def test_without_a_fallback_the_caller_rings(start: Start, retell: Retell) -> None:
    gateway = await begin(start, Figure(retell, 20), "fallback")
    async with gateway.jambonz() as jambonz:
        dial = (await jambonz.new_call(to=TRUNK_DID))[0]
        assert dial["target"][0]["trunk"] == "retell"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).retell == {"full": "rings"}


@pytest.mark.parametrize("number", [TRUNK_DID, DIAL_DID])
async def test_a_caller_waits_with_music_until_there_is_room(
    start: Start, retell: Retell, number: str
) -> None:
    figure = Figure(retell, 20)
    gateway = await begin(start, figure, "wait", waiting_music="music.wav")
    async with gateway.jambonz() as jambonz:
        config, play = await jambonz.new_call(to=number)
        assert config["verb"] == "config"
        assert play == {
            "verb": "play",
            "url": "music.wav",
            "earlyMedia": True,
            "loop": "forever",
        }
        assert retell.requests == []
        figure.current = 19
        assert "dial" in names(await jambonz.command())
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert (record.cause, record.retell) == ("hangup", {"full": "waits"})
    assert len(retell.requests) == (number == DIAL_DID)
    assert 'gateway_retell_full_total{outcome="waited"} 1.0' in await gateway.page()


async def test_a_caller_who_waits_in_vain_goes_to_the_fallback(
    start: Start, retell: Retell
) -> None:
    gateway = await begin(start, Figure(retell, 20), "wait", wait_for_room_s=0.1)
    async with gateway.jambonz() as jambonz:
        assert names(await jambonz.new_call(to=FALLBACK_DID)) == ["config"]
        dial = next(verb for verb in await jambonz.command() if verb["verb"] == "dial")
        assert dial["target"][0]["trunk"] == "pbx"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert record.attempts[0]["detail"] == "no room in 0.1 s"


async def test_a_caller_who_hangs_up_waits_no_longer(start: Start, retell: Retell) -> None:
    gateway = await begin(start, Figure(retell, 20), "wait")
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    record = await gateway.record()
    assert record.state == "ended"
