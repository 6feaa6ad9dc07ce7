"""Ten thousand deliveries of Retell's, out of order and again and again, to a gateway that is
killed in between: each event is acted on once, told on under one id, and none is lost."""

import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from gateway.storage.call_query import Query
from gateway.storage.call_records import CallRecord, open_store
from gateway.storage.database import open_engine
from gateway.storage.retell_events import RetellEventQuery, RetellEventStore
from gateway.webhooks.identity import event_id_of
from tests.gateway.callbacks.receiver import Receiver, receiving
from tests.gateway.http.test_retell_webhooks import KEY, signature
from tests.ports import free_port

CALLS = 400
TIMES = 5
KILLS = 4
#: Deliveries under way at once; callbacks under way at once to one receiver.
AT_ONCE, TOLD_AT_ONCE = 40, 8
READY_S, PATIENCE_S = 30.0, 120.0
BEGAN_MS = round(time.time() * 1000)
SENT = ("call_started", "transcript_updated", "transfer_started", "call_ended", "call_analyzed")


def body(number: int, event: str) -> str:
    call: dict[str, Any] = {
        "call_id": f"call_{number}",
        "call_type": "phone_call",
        "custom_sip_headers": {"x-gateway-call-id": ours(number)},
        "call_status": "ended" if event in SENT[-2:] else "ongoing",
    }
    if event == "call_analyzed":
        call |= {"disconnection_reason": "user_hangup", "call_cost": {"combined_cost": number}}
    return json.dumps({"event": event, "call": call})


def ours(number: int) -> str:
    """Our id: it begins with the time, by which old records are deleted."""
    return f"{BEGAN_MS:012x}{number:020x}"


def record(number: int) -> CallRecord:
    return CallRecord(
        call_id=ours(number),
        call_sid=f"sid-{number}",
        direction="inbound",
        trunk="carrier",
        from_number="+12125550100",
        to_number="+14155550100",
        method="trunk",
        agent=None,
        state="ended",
        started_ms=BEGAN_MS,
    )


class Killed:
    """The gateway as a process, which this ends and begins again."""

    def __init__(self, folder: Path, forward_url: str) -> None:
        self._folder = folder
        self.port = free_port()
        self.database = f"sqlite:///{folder}/gateway.db"
        self._process: asyncio.subprocess.Process | None = None
        self.up = asyncio.Event()
        data = {
            "http": {
                "listen": f"127.0.0.1:{self.port}",
                "admin_token": "admin-token-of-this-test",
                "connections_per_address": 500,
            },
            "sip": {"listen": []},
            "storage": {"url": self.database},
            "retell": {"api_key": KEY, "webhooks": {"forward_url": forward_url}},
            "outbound": {"callbacks": {"secret": "shared-secret", "hosts": ["127.0.0.1"]}},
            "trunks": [{"name": "carrier", "gateways": ["sip:192.0.2.10"]}],
            "numbers": {"*": {}},
            "log": {"format": "json"},
        }
        (folder / "gateway.yaml").write_text(yaml.safe_dump(data))

    async def start(self) -> None:
        with (self._folder / "gateway.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "run", "--config", "gateway.yaml"),
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(READY_S), aiohttp.ClientSession() as http:
            while True:
                assert self._process.returncode is None, self.log()[-2000:]
                try:
                    async with http.get(f"http://127.0.0.1:{self.port}/healthz"):
                        break
                except aiohttp.ClientError:
                    await asyncio.sleep(0.05)
        self.up.set()

    async def end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self.up.clear()
        self._process.send_signal(how)
        await self._process.wait()

    def log(self) -> str:
        return (self._folder / "gateway.log").read_text()


async def deliver(gateway: Killed, http: aiohttp.ClientSession, text: str) -> None:
    """As Retell does, only more patiently: until it is answered by a 2xx."""
    while True:
        await gateway.up.wait()
        headers = {"X-Retell-Signature": signature(text), "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{gateway.port}/webhooks/retell/events"
        try:
            async with http.post(url, data=text.encode(), headers=headers) as response:
                if response.status == 204:
                    return
                assert response.status in (429, 503), await response.text()
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.02)


async def deliver_all(gateway: Killed, dice: random.Random, bodies: list[str]) -> None:
    """Each so many times, in any order; killed when some more of them were taken."""
    deliveries = bodies * TIMES
    dice.shuffle(deliveries)
    taken = 0
    kill_at = sorted(dice.sample(range(500, len(deliveries) - 500), KILLS))
    moved = asyncio.Event()

    async def work(http: aiohttp.ClientSession) -> None:
        nonlocal taken
        while deliveries:
            await deliver(gateway, http, deliveries.pop())
            taken += 1
            moved.set()

    async with aiohttp.ClientSession() as http, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work(http))
        for at in kill_at:
            while taken < at:
                moved.clear()
                await moved.wait()
            await gateway.end(signal.SIGKILL)
            await gateway.start()


async def heard(receiver: Receiver, ids: set[str]) -> None:
    """Wait until all of them were."""
    await receiver.until(lambda: ids <= receiver.ids().keys(), PATIENCE_S)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_each_event_is_acted_on_once_and_told_under_one_id(tmp_path: Path) -> None:
    dice = random.Random(13)
    bodies = [body(number, event) for number in range(CALLS) for event in SENT]
    ids = {event_id_of(text, json.loads(text)) for text in bodies}
    assert (len(ids), len(bodies) * TIMES) == (CALLS * len(SENT), 10_000)
    async with receiving() as receiver:
        gateway = Killed(tmp_path, receiver.url)
        async with open_store(gateway.database) as store:
            for number in range(CALLS):
                store.save(record(number))
        await gateway.start()
        try:
            await deliver_all(gateway, dice, bodies)
            await heard(receiver, ids)
        finally:
            await gateway.end(signal.SIGTERM)

    # told: each, under its own id, with the same words; again only what a kill tore
    assert receiver.ids().keys() == ids
    assert receiver.ids().total() - len(ids) <= KILLS * TOLD_AT_ONCE
    words: dict[str, bytes] = {}
    assert all(words.setdefault(post.body["id"], post.raw) == post.raw for post in receiver.posts)

    # acted on: each once, and none is left
    lines = [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]
    acted = Counter(line["event_id"] for line in lines if line["event"] == "retell.event")
    assert max(acted.values()) == 1
    async with open_engine(gateway.database) as engine:
        events = await RetellEventStore(engine).page(RetellEventQuery(limit=20_000))
    assert {event.event_id for event in events} == ids
    assert {event.state for event in events} == {"done"}
    for event in events:
        assert event.retell_call_id is not None
        assert event.call_id == ours(int(event.retell_call_id.removeprefix("call_")))

    # and what they said is the calls', whichever came last
    async with open_store(gateway.database) as store:
        records = await store.page(Query(limit=CALLS))
    for one in records:
        number = int(one.call_id[12:], 16)
        assert (one.retell_call_id, one.disconnection_reason) == (f"call_{number}", "user_hangup")
        assert one.retell["as_of"] == "call_analyzed"
        assert one.retell["cost"] == {"combined_cost": number}
