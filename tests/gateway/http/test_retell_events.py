"""Retell's events: stored, acted on once, shown, and told to the operator's server."""

import json
from typing import Any

import aiohttp
import pytest

from gateway.http.app_keys import EVENT_STORE, EVENT_WORK
from gateway.storage.errors import StorageError
from gateway.webhooks import event_work
from tests.gateway.callbacks.receiver import receiving
from tests.gateway.conftest import TOKEN, TRUNK_DID, Gateway, Start
from tests.gateway.http.test_events_api import following
from tests.gateway.http.test_retell_webhooks import (
    RETELL_CALL,
    ended_call,
    event,
    post,
    signature,
)

EVENTS = "/api/v1/retell/events"
READER = "read-token-0123456789"


async def listed(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    status, body = await gateway.get(f"{EVENTS}{query}")
    assert status == 200
    return list(body["items"])


async def test_what_retell_says_stands_in_the_calls_record(gateway: Gateway) -> None:
    call_id = await ended_call(gateway, TRUNK_DID)
    headers = {"x-gateway-call-id": call_id}
    cost = {"combined_cost": 12.5}
    await event(gateway, "call_analyzed", custom_sip_headers=headers, call_cost=cost)
    transcript, link = "Agent: hello", "https://recordings.example.com/1.wav"
    ended = {"call_status": "ended", "recording_url": link, "transcript": transcript}
    await event(gateway, "call_ended", **ended)
    _, call = await gateway.get(f"/api/v1/calls/{call_id}")
    about = call["retell"].pop("transcript_event")
    assert call["retell"] == {
        "as_of": "call_analyzed",
        "cost": cost,
        "status": "ended",
        "recording_url": link,
    }
    _, shown = await gateway.get(f"{EVENTS}/{about}")
    assert shown["told"]["call"]["transcript"] == transcript
    assert (shown["event"], shown["call_id"], shown["state"]) == ("call_ended", call_id, "done")


async def test_events_are_listed_by_what_they_are_about(gateway: Gateway) -> None:
    call_id = await ended_call(gateway, TRUNK_DID)
    for name in ("call_started", "call_ended"):
        await event(gateway, name, custom_sip_headers={"x-gateway-call-id": call_id})
    await event(gateway, "call_ended", call_id="call_of_others")
    assert len(await listed(gateway)) == 3
    assert len(await listed(gateway, f"?call_id={call_id}")) == 2
    assert len(await listed(gateway, f"?retell_call_id={RETELL_CALL}&event=call_ended")) == 1
    assert await listed(gateway, "?state=broken") == []
    _, page = await gateway.get(f"{EVENTS}?limit=1")
    _, rest = await gateway.get(f"{EVENTS}?cursor={page['next']}")
    assert len(rest["items"]) == 2
    assert (await gateway.get(f"{EVENTS}/rte_none"))[0] == 404


async def test_an_event_that_comes_again_is_nothing_new(gateway: Gateway) -> None:
    for _ in range(3):
        assert await event(gateway, "call_ended") == 204
    assert len(await listed(gateway)) == 1
    page = await gateway.page()
    assert 'event="call_ended",outcome="again"} 2.0' in page
    assert 'event="call_ended",outcome="unknown-call"} 1.0' in page


async def test_of_a_transcript_only_that_it_was_there_is_kept(gateway: Gateway) -> None:
    for words in ("hello", "hello there"):
        await event(gateway, "transcript_updated", transcript=words)
    events = await listed(gateway)
    assert len(events) == 2
    _, shown = await gateway.get(f"{EVENTS}/{events[0]['event_id']}")
    assert shown["told"] is None


async def test_while_the_store_is_away_retell_is_to_send_it_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> set[str]:
        raise StorageError("away")

    body = json.dumps({"event": "call_ended", "call": {"call_id": RETELL_CALL}})
    with monkeypatch.context() as patch:
        patch.setattr(gateway.app[EVENT_STORE], "add", away)
        assert await post(gateway, body, signature(body)) == 503
    assert await post(gateway, body, signature(body)) == 204
    assert len(await listed(gateway)) == 1


async def test_an_event_that_breaks_stops_no_other_and_may_be_tried_again(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts(name: str, *_: Any) -> dict[str, Any]:
        if name == "call_started":
            raise LookupError("a fault of ours")
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(event_work, "facts_of", facts)
        for name in ("call_started", "call_ended"):
            assert await event(gateway, name) == 204
    [broken] = await listed(gateway, "?state=broken")
    assert broken["event"] == "call_started"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{gateway.url}{EVENTS}/{broken['event_id']}/retry"
    async with gateway.http.post(url, headers=headers) as response:
        assert response.status == 202
    await gateway.app[EVENT_WORK].idle()
    assert {one["state"] for one in await listed(gateway)} == {"done"}


async def test_events_go_on_signed_to_the_operators_server(start: Start) -> None:
    async with receiving() as receiver:
        gateway = await start(
            retell={"api_key": "key_test", "webhooks": {"forward_url": receiver.url}},
            outbound={"callbacks": {"secret": "shared", "hosts": ["127.0.0.1"]}},
            numbers={"*": {}},
        )
        for name in ("call_started", "call_ended", "call_started"):
            await event(gateway, name)
        await receiver.until(lambda: len(receiver.posts) == 2)
    kinds = receiver.kinds(RETELL_CALL)
    assert kinds == ["retell.call_started", "retell.call_ended"]
    told = receiver.posts[0].body
    assert told["data"]["retell"] == {"event": "call_started", "call": {"call_id": RETELL_CALL}}
    assert told["id"] in {one["event_id"] for one in await listed(gateway)}


SECRET = "my PIN is 4711"


@pytest.mark.parametrize("forwarded", [True, False])
async def test_who_may_only_read_hears_of_events_and_of_no_word_of_them(
    start: Start, forwarded: bool
) -> None:
    """By none of the ways that a token of the role read has: lists, callbacks that nobody heard,
    the stream of events, the call's record and its timeline."""
    tokens = [{"name": "reader", "token": READER, "role": "read"}]
    links = {"recording_url": "https://retell.example.com/1.wav", "public_log_url": "https://x/1"}
    async with receiving(answer=lambda _: 410) as receiver:
        gateway = await start(
            http={"admin_token": TOKEN, "tokens": tokens},
            retell={
                "api_key": "key_test",
                "webhooks": {"forward_url": receiver.url} if forwarded else {},
            },
            outbound={"callbacks": {"secret": "shared", "hosts": ["127.0.0.1"]}},
            numbers={"*": {}},
        )
        call_id = await ended_call(gateway, TRUNK_DID)
        async with following(gateway, "?kind=retell.", READER) as stream:
            headers = {"x-gateway-call-id": call_id}
            await event(
                gateway, "call_ended", transcript=SECRET, custom_sip_headers=headers, **links
            )
            told = await stream.event()
        if forwarded:
            await receiver.until(lambda: len(receiver.posts) == 1)
            assert SECRET in receiver.posts[0].raw.decode()
    [one] = await listed(gateway)
    ids = {"event_id": one["event_id"], "call_id": call_id, "retell_call_id": RETELL_CALL}
    assert (told["kind"], told["subject"]) == ("retell.call_ended", RETELL_CALL)
    assert told["data"] == {**ids, "workspace": "retell"}
    paths = ["/retell/events", "/callbacks", "/calls", "/calls.ndjson", "/calls.csv"]
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {READER}"}) as http:
        for path in [*paths, f"/calls/{call_id}", f"/calls/{call_id}/timeline"]:
            async with http.get(f"{gateway.url}/api/v1{path}") as response:
                assert response.status == 200
                text = await response.text()
            assert SECRET not in text, path
            assert "retell.example.com" not in text, path
        async with http.get(f"{gateway.url}{EVENTS}/{one['event_id']}") as response:
            assert response.status == 403
    _, call = await gateway.get(f"/api/v1/calls/{call_id}")
    assert links.items() <= call["retell"].items(), "who may listen has the links"
