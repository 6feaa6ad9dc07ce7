"""The table of campaigns: many calls that were asked for together. The calls are the queue's."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import and_, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.storage.errors import as_storage_error
from gateway.storage.tables import campaigns
from gateway.storage.texts import Bounds, fit

_BOUNDS = Bounds.of(campaigns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """`calls` is how many were asked for, `made_by` the name of the token; times are milliseconds
    since 1970. Ids sort by time."""

    campaign_id: str
    name: str
    calls: int
    made_by: str
    at_ms: int
    cancelled_ms: int | None = None


class CampaignStore:
    """The table. All raise StorageError, but for `add`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add(self, connection: AsyncConnection, campaign: Campaign) -> None:
        """Store one in the transaction of `connection`. Raises whatever the driver does."""
        await connection.execute(insert(campaigns), [fit(asdict(campaign), _BOUNDS)])

    async def cancelled(self, campaign_id: str, at_ms: int) -> None:
        """Note that it is not to go on."""
        one = and_(campaigns.c.campaign_id == campaign_id, campaigns.c.cancelled_ms.is_(None))
        with as_storage_error():
            async with self._engine.begin() as connection:
                await connection.execute(update(campaigns).where(one).values(cancelled_ms=at_ms))

    async def get(self, campaign_id: str) -> Campaign | None:
        """The one of that id."""
        found = await self._rows(select(campaigns).where(campaigns.c.campaign_id == campaign_id))
        return found[0] if found else None

    async def page(self, limit: int, before: str | None = None) -> list[Campaign]:
        """Some of them, newest first; `before` is the last id of the page before."""
        where = [] if before is None else [campaigns.c.campaign_id < before]
        newest_first = select(campaigns).where(and_(True, *where))
        return await self._rows(newest_first.order_by(campaigns.c.campaign_id.desc()).limit(limit))

    async def _rows(self, statement: Any) -> list[Campaign]:
        with as_storage_error():
            async with self._engine.connect() as connection:
                rows = await connection.execute(statement)
                return [_campaign(row) for row in rows.mappings()]


def _campaign(row: Mapping[Any, Any]) -> Campaign:
    return Campaign(**row)
