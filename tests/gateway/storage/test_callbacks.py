"""Rows of events, campaigns and granted wishes, over both databases."""

from dataclasses import replace
from pathlib import Path

from gateway.storage.callbacks import Callback, CallbackQuery, CallbackStore, PostedRows, add
from gateway.storage.campaigns import Campaign, CampaignStore
from gateway.storage.database import open_engine
from gateway.storage.retention import Keep, delete_old
from gateway.storage.wishes import KEPT_MS, WishStore

DAY_MS = 86_400_000


def event(place: int, stream: str = "q-1", **more: object) -> Callback:
    made = Callback(
        callback_id=f"event-{place}",
        place=f"{place:020x}",
        stream=stream,
        kind="call.done",
        url="https://hooks.example.com/",
        origin="https://hooks.example.com",
        body='{"name": "Zoë"}',
        at_ms=1000,
        since_ms=1000,
        due_ms=1000,
    )
    return replace(made, **more)  # type: ignore[arg-type]


async def test_of_each_stream_the_oldest_is_due(url: str) -> None:
    async with open_engine(url) as engine:
        store = CallbackStore(engine)
        other = {"stream": "q-2", "origin": "https://other.example.com"}
        events = [event(1), event(2), event(3, **other), event(4, "q-3", due_ms=5000)]
        async with engine.begin() as connection:
            await add(connection, events)
            await add(connection, [event(1, kind="another")])
        nobody: dict[str, list[str]] = {"streams": [], "origins": []}
        assert await store.due(1000, 10, **nobody) == [events[0], events[2]]
        assert await store.due(1000, 1, **nobody) == [events[0]]
        assert await store.due(1000, 10, streams=["q-1"], origins=[]) == [events[2]]
        assert await store.due(1000, 10, streams=[], origins=[events[2].origin]) == [events[0]]
        assert await store.next_due_ms(999) == 1000
        assert await store.next_due_ms(1000) == 5000
        assert await store.next_due_ms(5000) is None
        failed = replace(events[0], tries=1, due_ms=3000, status=500, error="no\0")
        await store.failed(failed)
        assert await store.due(1000, 10, **nobody) == [events[2]], "the second waits for it"
        assert await store.due(3000, 1, streams=["q-2"], origins=[]) == [
            replace(failed, error="no")
        ]
        await store.delivered("event-1")
        assert await store.due(1000, 1, **nobody) == [events[1]]
        await store.failed(replace(events[1], state="dead"))
        assert await store.counts() == {"waiting": 2, "dead": 1}
        assert [row.place for row in await store.page(CallbackQuery(limit=2))] == [
            *(events[3].place, events[2].place)
        ]
        rest = await store.page(CallbackQuery(before=events[2].place, stream="q-1"))
        assert [(row.callback_id, row.state) for row in rest] == [("event-2", "dead")]
        again = await store.resend("event-2", 9000)
        assert again is not None
        assert (again.state, again.tries, again.since_ms) == ("waiting", 0, 9000)
        assert await store.get("event-2") == again
        assert await store.resend("event-9", 9000) is None


async def test_old_ones_that_were_given_up_go_with_old_records(url: str) -> None:
    async with open_engine(url) as engine:
        store = CallbackStore(engine)
        async with engine.begin() as connection:
            await add(
                connection,
                [event(1, state="dead"), event(2), event(3, state="dead", at_ms=30 * DAY_MS)],
            )
        await delete_old(engine, Keep(days=20), now_ms=40 * DAY_MS)
        kept = await store.page(CallbackQuery())
        assert [row.callback_id for row in kept] == ["event-3", "event-2"]


def test_what_the_database_does_not_take_comes_back_from_the_file() -> None:
    rows = PostedRows(lambda: None)
    assert rows.of_line(rows.line("event-1", event(1))) == ("event-1", event(1))


async def test_campaigns(url: str, tmp_path: Path) -> None:
    async with open_engine(url) as engine:
        store = CampaignStore(engine)
        made = [
            Campaign(campaign_id=f"c-{n}", name="x" * 200, calls=n, made_by="desk", at_ms=n)
            for n in range(3)
        ]
        async with engine.begin() as connection:
            for one in made:
                await store.add(connection, one)
        kept = [replace(one, name="x" * 128) for one in made]
        assert await store.page(2) == [kept[2], kept[1]]
        assert await store.page(2, "c-1") == [kept[0]]
        await store.cancelled("c-1", 50)
        await store.cancelled("c-1", 60)
        assert await store.get("c-1") == replace(kept[1], cancelled_ms=50)
        assert await store.get("c-9") is None


async def test_a_wish_is_known_for_an_hour(url: str) -> None:
    now = 1000.0
    async with open_engine(url) as engine:
        store = WishStore(engine, lambda: now)
        for name in ("one", "two"):
            async with engine.begin() as connection:
                await store.add(connection, name=name, asked="request", made="q-1")
        found = await store.get("one")
        assert found is not None
        assert (found.asked, found.made) == ("request", "q-1")
        now += KEPT_MS / 1000
        assert await store.get("one") is not None
        now += 1
        assert await store.get("one") is None
        async with engine.begin() as connection:
            await store.add(connection, name="one", asked="another", made="q-2")
        found = await store.get("one")
        assert found is not None
        assert found.asked == "another", "the old one is forgotten"
