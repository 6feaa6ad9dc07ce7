"""The person hangs up, and Retell says that its agent goes on: it is told to stop."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.interop.harness.callees import Callees, Script
from tests.interop.harness.gateway import BY_SIP_URI, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.retell_rest import RetellRest
from tests.interop.outbound.test_by_retell import ask, eventually, over

Json = dict[str, Any]

PERSON = "+12125550141"
AFTER_S = 1.0


def change(settings: Json) -> None:
    settings["retell"]["stop_after_s"] = AFTER_S


@pytest.mark.slow
async def test_an_agent_whose_person_is_gone_is_stopped(network: Network, tmp_path: Path) -> None:
    async with (
        RetellRest(network.rest) as retell,
        Callees(network.carrier_a, lambda _: Script(talks_s=1.0)),
        Callees(network.retell, lambda _: Script()) as agents,
        Gateway(network, "udp", tmp_path, change) as gateway,
    ):
        retell.status = "ongoing"
        wish = {"to": PERSON, "from": BY_SIP_URI}
        made = await ask(gateway, "POST", "/calls", wish)
        call = await over(gateway, made["queued_id"])
        assert call["result"] == "answered"
        [agent] = agents.calls
        [registered] = retell.registered
        assert agent.number == registered["call_id"]
        await eventually(lambda: agent.ended is not None)  # by our BYE

        await eventually(lambda: bool(retell.stopped))
        assert retell.stopped == [registered["call_id"]]
        async with asyncio.timeout(10):
            while (record := (await gateway.calls())[0])["disconnection_reason"] is None:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert record["ended_by"] == "callee"
        assert record["disconnection_reason"] == "manual_stopped"
        assert (await gateway.metrics())["gateway_agents_left_total"] == 1
