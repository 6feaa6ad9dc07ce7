"""Ninety seconds of silence in real time, through calls and the relay process as they run."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from sip.core.message import Request, Response
from sip.media.ng.client import NgClient
from testkit import melody
from tests.b2bua.stage import Stage, make_stage
from tests.media.talk import Phone
from tests.media.voices import pcm_of, recording, sings

SILENCE_S = 90.0
#: What peers take for a dead call begins far above.
MAX_GAP_S = 1.0


class Arrivals:
    """When packets came to a phone, and their numbers."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.packets: list[bytes] = []

    def check(self) -> None:
        gaps = [after - before for before, after in pairwise(self.times)]
        assert max(gaps) < MAX_GAP_S
        heads = [struct.unpack("!HII", packet[2:12]) for packet in self.packets]
        assert len({ssrc for _, _, ssrc in heads}) == 1
        assert all((b[0] - a[0]) & 0xFFFF == 1 for a, b in pairwise(heads))
        ticks = (heads[-1][1] - heads[0][1]) & 0xFFFFFFFF
        assert ticks / 8000 == pytest.approx(self.times[-1] - self.times[0], abs=0.5)


@asynccontextmanager
async def arriving(phone: Phone) -> AsyncIterator[Arrivals]:
    arrivals = Arrivals()

    async def record() -> None:
        while True:
            packet, _ = await phone.rtp.receive()
            arrivals.times.append(time.monotonic())
            arrivals.packets.append(packet)

    task = asyncio.create_task(record())
    try:
        yield arrivals
    finally:
        task.cancel()
        await asyncio.wait([task])


def told(phone: Phone, message: Request | Response) -> None:
    phone.hear_of(message.body.decode())


async def call_up(stage: Stage, caller: Phone, agent: Phone) -> None:
    carrier, peer = stage.peer("carrier"), stage.peer("agent")
    await carrier.send("INVITE", sdp=caller.sdp())
    await carrier.expect(100)
    stage.dial(stage.calls[-1], "agent")
    told(agent, await peer.answer_call(sdp=agent.sdp()))
    await carrier.expect(180)
    told(caller, await carrier.expect(200, of="INVITE"))
    await carrier.send("ACK")


async def both_are_heard(caller: Phone, agent: Phone) -> None:
    async with recording(caller) as to_caller, recording(agent) as to_agent:
        await asyncio.gather(sings(caller, melody.CALLER), sings(agent, melody.AGENT))
        await asyncio.sleep(0.1)
    assert melody.find(melody.AGENT, pcm_of(to_caller)).heard
    assert melody.find(melody.CALLER, pcm_of(to_agent)).heard


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_both_hear_something_all_the_time_and_each_other_afterwards(
    relay_plane: NgClient,
) -> None:
    caller, agent = Phone("caller"), Phone("agent")
    async with make_stage(relay_plane) as stage:
        await call_up(stage, caller, agent)
        await both_are_heard(caller, agent)
        async with arriving(caller) as at_caller, arriving(agent) as at_agent:
            await asyncio.sleep(SILENCE_S)
        for arrivals in (at_caller, at_agent):
            assert len(arrivals.packets) == pytest.approx(SILENCE_S * 50, rel=0.02)
            arrivals.check()
        await both_are_heard(caller, agent)
        await stage.peer("carrier").hang_up()
        await stage.peer("agent").is_hung_up()
        await stage.calls[-1].close()
    caller.close()
    agent.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_who_is_held_hears_something_and_who_holds_nothing(relay_plane: NgClient) -> None:
    """And the call lives on: it is taken off hold, and both are heard."""
    caller, agent = Phone("caller"), Phone("agent")
    async with make_stage(relay_plane) as stage:
        carrier, peer = stage.peer("carrier"), stage.peer("agent")
        await call_up(stage, caller, agent)
        await both_are_heard(caller, agent)
        await carrier.send("INVITE", sdp=caller.sdp().replace("sendrecv", "sendonly"))
        await carrier.expect(100)
        await peer.expect("INVITE")
        await peer.send(200, sdp=agent.sdp().replace("sendrecv", "recvonly"))
        await peer.expect("ACK")
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await asyncio.sleep(0.3)
        async with arriving(caller) as at_caller, arriving(agent) as at_agent:
            await asyncio.sleep(SILENCE_S)
        assert len(at_agent.packets) == pytest.approx(SILENCE_S * 50, rel=0.02)
        at_agent.check()
        # what was on its way when the hold began
        assert len(at_caller.packets) <= 20
        await carrier.send("INVITE", sdp=caller.sdp())
        await carrier.expect(100)
        await peer.expect("INVITE")
        await peer.send(200, sdp=agent.sdp())
        await peer.expect("ACK")
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await both_are_heard(caller, agent)
        await carrier.hang_up()
        await peer.is_hung_up()
        await stage.calls[-1].close()
    caller.close()
    agent.close()
