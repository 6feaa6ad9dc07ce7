"""The database at `storage.url`: SQLite by default, PostgreSQL by URL. Tables are others'."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import MetaData, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@asynccontextmanager
async def open_engine(url: str, tables: MetaData) -> AsyncIterator[AsyncEngine]:
    """The database at a `sqlite:///` or `postgresql://` URL, with `tables` in it.

    Raises OSError or SQLAlchemyError when it cannot be opened.
    """
    _check_file(make_url(url))
    engine = create_async_engine(driver_url(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(tables.create_all)
        yield engine
    finally:
        await engine.dispose()


def driver_url(url: str) -> URL:
    """The operator's URL with the asynchronous driver in it."""
    parsed = make_url(url)
    drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
    return parsed.set(drivername=drivers.get(parsed.drivername, parsed.drivername))


def _check_file(url: URL) -> None:
    """An SQLite file that cannot be opened, told by its own name: the driver's thread would only
    say that it could not, and linger."""
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:"):
        with open(url.database, "ab"):
            pass


def _tune_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    # Readers do not block the writer; a power cut may lose the last moment, never the file.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def plain(error: SQLAlchemyError) -> str:
    """The first line of an error: the rest quotes parameters, which are people's numbers."""
    return str(error).splitlines()[0][:200]
