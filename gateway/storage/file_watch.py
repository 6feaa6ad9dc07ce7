"""Notices that an SQLite file was deleted, moved or replaced, tells it, and goes on with a new one.

What the file held is with whoever took it. Calls in progress are written whole when they end.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.storage import migrations
from gateway.storage.database import identity, make_private
from gateway.storage.errors import plain

log = structlog.get_logger(__name__)

#: How often the file is looked at, in seconds.
EVERY_S: Final = 1.0


@asynccontextmanager
async def watching(engine: AsyncEngine, file: Path | None) -> AsyncIterator[None]:
    """While entered, `file` is looked at; a database without a file needs none of it."""
    if file is None:
        yield
        return
    task = asyncio.create_task(_watch(engine, file, _Held(file)), name="storage file")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


class _Held:
    """A file that is known by its number, which no other gets while it is held."""

    def __init__(self, file: Path) -> None:
        # where there is no O_PATH, a new file with the old one's number is found by the next start
        path_only = getattr(os, "O_PATH", None)
        self._descriptor = None if path_only is None else os.open(file, path_only)
        self.identity = identity(file)

    def let_go(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # which ends no lock of SQLite's, as O_PATH has none


async def _watch(engine: AsyncEngine, file: Path, held: _Held) -> None:
    told = False
    try:
        while True:
            await asyncio.sleep(EVERY_S)
            if identity(file) == held.identity:
                told = False
                continue
            if not told:
                log.error(
                    "storage.file-gone",
                    file=str(file),
                    fault="operator",
                    now="records go to a new file of that name, without what the old one held",
                )
                told = True
            if await _made_anew(engine, file):
                held.let_go()
                held = _Held(file)
    finally:
        held.let_go()


async def _made_anew(engine: AsyncEngine, file: Path) -> bool:
    try:
        make_private(file)
        await migrations.upgrade(engine)
    except Exception as error:  # the folder is gone as well, or what is there is no database
        log.debug("storage.file-not-made", file=str(file), error=plain(error))
        return False
    return True
