"""Calls of the queue that Retell's stand-in places: each goes to Retell's API, comes back by SIP
with its digest, and goes out to the person."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.interop.harness.callees import Callees, Script
from tests.interop.harness.gateway import ADMIN_TOKEN, PLAIN, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.sandbox import Sandbox

Json = dict[str, Any]

TALKS = "+12125550141"
BUSY = "+12125550142"
DECLINES = "+12125550143"
RINGS = "+12125550144"
SCRIPTS = {
    TALKS: Script(talks_s=0.5),
    BUSY: Script(status=486),
    DECLINES: Script(status=603),
    RINGS: Script(status=180),
}
OVER = ("done", "cancelled", "unknown")


async def ask(gateway: Gateway, method: str, path: str, body: Json | None = None) -> Json:
    """One request to the gateway's API."""
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    url = f"http://{gateway.network.http}/api/v1{path}"
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.request(method, url, json=body) as response,
    ):
        found: Json = await response.json()
        assert response.status < 300, found
        return found


async def wanted(gateway: Gateway, to: str, **more: Any) -> str:
    """Have Retell call somebody; the queue's id of it."""
    body = {"to": to, "from": PLAIN, "mode": "retell", **more}
    return str((await ask(gateway, "POST", "/calls", body))["queued_id"])


async def over(gateway: Gateway, queued_id: str) -> Json:
    """The queued call, once nothing more becomes of it."""
    async with asyncio.timeout(40):
        while True:
            found = await ask(gateway, "GET", f"/queue/{queued_id}")
            if found["state"] in OVER:
                return found
            await asyncio.sleep(0.1)


async def eventually(so: Callable[[], bool]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(10):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def change(settings: Json) -> None:
    settings["outbound"]["queue"] = {"calls": 20, "calls_per_second": 20}
    settings["outbound"]["ring_timeout_s"] = 20


@pytest.mark.slow
async def test_retell_calls_people_for_the_queue(network: Network, tmp_path: Path) -> None:
    async with (
        Callees(network.carrier_a, lambda number: SCRIPTS[number]) as people,
        Gateway(network, "udp", tmp_path, change) as gateway,
        Sandbox(gateway) as sandbox,
    ):
        ids = {
            number: await wanted(gateway, number, agent="agent_9", variables={"name": "Ann"})
            for number in (TALKS, BUSY, DECLINES)
        }
        ids[RINGS] = await wanted(gateway, RINGS, ring_timeout_s=5)
        calls = {number: await over(gateway, queued_id) for number, queued_id in ids.items()}
        assert {number: call["result"] for number, call in calls.items()} == {
            TALKS: "answered",
            BUSY: "busy",
            DECLINES: "declined",
            RINGS: "no-answer",
        }
        assert sorted(call.number for call in people.calls) == sorted(SCRIPTS)

        records = {record["call_id"]: record for record in await gateway.calls()}
        assert len(records) == len(SCRIPTS)
        for number, call in calls.items():
            [made] = call["history"]
            record = records[made["call_id"]]
            assert (record["direction"], record["to"]) == ("retell", number)
            assert made["retell_call_id"] == record["retell_call_id"]
            at_retell = await sandbox.ended(made["retell_call_id"])
            assert at_retell["metadata"]["gateway_call_id"] == made["call_id"]
            assert at_retell["to_number"] == number
        talked = records[calls[TALKS]["history"][0]["call_id"]]
        assert (talked["cause"], talked["disconnection_reason"]) == ("hangup", "user_hangup")
        assert talked["agent"] == "agent_9"

        # what is ours alone goes to no carrier
        for person in people.calls:
            assert b"x-gateway-" not in person.invite.to_bytes().lower()

        # refused by Retell, in its words, and cancelled while it rings
        refused = await over(gateway, await wanted(gateway, TALKS, **{"from": "+14155550133"}))
        assert refused["result"] == "agent-failed"
        assert "+14155550133 not found" in refused["detail"]
        ringing = await wanted(gateway, RINGS)
        await eventually(lambda: len(people.calls) > len(SCRIPTS))
        await ask(gateway, "POST", f"/queue/{ringing}/cancel")
        cancelled = await over(gateway, ringing)
        assert (cancelled["state"], cancelled["result"]) == ("cancelled", "cancelled")
        await eventually(lambda: people.calls[-1].ended is not None)
        state = await ask(gateway, "GET", "/retell")
        assert state["workspaces"][0]["concurrency"]["limit"] == 20
