"""Stored samples: what was saved comes back, and goes with its call."""

from pathlib import Path

from gateway.storage.call_query import Query
from gateway.storage.call_records import open_store
from gateway.storage.database import open_engine
from gateway.storage.retention import Keep, delete_old
from gateway.storage.samples import open_samples
from tests.gateway.storage.test_call_records import record

LEGS = {"a": {"began_ms": 1000, "every_s": 5.0, "mos": [4.4, None, 3.1]}}


async def test_samples_come_back(url: str, tmp_path: Path) -> None:
    async with open_engine(url) as engine:
        async with open_samples(engine, tmp_path) as store:
            store.save("1", {"a": {"mos": []}})
            store.save("1", LEGS)
            store.save("2", {})
            assert await store.get("1") == LEGS, "before it is stored"
        async with open_samples(engine, tmp_path) as store:
            assert await store.get("1") == LEGS
            assert await store.get("2") is None


async def test_samples_go_with_their_call(url: str, tmp_path: Path) -> None:
    async with open_store(url) as store, open_samples(store.engine, tmp_path) as samples:
        for number in range(3):
            store.save(record(number, state="ended"))
        await store.flush()
        newest, *others = [each.call_id for each in await store.page(Query())]
        for call_id in (newest, *others):
            samples.save(call_id, LEGS)
        await samples.writer.flush()
        assert await delete_old(store.engine, Keep(days=0, calls=1), now_ms=0) == 2
        assert await samples.get(newest) == LEGS
        assert [await samples.get(call_id) for call_id in others] == [None, None]
