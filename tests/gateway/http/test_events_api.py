"""Server-sent events, as a client on the wire sees them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from config.settings import Settings
from gateway import feed as feeds
from gateway.feed import Feed
from gateway.http import events_api
from gateway.http.app import configure
from gateway.http.app_keys import CALLS, FEED
from gateway.http.trunk_changes import TrunkChanges
from tests.gateway.conftest import TOKEN, TRUNK_DID, Gateway, Json, Start, settings_data
from tests.gateway.http.placing import OURS, PERSON, Placing, ask
from tests.gateway.http.test_queue_api import outbound
from tests.gateway.http.test_trunks_api import REGISTRATION, Switch


class Stream:
    """A client's end."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def block(self) -> dict[str, str]:
        """The next event or comment, by fields; empty at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(10):
            while line := (await self.response.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
        return fields

    async def event(self) -> Json:
        """The next event, as its data."""
        while "data" not in (block := await self.block()):
            assert block, "the stream has ended"
        event: Json = json.loads(block["data"])
        assert event["kind"] == block["event"]
        assert event.get("id") == block.get("id")
        return event


@asynccontextmanager
async def following(
    gateway: Gateway, query: str = "", token: str = TOKEN, **headers: str
) -> AsyncIterator[Stream]:
    headers = {"Authorization": f"Bearer {token}", **headers}
    url = f"{gateway.url}/api/v1/events{query}"
    async with gateway.http.get(url, headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        stream = Stream(response)
        assert await stream.block() == {"retry": "2000"}
        yield stream


async def one_call(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    await gateway.app[CALLS].none_left()


async def test_a_call_is_seen_as_it_happens_and_again_by_who_comes_back(gateway: Gateway) -> None:
    async with following(gateway, "?kind=live-call.") as stream:
        await one_call(gateway)
        seen = [await stream.event() for _ in range(3)]
    kinds = [event["kind"] for event in seen]
    assert kinds == ["live-call.begun", "live-call.answered", "live-call.ended"]
    begun, answered, ended = (event["data"] for event in seen)
    assert (begun["to"], begun["answered_at"], begun["ended_at"]) == (TRUNK_DID, None, None)
    assert answered["answered_at"] is not None
    assert (ended["cause"], ended["fault"], ended["ended_by"]) == ("hangup", "nobody", "callee")
    async with following(gateway, **{"Last-Event-ID": seen[0]["id"]}) as stream:
        assert [await stream.event() for _ in range(2)] == seen[1:]
    async with following(gateway, f"?after={seen[1]['id']}") as stream:
        assert await stream.event() == seen[2]
    async with following(gateway, "?after=1-1") as stream:
        assert (await stream.event())["kind"] == "events.missed"
        assert await stream.event() == seen[0]
    page = await gateway.page()
    assert "gateway_events_told_total 3.0" in page


async def test_what_becomes_of_queued_calls(start: Start) -> None:
    """Without any receiver of callbacks."""
    placing = Placing()
    settings = {**outbound(), "callbacks": {}}
    gateway = await start(make={"queue": placing.open}, outbound=settings)
    async with following(gateway, "?kind=call.") as stream:
        _, call = await ask(
            gateway, "POST", "/calls", json={"to": PERSON, "from": OURS, "agent": "agent_1"}
        )
        await placing.talks(call["queued_id"])
        seen = [await stream.event() for _ in range(5)]
    assert [event["kind"].removeprefix("call.") for event in seen] == [
        *("queued", "calling", "ringing", "answered", "done")
    ]
    assert {event["subject"] for event in seen} == {call["queued_id"]}
    assert seen[-1]["data"]["try"]["duration_s"] == 12.5


async def test_trunks_and_registrations_that_change() -> None:
    switch, feed = Switch(), Feed(lambda: 1_800_000_000.0)
    reader, changes = feed.follow(), TrunkChanges(lambda: switch, feed)
    changes.look()
    changes.look()
    assert feed.told == 0, "the first look only remembers"
    switch.listed[0] |= {"up": False, "registration": {**REGISTRATION, "state": "failed"}}
    switch.listed[1] |= {"up": True}
    changes.look()
    heard = [json.loads(told.text) for _ in range(3) if (told := await reader.next(1))]
    assert [(event["kind"], event["subject"]) for event in heard] == [
        ("trunk.down", "carrier"),
        ("registration.changed", "carrier"),
        ("trunk.up", "second"),
    ]
    assert heard[1]["data"]["state"] == "failed"
    assert heard[2]["data"]["gateways"][0]["last_status"] == 503


async def test_a_stream_without_events_is_kept_alive(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_api, "HEARTBEAT_S", 0.01)
    async with following(gateway) as stream:
        assert await stream.block() == {"": "still here"}


async def test_who_reads_too_slowly_is_told_and_leaves(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "WAITING", 3)
    feed = gateway.app[FEED]
    async with following(gateway) as stream:
        for number in range(9):  # in one turn: none can be read between
            feed.tell("trunk.up", f"trunk-{number}", {})
        ended = await stream.event()
        assert ended["kind"] == "events.ended"
        assert ended["reason"].startswith("they were read too slowly")
        assert await stream.block() == {}
    assert len(feed) == 0
    assert "gateway_event_readers_dropped_total 1.0" in await gateway.page()


async def test_who_takes_nothing_at_all_is_cut_off(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_api, "WRITE_S", 0.05)
    feed = gateway.app[FEED]
    async with following(gateway) as stream:
        stream.response.connection.transport.pause_reading()  # type: ignore[union-attr]
        async with asyncio.timeout(20):
            while len(feed):
                feed.tell("trunk.up", "trunk", {"text": "x" * 200_000})
                await asyncio.sleep(0.001)


async def test_a_token_that_is_taken_back_ends_its_streams(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_api, "HEARTBEAT_S", 0.01)
    async with following(gateway) as stream:
        data = settings_data(http={"admin_token": "another"})
        data["storage"] = {"url": gateway.app_settings().storage.url.get_secret_value()}
        await configure(gateway.app, Settings.model_validate(data))
        assert (await stream.event())["reason"] == "this token is not known any more"
        assert await stream.block() == {}


async def test_only_so_many_follow_and_a_stop_ends_them(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "READERS", 1)
    async with following(gateway) as stream:
        status, body = await gateway.get("/api/v1/events")
        assert (status, body["code"]) == (503, "busy")
        gateway.app[FEED].close()
        assert (await stream.event())["reason"] == "the gateway stops"
    url, headers = f"{gateway.url}/api/v1/events", {"Authorization": f"Bearer {TOKEN}"}
    async with gateway.http.head(url, headers=headers, raise_for_status=False) as response:
        assert response.status == 200
