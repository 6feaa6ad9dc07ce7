"""Stored counts of a day: the newest of each is given back, and no older day."""

from datetime import date
from pathlib import Path

from gateway.storage.database import open_engine
from gateway.storage.day_counts import DayCount, open_day_counts

YESTERDAY, TODAY = date(2026, 11, 29), date(2026, 11, 30)


async def test_the_newest_count_of_the_newest_day_comes_back(url: str, tmp_path: Path) -> None:
    async with open_engine(url) as engine:
        async with open_day_counts(engine, tmp_path) as store:
            assert store.kept == ()
            store.save(DayCount(YESTERDAY, "all", "", 90))
            for calls in (1, 2, 3):
                store.save(DayCount(TODAY, "all", "", calls))
            store.save(DayCount(TODAY, "number", "+14155550144", 1))
        for _ in range(2):  # what was loaded is still there
            async with open_day_counts(engine, tmp_path) as store:
                assert set(store.kept) == {
                    DayCount(TODAY, "all", "", 3),
                    DayCount(TODAY, "number", "+14155550144", 1),
                }
