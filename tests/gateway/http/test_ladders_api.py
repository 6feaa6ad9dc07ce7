"""A call's SIP messages: while it is up, when it is over, and as files."""

from collections.abc import Iterable
from typing import Any

import pytest

from gateway.calls import ladders
from gateway.http.app_keys import CALLS
from tests.gateway.conftest import TOKEN, TRUNK_DID, Gateway, Start
from tests.gateway.peer import Jambonz

Json = dict[str, Any]


class Remembered:
    """What the softswitch remembers: one message of each dialog that it is asked about."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []

    def ladder(self, sip_call_ids: Iterable[str]) -> list[Json]:
        return [
            {
                "at": 1_800_000_000.25 + place,
                "direction": "in",
                "peer": "udp:192.0.2.1:5060",
                "local": "udp:192.0.2.2:5060",
                "summary": "INVITE sip:b@192.0.2.2",
                "sip_call_id": name,
                "message": f"INVITE sip:b@192.0.2.2 SIP/2.0\r\nCall-ID: {name}\r\n\r\n",
                "left_out": 0,
            }
            for place, name in enumerate(sip_call_ids)
            if name not in self.forgotten
        ]

    def forget(self, sip_call_ids: Iterable[str]) -> None:
        self.forgotten += sip_call_ids


async def one_call(gateway: Gateway) -> Jambonz:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    await gateway.app[CALLS].none_left()
    return jambonz


async def legs(gateway: Gateway) -> list[str]:
    """The Call-IDs of the newest call's ladder."""
    record = (await gateway.records())[0]
    status, body = await gateway.get(f"/api/v1/calls/{record.call_id}/ladder")
    assert status == 200
    return [message["sip_call_id"] for message in body["messages"]]


async def test_a_call_in_progress_has_its_legs(start: Start) -> None:
    gateway = await start(make={"messages": Remembered()})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await gateway.until(lambda call: call["answered_at"] is not None)
        assert await legs(gateway) == [jambonz.a_call_id, jambonz.b_call_id]
        await jambonz.callee_hangs_up()


async def test_a_call_that_is_over_is_stored_and_no_longer_remembered(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladders, "SETTLE_S", 0.0)
    remembered = Remembered()
    gateway = await start(make={"messages": remembered})
    jambonz = await one_call(gateway)
    assert await legs(gateway) == [jambonz.a_call_id, jambonz.b_call_id]
    await gateway.until(lambda _: len(remembered.forgotten) == 2)
    assert await legs(gateway) == [jambonz.a_call_id, jambonz.b_call_id]
    await gateway.stop()
    again = await start(make={"messages": Remembered()})
    assert await legs(again) == [jambonz.a_call_id, jambonz.b_call_id]


async def test_what_has_to_be_stored_is_stored_before_the_end(start: Start) -> None:
    gateway = await start(make={"messages": Remembered()})
    jambonz = await one_call(gateway)
    await gateway.stop()
    forgetful = Remembered()
    forgetful.forget([jambonz.a_call_id, jambonz.b_call_id])
    again = await start(make={"messages": forgetful})
    assert await legs(again) == [jambonz.a_call_id, jambonz.b_call_id]


async def test_every_server_that_was_asked_is_in_the_ladder(start: Start) -> None:
    """The softswitch hunts within one dial; each INVITE has a Call-ID of its own."""
    gateway = await start(make={"messages": Remembered()})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.leg("trying", 100, call_id="dead-server")
        await jambonz.leg("ringing", 180)
        await jambonz.leg("in-progress", 200)
        await jambonz.caller("in-progress", 200)
        await jambonz.callee_hangs_up()
    await gateway.app[CALLS].none_left()
    assert await legs(gateway) == [jambonz.a_call_id, "dead-server", jambonz.b_call_id]


async def test_none_is_stored_where_none_is_wanted(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ladders, "SETTLE_S", 0.0)
    remembered = Remembered()
    gateway = await start(make={"messages": remembered}, ladders={"stored": 0})
    await one_call(gateway)
    await gateway.until(lambda _: bool(remembered.forgotten))
    assert await legs(gateway) == []


async def test_files_for_wireshark_and_to_read(start: Start) -> None:
    gateway = await start(make={"messages": Remembered()})
    jambonz = await one_call(gateway)
    call_id = (await gateway.records())[0].call_id
    found = {}
    for ending in ("pcap", "txt"):
        url = f"{gateway.url}/api/v1/calls/{call_id}/ladder.{ending}"
        async with gateway.http.get(url, headers={"Authorization": f"Bearer {TOKEN}"}) as response:
            assert response.status == 200
            named = response.headers["Content-Disposition"]
            assert named == f'attachment; filename="{call_id}.{ending}"'
            found[ending] = await response.read()
    for name in (jambonz.a_call_id, jambonz.b_call_id):
        assert name.encode() in found["pcap"]
        assert name.encode() in found["txt"]


@pytest.mark.parametrize("ending", ["", ".pcap", ".txt"])
async def test_where_no_softswitch_is(gateway: Gateway, ending: str) -> None:
    await one_call(gateway)
    record = (await gateway.records())[0]
    status, body = await gateway.get(f"/api/v1/calls/{record.call_id}/ladder{ending}")
    assert (status, body["code"]) == (404, "no-ladder")
    status, body = await gateway.get(f"/api/v1/calls/unknown/ladder{ending}")
    assert (status, body["code"]) == (404, "no-such-call")
