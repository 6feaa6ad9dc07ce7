"""Queued calls, tries and the do-not-call list, in both databases."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.storage.database import open_engine
from gateway.storage.do_not_call import DoNotCall, DoNotCallStore
from gateway.storage.errors import StorageError
from gateway.storage.queued_call import QueuedCall, QueueState, Result, RetryPolicy, RetryRule, Try
from gateway.storage.queued_calls import WHOLE, QueueQuery, QueueStore
from gateway.storage.retention import DAY_MS, Keep, delete_old
from gateway.storage.wanted import AmdWanted, Wanted

NOW = 1_772_452_800_000
FULL = Wanted(
    to_number="+14155550123",
    from_number="+14155550100",
    mode="retell",
    agent="agent_1",
    agent_version=3,
    variables={"name": "Zoë\0"},
    metadata={"row": [1, None, {"deep": True}]},
    headers={"X-Case": "7"},
    trunk="carrier",
    ring_timeout_s=20.5,
    time_limit_s=600,
    amd=AmdWanted(on_machine="message", message="sorry.wav"),
    callback="https://example.com/hook",
    tag={"lead": 12},
)
POLICY = RetryPolicy(
    rules={Result.BUSY: RetryRule(times=2, after_s=60, factor=2, jitter=0.5)}, most=4
)


def call(queued_id: str, **more: Any) -> QueuedCall:
    given: dict[str, Any] = {
        "wanted": FULL,
        "created_ms": NOW,
        "not_before_ms": NOW,
        "due_ms": NOW,
        "expires_ms": NOW + 1000,
    }
    return QueuedCall(queued_id=queued_id, **given | more)


def attempt(call_id: str, queued_id: str, number: int = 1) -> Try:
    return Try(call_id=call_id, queued_id=queued_id, number=number, started_ms=NOW)


@pytest.fixture
async def store(url: str) -> AsyncIterator[QueueStore]:
    async with open_engine(url) as engine:
        yield QueueStore(engine)


async def put(store: QueueStore, *calls: QueuedCall) -> None:
    async with store.transaction(durable=True) as connection:
        await store.insert(connection, calls)


async def one(store: QueueStore, queued_id: str) -> QueuedCall:
    (found,) = await store.several([queued_id])
    return found


async def test_all_of_it_comes_back(store: QueueStore) -> None:
    full = call(
        "q1",
        priority=-3,
        window="office",
        time_zones=("America/Chicago", "America/New_York"),
        campaign="spring",
        retries=POLICY,
        outcomes={Result.BUSY: 1},
        result=Result.BUSY,
        detail="busy — twice",
        tries=1,
        call_id="c1",
    )
    await put(store, full, call("q2"))
    found = await one(store, "q1")
    # NUL is what no database takes
    assert found == replace(full, wanted=replace(FULL, variables={"name": "Zoë"}))
    told = Try(
        call_id="c1",
        queued_id="q1",
        number=1,
        started_ms=NOW,
        ringing_ms=NOW + 1,
        answered_ms=NOW + 2,
        agent_answered_ms=NOW + 3,
        ended_ms=NOW + 4,
        result=Result.MESSAGE_LEFT,
        cause="hangup",
        sip_status=200,
        reason="OK",
        detail="a message was left",
        retell_call_id="call_1",
        duration_s=12.5,
        amd={"what": "machine", "confidence": 0.9},
        cost_estimate=0.0123,
    )
    async with store.transaction() as connection:
        await store.put_try(connection, attempt("c1", "q1"))
        await store.put_try(connection, told)
    assert await store.tries(["q1", "q2"]) == {"q1": [told], "q2": []}


async def test_what_waits_is_taken_once(store: QueueStore) -> None:
    await put(store, call("q1"))
    calling = replace(call("q1"), state=QueueState.CALLING, tries=1, call_id="c1")
    async with store.transaction(durable=True) as connection:
        assert await store.take(connection, calling, attempt("c1", "q1"))
    async with store.transaction(durable=True) as connection:
        assert await store.take(connection, calling, attempt("c1", "q1")), "the same once more"
        other = replace(calling, call_id="c2")
        assert not await store.take(connection, other, attempt("c2", "q1"))
        assert not await store.put(connection, call("q1"), QueueState.WAITING)
        assert not await store.put(connection, call("nobody"))
    assert (await one(store, "q1")).call_id == "c1"
    assert [each.call_id for each in (await store.tries(["q1"]))["q1"]] == ["c1"]
    async with store.transaction() as connection:
        await store.drop_try(connection, "c1")
        assert await store.put(connection, call("q1"), QueueState.CALLING)
    assert await store.tries(["q1"]) == {"q1": []}
    assert (await one(store, "q1")).state is QueueState.WAITING


async def test_a_transaction_that_fails_leaves_nothing(store: QueueStore) -> None:
    async def breaks() -> None:
        async with store.transaction(durable=True) as connection:
            await store.insert(connection, [call("q1"), call("q2")])
            raise ValueError("something else went wrong")

    with pytest.raises(StorageError):
        await breaks()
    with pytest.raises(StorageError):
        async with store.transaction() as connection:
            await store.insert(connection, [call("q3"), call("q3")])
    assert await store.counts(None) == {}


async def test_pages_newest_first_and_by_what_is_asked(store: QueueStore) -> None:
    calls = [
        call(
            f"q{index:02}",
            created_ms=NOW + index // 2,  # two of a millisecond
            campaign="spring" if index % 3 else None,
            state=QueueState.DONE if index > 6 else QueueState.WAITING,
            result=Result.BUSY if index > 6 else None,
        )
        for index in range(10)
    ]
    await put(store, *calls)
    seen: list[str] = []
    last = None
    while page := await store.page(QueueQuery(limit=3, before=last)):
        seen += [each.queued_id for each in page]
        last = seen[-1]
    assert seen == [each.queued_id for each in reversed(calls)]

    async def ids(**query: Any) -> list[str]:
        return [each.queued_id for each in await store.page(QueueQuery(**query))]

    assert await ids(state=QueueState.DONE) == ["q09", "q08", "q07"]
    assert await ids(campaign="spring", state=QueueState.DONE) == ["q08", "q07"]
    assert await ids(to_number="+14155550199") == []
    assert await ids(since_ms=NOW + 4) == ["q09", "q08"]
    assert await ids(until_ms=NOW + 1) == ["q01", "q00"]
    assert await store.counts("spring") == {"waiting": 4, "done": 2, "result:busy": 2}
    assert await store.ids_of("spring", QueueState.WAITING) == ["q01", "q02", "q04", "q05"]
    keys = [row async for rows in store.waiting_keys() for row in rows]
    assert [row["queued_id"] for row in keys] == [f"q{index:02}" for index in range(7)]
    done = await store.in_state(QueueState.DONE)
    assert [each.queued_id for each in done] == ["q07", "q08", "q09"]


async def test_pauses(store: QueueStore) -> None:
    await store.pause("spring", "ops", NOW)
    await store.pause("spring", "ops", NOW + 1)
    await store.pause(WHOLE, "x" * 500, NOW)
    assert await store.pauses() == {"spring", WHOLE}
    await store.resume("spring")
    await store.resume("summer")
    assert await store.pauses() == {WHOLE}


async def test_the_do_not_call_list(url: str) -> None:
    async with open_engine(url) as engine:
        store, queue = DoNotCallStore(engine), QueueStore(engine)
        numbers = [f"+1415555{index:04}" for index in range(1200)]
        async with queue.transaction(durable=True) as connection:
            await store.put(connection, [DoNotCall(number=number) for number in numbers])
            await store.put(connection, [DoNotCall(number=numbers[0], reason="asked", at_ms=NOW)])
        assert await store.count() == 1200
        page = await store.page(None, 2)
        assert [each.reason for each in page] == ["asked", ""]
        assert [each.number for each in await store.page(numbers[1], 1)] == [numbers[2]]
        async with queue.transaction() as connection:
            found = await store.among(connection, ["+442079460123", *numbers[:900]])
            assert len(found) == 900
            assert await store.remove(connection, numbers[0])
            assert not await store.remove(connection, numbers[0])


async def test_what_is_over_goes_when_it_is_old(url: str) -> None:
    async with open_engine(url) as engine:
        store = QueueStore(engine)
        old: dict[str, Any] = {"state": QueueState.DONE, "ended_ms": NOW}
        new: dict[str, Any] = {"state": QueueState.DONE, "ended_ms": NOW + 5 * DAY_MS}
        await put(store, *[call(f"old{index}", **old) for index in range(5)])
        await put(store, call("new", **new), call("waits"))
        async with store.transaction() as connection:
            await store.put_try(connection, attempt("c1", "old0"))
            await store.put_try(connection, attempt("c2", "new"))
        await delete_old(engine, Keep(days=3), now_ms=NOW + 4 * DAY_MS, batch=2)
        left = {each.queued_id for each in await store.page(QueueQuery())}
        assert left == {"new", "waits"}
        assert await store.tries(["old0", "new"]) == {"old0": [], "new": [attempt("c2", "new")]}
