"""Webhooks: signature, order, retries."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sip.clock import LoopClock
from testkit.sandbox.settings import Agent
from testkit.sandbox.store import Call, Status, Way
from testkit.sandbox.webhooks import Webhooks, fill, sign
from tests.testkit.sandbox.peers import Hooks, hooks
from tests.testkit.sandbox.stage import settings, verified


def test_signature_is_the_documented_vector() -> None:
    """Body and time without anything between them, HMAC-SHA256 in lower-case hex."""
    signature = sign('{"event":"call_ended","call":{}}', "key_test", 1_700_000_000_000)
    assert signature == (
        "v=1700000000000,d=9a7a221c180c1c566e427a1d21a5d059227a71df71c45dfbcc37c21dded22f62"
    )


def test_urls_are_filled_from_the_dynamic_variables() -> None:
    url = "https://{{ tenant }}.example.com/{{unknown}}"
    assert fill(url, {"tenant": "gold"}) == "https://gold.example.com/{{unknown}}"


def a_call(**changes: Any) -> Call:
    given: dict[str, Any] = {
        "call_id": "call_1",
        "way": Way.REGISTERED,
        "direction": "inbound",
        "agent_id": "agent_1",
        "agent_version": 0,
        "agent": Agent(),
        "from_number": "+14155550123",
        "to_number": "+14155550100",
        "registered_s": 0.0,
        "created_ms": 0,
    }
    return Call(**{**given, **changes})


@pytest.fixture
async def hooked() -> AsyncIterator[Hooks]:
    async with hooks() as receiver:
        yield receiver


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_an_event_is_signed_so_that_retells_own_verifier_accepts_it(
    hooked: Hooks, http: aiohttp.ClientSession
) -> None:
    sender = Webhooks(settings(webhook_url=hooked.url), http, LoopClock().epoch)
    sender.event("call_started", a_call(variables={"name": "Zoë"}))
    received = await hooked.until("call_started")
    assert received.json["call"]["retell_llm_dynamic_variables"] == {"name": "Zoë"}
    assert verified(received.body, "sandbox-key", received.signature)
    assert not verified(received.body, "another-key", received.signature)
    assert not verified(received.body.replace("Zo", "Bo"), "sandbox-key", received.signature)


async def test_events_of_one_call_stay_in_order_while_one_is_retried(
    hooked: Hooks, http: aiohttp.ClientSession
) -> None:
    hooked.answers = [web.Response(status=500), web.Response(status=302), web.Response()]
    sender = Webhooks(settings(webhook_url=hooked.url), http, LoopClock().epoch)
    call = a_call()
    sender.event("call_started", call)
    call.status = Status.ENDED
    sender.event("call_ended", call)
    sender.event("call_analyzed", call)
    await sender.drain()
    assert hooked.events == ["call_started"] * 3 + ["call_ended", "call_analyzed"]
    assert [one.attempt for one in sender.deliveries] == [1, 2, 3, 1, 1]
    # what is told is the call as it was then
    assert [one.json["call"]["call_status"] for one in hooked.received[2:]] == [
        "registered",
        "ended",
        "ended",
    ]


async def test_a_receiver_that_never_agrees_is_tried_four_times(
    hooked: Hooks, http: aiohttp.ClientSession
) -> None:
    hooked.answers = [web.Response(status=503) for _ in range(9)]
    sender = Webhooks(settings(webhook_url=hooked.url), http, LoopClock().epoch)
    sender.event("call_started", a_call())
    await sender.drain()
    assert [one.status for one in sender.deliveries] == [503] * 4


async def test_an_agents_webhook_replaces_the_accounts_and_chooses_its_events(
    hooked: Hooks, http: aiohttp.ClientSession
) -> None:
    sender = Webhooks(settings(webhook_url="http://127.0.0.1:9/"), http, LoopClock().epoch)
    call = a_call(agent=Agent(webhook_url=hooked.url, webhook_events=("call_ended",)))
    for event in ("call_started", "call_ended", "call_analyzed"):
        sender.event(event, call)
    await sender.drain()
    assert hooked.events == ["call_ended"]


async def test_a_slow_receiver_of_one_call_does_not_hold_up_another(
    hooked: Hooks, http: aiohttp.ClientSession
) -> None:
    release = asyncio.Event()
    app = web.Application()

    async def slow(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    app.router.add_post("/hook", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    sender = Webhooks(settings(webhook_url=hooked.url), http, LoopClock().epoch)
    sender.event("call_started", a_call(call_id="call_slow", agent=Agent(webhook_url=url)))
    sender.event("call_started", a_call(call_id="call_quick"))
    received = await hooked.until("call_started")
    assert received.json["call"]["call_id"] == "call_quick"
    release.set()
    await sender.drain()
    await sender.close()
    await runner.cleanup()


async def test_closing_drops_what_waits(http: aiohttp.ClientSession) -> None:
    sender = Webhooks(
        settings(webhook_url="http://127.0.0.1:9/", webhook_retry_delay_s=60),
        http,
        LoopClock().epoch,
    )
    sender.event("call_started", a_call())
    await asyncio.sleep(0)
    await sender.close()
    await sender.drain()
    assert [one.status for one in sender.deliveries] in ([], [None])
