"""A fifth of all datagrams lost, a fifth repeated, all of them out of order, on both legs.

Calls complete all the same: each once, each with its record, and nothing is left of them.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from config.values import Source
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from tests.conformance.bad_network import BadNetwork, Phone, Weather
from tests.ladder import Ladder, dial, make_ladder
from tests.virtual import virtual_time

# virtual minutes, but some ten real seconds of work, more on a busy machine
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CALLS = 200
#: Where each call has more to it.
FEWER = 50
CALLS_PER_SECOND = 10
CALLER_ENDS, CALLEE_ENDS = "+14155550100", "+14155550101"
#: 64*T1 twice over: a BYE that was answered at the last moment, and its transaction.
SETTLE_S = 80.0


@dataclass
class Weathered:
    """A softswitch with a carrier's phone and an agent's, each behind a bad network."""

    ladder: Ladder
    carrier: Phone
    agent: Phone
    networks: tuple[BadNetwork, BadNetwork]


@asynccontextmanager
async def weathered(seed: int, weather: Weather, **manners: Any) -> AsyncIterator[Weathered]:
    outer, inner = BadNetwork(seed, weather), BadNetwork(seed + 1, weather)
    carrier, agent = (Phone(way.address, **manners) for way in (outer, inner))
    trunks = [
        Trunk(
            name=name,
            gateways=(Uri.parse(f"sip:127.0.0.1:{network.port}"),),
            sources=(Source.parse(f"127.0.0.1:{network.port}"),),
            no_response_s=32.0,
            post_dial_s=32.0,
            login=manners.get("login") if name == "outer" else None,
        )
        for name, network in (("outer", outer), ("inner", inner))
    ]
    async with make_ladder(trunks=trunks) as ladder:
        gateway = ladder.peer("carrier").gateway
        ladder.app.verbs = lambda session: [
            dial(
                "inner" if session["originating_sip_trunk_name"] == "outer" else "outer",
                session["to"],
            ),
            {"verb": "hangup"},
        ]
        for phone, network in ((carrier, outer), (agent, inner)):
            phone.open()
            network.open(phone.address, gateway)
        try:
            yield Weathered(ladder, carrier, agent, (outer, inner))
            await ladder.settled(SETTLE_S)
        finally:
            for thing in (carrier, agent, outer, inner):
                thing.close()


@pytest.mark.parametrize(
    ("way", "manners"),
    [
        pytest.param("inbound", {}, id="inbound"),
        pytest.param("outbound", {}, id="outbound"),
        pytest.param("inbound", {"reliable": True}, id="reliable-ringing"),
        pytest.param("inbound", {"login": ("outer", "s3cret")}, id="digest"),
    ],
)
@virtual_time
async def test_every_call_completes_once(way: str, manners: dict[str, Any]) -> None:
    """200 calls each way; the caller hangs up every other one, the callee the rest.

    And once more with PRACK on both legs, and with a challenge to each call: these and their
    answers are lost as well.
    """
    reliable = "reliable" in manners
    calls = FEWER if manners else CALLS
    async with weathered(7, Weather(), ends=CALLEE_ENDS, **manners) as world:
        caller, callee = world.carrier, world.agent
        if way == "outbound":
            caller, callee = callee, caller

        async def call(number: int) -> int:
            await asyncio.sleep(number / CALLS_PER_SECOND)
            return await caller.call(CALLEE_ENDS if number % 2 else CALLER_ENDS)

        statuses = await asyncio.gather(*(call(number) for number in range(calls)))

        assert Counter(statuses) == {200: calls}
        # one leg at the callee for each call, answered once, acknowledged and ended
        assert len(callee.taken) == calls
        assert all(half.acknowledged.is_set() for half in callee.taken.values())
        if reliable:
            assert all(half.pracked.is_set() for half in callee.taken.values())
            assert all(half.reliable for half in caller.placed.values())
        async with asyncio.timeout(SETTLE_S):
            for half in callee.taken.values():
                await half.ended.wait()
        assert {len(half.answered) for half in caller.placed.values()} == {1}
        check_told(world.ladder, calls, {"completed"})
        for network in world.networks:
            sent = network.fate["passed"] + network.fate["lost"]
            assert network.fate["lost"] > 0.15 * sent
            assert network.fate["repeated"] > 0.12 * sent


@virtual_time
async def test_callers_that_give_up_leave_nobody_behind() -> None:
    """CANCEL and 200 cross in every way there is (RFC 3261 9.1, 15): whoever was answered in the
    meantime is hung up, whoever rings is cancelled, and each call ends once.
    """
    async with weathered(seed=11, weather=Weather(), rings_s=(0.1, 3.0), talk_s=2.0) as world:
        patience = random.Random(13)

        async def call(number: int) -> int:
            await asyncio.sleep(number / CALLS_PER_SECOND)
            return await world.carrier.call(CALLER_ENDS, gives_up_s=patience.uniform(0.0, 3.0))

        statuses = Counter(await asyncio.gather(*(call(number) for number in range(FEWER))))
        assert statuses.keys() == {200, 487}
        assert min(statuses.values()) > FEWER / 5
        async with asyncio.timeout(SETTLE_S):
            for half in world.agent.taken.values():
                await half.ended.wait()
        answered = sum(bool(half.answered) for half in world.agent.taken.values())
        assert answered > statuses[200]  # some were answered too late, acknowledged and hung up
        check_told(world.ladder, FEWER, {"completed", "no-answer"})


def check_told(ladder: Ladder, calls: int, endings: set[str]) -> None:
    """The application was told of the beginning and of one end of each call."""
    assert len(ladder.app.told("session:new")) == calls
    ends = Counter(
        frame["data"]["call_sid"]
        for frame in ladder.app.told("call:status")
        if frame["data"]["call_status"] in endings and "parent_call_sid" not in frame["data"]
    )
    assert len(ends) == calls
    assert set(ends.values()) == {1}
