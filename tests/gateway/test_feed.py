"""The feed: what a reader hears, comes back to, and misses."""

import pytest

from gateway import feed as feeds
from gateway.feed import EndedError, Feed, FullError


def make() -> Feed:
    return Feed(lambda: 1_800_000_000.0)


def tell(feed: Feed, count: int, kind: str = "call.done") -> None:
    for number in range(count):
        feed.tell(kind, f"subject-{number}", {"number": number})


async def test_a_reader_hears_what_comes_after_it_came() -> None:
    feed = make()
    tell(feed, 1)
    reader = feed.follow()
    tell(feed, 1, "trunk.up")
    heard = await reader.next(1)
    assert heard is not None
    assert heard.text == (
        f'{{"id":"{heard.event_id}","kind":"trunk.up","at":"2027-01-15T08:00:00.000Z",'
        '"subject":"subject-0","data":{"number":0}}'
    )
    assert await reader.next(0.001) is None


async def test_who_comes_back_hears_what_it_has_missed() -> None:
    feed = make()
    tell(feed, 5)
    first = feed.follow("unknown")
    ids = [told.event_id for _ in range(5) if (told := await first.next(1)) is not None]
    assert first.missed, "whatever came before is unknown"
    again = feed.follow(ids[2])
    assert not again.missed
    rest = [told.event_id for _ in range(2) if (told := await again.next(1)) is not None]
    assert rest == ids[3:]
    assert not feed.follow(ids[4]).missed


@pytest.mark.parametrize(
    "after", ["", "x", "-1", "1-1", "é-1", "{run}-6", "{run}-²", "{run}-" + "9" * 99]
)
async def test_an_id_of_another_run_begins_with_all_that_is_kept(after: str) -> None:
    feed = make()
    tell(feed, 5)
    run = f"{1_800_000_000_000:x}"
    reader = feed.follow(after.format(run=run))
    assert reader.missed
    assert len([1 for _ in range(5) if await reader.next(0.01) is not None]) == 5


async def test_little_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "KEPT", 3)
    feed = make()
    tell(feed, 5)
    run = f"{1_800_000_000_000:x}"
    assert feed.follow(f"{run}-1").missed
    assert not feed.follow(f"{run}-2").missed
    monkeypatch.setattr(feeds, "KEPT_BYTES", 1)
    tell(feed, 1)
    assert not feed.follow(f"{run}-5").missed
    assert feed.follow(f"{run}-4").missed


async def test_who_reads_too_slowly_is_ended_and_holds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeds, "WAITING", 3)
    feed = make()
    slow, picky = feed.follow(), feed.follow(wants="trunk.")
    tell(feed, 5)
    with pytest.raises(EndedError, match="too-slow"):
        await slow.next(1)
    assert await picky.next(0.001) is None
    assert feed.dropped == 1


async def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "READERS", 1)
    feed = make()
    reader = feed.follow()
    with pytest.raises(FullError):
        feed.follow()
    feed.leave(reader)
    assert len(feed) == 0
    last = feed.follow()
    feed.close()
    with pytest.raises(EndedError, match="closing"):
        await last.next(1)


async def test_whatever_a_peer_made_us_hold_is_a_line_of_json() -> None:
    feed = make()
    reader = feed.follow()
    feed.tell("call.done", "q", {"tag": {"\ud800": 10**30, "line": "a\nb"}})
    told = await reader.next(1)
    assert told is not None
    assert "\n" not in told.text
    assert told.text.encode()
