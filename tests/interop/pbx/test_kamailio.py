"""Kamailio as a carrier's proxy: it wants our digest, stays in every dialog, and fails over."""

from pathlib import Path
from typing import Any

import pytest

from tests.interop.harness.gateway import CALLER
from tests.interop.harness.kamailio import CarrierTrunk
from tests.interop.harness.network import Party
from tests.interop.harness.pbx import TRANSPORTS, Transport
from tests.interop.harness.scene import good, tried
from tests.interop.harness.siplog import MessageLog
from tests.interop.harness.sipp import Sipp
from tests.interop.pbx.conftest import EDGE_DOWN, RETELLS_NUMBER, Office

pytestmark = pytest.mark.asyncio(loop_scope="session")

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def behind(tmp_path: Path, scenario: str, party: Party, **more: Any) -> Sipp:
    """One of the carrier's own gateways: SIPp on UDP."""
    directory = tmp_path / scenario
    return Sipp(scenario=scenario, party=party, transport="udp", directory=directory, **more)


def through_the_proxy(log: MessageLog, office: Office, trunk: CarrierTrunk, *methods: str) -> None:
    """Each of these requests was sent by us to the proxy, and by the proxy to its gateway."""
    for method in methods:
        [request] = log.received(method)
        by_proxy, by_us = request.headers("via")
        assert str(office.carrier.inside) in by_proxy
        assert by_us.startswith(f"SIP/2.0/{trunk.transport.upper()} {trunk.customer}")
        assert not request.headers("route"), "the proxy has taken its own Route off"


@every_transport
async def test_retells_call_passes_the_proxy_and_the_callee_hangs_up(
    office: Office, transport: Transport, tmp_path: Path
) -> None:
    carrier, trunk = office.carrier, office.carrier_trunk(transport)
    first = behind(tmp_path, "callee-hangs-up", carrier.first, d_ms=500)
    async with first:
        call_id = await office.sandbox.create_phone_call(RETELLS_NUMBER, trunk.number)
        b_leg = good(await first.finish())
    call = await office.sandbox.ended(call_id)
    assert (call["call_status"], call["disconnection_reason"]) == ("ended", "user_hangup")
    [invite] = b_leg.received("INVITE")
    # consumed by the proxy: a challenged and repeated INVITE arrives once, without our digest
    assert not invite.header("proxy-authorization")
    assert tried(await office.record(trunk.number)) == [(trunk.name, 200)]


@every_transport
async def test_retell_hangs_up_through_the_route_set(
    office: Office, transport: Transport, tmp_path: Path
) -> None:
    carrier, trunk = office.carrier, office.carrier_trunk(transport)
    first = behind(tmp_path, "callee-answers", carrier.first)
    async with first:
        call_id = await office.sandbox.create_phone_call(RETELLS_NUMBER, trunk.number)
        await office.sandbox.ongoing(call_id)
        await office.sandbox.agent_hangs_up(call_id)
        b_leg = good(await first.finish())
    through_the_proxy(b_leg, office, trunk, "ACK", "BYE")


@every_transport
@pytest.mark.parametrize("failure", ["out of service", "silent"])
async def test_the_carrier_has_another_gateway(
    office: Office, transport: Transport, failure: str, tmp_path: Path
) -> None:
    """It is no business of ours: one INVITE, one trunk, one answer."""
    carrier, trunk = office.carrier, office.carrier_trunk(transport)
    second = behind(tmp_path, "callee-answers", carrier.second)
    first = behind(tmp_path, "callee-is-unavailable", carrier.first)
    async with second:
        if failure == "out of service":
            await first.start()
        call_id = await office.sandbox.create_phone_call(RETELLS_NUMBER, trunk.number)
        await office.sandbox.ongoing(call_id)
        await office.sandbox.agent_hangs_up(call_id)
        b_leg = good(await second.finish())
        if failure == "out of service":
            good(await first.finish())
    through_the_proxy(b_leg, office, trunk, "ACK", "BYE")
    await office.sandbox.ended(call_id)
    assert tried(await office.record(trunk.number)) == [(trunk.name, 200)]


async def test_the_carrier_has_another_edge(office: Office, tmp_path: Path) -> None:
    """That is our business: the trunk's first gateway refuses connections, its second does not."""
    carrier, trunk = office.carrier, office.carrier_trunk("tcp")
    async with behind(tmp_path, "callee-answers", carrier.first) as first:
        call_id = await office.sandbox.create_phone_call(RETELLS_NUMBER, EDGE_DOWN)
        await office.sandbox.ongoing(call_id)
        await office.sandbox.agent_hangs_up(call_id)
        b_leg = good(await first.finish())
    through_the_proxy(b_leg, office, trunk, "ACK", "BYE")
    assert tried(await office.record(EDGE_DOWN)) == [("carrier-tcp-twice", 200)]
    down, up = (await office.gateway.trunk("carrier-tcp-twice"))["gateways"]
    assert "refused" in down["last_error"]
    assert (up["state"], up["last_status"]) == ("up", 200)


@every_transport
async def test_a_caller_of_the_carrier_reaches_the_agent_and_hangs_up(
    office: Office, transport: Transport, tmp_path: Path
) -> None:
    carrier, trunk = office.carrier, office.carrier_trunk(transport)
    caller = behind(
        tmp_path,
        "caller-hangs-up",
        carrier.first,
        target=carrier.inside,
        number=trunk.did,
        keys={"caller": CALLER},
        d_ms=500,
    )
    async with caller:
        a_leg = good(await caller.finish())
    [answer] = a_leg.received("INVITE", 200)
    assert answer.headers("record-route"), "the proxy's Record-Route must come back"
    call = await office.sandbox.ended(await office.sandbox.latest(trunk.did))
    assert call["disconnection_reason"] == "user_hangup"
    assert (await office.record(trunk.did))["trunk"] == trunk.name


@every_transport
async def test_the_agent_hangs_up_on_a_caller_of_the_carrier(
    office: Office, transport: Transport, tmp_path: Path
) -> None:
    carrier, trunk = office.carrier, office.carrier_trunk(transport)
    caller = behind(
        tmp_path,
        "caller-is-hung-up-on",
        carrier.first,
        target=carrier.inside,
        number=trunk.did,
        keys={"caller": CALLER},
        d_ms=200,
    )
    async with caller:
        call_id = await office.sandbox.called(trunk.did)
        await office.sandbox.agent_hangs_up(call_id)
        a_leg = good(await caller.finish())
    through_the_proxy(a_leg, office, trunk, "BYE")
