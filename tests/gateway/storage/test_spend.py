"""Stored sums of money: the newest days come back, old ones go, and countries are remembered."""

from datetime import date, timedelta
from pathlib import Path

from gateway.storage.blocked_callers import BlockedCallers
from gateway.storage.database import open_engine
from gateway.storage.spend import KEEP_DAYS, Spent, open_spend

TODAY = date(2026, 11, 30)
YESTERDAY, LONG_AGO = TODAY - timedelta(days=1), TODAY - timedelta(days=30)
TOO_OLD = TODAY - timedelta(days=KEEP_DAYS + 1)


async def test_the_newest_sums_come_back(url: str, tmp_path: Path) -> None:
    async with open_engine(url) as engine:
        async with open_spend(engine, tmp_path) as store:
            assert (store.kept, store.countries) == ((), frozenset())
            for micros in (1, 3, 2):  # what was reserved may be given back
                store.save(Spent(TODAY, "all", "", micros, 1, 0.0))
            store.save(Spent(YESTERDAY, "trunk", "carrier", 10_000_000_000, 7, 61.5))
            store.save(Spent(LONG_AGO, "country", "DE", 5, 1, 1.0))
            store.save(Spent(TOO_OLD, "country", "GB", 5, 1, 1.0))
            assert await store.of_day(TODAY) == [Spent(TODAY, "all", "", 2, 1, 0.0)]
        async with open_spend(engine, tmp_path) as store:
            assert set(store.kept) == {
                Spent(TODAY, "all", "", 2, 1, 0.0),
                Spent(YESTERDAY, "trunk", "carrier", 10_000_000_000, 7, 61.5),
            }
            assert store.countries == {"DE"}
            assert [row.key for row in await store.of_day(LONG_AGO)] == ["DE"]
            assert await store.of_day(TOO_OLD) == []


async def test_blocks_are_stored_until_they_are_over_or_taken_back(url: str) -> None:
    now = [1000.0]
    async with open_engine(url) as engine:
        first = BlockedCallers(engine, lambda: now[0])
        await first.load()
        ended = await first.add("+12125550100", until_ms=1_100_000)
        lasting = await first.add("+1900*", number="+14155550100", note="x" * 300, by="desk")
        assert {*first.all()} == {lasting, ended}
        now[0] = 1100.0
        assert first.all() == [lasting]
        second = BlockedCallers(engine, lambda: now[0])
        await second.load()
        [kept] = second.all()
        assert (kept.block_id, kept.caller, kept.by) == (lasting.block_id, "+1900*", "desk")
        assert await second.remove(kept.block_id) == kept
        assert await second.remove(kept.block_id) is None
        third = BlockedCallers(engine, lambda: now[0])
        await third.load()
        assert third.all() == []
