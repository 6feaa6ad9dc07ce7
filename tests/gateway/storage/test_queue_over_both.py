"""The queue over either database: calls are made, and a start finds what a killed process left."""

from dataclasses import replace

from gateway.outbound.ports import Result
from gateway.outbound.wish import Wish
from gateway.storage.database import open_engine
from gateway.storage.do_not_call import DoNotCall
from gateway.storage.queued_call import QueueState, Try
from gateway.storage.queued_calls import QueueStore
from tests.gateway.outbound.desk import desk, number, wanted


async def test_calls_are_made_and_interrupted_ones_are_unknown(url: str) -> None:
    async with desk(url) as at:
        at.person.script = lambda wish, before: Result.BUSY
        await at.queue.bar([DoNotCall(number=number(3))])
        await at.queue.unbar(number(3))
        await at.queue.add_many([Wish(wanted=wanted(number(index))) for index in range(10)])
        await at.over()
        assert await at.results() == {"busy": 10}
        later = at.now_ms + 3_600_000
        wishes = [Wish(wanted=wanted(number(index)), not_before_ms=later) for index in (20, 21, 22)]
        first, second, third = await at.queue.add_many(wishes)
        await at.queue.cancel(second.queued_id)
        now_ms = at.now_ms
    # what a process leaves that is killed in the middle of a try
    calling = replace(first, state=QueueState.CALLING, tries=1, call_id="c" * 32)
    attempt = Try(call_id="c" * 32, queued_id=first.queued_id, number=1, started_ms=now_ms)
    async with open_engine(url) as engine:
        store = QueueStore(engine)
        async with store.transaction(durable=True) as connection:
            assert await store.take(connection, calling, attempt)
    async with desk(url) as at:
        assert at.queue.waiting == 1
        assert at.kinds() == ["unknown"]
        found = await at.queue.get(first.queued_id)
        assert found is not None
        call, (tried,) = found
        assert (call.state, call.result) == (QueueState.UNKNOWN, Result.UNKNOWN)
        assert (tried.result, tried.cause, tried.ended_ms) == (
            Result.UNKNOWN,
            "interrupted",
            call.ended_ms,
        )
        await at.queue.cancel(third.queued_id)
        assert at.person.begun == []
        assert await at.results() == {"busy": 10, "cancelled": 2, "unknown": 1}
