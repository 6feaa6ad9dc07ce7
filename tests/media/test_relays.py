"""Several relay processes: each its part of the ports, each started again alone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.clock import LoopClock
from sip.media.ng.relay import RelayClient
from sip.media.plane import MediaError
from sip.media.pool.member import Member
from sip.media.relays import most_processes, parts_of, start_relays
from sip.media.supervisor import RelayOptions
from tests.media.talk import Talk

OPTIONS = RelayOptions(advertise="127.0.0.1", listen="127.0.0.1", ports=(27401, 27440), drain_s=0)


@asynccontextmanager
async def relays(
    processes: int, on_end: Callable[[str], None] = lambda _: None
) -> AsyncIterator[list[Member]]:
    members = await start_relays(OPTIONS, processes, clock=LoopClock(), on_end=on_end)
    try:
        yield members
    finally:
        for member in members:
            await member.close()


def client(member: Member) -> RelayClient:
    assert isinstance(member.plane, RelayClient)
    return member.plane


@given(st.integers(1, 65000), st.integers(3, 500), st.integers(1, 64))
def test_parts_are_whole_pairs_that_nobody_else_has(first: int, size: int, parts: int) -> None:
    ports = (first, first + size)
    if parts > most_processes(ports):
        with pytest.raises(ValueError, match="cannot be shared"):
            parts_of(ports, parts)
        return
    cut = parts_of(ports, parts)
    evens = [port for low, high in cut for port in range(low, high, 2)]
    assert all(low % 2 == 0 and high % 2 == 1 for low, high in cut)
    assert evens == list(range(first + first % 2, first + size, 2)), "all of them, each once"
    sizes = [(high - low + 1) // 2 for low, high in cut]
    assert min(sizes) >= 2, "each has room for a call"
    assert max(sizes) - min(sizes) <= 1


async def test_each_serves_from_its_own_ports() -> None:
    async with relays(3) as members:
        assert [member.name for member in members] == ["builtin-1", "builtin-2", "builtin-3"]
        parts = parts_of(OPTIONS.ports, 3)
        for member, (low, high) in zip(members, parts, strict=True):
            async with Talk(member.plane) as talk:
                a, b = talk.phone("A"), talk.phone("B")
                await talk.connect(a, b)
                assert low <= a.told_port < high
                assert low <= b.told_port < high
                await a.speaks_to(b)
                await b.speaks_to(a)
                await member.plane.ping()
                assert member.plane.ports == (4, high - low + 1)


async def test_one_that_dies_is_told_at_once_and_the_others_talk_on() -> None:
    ended: asyncio.Queue[str] = asyncio.Queue()
    async with relays(2, ended.put_nowait) as (first, second), Talk(second.plane) as talk:
        a, b = talk.phone("A"), talk.phone("B")
        await talk.connect(a, b)
        address = client(first).address
        pids = [pid for pid in _children() if str(address) in _command_of(pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(10):
            assert await ended.get() == "builtin-1"
            await a.speaks_to(b)
            with pytest.raises(MediaError) as unknown:  # waits for the new process
                await first.plane.query("nobody's")
        assert unknown.value.slug == "unknown-call"
        await b.speaks_to(a)
        assert ended.empty()


async def test_all_or_none_start() -> None:
    before = set(_children())
    with pytest.raises(MediaError, match="cannot be shared by 11 processes"):
        await start_relays(OPTIONS, 11, clock=LoopClock(), on_end=lambda _: None)
    assert set(_children()) == before


def _children() -> list[int]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return [int(pid) for pid in file.read().split()]


def _command_of(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline") as file:
        return file.read()
