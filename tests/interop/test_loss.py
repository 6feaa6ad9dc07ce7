"""Every tenth datagram is lost, each way, on both sides of the gateway: the calls do not notice."""

from pathlib import Path

import pytest

from tests.interop.harness.gateway import Gateway, Json
from tests.interop.harness.network import Network
from tests.interop.harness.scene import Scene, ending
from tests.interop.harness.wire import Wire

CALLS = 100
CALLS_PER_SECOND = 10
SHARE = 0.1
#: Time for a 2xx to come five times more: that all of a call's ACKs are lost is one run in 400.
TALK_MS = 12_000
#: So long the agent stays to answer a BYE again whose 200 was lost.
LINGER_MS = 20_000


@pytest.mark.timeout(180)
async def test_every_call_completes(network: Network, tmp_path: Path) -> None:
    outer, inner = network.party("outer-wire", 20), network.party("inner-wire", 21)

    def cross_the_wires(settings: Json) -> None:
        settings["trunks"][0]["identify"] = [outer.host]
        settings["retell"]["sip_uri"] = f"sip:{inner};transport=udp"
        settings["retell"]["ring_timeout_s"] = 30  # repetitions take their time

    async with (
        Gateway(network, "udp", tmp_path, cross_the_wires) as gateway,
        Wire(outer, network.carrier_a, network.gateway, share=SHARE, seed=1) as carrier_side,
        Wire(inner, network.retell, network.gateway, share=SHARE, seed=3) as retell_side,
    ):
        scene = Scene(gateway, tmp_path / "loss")
        await scene.open()
        agent = await scene.callee(
            "callee-answers", network.retell, calls=CALLS, d_ms=LINGER_MS, limit_s=120
        )
        caller = await scene.caller(
            "caller-hangs-up",
            target=outer,
            calls=CALLS,
            rate=CALLS_PER_SECOND,
            at_once=CALLS,
            d_ms=TALK_MS,
            limit_s=120,
        )
        a_side = await caller.finish()
        b_side = await agent.finish()

        assert (a_side.succeeded, a_side.failed) == (CALLS, 0), str(a_side)
        assert (b_side.succeeded, b_side.failed) == (CALLS, 0), str(b_side)
        acknowledged = {message.call_id for message in b_side.log.received("ACK")}
        assert len(acknowledged) == CALLS
        for way in (
            carrier_side.inward,
            carrier_side.outward,
            retell_side.inward,
            retell_side.outward,
        ):
            # the losses were real, and nothing went round the wire
            assert way.lost >= 0.05 * (way.lost + way.passed)
            assert way.passed > 2 * CALLS
        records = await scene.records()
        assert len(records) == CALLS
        # nobody sends audio here, which is told of calls that a lost BYE made longer
        hung_up = {("caller", cause, 200) for cause in ("hangup", "no-media")}
        assert {ending(record) for record in records} <= hung_up
        await scene.nothing_left()
