"""Stores in the background what was noted: a burst is one transaction, and no caller waits.

Nothing stops it. A row that the database does not take is found by halving the burst and set aside
in a file; any other failure is waited out. What cannot be stored before the end, and what is more
than memory shall hold, goes to a file (`Spool`) that the next start, or the first success, reads.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, Protocol, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import check_writable
from gateway.storage.errors import StorageError, as_storage_error, is_of_the_database, plain
from gateway.storage.spool import Line, Spool

log = structlog.get_logger(__name__)

#: How long a burst is gathered, in seconds; a crash loses at most this much. A transaction costs
#: about as much as storing fifty rows.
GATHER_S: Final = 0.5
#: The pause after the database refused, in seconds.
RETRY_S: Final = 1.0
#: How often it is told that it still does, in seconds.
TOLD_EVERY_S: Final = 30.0
#: How long storing the rest may take at the end, in seconds; then a file takes it.
CLOSE_S: Final = 5.0

K = TypeVar("K")
V = TypeVar("V")


class Rows(Protocol[K, V]):
    """How values become rows of a table."""

    async def write(self, connection: AsyncConnection, batch: Mapping[K, V]) -> None:
        """Store `batch`, in the transaction of `connection`. Raises whatever the driver does."""
        ...

    def line(self, key: K, value: V) -> Line:
        """A value as a file has it."""
        ...

    def of_line(self, line: Line) -> tuple[K, V]:
        """What `line` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        ...


class WriteBehind(Generic[K, V]):
    """The newest value of each key that is not stored yet, and their one writer.

    `name` begins its lines in the log. Of more than `most` values the oldest go to `spool` while
    the database refuses.
    """

    def __init__(
        self, engine: AsyncEngine, rows: Rows[K, V], name: str, spool: Spool, *, most: int
    ) -> None:
        self._engine = engine
        self._rows = rows
        self._name = name
        self._spool = spool
        self._most = most
        self._waiting: dict[K, V] = {}
        self._in_hand: dict[K, V] = {}  # being stored
        self._pending = asyncio.Event()
        self._told_at = float("-inf")
        #: held while something is being stored
        self.writing = asyncio.Lock()
        #: whether the last attempt succeeded
        self.healthy = True

    def __len__(self) -> int:
        return len(self._waiting) + len(self._in_hand)

    def get(self, key: K) -> V | None:
        """The value of that key, if it is not stored yet."""
        return self._waiting.get(key, self._in_hand.get(key))

    def note(self, key: K, value: V) -> None:
        """Store `value`, in place of an earlier one of the same key."""
        self._waiting[key] = value
        self._pending.set()

    async def flush(self) -> None:
        """Store everything noted so far. Raises StorageError, having lost nothing."""
        async with self.writing:
            if not self._waiting and not self._spool.holds:
                return
            batch, self._waiting = self._waiting, {}
            self._in_hand = batch
            try:
                with as_storage_error():
                    await self._store_all(batch)
            except BaseException as error:
                # what was noted meanwhile is newer and wins
                self._waiting = batch | self._waiting
                self._pending.set()
                self.healthy = self.healthy and not isinstance(error, StorageError)
                raise
            finally:
                self._in_hand = {}
            if not self.healthy:
                self.healthy = True
                self._told_at = float("-inf")
                log.info(f"{self._name}.stored-again", rows=len(batch))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While entered, what is noted gets stored; on leaving, all of it is, or is put by.

        What was put by before is stored on entering. Raises StorageError when it cannot be.
        """
        await self.flush()
        task = asyncio.create_task(self._write_forever(), name=self._name)
        try:
            yield
        finally:
            await self._close(task)

    async def _write_forever(self) -> None:
        """Gathers for a moment, stores, and tries again when the database refuses."""
        while True:
            await self._pending.wait()
            await asyncio.sleep(GATHER_S)
            self._pending.clear()
            try:
                await self.flush()
            except StorageError as error:
                self.tell(error)
                if len(self._waiting) > self._most:
                    await self._put_by(len(self._waiting) - self._most // 2)
                await asyncio.sleep(RETRY_S)

    def tell(self, error: StorageError) -> None:
        """The database refuses: a line now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._told_at >= TOLD_EVERY_S:
            self._told_at = now
            log.error(f"{self._name}.store-failed", error=plain(error), waiting=len(self))

    async def _close(self, task: asyncio.Task[None]) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                async with self.writing:  # never in the middle of a commit
                    task.cancel()
                await self.flush()
        except (TimeoutError, StorageError) as error:
            log.error(f"{self._name}.store-failed", error=plain(error), waiting=len(self))
        task.cancel()
        await asyncio.wait([task])
        if self._waiting:
            await self._put_by(len(self._waiting))

    # storing

    async def _store_all(self, batch: dict[K, V]) -> None:
        if not self._spool.holds:
            await self._store(batch)
            return
        await check_writable(self._engine)  # before a long file is read once a second
        earlier = await asyncio.to_thread(self._read_spool)
        await self._store(earlier | batch)
        await asyncio.to_thread(self._spool.done)
        log.warning(f"{self._name}.unspooled", records=len(earlier), file=str(self._spool.file))

    async def _store(self, batch: dict[K, V]) -> None:
        """In one transaction. Where the database is well and refuses it, in halves, down to the
        row that it does not take. Raises what the driver does where it is the database's fault."""
        if not await self._refused(batch):
            return
        if len(batch) > 1:
            items = list(batch.items())
            middle = len(items) // 2
            await self._store(dict(items[:middle]))
            await self._store(dict(items[middle:]))
        elif error := await self._refused(batch):  # not for a moment only
            for key, value in batch.items():
                await self._set_aside(key, value, plain(error))

    async def _refused(self, batch: dict[K, V]) -> Exception | None:
        """Why the rows cannot be stored though the database is well; None if they are."""
        try:
            async with self._engine.begin() as connection:
                await self._rows.write(connection, batch)
        except Exception as error:
            if is_of_the_database(error):
                raise
            await check_writable(self._engine)
            return error
        return None

    # files

    def _read_spool(self) -> dict[K, V]:
        lines, damaged = self._spool.read()
        found: dict[K, V] = {}
        for line in lines:
            try:
                key, value = self._rows.of_line(line)
            except (KeyError, TypeError, ValueError):
                damaged.append(repr(line))
            else:
                found[key] = value
        if damaged:
            file = str(self._spool.keep_damaged(damaged))
            log.error(f"{self._name}.spool-damaged", lines=len(damaged), file=file)
        return found

    async def _put_by(self, count: int) -> None:
        """The oldest `count` values go to the file."""
        oldest = dict(list(self._waiting.items())[:count])
        for key in oldest:
            del self._waiting[key]
        told: dict[str, Any] = {"records": len(oldest), "file": str(self._spool.file)}
        try:
            lines = [self._rows.line(key, value) for key, value in oldest.items()]
            await asyncio.to_thread(self._spool.add, lines)
        except Exception as error:  # the disk is full as well
            log.error(f"{self._name}.lost", error=plain(error), **told)
        else:
            log.warning(f"{self._name}.spooled", **told)

    async def _set_aside(self, key: K, value: V, error: str) -> None:
        told: dict[str, Any] = {"key": key, "error": error}
        try:
            line = self._rows.line(key, value)
            told["file"] = str(await asyncio.to_thread(self._spool.set_aside, line, error))
        except Exception as failed:
            log.error(f"{self._name}.lost", not_set_aside=plain(failed), records=1, **told)
        else:
            log.error(f"{self._name}.set-aside", **told)
