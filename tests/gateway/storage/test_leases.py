"""Leases: one owner at a time, in memory, on SQLite and on PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gateway.storage.database import open_engine
from gateway.storage.leases import TableLeases
from sip.softswitch.shared import Leases, MemoryLeases


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def leases(request: pytest.FixtureRequest) -> AsyncIterator[Leases]:
    if request.param == "memory":
        yield MemoryLeases(time.time)
        return
    if request.param == "sqlite":
        url = f"sqlite:///{request.getfixturevalue('tmp_path')}/gateway.db"
    else:
        url = request.getfixturevalue("postgres_server").new_database()
    async with open_engine(url) as engine:
        yield TableLeases(engine)


async def test_only_one_has_the_role_until_it_gives_it_back(leases: Leases) -> None:
    assert await leases.holder("role") is None
    first = await leases.take("role", "one", 60)
    assert first is not None
    assert await leases.take("role", "two", 60) is None
    assert await leases.holder("role") == first
    assert await leases.take("another role", "two", 60) is not None
    await leases.release(first)
    assert await leases.holder("role") is None
    second = await leases.take("role", "two", 60)
    assert second is not None
    assert (second.owner, second.term) == ("two", first.term + 1)
    await leases.release(first)  # long gone: another's is not touched
    assert await leases.holder("role") == second


async def test_a_renewal_lasts_longer_and_is_the_same_term(leases: Leases) -> None:
    first = await leases.take("role", "one", 60)
    again = await leases.take("role", "one", 120)
    assert first is not None
    assert again is not None
    assert again.term == first.term
    assert again.expires_ms - first.expires_ms >= 60_000


async def test_an_expired_lease_is_anybodys(leases: Leases) -> None:
    assert await leases.take("role", "one", 0.05) is not None
    await asyncio.sleep(0.1)
    assert await leases.holder("role") is None
    taken = await leases.take("role", "two", 60)
    assert taken is not None
    assert await leases.take("role", "one", 60) is None


async def test_the_lease_of_the_dead_is_taken_over_before_it_expires(leases: Leases) -> None:
    dead = await leases.take("role", "one", 60)
    second = await leases.take("role", "two", 60, instead_of=dead)
    assert second is not None
    assert await leases.take("role", "three", 60, instead_of=dead) is None  # too late
    assert await leases.holder("role") == second


async def test_of_many_that_try_at_once_one_succeeds(leases: Leases) -> None:
    tried = await asyncio.gather(*(leases.take("role", f"owner {n}", 60) for n in range(8)))
    assert len([lease for lease in tried if lease is not None]) == 1
