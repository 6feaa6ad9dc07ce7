"""Two media engines behind one gateway: one is killed with calls up, and they go on in the other.

Whom each phone hears, and for how long it hears nothing, is in the packets themselves.
"""

import asyncio
import json
import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interop.harness.crowd import Crowd, Phone
from tests.interop.harness.gateway import PLAIN, Gateway
from tests.interop.harness.network import Network
from tests.interop.harness.programs import Program, descendants
from tests.ports import free_port

Json = dict[str, Any]

#: Calls in the engine that is killed; the other has as many.
CALLS = 50
CALLS_PER_SECOND = 25
#: The rtpengine's ports: no program is told others among these (`tests/ports.py`).
FIRST_PORT, LAST_PORT = 28_000, 28_999
#: What the killed engine costs a call: seconds without sound, for half of the calls and for all.
HALF_S, ALL_S = 1.0, 3.0
#: Seconds that what must come may take on a slow machine, and those between two looks.
PATIENCE_S, LOOK_S = 20.0, 0.1


@asynccontextmanager
async def rtpengine(directory: Path) -> AsyncIterator[tuple[str, Program]]:
    """An rtpengine: what `media.engine` calls it, and its process."""
    program = shutil.which("rtpengine")
    if program is None:
        pytest.fail("needs rtpengine: apt-get install rtpengine-daemon (make test does)")
    control = free_port()
    running = await Program.start(
        [program, "--config-file=none", "--foreground", "--table=-1", "--log-level=3",
         "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{control}",
         f"--port-min={FIRST_PORT}", f"--port-max={LAST_PORT}", "--log-stderr", "--num-threads=1"],
        log=directory / f"rtpengine-{control}.log",
    )  # fmt: skip
    try:
        yield f"ng:udp:127.0.0.1:{control}", running
    finally:
        if running.running:
            await running.stop()


def with_engines(*engines: str) -> Callable[[Json], None]:
    def change(settings: Json) -> None:
        settings["media"]["engine"] = list(engines)

    return change


@asynccontextmanager
async def crowds(network: Network) -> AsyncIterator[tuple[Crowd, Crowd]]:
    """Callers at the carrier, and agents whom they reach."""
    carrier, retell = network.carrier_a, network.retell
    async with (
        Crowd(carrier, network.gateway, 1000) as callers,
        Crowd(retell, network.gateway, 5000) as agents,
    ):
        yield callers, agents


async def talking(callers: Crowd, calls: int) -> list[Phone]:
    phones = []
    for _ in range(calls):
        phones.append(await callers.call(PLAIN))
        await asyncio.sleep(1 / CALLS_PER_SECOND)
    return phones


def pairs(callers: Crowd, agents: Crowd) -> list[tuple[Phone, Phone]]:
    """Who talks with whom, by what each heard: nobody hears a third."""
    by_number = {phone.number: phone for phone in (*callers, *agents)}
    found = []
    for caller in callers:
        assert len(caller.heard) == 1, f"{caller.number} hears {sorted(caller.heard)}"
        other = by_number[next(iter(caller.heard))]
        assert set(other.heard) == {caller.number}
        found.append((caller, other))
    return found


async def until(come: Callable[[], bool]) -> None:
    """Returns once that has come, or `PATIENCE_S` are over: whoever needs it asserts it then."""
    for _ in range(round(PATIENCE_S / LOOK_S)):
        if come():
            return
        await asyncio.sleep(LOOK_S)


def hears(phone: Phone) -> bool:
    """Whether the phone has heard its other side in the last half second."""
    return any(times[-1] > time.monotonic() - HALF_S / 2 for times in phone.heard.values())


def kill_builtin(gateway: Gateway) -> None:
    """SIGKILL for the relay that the gateway started."""
    for pid in descendants(gateway.program.pid):
        command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        if "sip.media.relay" in command:
            os.kill(pid, signal.SIGKILL)
            return
    raise AssertionError("the gateway runs no relay")


@pytest.mark.alone
@pytest.mark.parametrize("victim", ["builtin", "rtpengine"])
async def test_calls_of_a_killed_engine_go_on_in_the_other(
    network: Network, tmp_path: Path, victim: str
) -> None:
    async with rtpengine(tmp_path) as (name, engine):
        change = with_engines("builtin", name)
        async with (
            Gateway(network, "udp", tmp_path, change) as gateway,
            crowds(network) as (callers, agents),
        ):
            phones = await talking(callers, 2 * CALLS)
            await until(lambda: all(map(hears, (*callers, *agents))))
            together = pairs(callers, agents)
            assert len(together) == 2 * CALLS
            killed = time.monotonic()
            if victim == "builtin":
                kill_builtin(gateway)
            else:
                await engine.kill()
            everybody = (*callers, *agents)
            await until(lambda: sum(len(phone.told) > 1 for phone in everybody) >= 2 * CALLS)
            await until(lambda: all(map(hears, everybody)))
            await asyncio.sleep(HALF_S)
            over = time.monotonic()

            # all go on, each with its own other side
            assert pairs(callers, agents) == together
            moved = [phone for phone in everybody if len(phone.told) > 1]
            assert len(moved) == 2 * CALLS, "both sides of those calls were told, and no others"
            # what the phones missed while this process itself was held up is not the gateway's
            held_up_s = max(crowd.held_up_s(killed - 0.5, over) for crowd in (callers, agents))
            gaps = sorted(phone.longest_gap_s(killed - 0.5, over) - held_up_s for phone in moved)
            half = statistics.median(gaps)
            sys.stdout.write(
                f"{victim} killed: gaps p50 {half:.2f} s, longest {gaps[-1]:.2f} s,"
                f" beside {held_up_s:.2f} s of the phones' own\n"
            )
            assert half <= HALF_S
            assert gaps[-1] <= ALL_S
            stayed = [phone for phone in everybody if len(phone.told) == 1]
            longest = max(phone.longest_gap_s(killed, over) for phone in stayed)
            assert longest - held_up_s < HALF_S

            metrics = await gateway.metrics()
            assert metrics["gateway_media_calls_moved_total"] == CALLS
            for phone in phones:
                callers.hang_up(phone)
            records = await ended(gateway, 2 * CALLS)
            endings = {(r["ended_by"], r["cause"]) for r in records}
            assert endings == {("caller", "hangup")}
            assert gateway.problems(but=("media.engine-down", "relay.ended")) == []


async def ended(gateway: Gateway, calls: int) -> list[Json]:
    """The records of so many calls, once all of them have ended."""
    for _ in range(round(PATIENCE_S / LOOK_S)):
        records = await gateway.calls()
        if all(record["ended_by"] for record in records):
            break
        await asyncio.sleep(LOOK_S)
    assert len(records) == calls
    return records


async def test_engines_change_by_a_reload_with_calls_up(network: Network, tmp_path: Path) -> None:
    async with (
        rtpengine(tmp_path) as (name, _),
        Gateway(network, "udp", tmp_path) as gateway,
        crowds(network) as (callers, agents),
    ):
        before = await talking(callers, 3)
        gateway.settings["media"]["engine"] = name
        told = await gateway.reload()
        assert told == {"changed": ["media.engine"], "restart": []}
        after = await talking(callers, 3)
        await asyncio.sleep(2)
        assert len(pairs(callers, agents)) == 6
        in_rtpengine = [FIRST_PORT <= phone.told[0][1] <= LAST_PORT for phone in (*before, *after)]
        assert in_rtpengine == [False] * 3 + [True] * 3
        for phone in (*before, *after):
            assert len(phone.told) == 1, "nobody was troubled with a re-INVITE"
            callers.hang_up(phone)
        await asyncio.sleep(2)
        # the counters of both engines are in the records
        for record in await gateway.calls():
            heard = {side: record["media"][side]["packets_received"] for side in ("a", "b")}
            assert min(heard.values()) >= 15, heard
        events = [json.loads(line)["event"] for line in gateway.log().splitlines()]
        assert "media.engine-retired" in events, "the relay ended with its last call"
        assert gateway.problems() == []
