"""One gateway a database: the second is refused, and the one after a crash is not kept waiting."""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from gateway.storage import sole_use as module
from gateway.storage.database import open_engine
from gateway.storage.errors import InUseError
from gateway.storage.leases import TableLeases
from gateway.storage.process import Process
from gateway.storage.shared_state import open_shared_state
from gateway.storage.sole_use import ROLE, sole_use, user_of
from sip.softswitch.shared import MemoryLeases

HOLDS = """
import asyncio, sys
from gateway.storage.shared_state import open_shared_state
async def hold():
    async with open_shared_state(sys.argv[1]):
        print("holds", flush=True)
        await asyncio.sleep(600)
asyncio.run(hold())
"""


async def test_a_second_gateway_is_refused_and_the_next_is_not(url: str) -> None:
    async with open_shared_state(url):
        with pytest.raises(InUseError, match=f"process {os.getpid()} on .*; stop it, or give"):
            async with open_shared_state(url):
                pass
    async with open_shared_state(url):
        pass


async def test_a_gateway_that_was_killed_does_not_hold_up_the_next(url: str) -> None:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDS, url, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"holds\n"
    with pytest.raises(InUseError, match=f"process {holder.pid} on "):
        async with open_shared_state(url):
            pass
    holder.kill()
    await holder.wait()
    async with open_engine(url) as engine:
        leases = TableLeases(engine)
        assert await leases.holder(ROLE) is not None  # its lease still stands
        async with sole_use(leases):
            assert (await user_of(leases) or "").startswith(f"process {os.getpid()} on ")


async def test_elsewhere_a_lease_that_is_not_renewed_is_a_dead_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    leases = MemoryLeases(time.time)
    elsewhere = replace(Process.own(), host="another.example.com")
    await leases.take(ROLE, str(elsewhere), 0.1)
    async with sole_use(leases):
        assert (await user_of(leases) or "").startswith(f"process {os.getpid()} on ")
    assert await user_of(leases) is None


async def test_a_clock_that_was_set_back_does_not_lock_the_database_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(module, "LASTS_S", 0.1)
    leases = MemoryLeases(time.time)
    elsewhere = replace(Process.own(), host="another.example.com")
    await leases.take(ROLE, str(elsewhere), 3600)
    async with sole_use(leases):
        assert (await user_of(leases) or "").startswith(f"process {os.getpid()} on ")


async def test_elsewhere_a_lease_that_is_renewed_is_a_running_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.01)
    leases = MemoryLeases(time.time)
    elsewhere = str(replace(Process.own(), host="another.example.com"))
    await leases.take(ROLE, elsewhere, 60)

    async def renew() -> None:
        await asyncio.sleep(0.05)
        await leases.take(ROLE, elsewhere, 61)

    renewing = asyncio.create_task(renew())
    with pytest.raises(InUseError, match=r"on another\.example\.com; stop it"):
        async with sole_use(leases):
            pass
    await renewing


async def test_the_lease_is_renewed_while_the_gateway_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENEW_S", 0.01)
    leases = MemoryLeases(time.time)
    async with sole_use(leases):
        first = await leases.holder(ROLE)
        await asyncio.sleep(0.05)
        later = await leases.holder(ROLE)
    assert first is not None
    assert later is not None
    assert later.expires_ms > first.expires_ms


def test_a_process_is_told_from_a_later_one_with_its_number() -> None:
    own = Process.own()
    assert Process.parse(str(own)) == own
    assert own.is_visible()
    assert own.is_alive()
    assert not replace(own, started="1").is_alive()
    assert not replace(own, namespace="pid:[1]").is_visible()
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert not replace(own, pid=ended.pid, started="").is_alive()
    assert not replace(own, pid=ended.pid).is_alive()
    assert replace(own, started="").is_alive()
