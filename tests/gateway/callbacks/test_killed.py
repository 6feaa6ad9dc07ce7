"""Over SIGKILL of the process no event is lost, and each has one id."""

import asyncio
import random
import sys
import time
from pathlib import Path

import pytest

from gateway.callbacks.deliveries import Deliveries
from gateway.storage.callbacks import CallbackQuery, CallbackStore
from gateway.storage.database import open_engine
from tests.gateway.callbacks.noting import SETTINGS, SUBJECTS
from tests.gateway.callbacks.receiver import receiving

KILLS = 4
pytestmark = pytest.mark.slow


async def killed_after(lines: int, *arguments: str) -> list[str]:
    """Run the program until it has printed so much, and kill it; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.gateway.callbacks.noting", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(__file__).parents[3],
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            printed = [await process.stdout.readline() for _ in range(lines)]
    finally:
        process.kill()
    rest, _ = await process.communicate()
    return [line.decode().strip() for line in (*printed, *rest.splitlines()) if line]


async def test_events_outlast_the_process(tmp_path: Path) -> None:
    chance = random.Random(12)
    database, stored = f"sqlite:///{tmp_path}/events.db", list[str]()
    async with receiving() as receiver:
        receiver.answer = lambda _: 500 if chance.random() < 0.05 else 200
        for kill in range(KILLS):
            first = str(1000 * kill)
            lines = chance.randint(100, 300)
            stored += await killed_after(lines, database, str(tmp_path), receiver.url, first)
        receiver.answer = lambda _: 200
        async with open_engine(database) as engine:
            store = CallbackStore(engine)
            ahead = Deliveries(store, SETTINGS, lambda: time.time() + 60)
            async with ahead.running():
                for _ in range(2000):
                    if not await store.page(CallbackQuery(limit=1)):
                        break
                    await asyncio.sleep(0.01)
        heard = receiver.ids()
        assert len(stored) >= 100 * KILLS
        assert set(stored) <= set(heard), "what was stored is heard"
        assert len(set(heard) - set(stored)) <= KILLS, "killed between commit and print"
        told_twice = sum(times > 1 for times in heard.values())
        assert told_twice <= KILLS * 8, "only what was under way"
        for subject in range(SUBJECTS):
            numbers = [
                post.body["data"]["number"]
                for post in receiver.posts
                if post.body["subject"] == f"q-{subject}"
            ]
            assert numbers == sorted(numbers)
