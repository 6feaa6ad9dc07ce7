"""Stores in the background what was noted: a burst is one transaction, and no caller waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, Generic, Protocol, TypeVar

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.errors import plain

log = structlog.get_logger(__name__)

#: How long a burst is gathered, in seconds; a crash loses at most this much. A transaction costs
#: about as much as storing fifty rows.
GATHER_S: Final = 0.5
#: The pause after the database refused, in seconds.
RETRY_S: Final = 1.0

Batch = TypeVar("Batch")


class Backlog(Protocol[Batch]):
    """What was noted and is not stored yet."""

    def __len__(self) -> int: ...

    def take(self) -> Batch:
        """Everything noted so far; the backlog is empty then."""
        ...

    def put_back(self, batch: Batch) -> None:
        """`batch` could not be stored. What was noted meanwhile is newer and wins."""
        ...

    async def write(self, connection: AsyncConnection, batch: Batch) -> None:
        """Store `batch`, in the transaction of `connection`. Raises SQLAlchemyError."""
        ...


class WriteBehind(Generic[Batch]):
    """The one writer of a backlog. `name` begins its lines in the log."""

    def __init__(self, engine: AsyncEngine, backlog: Backlog[Batch], name: str) -> None:
        self._engine = engine
        self._backlog = backlog
        self._name = name
        self._pending = asyncio.Event()
        #: held while something is being stored
        self.writing = asyncio.Lock()
        #: whether the last attempt succeeded
        self.healthy = True

    def wake(self) -> None:
        """Something was noted."""
        self._pending.set()

    async def flush(self) -> None:
        """Store everything noted so far. Raises SQLAlchemyError, having lost nothing."""
        async with self.writing:
            if not len(self._backlog):
                return
            batch = self._backlog.take()
            try:
                async with self._engine.begin() as connection:
                    await self._backlog.write(connection, batch)
            except BaseException:
                self._backlog.put_back(batch)
                self._pending.set()
                raise
            self.healthy = True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While entered, what is noted gets stored; on leaving, all of it is."""
        task = asyncio.create_task(self._write_forever(), name=self._name)
        try:
            yield
        finally:
            async with self.writing:  # never in the middle of a commit
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            try:
                await self.flush()
            except (OSError, SQLAlchemyError) as error:
                log.error(f"{self._name}.lost", error=plain(error), waiting=len(self._backlog))

    async def _write_forever(self) -> None:
        """Gathers for a moment, stores, and tries again when the database refuses."""
        while True:
            await self._pending.wait()
            await asyncio.sleep(GATHER_S)
            self._pending.clear()
            try:
                await self.flush()
            except (OSError, SQLAlchemyError) as error:
                self.healthy = False
                waiting = len(self._backlog)
                log.error(f"{self._name}.store-failed", error=plain(error), waiting=waiting)
                await asyncio.sleep(RETRY_S)
