"""The database at `storage.url`: SQLite by default, PostgreSQL by URL, its schema the newest."""

import errno
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from stat import S_IROTH, S_IWOTH
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Dialect, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DisconnectionError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.sql.dml import Insert

from gateway.storage import migrations
from gateway.storage.errors import as_storage_error, plain
from gateway.storage.migrations import VERSION_TABLE

#: How long PostgreSQL may take to accept a connection, and to run a statement, in seconds.
CONNECT_S: Final = 5.0
COMMAND_S: Final = 30.0

#: Expressions of SQL by the name of their column.
Columns: TypeAlias = Mapping[str, ColumnElement[Any]]

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}


@asynccontextmanager
async def open_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """The database at a `sqlite:///` or `postgresql://` URL, upgraded if it needs to be.

    Raises StorageError when it cannot be opened. An SQLite file is made for its user alone.
    """
    file = database_file(url)
    if file is not None:
        with as_storage_error():
            make_private(file)
    engine = _engine(url)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _tune_sqlite)
    if file is not None:
        _follow_file(engine, file)
    try:
        with as_storage_error():
            await migrations.upgrade(engine)
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def open_unchanged(url: str) -> AsyncIterator[AsyncEngine]:
    """A database to read, whatever its schema. Using it raises OSError or SQLAlchemyError."""
    engine = _engine(url)
    try:
        yield engine
    finally:
        await engine.dispose()


async def schema_version(url: str) -> str | None:
    """The version of a database's schema; None if it has no tables of ours. Changes nothing.

    Raises StorageError when it cannot be read, and SchemaError for a version that is unknown.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite" and not _has_content(parsed.database):
        return None
    with as_storage_error():
        async with open_unchanged(url) as engine, engine.connect() as connection:
            return await connection.run_sync(migrations.version_of)


def database_file(url: str) -> Path | None:
    """The file of an SQLite database; None where there is none."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(parsed.database)


def make_private(file: Path) -> None:
    """Make the file if it is not there, for its user alone: it holds people's numbers. Raises
    OSError where it cannot be used: the driver's thread would not say why, and linger.

    A file that is there is not opened: closing it would end the locks that this process's
    connections have on it (fcntl(2)).
    """
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if not file.is_file() or not os.access(file, os.R_OK | os.W_OK):
            code = errno.EACCES if file.is_file() else errno.EISDIR
            raise OSError(code, os.strerror(code), str(file)) from None
        if file.stat().st_mode & (S_IROTH | S_IWOTH):
            file.chmod(0o600)


def identity(file: Path) -> tuple[int, int] | None:
    """Which file has that name now; None if none has."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


async def check_writable(engine: AsyncEngine) -> None:
    """Write what is there already. Raises whatever the driver does where nothing can be written:
    a server is away, a disk is full, a file is gone or read-only."""
    async with engine.begin() as connection:
        await connection.execute(text(f"update {VERSION_TABLE} set version_num = version_num"))


def driver_url(url: str) -> URL:
    """The operator's URL with the asynchronous driver in it."""
    parsed = make_url(url)
    return parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))


def upsert(
    dialect: Dialect, table: Table, replacing: Callable[[Columns], Columns] | None = None
) -> Insert:
    """An INSERT that takes the place of the row with the same primary key.

    `replacing(new)`: what it puts there, by name, of the columns of the `new` row; all of them
    where it is not given.
    """
    keys = [column.name for column in table.primary_key]
    insert: sqlite.Insert | postgresql.Insert = postgresql.insert(table)
    if dialect.name == "sqlite":
        insert = sqlite.insert(table)
    new = {column.name: column for column in insert.excluded if column.name not in keys}
    return insert.on_conflict_do_update(
        index_elements=keys, set_=new if replacing is None else replacing(new)
    )


def insert_if_absent(dialect: Dialect, table: Table) -> Insert:
    """An INSERT that does nothing where there is a row with the same primary key."""
    if dialect.name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return postgresql.insert(table).on_conflict_do_nothing()


async def now_ms(connection: AsyncConnection) -> int:
    """Milliseconds since 1970 by the clock that all users of the database share: that of
    PostgreSQL's machine, or of the only machine that an SQLite file is on."""
    if connection.dialect.name == "sqlite":
        return round(time.time() * 1000)
    server = await connection.execute(text("select extract(epoch from clock_timestamp()) * 1000"))
    return int(server.scalar_one())


def _engine(url: str) -> AsyncEngine:
    driver = driver_url(url)
    if driver.get_backend_name() == "sqlite":
        return create_async_engine(driver)
    # a connection that broke while it lay in the pool is noticed before it is used
    timeouts = {"timeout": CONNECT_S, "command_timeout": COMMAND_S}
    engine = create_async_engine(driver, pool_pre_ping=True, connect_args=timeouts)
    event.listen(engine.sync_engine, "do_connect", _connect)
    return engine


def _connect(dialect: Dialect, _: Any, arguments: Any, options: Any) -> Any:
    """A connection to PostgreSQL; whatever the driver or the system says is SQLAlchemy's error."""
    try:
        return dialect.connect(*arguments, **options)
    except SQLAlchemyError:
        raise
    except OSError as error:
        where = f"{options.get('host') or 'this machine'}, port {options.get('port') or 5432}"
        told = plain(error) or "no answer"
        text = f"no PostgreSQL answers at {where} ({told}): is it running, and reachable from here?"
        raise OperationalError(text, None, ConnectionError(text)) from error
    except Exception as error:
        raise OperationalError(plain(error), None, error) from error


def _has_content(database: str | None) -> bool:
    try:
        return bool(database) and Path(database or "").stat().st_size > 0
    except OSError:
        return False


def _tune_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    # Readers do not block the writer; a power cut may lose the last moment, never the file.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _follow_file(engine: AsyncEngine, file: Path) -> None:
    """No connection to a file outlives it: SQLite would write on into what nobody can find."""

    def note(_: Any, record: Any) -> None:
        record.info["file"] = identity(file)

    def check(_: Any, record: Any, __: Any) -> None:
        if record.info.get("file") != identity(file):
            raise DisconnectionError(f"{file} is gone, or another file has its name")

    event.listen(engine.sync_engine, "connect", note)
    event.listen(engine.sync_engine, "checkout", check)
