"""Campaigns: many calls that are asked for, looked at, paused and ended together. Their calls wait
in the queue as all others do."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.outbound.call_queue import CallQueue
from gateway.outbound.wish import Wish
from gateway.storage.campaigns import Campaign, CampaignStore
from gateway.storage.queued_call import QueuedCall, QueueState, Result, Try
from gateway.storage.queued_calls import QueueQuery
from gateway.value import frozen

log = structlog.get_logger(__name__)

#: Calls of one campaign.
MOST: Final = 100_000
#: Calls whose results are read at a time.
AT_ONCE: Final = 500

#: What there is of calls that are all cancelled.
_CANCELLED: Final = {str(QueueState.CANCELLED), f"result:{Result.CANCELLED}"}

State: TypeAlias = Literal["running", "paused", "cancelled", "done"]
Beside: TypeAlias = Callable[[AsyncConnection], Awaitable[None]]


@frozen
class Standing:
    """A campaign, how it stands, and its calls by state, those that are over by result as well
    (`result:busy`)."""

    campaign: Campaign
    state: State
    counts: dict[str, int]

    @property
    def withdrawn(self) -> bool:
        """Whether its sender was told that it has not begun: the database had lost its own answer,
        and its calls were cancelled. Then it may be asked for anew."""
        return self.state == "done" and set(self.counts) == _CANCELLED


class Campaigns:
    """All of them. Every method raises StorageError."""

    def __init__(self, queue: CallQueue, store: CampaignStore, now: Callable[[], float]) -> None:
        """`now` is seconds since 1970."""
        self._queue = queue
        self._store = store
        self._now = now

    async def start(
        self,
        campaign_id: str,
        name: str,
        wishes: Sequence[Wish],
        *,
        by: str,
        beside: Beside | None = None,
    ) -> Campaign:
        """Queue its calls, all of them or none, and `beside` in the same transaction. Raises
        WishesError where some cannot be."""
        campaign = Campaign(
            campaign_id=campaign_id,
            name=name,
            calls=len(wishes),
            made_by=by,
            at_ms=round(self._now() * 1000),
        )

        async def store(connection: AsyncConnection) -> None:
            await self._store.add(connection, campaign)
            if beside is not None:
                await beside(connection)

        theirs = [replace(wish, campaign=campaign_id) for wish in wishes]
        await self._queue.add_many(theirs, store)
        log.info("campaign.started", campaign=campaign_id, name=name, calls=len(wishes), by=by)
        return campaign

    async def get(self, campaign_id: str) -> Standing | None:
        """One of them as it stands."""
        campaign = await self._store.get(campaign_id)
        return None if campaign is None else await self._standing(campaign)

    async def page(self, limit: int, before: str | None) -> list[Standing]:
        """Some of them, newest first; `before` is the last id of the page before."""
        return [await self._standing(one) for one in await self._store.page(limit, before)]

    async def pause(self, campaign_id: str, by: str) -> None:
        """Make no new tries; calls that are up go on."""
        await self._queue.pause(campaign_id, by=by)
        log.info("campaign.paused", campaign=campaign_id, by=by)

    async def resume(self, campaign_id: str, by: str) -> None:
        """Make tries again."""
        await self._queue.resume(campaign_id)
        log.info("campaign.resumed", campaign=campaign_id, by=by)

    async def cancel(self, campaign_id: str, by: str) -> int:
        """Call nobody more: who waits is not called, calls that are up are ended. How many."""
        await self._store.cancelled(campaign_id, round(self._now() * 1000))
        count = await self._queue.cancel_campaign(campaign_id)
        log.info("campaign.cancelled", campaign=campaign_id, calls=count, by=by)
        return count

    async def results(self, campaign_id: str) -> AsyncIterator[list[tuple[QueuedCall, list[Try]]]]:
        """Its calls with their tries, newest first, some at a time."""
        before: str | None = None
        while True:
            query = QueueQuery(limit=AT_ONCE, before=before, campaign=campaign_id)
            calls = await self._queue.page(query)
            tries = await self._queue.tries([call.queued_id for call in calls])
            if calls:
                yield [(call, tries.get(call.queued_id, [])) for call in calls]
            if len(calls) < AT_ONCE:
                return
            before = calls[-1].queued_id

    async def _standing(self, campaign: Campaign) -> Standing:
        counts = await self._queue.counts(campaign.campaign_id)
        open_ = sum(counts.get(state, 0) for state in (QueueState.WAITING, QueueState.CALLING))
        state: State = "running"
        if campaign.cancelled_ms is not None:
            state = "cancelled"
        elif not open_:
            state = "done"
        elif self._queue.paused(campaign.campaign_id):
            state = "paused"
        return Standing(campaign, state, counts)
