"""Stored ladders: what was saved comes back, and the oldest give way."""

from pathlib import Path

from gateway.storage.database import open_engine
from gateway.storage.ladders import open_ladders

MESSAGES = [{"at": 1.5, "message": "BYE sip:a@192.0.2.1 SIP/2.0\r\nX: \0é\r\n\r\n"}]


async def test_a_ladder_comes_back(url: str, tmp_path: Path) -> None:
    async with open_engine(url) as engine:
        async with open_ladders(engine, 10, tmp_path) as store:
            store.save("1", MESSAGES)
            store.save("1", MESSAGES * 2)
            store.save("2", [])
        async with open_ladders(engine, 10, tmp_path) as store:
            assert await store.get("1") == MESSAGES * 2
            assert await store.get("2") is None


async def test_the_oldest_give_way(url: str, tmp_path: Path) -> None:
    async with open_engine(url) as engine, open_ladders(engine, 300, tmp_path) as store:
        for number in range(1000):
            store.save(f"{number:04}", MESSAGES)
            if number % 10 == 0:
                await store.writer.flush()
        assert 300 <= await store.count() <= 303
        assert await store.get("0000") is None
        assert await store.get("0999") == MESSAGES


async def test_none_is_stored_with_room_for_none(url: str, tmp_path: Path) -> None:
    async with open_engine(url) as engine, open_ladders(engine, 0, tmp_path) as store:
        store.save("1", MESSAGES)
        assert await store.count() == 0
