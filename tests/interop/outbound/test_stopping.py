"""The gateway is stopped and started again while it calls people: as an operator upgrades it."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from tests.interop.harness.callees import Callees, Script
from tests.interop.harness.gateway import ADMIN_TOKEN, PLAIN, Gateway
from tests.interop.harness.network import Network

Json = dict[str, Any]

NUMBERS = [f"+12125550{last}" for last in range(100, 140)]


def change(settings: Json) -> None:
    settings["outbound"]["queue"] = {"calls": 40, "calls_per_second": 20}
    settings["limits"]["drain_s"] = 8


async def test_who_is_called_may_talk_on_and_the_others_are_called_after_the_restart(
    network: Network, tmp_path: Path
) -> None:
    async with (
        Callees(network.carrier_a, lambda _: Script(talks_s=1.5)) as people,
        Callees(network.retell, lambda _: Script()),
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http,
    ):
        gateway = Gateway(network, "udp", tmp_path, change)
        api = f"http://{network.http}/api/v1"
        async with gateway:
            queued = []
            for number in NUMBERS:
                async with http.post(f"{api}/calls", json={"to": number, "from": PLAIN}) as made:
                    assert made.status == 202
                    queued.append((await made.json())["queued_id"])
                if len(queued) == len(NUMBERS) * 3 // 4:
                    await gateway.restart()
            before = len(people.calls)
            assert before > 0
            states: Counter[str] = Counter()
            for queued_id in queued:
                for _ in range(200):
                    async with http.get(f"{api}/queue/{queued_id}") as response:
                        one = await response.json()
                    if one["state"] == "done":
                        break
                    await asyncio.sleep(0.1)
                states[f"{one['state']} {one['result']}"] += 1
            assert gateway.problems() == []
        # nobody was cut off, nobody was called twice, nobody was forgotten
        assert states == {"done answered": len(NUMBERS)}
        assert Counter(call.number for call in people.calls) == dict.fromkeys(NUMBERS, 1)
