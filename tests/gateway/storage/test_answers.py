"""Answers by the keys of their requests: over a restart, and for an hour."""

from pathlib import Path

from sqlalchemy import func, select

from gateway.storage.answers import Answer, open_answers
from gateway.storage.database import open_engine
from gateway.storage.tables import answers


def answer(name: str, at_ms: int) -> Answer:
    return Answer(
        name=name,
        asked="request",
        status=202,
        content_type="application/json",
        body=b'{"transfer_id": "1"}\xff',
        at_ms=at_ms,
    )


async def test_they_come_back_for_an_hour(url: str, tmp_path: Path) -> None:
    now = 1000.0
    async with open_engine(url) as engine:
        async with open_answers(engine, tmp_path, lambda: now) as store:
            store.save(answer("one", store.now_ms()))
            assert await store.get("one") == answer("one", 1_000_000), "before it is stored"
        async with open_answers(engine, tmp_path, lambda: now) as store:
            now += 3600
            assert await store.get("one") == answer("one", 1_000_000)
            assert await store.get("another") is None
            now += 1
            assert await store.get("one") is None
            store.save(answer("two", store.now_ms()))
            await store.writer.flush()
        async with engine.connect() as connection:
            rows = await connection.execute(select(func.count()).select_from(answers))
            assert rows.scalar_one() == 1, "what is too old is deleted"


async def test_what_the_database_does_not_take_comes_back_from_the_file(
    url: str, tmp_path: Path
) -> None:
    async with (
        open_engine(url) as engine,
        open_answers(engine, tmp_path, lambda: 1000.0) as store,
    ):
        line = store.writer._rows.line("one", answer("one", 1_000_000))
        assert store.writer._rows.of_line(line) == ("one", answer("one", 1_000_000))
