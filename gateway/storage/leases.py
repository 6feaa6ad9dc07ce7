"""Roles that one process has at a time, in the table of leases."""

from sqlalchemy import and_, or_, select, update
from sqlalchemy.engine import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.database import insert_if_absent, now_ms
from gateway.storage.tables import leases
from sip.softswitch.shared import Lease


class TableLeases:
    """The `Leases` of every process that uses one database. All raise SQLAlchemyError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def take(
        self, name: str, owner: str, lasts_s: float, *, instead_of: Lease | None = None
    ) -> Lease | None:
        """Take the role, or keep it for `lasts_s` more seconds; None while another process has it.

        `instead_of` is a lease whose owner is known to be dead: it need not expire first.
        """
        async with self._engine.begin() as connection:
            now = await now_ms(connection)
            expires_ms = now + round(lasts_s * 1000)
            made = await connection.execute(
                insert_if_absent(connection.dialect, leases),
                {"name": name, "owner": owner, "term": 1, "expires_ms": expires_ms},
            )
            if made.rowcount != 1:
                changed = await self._change(connection, name, owner, now, expires_ms, instead_of)
                if not changed:
                    return None
            return _lease(await _row(connection, name))

    async def _change(
        self,
        connection: AsyncConnection,
        name: str,
        owner: str,
        now: int,
        expires_ms: int,
        instead_of: Lease | None,
    ) -> bool:
        """Compare and set: whoever else does so at the same time changes no row."""
        named = leases.c.name == name
        renewed = await connection.execute(
            update(leases).where(named, leases.c.owner == owner).values(expires_ms=expires_ms)
        )
        if renewed.rowcount == 1:
            return True
        free = leases.c.expires_ms <= now
        if instead_of is not None:
            free = or_(
                free,
                and_(leases.c.owner == instead_of.owner, leases.c.term == instead_of.term),
            )
        taken = await connection.execute(
            update(leases)
            .where(named, free)
            .values(owner=owner, term=leases.c.term + 1, expires_ms=expires_ms)
        )
        return taken.rowcount == 1

    async def holder(self, name: str) -> Lease | None:
        """The lease that holds now."""
        async with self._engine.connect() as connection:
            lease = _lease(await _row(connection, name))
            if lease is None or lease.expires_ms <= await now_ms(connection):
                return None
            return lease

    async def release(self, lease: Lease) -> None:
        """Give the role back. Another process's lease stays, and the count of terms goes on."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(leases)
                .where(
                    leases.c.name == lease.name,
                    leases.c.owner == lease.owner,
                    leases.c.term == lease.term,
                )
                .values(expires_ms=0)
            )


async def _row(connection: AsyncConnection, name: str) -> RowMapping | None:
    found = await connection.execute(select(leases).where(leases.c.name == name))
    return found.mappings().first()


def _lease(row: RowMapping | None) -> Lease | None:
    return None if row is None else Lease(**row)
