"""The relay beside a whole gateway: one that stops, and one without ports or descriptors."""

import asyncio
import json
import os
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.interop.harness.crowd import Crowd, Phone
from tests.interop.harness.gateway import PLAIN, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.programs import descendants

Json = dict[str, Any]

CALLS = 5
STOPPED_S = 5.0
#: Seconds after which a packet that was sent has arrived or is lost.
ARRIVED_S = 0.5


@asynccontextmanager
async def crowds(network: Network) -> AsyncIterator[tuple[Crowd, Crowd]]:
    """Callers at the carrier, and agents whom they reach."""
    async with (
        Crowd(network.carrier_a, network.gateway, 1000) as callers,
        Crowd(network.retell, network.gateway, 5000) as agents,
    ):
        yield callers, agents


def at_once(settings: Json) -> None:
    """What is up at a test's end is not waited for."""
    settings["limits"]["drain_s"] = 0.1


def relay_of(gateway: Gateway) -> int:
    """The relay's process."""
    [pid] = [
        pid
        for pid in descendants(gateway.program.pid)
        if b"sip.media.relay" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return pid


def descriptors_of(pid: int) -> set[int]:
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


async def logged(gateway: Gateway, *events: str) -> list[Json]:
    """The lines of these events, once there is one."""
    for _ in range(250):
        lines = [json.loads(line) for line in gateway.log().splitlines() if line.startswith("{")]
        found = [line for line in lines if line["event"] in events]
        if found:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"nothing of {events} in the log:\n{gateway.program.tail()}")


async def counted(*phones: Phone) -> list[tuple[int, int]]:
    """Packets sent and heard by each, while all are quiet for a moment."""
    for phone in phones:
        phone.over = True
    await asyncio.sleep(ARRIVED_S)
    counts = [(phone.sent, sum(map(len, phone.heard.values()))) for phone in phones]
    for phone in phones:
        phone.over = False
    return counts


async def test_a_signalling_process_that_stops_for_five_seconds_costs_no_packet(
    network: Network, tmp_path: Path
) -> None:
    async with (
        Gateway(network, "udp", tmp_path, at_once) as gateway,
        crowds(network) as (callers, agents),
    ):
        relay = relay_of(gateway)
        for _ in range(CALLS):
            await callers.call(PLAIN)
        await asyncio.sleep(1)
        phones = (*callers, *agents)
        before = await counted(*phones)
        os.kill(gateway.program.pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(STOPPED_S)
            after = await counted(*phones)
        finally:
            os.kill(gateway.program.pid, signal.SIGCONT)
        sent = [now[0] - then[0] for then, now in zip(before, after, strict=True)]
        heard = [now[1] - then[1] for then, now in zip(before, after, strict=True)]
        assert min(sent) > STOPPED_S / 0.2, "they spoke all the time"
        for caller in callers:
            [other] = caller.heard
            assert [set(one.heard) for one in agents if one.number == other] == [{caller.number}]
        assert sum(heard[:CALLS]) == sum(sent[CALLS:]), "by callers, of agents"
        assert sum(heard[CALLS:]) == sum(sent[:CALLS]), "by agents, of callers"
        # and afterwards all is as it was: the calls end, another is placed
        for caller in callers:
            callers.hang_up(caller)
        another = await callers.call(PLAIN)
        assert another.refusal is None
        callers.hang_up(another)
        await asyncio.sleep(0.5)
        assert relay_of(gateway) == relay
        assert gateway.problems() == []


def refused(phone: Phone) -> tuple[int, str, str | None]:
    """Status, reason and Retry-After that a call got."""
    assert phone.refusal is not None
    return (
        phone.refusal.status,
        phone.refusal.reason,
        phone.refusal.headers.get("retry-after"),
    )


async def test_a_call_without_ports_gets_503_and_the_log_says_what_to_widen(
    network: Network, tmp_path: Path
) -> None:
    """Two calls fill the range; as soon as one is over, there is room again."""

    def few(settings: Json) -> None:
        first = network.media_ports[0]
        settings["media"]["ports"] = f"{first}-{first + 7}"
        at_once(settings)

    async with (
        Gateway(network, "udp", tmp_path, few) as gateway,
        crowds(network) as (callers, _),
    ):
        talking = [await callers.call(PLAIN) for _ in range(2)]
        assert [phone.refusal for phone in talking] == [None, None]
        late = [await callers.call(PLAIN) for _ in range(3)]
        assert {refused(phone) for phone in late} == {(503, "Media Ports In Use", "5")}
        # the relay says so, or what is known of its ports
        lines = await logged(gateway, "media.engines-full", "relay.no-ports")
        assert all("media.ports" in (line.get("key") or line["reason"]) for line in lines)
        records = [one for one in await gateway.calls() if one["sip_status"] == 503]
        assert {(one["cause"], one["fault"]) for one in records} == {("no-ports", "operator")}
        assert len(records) == len(late)
        callers.hang_up(talking[0])
        await asyncio.sleep(0.5)
        assert (await callers.call(PLAIN)).refusal is None
        assert gateway.problems() == []


async def test_a_call_without_descriptors_gets_503_and_others_talk_on(
    network: Network, tmp_path: Path
) -> None:
    async with (
        Gateway(network, "udp", tmp_path, at_once) as gateway,
        crowds(network) as (callers, agents),
    ):
        first = await callers.call(PLAIN)
        await asyncio.sleep(2)  # each side has its connected socket by now
        relay = relay_of(gateway)
        limits = resource.prlimit(relay, resource.RLIMIT_NOFILE)
        used = descriptors_of(relay)
        free = [number for number in range(1000) if number not in used]
        resource.prlimit(relay, resource.RLIMIT_NOFILE, (free[3], limits[1]))  # a call takes four
        late = await callers.call(PLAIN)
        assert refused(late) == (503, "Media Ports In Use", "5")
        [line] = await logged(gateway, "relay.no-ports")
        assert "raise the limit of open files" in line["reason"]
        resource.prlimit(relay, resource.RLIMIT_NOFILE, limits)
        assert descriptors_of(relay) == used, "half a call leaves nothing"
        (agent,) = agents
        before = await counted(first, agent)
        await asyncio.sleep(0.5)
        after = await counted(first, agent)
        assert [now[1] > then[1] for then, now in zip(before, after, strict=True)] == [True, True]
        await asyncio.sleep(1)  # the pool gives a full engine a moment
        assert (await callers.call(PLAIN)).refusal is None
        assert gateway.problems() == []
