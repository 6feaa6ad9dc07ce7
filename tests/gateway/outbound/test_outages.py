"""A database that is away, slow, or loses its answers: nobody is called whose try is not stored."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from gateway.outbound.ports import Result
from gateway.outbound.wish import Wish
from gateway.storage.errors import StorageError, as_storage_error
from gateway.storage.queued_call import QueueState
from gateway.storage.queued_calls import QueueStore
from tests.gateway.outbound.desk import Desk, desk, number, settings, wanted
from tests.gateway.outbound.virtual_database import virtual_database


class Outage:
    """What goes wrong with transactions, while it lasts."""

    def __init__(self) -> None:
        self.away = False
        #: how many commits still lose their answer
        self.lost_answers = 0
        self.slow_s = 0.0


def _gone() -> OperationalError:
    return OperationalError("commit", None, ConnectionError("the server closed the connection"))


@contextmanager
def outage() -> Iterator[Outage]:
    trouble, well = Outage(), QueueStore.transaction

    @asynccontextmanager
    async def transaction(self: QueueStore, **more: Any) -> AsyncIterator[AsyncConnection]:
        with as_storage_error():
            if trouble.away:
                raise _gone()
            async with well(self, **more) as connection:
                yield connection
            await asyncio.sleep(trouble.slow_s)
            if trouble.lost_answers:
                trouble.lost_answers -= 1
                raise _gone()

    with patch.object(QueueStore, "transaction", transaction):
        yield trouble


async def stored(at: Desk, queued_id: str) -> tuple[QueueState, Result | None, int]:
    found = await at.queue.get(queued_id)
    assert found is not None
    call, tries = found
    assert len(tries) == call.tries
    return call.state, call.result, call.tries


@virtual_database
async def test_while_it_is_away_nobody_is_called_and_nothing_is_lost(tmp_path: Path) -> None:
    with outage() as trouble, capture_logs() as logs:
        async with desk(tmp_path, settings({"calls_per_second": 5})) as at:
            await at.queue.add_many([Wish(wanted=wanted(number(index))) for index in range(20)])
            await asyncio.sleep(1)
            trouble.away = True
            begun = len(at.person.begun)
            assert 0 < begun < 20
            await asyncio.sleep(300)  # the calls end meanwhile
            assert at.person.up == 0
            assert len(at.person.begun) <= begun + 1, "one was stored already"
            assert at.kinds().count("done") == 0
            with pytest.raises(StorageError):
                await at.queue.add(wanted(number(99)))
            trouble.away = False
            await at.over()
            assert await at.results() == {"answered": 20}
            assert sorted(one.number for one in at.person.begun) == list(map(number, range(20)))
            kinds = at.kinds(at.person.begun[0].queued_id)
            assert kinds == ["queued", "calling", "ringing", "answered", "done"]
            assert at.metric("storage_errors_total") > 1
            assert at.metric("held_seconds_total", reason="storage") > 100
    told = [line["event"] for line in logs]
    assert "queue.store-failed" in told
    assert "queue.stored-again" in told
    assert told.count("queue.store-failed") < 40, "now and then, not for each"


@virtual_database
async def test_a_try_whose_answer_was_lost_begins_once(tmp_path: Path) -> None:
    with outage() as trouble:
        async with desk(tmp_path) as at:
            queued = await at.queue.add(wanted(), not_before_ms=at.now_ms + 1000)
            trouble.lost_answers = 2
            await at.over()
            assert len(at.person.begun) == 1
            assert await stored(at, queued.queued_id) == (QueueState.DONE, Result.ANSWERED, 1)
            assert at.person.begun[0].call_id == at.events[-1].call.call_id


@virtual_database
async def test_one_who_was_told_that_it_failed_may_ask_again(tmp_path: Path) -> None:
    with outage() as trouble:
        async with desk(tmp_path, settings({"calls_per_second": 1})) as at:
            trouble.lost_answers = 1
            with pytest.raises(StorageError):
                await at.queue.add(wanted())
            again = await at.queue.add(wanted())
            await at.over()
            assert [one.queued_id for one in at.person.begun] == [again.queued_id]
    async with desk(tmp_path) as at:
        await asyncio.sleep(60)
        assert at.person.begun == [], "nor after a restart"
        assert await at.results() == {"answered": 1, "cancelled": 1}


@virtual_database
async def test_a_slow_one_brings_no_burst(tmp_path: Path) -> None:
    with outage() as trouble:
        async with desk(tmp_path, settings({"calls_per_second": 10})) as at:
            trouble.slow_s = 2.0
            await at.queue.add_many([Wish(wanted=wanted(number(index))) for index in range(12)])
            await asyncio.sleep(9)
            trouble.slow_s = 0.0
            await at.over()
            times = [one.at for one in at.person.begun]
            assert len(times) == 12
            assert all(late - early > 0.1 for early, late in pairwise(times))


@virtual_database
async def test_what_can_never_be_stored_holds_up_nobody_else(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with desk(tmp_path) as at:
            odd = await at.queue.add(wanted(number(1)), priority=5)
            well = at.sink.note

            async def note(connection: AsyncConnection, events: Any) -> None:
                if any(event.call.queued_id == odd.queued_id for event in events):
                    raise ValueError("no outbox takes this")
                await well(connection, events)

            at.sink.note = note  # type: ignore[method-assign]
            for index in range(2, 6):
                await at.queue.add(wanted(number(index)))
            await asyncio.sleep(30)
            assert [one.number for one in at.person.begun] == list(map(number, range(2, 6)))
            assert at.kinds().count("done") == 4
            at.sink.note = well  # type: ignore[method-assign]
            await at.over()
            assert at.person.begun[-1].number == number(1)
    assert "queue.call-odd" in [line["event"] for line in logs]


@virtual_database
async def test_cancelled_while_its_try_cannot_be_stored(tmp_path: Path) -> None:
    with outage() as trouble:
        async with desk(tmp_path) as at:
            queued = await at.queue.add(wanted(), not_before_ms=at.now_ms + 1000)
            trouble.slow_s, trouble.lost_answers = 5.0, 1
            await asyncio.sleep(2)  # its try is being stored, and that will be said to have failed
            await at.queue.cancel(queued.queued_id)
            trouble.slow_s = 0.0
            await at.over()
            assert at.person.begun == []
            assert await stored(at, queued.queued_id) == (
                QueueState.CANCELLED,
                Result.CANCELLED,
                0,
            )


@virtual_database
async def test_cancelled_while_its_try_is_being_stored(tmp_path: Path) -> None:
    with outage() as trouble:
        async with desk(tmp_path) as at:
            queued = await at.queue.add(wanted(), not_before_ms=at.now_ms + 1000)
            trouble.slow_s = 5.0
            await asyncio.sleep(2)
            await at.queue.cancel(queued.queued_id)
            await at.over()
            assert at.person.begun == []
            assert await stored(at, queued.queued_id) == (
                QueueState.CANCELLED,
                Result.CANCELLED,
                0,
            )


@virtual_database
async def test_a_stop_in_the_middle_leaves_nothing_unknown(tmp_path: Path) -> None:
    """Nothing was sent, so nothing is unknown: it is tried after the start."""
    with outage() as trouble:
        async with desk(tmp_path, settings({"calls_per_second": 1})) as at:
            for index in range(3):
                await at.queue.add(wanted(number(index)), not_before_ms=at.now_ms + 1000)
            trouble.slow_s = 2.0
            await asyncio.sleep(1.5)
    async with desk(tmp_path) as at:
        assert at.queue.waiting == 3
        await at.over()
        assert await at.results() == {"answered": 3}
