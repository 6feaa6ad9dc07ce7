"""The call records' store: one row a call whatever happens to the disk or the process."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage import call_records, write_behind
from gateway.storage.call_query import Query
from gateway.storage.call_records import CallRecord, CallStore, open_store
from gateway.storage.database import driver_url
from gateway.storage.errors import StorageError
from gateway.storage.retell_joins import Told, note_retell


def record(number: int, **more: object) -> CallRecord:
    values: dict[str, object] = {
        "call_id": f"{number:032x}",
        "call_sid": f"sid-{number}",
        "direction": "inbound",
        "trunk": "carrier",
        "from_number": "+12125550100",
        "to_number": "+14155550100",
        "method": "trunk",
        "agent": None,
        "started_ms": 1_700_000_000_000 + number,
        **more,
    }
    return CallRecord(**values)  # type: ignore[arg-type]


@pytest.fixture
async def store(url: str) -> AsyncIterator[CallStore]:
    async with open_store(url) as opened:
        yield opened


async def test_record_comes_back_as_it_went(store: CallStore) -> None:
    full = record(
        1,
        state="ended",
        retell_call_id="call_1",
        a_sip_call_id="a",
        b_sip_call_id="b",
        attempts=[{"trunk": "retell", "code": 200}],
        answered_ms=1,
        ended_ms=2,
        duration_s=0.001,
        ended_by="caller",
        cause="hangup",
        sip_status=200,
        fault="nobody",
        media={"a": {"lost": 0}},
        retell_headers={"x-outcome": "booked"},
    )
    store.save(full)
    assert await store.get(full.call_id) == full
    assert await store.by_call_sid("sid-1") == full
    assert await store.get("unknown") is None


async def test_text_that_a_column_does_not_take_is_cut_to_what_it_does(store: CallStore) -> None:
    """PostgreSQL counts letters and takes no NUL; one such call must not stop all that follow."""
    store.save(record(1, agent="a" * 200, from_number="+1\x00212", call_sid="s\ud800"))
    store.save(record(2))
    found = await store.get(record(1).call_id)
    assert found is not None
    assert (found.agent, found.from_number, found.call_sid) == ("a" * 128, "+1212", "s?")
    told = Told(call_id=found.call_id, retell_call_id="c" * 200, disconnection_reason="d" * 200)
    noted = await note_retell(store, told)
    assert noted is not None
    assert noted.call_id == found.call_id
    found = await store.get(found.call_id)
    assert found is not None
    assert (found.retell_call_id, found.disconnection_reason) == ("c" * 128, "d" * 64)


async def test_start_is_stored_before_the_end_comes(url: str, store: CallStore) -> None:
    store.save(record(1))
    await store.flush()
    assert [item.state for item in await store.page(Query())] == ["live"]
    store.save(record(1, state="ended", cause="busy"))
    stored = await store.page(Query())
    assert [(item.state, item.cause) for item in stored] == [("ended", "busy")]


async def test_calls_of_a_crashed_run_are_marked_and_no_others(url: str) -> None:
    async with open_store(url) as store:
        store.save(record(1))
        store.save(record(2, state="ended", cause="hangup"))
    async with open_store(url) as store:
        causes = {item.call_sid: (item.state, item.cause) for item in await store.page(Query())}
    assert causes == {"sid-1": ("interrupted", "interrupted"), "sid-2": ("ended", "hangup")}


async def test_closing_stores_what_is_waiting(url: str) -> None:
    async with open_store(url) as store:
        for number in range(100):
            store.save(record(number))
            store.save(record(number, state="ended"))
    async with open_store(url) as store:
        assert await store.count() == 100
        assert {item.state for item in await store.page(Query(limit=100))} == {"ended"}


async def test_nothing_is_lost_while_the_disk_refuses(
    url: str, store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept, told to /readyz, and stored when the disk is well again, ends and all."""
    monkeypatch.setattr(write_behind, "RETRY_S", 0.001)
    monkeypatch.setattr(write_behind, "GATHER_S", 0.001)
    store.save(record(1))
    await store.flush()
    failed = asyncio.Event()

    def refuse(_: AsyncEngine) -> None:
        failed.set()
        raise OperationalError("insert", {}, Exception("disk I/O error"))

    real = AsyncEngine.begin
    monkeypatch.setattr(AsyncEngine, "begin", refuse)
    store.save(record(1, state="ended"))
    store.save(record(2))
    await failed.wait()
    store.save(record(2, state="ended"))
    with pytest.raises(StorageError):
        await store.flush()
    assert store.waiting == 2
    monkeypatch.setattr(AsyncEngine, "begin", real)
    await store.flush()
    assert [item.state for item in await store.page(Query())] == ["ended", "ended"]
    assert store.waiting == 0
    assert await store.ok()


async def test_store_that_cannot_write_is_not_ok(
    store: CallStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: AsyncEngine) -> None:
        raise OperationalError("select", {}, Exception("disk full"))

    monkeypatch.setattr(call_records, "KNOWN_S", 0.0)
    monkeypatch.setattr(AsyncEngine, "begin", refuse)
    assert not await store.ok()
    monkeypatch.undo()
    assert await store.ok()


def test_driver_of_each_database() -> None:
    assert str(driver_url("sqlite:///calls.db")) == "sqlite+aiosqlite:///calls.db"
    given = "postgresql://user@db.example.com/calls"
    assert str(driver_url(given)) == "postgresql+asyncpg://user@db.example.com/calls"
