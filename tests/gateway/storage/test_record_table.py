"""The ports of shared records: the same acts on memory, on SQLite and on PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Table

from gateway.storage import tables
from gateway.storage.database import open_engine
from gateway.storage.record_table import RecordTable, open_table
from gateway.storage.spool import spool_folder
from sip.softswitch.shared import BanRecord, BindingRecord, CallSnapshot, MemoryStore, RecordStore

BINDING = BindingRecord(
    trunk="pbx",
    aor="pbx@gateway.example.com",
    contact="sip:a@192.0.2.7",
    params=";q=0.5",
    q=0.5,
    instance="",
    source="udp:192.0.2.7:5060",
    path="<sip:edge.example.com;lr>\n<sip:core.example.com;lr>",
    sip_call_id="a@b",
    cseq=2**31 - 1,
    user_agent="PBX 1.0",
    registered_ms=1_790_000_000_000,
    expires_ms=1_790_000_600_000,
)
BAN = BanRecord(
    address="2001:db8:1:2::/64",
    reason="wrong passwords",
    strikes=3,
    bans=2,
    since_ms=1_790_000_000_000,
    until_ms=1_790_000_600_000,
)
SNAPSHOT = CallSnapshot(call_id="0" * 32, owner="one", state='{"legs": {}}', saved_ms=1)

#: A table, a record of it, a later one with the same key, and one with another key.
KINDS = [
    (tables.bindings, BINDING, replace(BINDING, cseq=9), replace(BINDING, contact="sip:b@host")),
    (tables.bans, BAN, replace(BAN, bans=3), replace(BAN, address="198.51.100.7")),
    (tables.live_calls, SNAPSHOT, replace(SNAPSHOT, saved_ms=2), replace(SNAPSHOT, call_id="1")),
]
kinds = pytest.mark.parametrize(
    ("table", "first", "later", "other"), KINDS, ids=[kind[0].name for kind in KINDS]
)


@asynccontextmanager
async def opened(url: str, table: Table, kind: type[Any]) -> AsyncIterator[RecordTable[Any]]:
    async with (
        open_engine(url) as engine,
        open_table(engine, table, kind, spool_folder(url)) as store,
    ):
        yield store


async def _keeps_the_newest_of_each_key(
    store: RecordStore[Any], first: Any, later: Any, other: Any
) -> None:
    store.save(first)
    store.save(other)
    assert sorted(await store.load(), key=repr) == sorted([first, other], key=repr)
    store.save(later)
    store.delete(*other.key)
    store.delete(*[f"no {part}" for part in other.key])
    assert await store.load() == [later]
    store.delete(*later.key)
    store.save(first)
    assert await store.load() == [first]


@kinds
async def test_in_a_database(url: str, table: Table, first: Any, later: Any, other: Any) -> None:
    async with opened(url, table, type(first)) as store:
        await _keeps_the_newest_of_each_key(store, first, later, other)
    async with opened(url, table, type(first)) as store:
        assert await store.load() == [first]  # the next run finds it


@kinds
async def test_in_memory(table: Table, first: Any, later: Any, other: Any) -> None:
    await _keeps_the_newest_of_each_key(MemoryStore(), first, later, other)


@kinds
def test_every_column_is_a_field_and_the_key_is_the_primary_key(
    table: Table, first: Any, later: Any, other: Any
) -> None:
    assert {column.name for column in table.columns} == set(type(first).__dataclass_fields__)
    keys = [column.name for column in table.primary_key]
    assert tuple(getattr(first, name) for name in keys) == first.key
