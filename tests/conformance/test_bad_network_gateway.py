"""The whole gateway, a process with its application and its records, in a bad network: a fifth of
all datagrams lost, a fifth repeated, all out of order, on both legs, in real time."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sip.transport.endpoint import Endpoint
from tests.conformance.bad_network import BadNetwork, Phone, Weather
from tests.interop.harness.gateway import PLAIN, TO_A_THEN_B, Gateway, Json
from tests.interop.harness.network import Network
from tests.interop.harness.scene import ending

CALLS = 100
CALLS_PER_SECOND = 5
#: 64*T1 for a BYE answered at the last moment, and as much for its transaction.
SETTLE_S = 70


@pytest.fixture
def network() -> Iterator[Network]:
    """A block of loopback addresses."""
    with Network() as block:
        yield block


def reach(settings: Json) -> None:
    """Repetitions take their time; Retell is known by its address."""
    settings["retell"]["ring_timeout_s"] = 32
    del settings["retell"]["login"]
    settings["trunks"][0] |= {"no_response_s": 32, "post_dial_s": 32}


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_no_call_is_lost_and_no_record_either(network: Network, tmp_path: Path) -> None:
    """100 calls to Retell and 100 calls of Retell at the same time."""
    outer, inner = network.carrier_a, network.retell
    networks = [
        BadNetwork(seed, Weather(), party.host, party.port)
        for seed, party in enumerate((outer, inner))
    ]
    # of two numbers, or a call of Retell's might hand on a caller of the same one (warm transfer)
    carrier = Phone(networks[0].address, talk_s=3.0)
    agent = Phone(networks[1].address, talk_s=3.0, number="+12125550102")
    async with Gateway(network, "udp", tmp_path, reach) as gateway:
        ours = Endpoint("udp", network.gateway.host, network.gateway.port)
        for phone, way in ((carrier, networks[0]), (agent, networks[1])):
            phone.open()
            way.open(phone.address, ours)
        try:

            async def call(phone: Phone, number: str, index: int) -> int:
                await asyncio.sleep(index / CALLS_PER_SECOND)
                return await phone.call(number)

            statuses = await asyncio.gather(
                *(call(carrier, PLAIN, index) for index in range(CALLS)),
                *(call(agent, TO_A_THEN_B, index) for index in range(CALLS)),
            )
            assert Counter(statuses) == {200: 2 * CALLS}
            # one leg at each callee for each call, never two
            assert (len(agent.taken), len(carrier.taken)) == (CALLS, CALLS)
            async with asyncio.timeout(SETTLE_S):
                while True:
                    held = await gateway.holdings()
                    if not (held.live_calls or held.legs or held.transactions):
                        break
                    await asyncio.sleep(1)
            records = await gateway.calls()
            assert len(records) == 2 * CALLS
            # nobody sends audio here, which is told of calls that a lost BYE made longer
            hung_up = {("caller", cause, 200) for cause in ("hangup", "no-media")}
            assert {ending(record) for record in records} <= hung_up
            assert not gateway.problems()
        finally:
            for phone, way in ((carrier, networks[0]), (agent, networks[1])):
                phone.close()
                way.close()
