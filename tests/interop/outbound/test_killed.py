"""A thousand people are called, and the gateway is killed in the middle of it, twice."""

import asyncio
import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.interop.harness.callees import Callees, Script
from tests.interop.harness.gateway import ADMIN_TOKEN, PLAIN, Gateway
from tests.interop.harness.network import Network
from tests.interop.outbound.receiver import Receiver

Json = dict[str, Any]

AREAS = ("201", "202", "203", "205", "206", "207", "208", "209", "210", "212")
NUMBERS = [f"+1{area}5550{last}" for area in AREAS for last in range(100, 200)]
CALLS_PER_SECOND = 50
#: Seconds of calling before each SIGKILL.
KILLED_AFTER_S = (6.0, 7.0)
#: Seconds that all of it may take.
DONE_S = 90.0
#: By the last digit of the number; whoever is not here talks for a second and hangs up.
SCRIPTS = {"7": Script(status=486), "8": Script(status=603), "9": Script(status=180)}
OVER = ("done", "cancelled", "unknown")


def script(number: str) -> Script:
    return SCRIPTS.get(number[-1], Script(talks_s=1.0))


def change(receiver: Receiver) -> Any:
    def apply(settings: Json) -> None:
        settings["outbound"] |= {
            "routes": [{"trunks": ["carrier-a"]}],
            "queue": {"calls": 300, "calls_per_second": CALLS_PER_SECOND, "ring_timeout_s": 3},
            "callbacks": {
                "url": receiver.url,
                "secret": "interop-callback-secret-0123456789",
                "hosts": ["127.0.0.1", receiver.url.split("/")[2].partition(":")[0]],
            },
        }

    return apply


async def api(gateway: Gateway, method: str, path: str, **more: Any) -> Json:
    """One request to the API."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http,
        http.request(method, f"http://{gateway.network.http}/api/v1{path}", **more) as response,
    ):
        body: Json = await response.json() if response.content_length != 0 else {}
        assert response.status < 300, str(body)[:500]
        return body


def as_csv() -> str:
    """The people, as an operator has them."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["number", "from"])
    table.writerows([number, PLAIN] for number in NUMBERS)
    return text.getvalue()


async def everything(gateway: Gateway, campaign: str) -> list[Json]:
    """Every queued call with its tries."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http,
        http.get(
            f"http://{gateway.network.http}/api/v1/campaigns/{campaign}/results.ndjson"
        ) as response,
    ):
        assert response.status == 200
        return [json.loads(line) for line in (await response.text()).splitlines()]


async def until_done(gateway: Gateway) -> None:
    async with asyncio.timeout(DONE_S):
        while True:
            counts = (await api(gateway, "GET", "/queue/summary"))["counts"]
            if sum(counts.get(state, 0) for state in OVER) == len(NUMBERS):
                return
            await asyncio.sleep(0.5)


def busiest_second(times: list[float]) -> int:
    """The most that began within any one second."""
    times = sorted(times)
    most = first = 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.alone
async def test_nobody_is_called_twice_and_nothing_is_lost(network: Network, tmp_path: Path) -> None:
    async with (
        Receiver(network.operator.host) as receiver,
        Callees(network.carrier_a, script) as people,
        Callees(network.retell, lambda _: Script()) as agents,
    ):
        gateway = Gateway(network, "udp", tmp_path, change(receiver))
        async with gateway:
            made = await api(
                gateway,
                "POST",
                "/campaigns?name=thousand",
                data=as_csv(),
                headers={"Content-Type": "text/csv"},
            )
            assert made["calls"] == len(NUMBERS)
            for wait_s in KILLED_AFTER_S:
                await asyncio.sleep(wait_s)
                await gateway.killed()
            await until_done(gateway)
            calls = await everything(gateway, made["campaign_id"])
            records = await gateway.calls()
            await until(lambda: len(finals(receiver)) == len(NUMBERS))

        # on the wire: each number at most once, and never more than so many in a second
        dialled = Counter(call.number for call in people.calls)
        assert max(dialled.values()) == 1
        began = [call.at for call in people.calls]
        assert busiest_second(began) <= CALLS_PER_SECOND * 1.1, "as it came over the wire"
        # in the queue: one try each, by its clock never over the limit
        tries = [one for call in calls for one in call["history"]]
        assert {len(call["history"]) for call in calls} == {1}
        assert len({one["call_id"] for one in tries}) == len(NUMBERS)
        # one record each
        by_id = {record["call_id"]: record for record in records}
        assert len(records) == len(by_id)
        assert {one["call_id"] for one in tries} == by_id.keys()
        # who was interrupted is unknown, and only that one
        states = Counter(call["state"] for call in calls)
        unknown = {call["history"][0]["call_id"] for call in calls if call["state"] == "unknown"}
        assert states == {"done": len(NUMBERS) - len(unknown), "unknown": len(unknown)}
        assert 0 < len(unknown) < len(NUMBERS) / 2
        interrupted = {key for key, record in by_id.items() if record["state"] == "interrupted"}
        assert interrupted <= unknown
        for call in calls:
            if call["state"] == "done":
                assert call["result"] == expected(call["to"]), call
        # whoever answered got an agent, unless the gateway was killed first
        assert len(agents.calls) >= sum(call["result"] == "answered" for call in calls)
        # the operator heard of the end of each, under one id
        assert len(finals(receiver)) == len(NUMBERS)
        assert any(times > 1 for times in receiver.times.values()), "some came again"


async def until(so: Callable[[], bool]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(60):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.2)


def expected(number: str) -> str:
    return {"7": "busy", "8": "declined", "9": "no-answer"}.get(number[-1], "answered")


def finals(receiver: Receiver) -> set[str]:
    """The queued calls of whose end the operator has heard."""
    ends = [
        event["subject"]
        for event in receiver.events.values()
        if event["kind"] in ("call.done", "call.unknown")
    ]
    assert len(ends) == len(set(ends)), "one end each"
    return set(ends)
