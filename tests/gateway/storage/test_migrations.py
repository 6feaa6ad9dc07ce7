"""Every schema that a database may have: none, 0.1.0's, ours, a later one, another program's."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.storage import migrations, tables
from gateway.storage.call_query import Query
from gateway.storage.call_records import open_store
from gateway.storage.database import open_engine, open_unchanged, schema_version
from gateway.storage.errors import SchemaError, StorageError
from gateway.storage.migrations import NEWEST, VERSION_TABLE, VERSIONS

#: Columns of `calls` that 0.1.0 did not have.
LATER = ("part_of", "related", "transfers", "cost_estimate", "headers", "retell")
VERSION_FILES = Path(migrations.__file__).parent / "versions"


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[AsyncConnection]:
    async with open_unchanged(url) as engine, engine.begin() as connection:
        yield connection


async def as_0_1_0(url: str, *, registrar: bool) -> None:
    """A database as version 0.1.0 left it: no version, and contacts where a trunk registers."""
    made = [tables.calls, *([tables.bindings] if registrar else [])]
    async with raw(url) as connection:
        await connection.run_sync(MetaData.create_all.__get__(tables.metadata), tables=made)
        for column in LATER:
            await connection.execute(text(f"alter table calls drop column {column}"))
        await connection.execute(
            insert(tables.calls.to_metadata(MetaData(), name="calls")).values(
                call_id="1" * 32,
                call_sid="sid-1",
                direction="inbound",
                trunk="carrier",
                from_number="+12125550100",
                to_number="+14155550100",
                state="ended",
                attempts="[]",
                started_ms=1,
                retell_headers="{}",
            )
        )


async def set_version(url: str, version: str) -> None:
    async with raw(url) as connection:
        await connection.execute(text(f"update {VERSION_TABLE} set version_num = '{version}'"))


def difference(connection: Connection) -> list[object]:
    """What Alembic sees between the database and `tables.metadata`."""

    def ours(found: object, name: str | None, kind: str, *_: object) -> bool:
        return kind != "table" or name != VERSION_TABLE

    options = {"include_object": ours, "compare_type": True}
    return list(
        compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata)
    )


async def test_a_new_database_gets_every_table(url: str) -> None:
    assert await schema_version(url) is None
    async with open_engine(url) as engine, engine.connect() as connection:
        assert await connection.run_sync(difference) == []
    assert await schema_version(url) == NEWEST


@pytest.mark.parametrize("registrar", [True, False])
async def test_a_database_of_0_1_0_is_upgraded_and_keeps_its_records(
    url: str, registrar: bool
) -> None:
    await as_0_1_0(url, registrar=registrar)
    assert await schema_version(url) == "0001"
    async with open_store(url) as store:
        assert [record.call_sid for record in await store.page(Query())] == ["sid-1"]
    assert await schema_version(url) == NEWEST
    async with open_engine(url) as engine, engine.connect() as connection:
        assert await connection.run_sync(difference) == []


async def test_a_later_schema_is_refused_and_left_as_it_is(url: str) -> None:
    async with open_engine(url):
        pass
    await set_version(url, "0999")
    with pytest.raises(SchemaError, match="schema version 0999, and this gateway knows none after"):
        await schema_version(url)
    with pytest.raises(SchemaError, match="0999") as raised:
        async with open_engine(url):
            pass
    assert "\n" not in str(raised.value)
    async with raw(url) as connection:
        found = await connection.execute(text(f"select version_num from {VERSION_TABLE}"))
        assert found.scalars().all() == ["0999"]


async def test_another_programs_table_of_calls_is_refused(url: str) -> None:
    async with raw(url) as connection:
        await connection.execute(text("create table calls (id integer, caller text)"))
    with pytest.raises(SchemaError, match="no gateway made"):
        async with open_engine(url):
            pass


async def test_two_that_start_at_once_upgrade_once(url: str) -> None:
    await as_0_1_0(url, registrar=True)

    async def start() -> None:
        async with open_engine(url):
            pass

    await asyncio.gather(start(), start(), start())
    assert await schema_version(url) == NEWEST


async def test_an_upgrade_that_fails_leaves_the_old_schema(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await as_0_1_0(url, registrar=True)
    async with raw(url) as connection:
        await connection.execute(text("create table leases (something integer)"))
    with pytest.raises(StorageError, match="leases"):
        async with open_engine(url):
            pass
    assert await schema_version(url) == "0001"
    async with raw(url) as connection:
        await connection.execute(text("drop table leases"))
    async with open_engine(url):
        pass
    assert await schema_version(url) == NEWEST


def test_every_version_has_its_file() -> None:
    files = sorted(path.name[:4] for path in VERSION_FILES.glob("[0-9]*.py"))
    assert files == list(VERSIONS)


def test_an_ordinary_start_does_not_import_alembic(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from gateway.storage.shared_state import open_shared_state\n"
        "async def start():\n"
        "    async with open_shared_state(sys.argv[1]): pass\n"
        "asyncio.run(start())\n"
        "print('alembic' in sys.modules, 'asyncpg' in sys.modules)\n"
    )
    line = [sys.executable, "-c", program, f"sqlite:///{tmp_path}/gateway.db"]
    seen = [subprocess.check_output(line, text=True).split()[-2:] for _ in range(2)]
    assert seen == [["True", "False"], ["False", "False"]]


async def test_what_is_wrong_with_the_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("longer than a header of SQLite " * 9)
    for url, words in {
        f"sqlite:///{tmp_path}/no.db": "file is not a database",
        f"sqlite:///{tmp_path}/nowhere/x.db": "nowhere/x.db",
        "postgresql://gateway:s3cret@127.0.0.1:1/calls": "refused|Connect call failed",
    }.items():
        with pytest.raises(StorageError, match=words) as raised:
            async with open_engine(url):
                pass
        assert "\n" not in str(raised.value)
        assert not str(raised.value).startswith("(")
        assert "s3cret" not in str(raised.value)
