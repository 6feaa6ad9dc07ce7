"""What only a database server does: it goes away in the middle, and comes back."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.storage import write_behind
from gateway.storage.call_records import open_store
from gateway.storage.database import open_engine
from gateway.storage.errors import StorageError
from tests.gateway.storage.postgres import Postgres
from tests.gateway.storage.test_call_records import record


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await check():  # noqa: ASYNC110 - a server sets no event
            await asyncio.sleep(0.05)


async def test_records_outlast_a_crash_of_the_server(
    postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "RETRY_S", 0.05)
    async with open_store(postgres_server.new_database()) as store:

        async def failed() -> bool:
            return not store.writer.healthy and not await store.ok()

        async def stored() -> bool:
            return store.waiting == 0 and await store.ok()

        store.save(record(1))
        await store.flush()
        await asyncio.to_thread(postgres_server.stop)
        try:
            store.save(record(1, state="ended"))
            store.save(record(2))
            await until(failed)
            assert store.waiting == 2
        finally:
            await asyncio.to_thread(postgres_server.start)
        await until(stored)
        found = await store.get(record(1).call_id)
        assert found is not None
        assert found.state == "ended"
        assert await store.count() == 2


async def test_a_unix_socket_is_a_host_too(postgres_server: Postgres) -> None:
    url = postgres_server.by_socket(postgres_server.new_database())
    async with open_store(url) as store:
        store.save(record(1))
        assert await store.count() == 1


async def test_a_wrong_password_and_a_missing_database_are_one_line(
    postgres_server: Postgres,
) -> None:
    url = postgres_server.new_database()
    password = url.partition("gateway:")[2].partition("@")[0]
    for wrong, words in {
        url.replace(password, "s3cret"): 'password authentication failed for user "gateway"',
        url + "_none": "does not exist",
    }.items():
        with pytest.raises(StorageError, match=words) as raised:
            async with open_engine(wrong):
                pass
        assert "\n" not in str(raised.value)
        assert "s3cret" not in str(raised.value)
        assert password not in str(raised.value)


async def test_a_server_that_is_not_there_is_named_with_what_to_look_at() -> None:
    with pytest.raises(
        StorageError, match=r"no PostgreSQL answers at 127\.0\.0\.1, port 1 .*running"
    ):
        async with open_engine("postgresql://gateway:secret@127.0.0.1:1/gateway"):
            pytest.fail("opened what is not there")
