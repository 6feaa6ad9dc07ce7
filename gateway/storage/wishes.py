"""Which wishes of the API have been granted, by their `Idempotency-Key`: stored with what they
made, in one transaction, so that nobody is called twice because an answer was lost."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import upsert
from gateway.storage.errors import as_storage_error
from gateway.storage.tables import wishes

#: How long they are known, in milliseconds: as long as answers are given again.
KEPT_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """`name` is made of token and key, `asked` of the request; `made` is the id of what came of it.
    `at_ms` is milliseconds since 1970."""

    name: str
    asked: str
    made: str
    at_ms: int


class WishStore:
    """The table. `now` is seconds since 1970."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], float]) -> None:
        self._engine = engine
        self.now = now

    async def add(self, connection: AsyncConnection, *, name: str, asked: str, made: str) -> None:
        """Store one in the transaction of `connection`, in place of an earlier one of the name, and
        forget those that are too old. Raises whatever the driver does."""
        granted = Granted(name=name, asked=asked, made=made, at_ms=round(self.now() * 1000))
        too_old = wishes.c.at_ms < granted.at_ms - KEPT_MS
        await connection.execute(delete(wishes).where(too_old))
        await connection.execute(upsert(connection.dialect, wishes), [asdict(granted)])

    async def get(self, name: str) -> Granted | None:
        """That of the last hour. Raises StorageError."""
        fresh = wishes.c.at_ms >= round(self.now() * 1000) - KEPT_MS
        statement = select(wishes).where(wishes.c.name == name, fresh)
        with as_storage_error():
            async with self._engine.connect() as connection:
                row = (await connection.execute(statement)).mappings().first()
        return None if row is None else Granted(**row)
