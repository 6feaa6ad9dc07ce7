"""Events are heard at least once under one id, each subject's in their order, over restarts too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from config.callback_settings import CallbackSettings
from gateway.callbacks.deliveries import MOST_OF_ONE, Deliveries
from gateway.callbacks.outbox import MAX_BODY, Event, Outbox
from gateway.callbacks.signature import sign
from gateway.storage.callbacks import CallbackQuery, CallbackStore
from gateway.storage.database import open_engine
from gateway.storage.errors import StorageError
from tests.gateway.callbacks.receiver import Receiver, receiving

SECRET = "whsec_1"
SETTINGS = CallbackSettings.model_validate({"secret": SECRET, "hosts": ["127.0.0.1"]})


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """It is so within ten seconds."""
    for _ in range(2000):
        if await holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")


class Clock:
    """Wall-clock time that only the test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """An outbox and who delivers, over one database."""

    def __init__(self, engine: AsyncEngine, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self.store = CallbackStore(engine)
        self.deliveries = Deliveries(self.store, SETTINGS, clock, lambda: 0.0)
        self.outbox = Outbox(engine, folder, SETTINGS, clock, self.deliveries.wake)
        self._engine = engine

    async def note(self, url: str, subject: str, *kinds: str, **data: Any) -> list[str]:
        """Events of one transaction, by their ids."""
        events = [
            Event(kind=kind, subject=subject, data=data, url=url, event_id=f"{subject}-{kind}")
            for kind in kinds
        ]
        async with self._engine.begin() as connection:
            await self.outbox.note_all(connection, events)
        self.outbox.wake()
        return [f"{subject}-{kind}" for kind in kinds]

    async def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.deliveries.wake()

    async def until(self, holds: Callable[[], bool]) -> None:
        async def now() -> bool:
            return holds()

        await eventually(now)

    async def until_stored(self, *states: str) -> None:
        """The rows are in these states, the newest first."""

        async def now() -> bool:
            return [row.state for row in await self.store.page(CallbackQuery())] == [*states]

        await eventually(now)

    async def until_tried(self, *times: int) -> None:
        """The rows have been tried so often, the newest first."""

        async def now() -> bool:
            return await self.tries() == [*times]

        await eventually(now)

    async def tries(self) -> list[int]:
        return [row.tries for row in await self.store.page(CallbackQuery())]


@asynccontextmanager
async def bench(folder: Path, clock: Clock | None = None) -> AsyncIterator[Bench]:
    async with open_engine(f"sqlite:///{folder}/events.db") as engine:
        made = Bench(engine, folder, clock or Clock())
        async with made.outbox.writer.running():
            yield made


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def test_an_event_is_heard_once_signed_and_forgotten(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with bench(tmp_path) as one, one.deliveries.running():
        [event] = await one.note(receiver.url, "q-1", "call.queued", state="waiting")
        await one.until_stored()
        [post] = receiver.posts
        assert post.body == {
            "id": event,
            "kind": "call.queued",
            "at": "2027-01-15T08:00:00.000Z",
            "subject": "q-1",
            "data": {"state": "waiting"},
        }
        assert post.headers["X-Gateway-Event-Id"] == event
        assert post.headers["X-Gateway-Attempt"] == "1"
        assert post.headers["X-Gateway-Signature"] == sign(SECRET, post.raw, one.clock.now)
        assert one.deliveries.heard == 1


async def test_what_fails_is_told_again_under_its_id_and_in_order(
    tmp_path: Path, receiver: Receiver
) -> None:
    bad = iter([500, 503, 404])
    receiver.answer = lambda body: next(bad, 200) if body["kind"] == "call.calling" else 200
    async with bench(tmp_path) as one, one.deliveries.running():
        first, second, third = await one.note(
            receiver.url, "q-1", "call.queued", "call.calling", "call.done"
        )
        await one.note(receiver.url, "q-2", "call.queued")
        for tries, wait_s in enumerate((1, 2, 4), 1):
            await one.until_tried(0, tries)
            await one.later(wait_s - 0.01)
            await one.later(0.01)
        await one.until_stored()
        assert receiver.kinds("q-1") == ["call.queued", *["call.calling"] * 4, "call.done"]
        assert receiver.kinds("q-2") == ["call.queued"], "another call waits for nothing"
        assert receiver.ids()[first] == receiver.ids()[second] == receiver.ids()[third] == 1
        attempts = [p.headers["X-Gateway-Attempt"] for p in receiver.posts if p.status >= 400]
        assert attempts == ["1", "2", "3"]


async def test_gone_is_given_up_at_once_and_the_next_one_is_told(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda body: 410 if body["kind"] == "call.queued" else 200
    async with bench(tmp_path) as one, one.deliveries.running():
        await one.note(receiver.url, "q-1", "call.queued", "call.done")
        await one.until_stored("dead")
        assert receiver.kinds("q-1") == ["call.queued", "call.done"]
        [row] = await one.store.page(CallbackQuery(state="dead"))
        assert (row.status, row.error) == (410, "it answered 410 Gone")


async def test_given_up_after_days_and_sent_again_by_hand(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 500
    async with bench(tmp_path) as one, one.deliveries.running():
        [event] = await one.note(receiver.url, "q-1", "call.done")
        for tries in range(1, 200):
            await one.until_tried(tries)
            if [row.state for row in await one.store.page(CallbackQuery())] == ["dead"]:
                break
            await one.later(3600)
        assert 70 <= len(receiver.posts) <= 75, "an hour apart for three days"
        receiver.answer = lambda _: 200
        found = await one.store.resend(event, round(one.clock.now * 1000))
        assert found is not None
        one.deliveries.wake()
        await one.until_stored()
        assert receiver.ids() == {event: 1}
        assert await one.store.resend(event, 0) is None


async def test_a_redirect_is_not_followed(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _: 307
    receiver.headers["Location"] = receiver.url
    async with bench(tmp_path) as one, one.deliveries.running():
        await one.note(receiver.url, "q-1", "call.done")
        await one.until(lambda: one.deliveries.failed == 1)
        await one.until_stored("waiting")
        assert len(receiver.posts) == 1
        [row] = await one.store.page(CallbackQuery())
        assert "redirect is not followed" in (row.error or "")


async def test_a_receiver_says_when_to_come_again(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answer = lambda _: 429
    receiver.headers["Retry-After"] = "120"
    async with bench(tmp_path) as one, one.deliveries.running():
        await one.note(receiver.url, "q-1", "call.done")
        await one.until(lambda: one.deliveries.failed == 1)
        await one.until_tried(1)
        [row] = await one.store.page(CallbackQuery())
        assert row.due_ms == round((one.clock.now + 120) * 1000)


async def test_a_slow_receiver_takes_a_part_of_the_tries_and_others_are_told(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with receiving(answer=lambda _: None) as slow, bench(tmp_path) as one:
        for number in range(3 * MOST_OF_ONE):
            await one.note(slow.url, f"slow-{number}", "call.done")
        async with one.deliveries.running():
            await slow.until(lambda: len(slow.posts) == MOST_OF_ONE)
            await one.note(receiver.url, "q-1", "call.done")
            await receiver.until(lambda: len(receiver.posts) == 1)
            assert slow.most_at_once == MOST_OF_ONE


async def test_nobody_answers_in_time(tmp_path: Path) -> None:
    quick = SETTINGS.model_copy(update={"timeout_s": 0.05})
    async with receiving(answer=lambda _: None) as slow, bench(tmp_path) as one:
        one.deliveries.configure(quick)
        async with one.deliveries.running():
            await one.note(slow.url, "q-1", "call.done")
            await one.until(lambda: one.deliveries.failed == 1)
            await one.until_tried(1)
            [row] = await one.store.page(CallbackQuery())
            assert row.error == "no answer in 0.05 s"


async def test_a_private_address_behind_a_name_is_not_asked(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with bench(tmp_path) as one:
        anybody = CallbackSettings.model_validate({"secret": SECRET})
        one.deliveries.configure(anybody)
        one.outbox.configure(anybody)
        async with one.deliveries.running():
            await one.note(receiver.url.replace("127.0.0.1", "localhost"), "q-1", "call.done")
            await one.until(lambda: one.deliveries.failed == 1)
            await one.until_tried(1)
            [row] = await one.store.page(CallbackQuery())
            assert "localhost is" in (row.error or "")
            assert "no public address" in (row.error or "")
            assert receiver.posts == []


async def test_a_restart_loses_nothing(tmp_path: Path, receiver: Receiver) -> None:
    """Killed with some heard and some not: all are heard, under their ids, in order."""
    clock = Clock()
    count = 0

    def at_times(_: Any) -> int:
        nonlocal count
        count += 1
        return 500 if count % 3 == 0 else 200

    receiver.answer = at_times
    noted: list[str] = []
    async with bench(tmp_path, clock) as one:
        for number in range(20):
            kinds = ("call.queued", "call.calling", "call.done")
            noted += await one.note(receiver.url, f"q-{number}", *kinds)
        async with one.deliveries.running():
            await receiver.until(lambda: len(receiver.posts) >= 15)
    receiver.answer = lambda _: 200
    clock.now += 10
    async with bench(tmp_path, clock) as one, one.deliveries.running():
        await one.until_stored()
    heard = receiver.ids()
    assert set(heard) == set(noted)
    assert max(heard.values()) <= 2, "twice only what was under way when it ended"
    for number in range(20):
        told = list(dict.fromkeys(receiver.kinds(f"q-{number}")))
        assert told == ["call.queued", "call.calling", "call.done"]


async def test_a_database_that_is_away_tells_it_twice_at_most_for_now(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was heard, and that cannot be stored: nothing else of that call is told before."""
    async with bench(tmp_path) as one:
        refuse = True
        delivered = one.store.delivered

        async def away(callback_id: str) -> None:
            if refuse:
                raise StorageError("away")
            await delivered(callback_id)

        monkeypatch.setattr(one.store, "delivered", away)
        monkeypatch.setattr("gateway.callbacks.deliveries.RETRY_S", 0.01)
        async with one.deliveries.running():
            await one.note(receiver.url, "q-1", "call.queued", "call.done")
            await receiver.until(lambda: len(receiver.posts) == 1)
            await one.note(receiver.url, "q-2", "call.queued")
            await receiver.until(lambda: len(receiver.posts) == 2)
            assert receiver.kinds("q-1") == ["call.queued"]
            refuse = False
            await one.until_stored()
            assert receiver.kinds("q-1") == ["call.queued", "call.done"]


async def test_alarms_are_posted_behind(tmp_path: Path, receiver: Receiver) -> None:
    async with bench(tmp_path) as one, one.deliveries.running():
        assert one.outbox.post("spend.stopped", "all", {}) is None, "nobody wants to hear of it"
        one.outbox.configure(SETTINGS.model_copy(update={"url": receiver.url}))
        first = one.outbox.post("spend.near", "all", {"spent": 80})
        second = one.outbox.post("spend.stopped", "all", {"spent": 100})
        await receiver.until(lambda: len(receiver.posts) == 2)
        assert [post.body["id"] for post in receiver.posts] == [first, second]
        assert {post.body["subject"] for post in receiver.posts} == {"all"}


async def test_what_is_too_long_is_told_without_its_data(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with bench(tmp_path) as one, one.deliveries.running():
        [event] = await one.note(receiver.url, "q-1", "call.done", tag="ä" * MAX_BODY)
        await one.until_stored()
        assert receiver.posts[0].body["data"] is None
        assert receiver.posts[0].body["id"] == event


async def test_the_order_stays_though_the_clock_is_set_back(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with bench(tmp_path) as one:
        await one.note(receiver.url, "q-1", "call.queued", "call.calling")
        one.clock.now -= 3600
        await one.note(receiver.url, "q-1", "call.done")
        one.clock.now += 3600
        async with one.deliveries.running():
            await one.until_stored()
        assert receiver.kinds("q-1") == ["call.queued", "call.calling", "call.done"]


async def test_what_is_noted_twice_is_one_event(tmp_path: Path, receiver: Receiver) -> None:
    """As after a commit whose answer was lost."""
    async with bench(tmp_path) as one:
        [event] = await one.note(receiver.url, "q-1", "call.done")
        await one.note(receiver.url, "q-1", "call.done")
        async with one.deliveries.running():
            await one.until_stored()
        assert receiver.ids() == {event: 1}
