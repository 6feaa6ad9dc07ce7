"""What the softswitch keeps in the database: who registered with us, and who is banned."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.storage import tables
from gateway.storage.database import open_engine
from gateway.storage.leases import TableLeases
from gateway.storage.record_table import RecordTable, open_table
from gateway.storage.sole_use import sole_use
from gateway.storage.spool import spool_folder
from sip.softswitch.shared import BanRecord, BindingRecord


@dataclass(frozen=True, slots=True)
class SharedState:
    """The stores, their writers running."""

    bindings: RecordTable[BindingRecord]
    bans: RecordTable[BanRecord]


@asynccontextmanager
async def open_shared_state(url: str, spool: Path | None = None) -> AsyncIterator[SharedState]:
    """The database at `url` for this gateway alone; on exit everything noted is stored, or put by
    in the folder `spool` (`spool_folder` says which one where it is None).

    Raises StorageError when it cannot be opened, or another gateway uses it.
    """
    folder = spool_folder(url, spool)
    async with (
        open_engine(url) as engine,
        sole_use(TableLeases(engine)),
        open_table(engine, tables.bindings, BindingRecord, folder) as bindings,
        open_table(engine, tables.bans, BanRecord, folder) as bans,
    ):
        yield SharedState(bindings, bans)


async def upgrade_alone(url: str) -> None:
    """Upgrade the schema of a database that no gateway uses. Raises StorageError."""
    async with open_shared_state(url):
        pass
