"""The versions of the database's schema, and the way from any of them to the newest.

A version is a file in `versions/`; Alembic runs them, in one transaction. Alembic is imported when
there is something to upgrade: an ordinary start only reads the version.
"""

import asyncio
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage.errors import SchemaError

log = structlog.get_logger(__name__)

#: Every version, oldest first. The first is what 0.1.0 made, which wrote no version down.
VERSIONS: Final = tuple(f"{number:04}" for number in range(1, 14))
NEWEST: Final = VERSIONS[-1]
#: The table that holds the version: one row, one column.
VERSION_TABLE: Final = "gateway_schema"

#: What tells a table of calls that 0.1.0 made from another program's.
_OUR_COLUMNS: Final = {"call_id", "call_sid", "started_ms", "retell_headers"}
#: Any number that no other program on the same PostgreSQL is likely to lock.
_ADVISORY_LOCK: Final = 0x5E7E11
# Alembic keeps what it works on in globals: one upgrade at a time.
_upgrading: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def version_of(connection: Connection) -> str | None:
    """The schema's version; None for a database without tables of ours. Raises SchemaError.

    A version that is not in `VERSIONS` is a later one, and an error.
    """
    found = _written_version(connection)
    if found is None:
        return _unwritten_version(connection)
    if found not in VERSIONS:
        raise SchemaError(
            f"the database has schema version {found}, and this gateway knows none after {NEWEST}:"
            " start the gateway that wrote it or a later one, or restore the backup that was made"
            " before the upgrade (docs/storage.md)"
        )
    return found


async def upgrade(engine: AsyncEngine) -> None:
    """Bring the schema to the newest version. Raises SchemaError for one that is unknown."""
    async with engine.connect() as connection:
        if await connection.run_sync(_written_version) == NEWEST:
            return
    lock = _upgrading.setdefault(asyncio.get_running_loop(), asyncio.Lock())
    async with lock, engine.begin() as connection:
        await connection.run_sync(_upgrade)


def _written_version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    rows = connection.execute(text(f"select version_num from {VERSION_TABLE}")).scalars().all()
    return str(rows[0]) if rows else None


def _unwritten_version(connection: Connection) -> str | None:
    inspector = inspect(connection)
    if inspector.has_table("calls"):
        columns = {column["name"] for column in inspector.get_columns("calls")}
        if not columns >= _OUR_COLUMNS:
            raise SchemaError(
                "the database has a table calls that no gateway made: give the gateway a database"
                " of its own"
            )
        return VERSIONS[0]
    return VERSIONS[0] if inspector.has_table("sip_bindings") else None


def _upgrade(connection: Connection) -> None:
    """In the caller's transaction, which other processes that start now wait for."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver begins none before DDL
    else:
        connection.exec_driver_sql(f"select pg_advisory_xact_lock({_ADVISORY_LOCK})")
    old = version_of(connection)
    if old == NEWEST:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, NEWEST)
    if old is not None:
        log.info("storage.upgraded", old=old, new=NEWEST)
