"""Bad values, bad drivers, bad disks: records wait, are set aside or put by, and never stop."""

import asyncio
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from gateway.storage import call_records, write_behind
from gateway.storage.call_query import Query
from gateway.storage.call_records import CallStore, open_store
from gateway.storage.database import open_engine
from gateway.storage.errors import StorageError
from gateway.storage.record_table import open_table
from gateway.storage.retention import Keep, delete_old
from gateway.storage.tables import bans
from sip.softswitch.shared import BanRecord
from tests.gateway.storage.postgres import Postgres
from tests.gateway.storage.test_call_records import record
from tests.gateway.storage.test_record_table import BAN


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No waits, and a folder of the test's own for what is put by."""
    monkeypatch.setattr(write_behind, "RETRY_S", 0.01)
    monkeypatch.setattr(write_behind, "GATHER_S", 0.01)
    monkeypatch.setattr(call_records, "KNOWN_S", 0.0)
    monkeypatch.chdir(tmp_path)


async def settled(store: CallStore) -> None:
    """Returns when the writer has nothing left to write."""
    async with asyncio.timeout(30):
        while store.waiting:  # noqa: ASYNC110 - the disk sets no event
            await asyncio.sleep(0.005)


async def ids(store: CallStore) -> list[str]:
    return sorted(found.call_sid for found in await store.page(Query(limit=200)))


def spooled(name: str) -> list[dict[str, Any]]:
    """The lines of a file that was put by, wherever under the working directory it is."""
    (file,) = Path.cwd().rglob(name)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # it holds people's numbers
    return [json.loads(line) for line in file.read_text().splitlines()]


def files(folder: Path) -> list[Path]:
    """The database's own."""
    return list(folder.glob("gateway.db*"))


class Refusal:
    """A driver that raises `error` for every statement from now on, until it is `over`."""

    def __init__(self, store: CallStore, error: type[Exception] = ConnectionRefusedError) -> None:
        self._engine = store.engine.sync_engine
        self._error = error
        self.times = 0
        event.listen(self._engine, "before_cursor_execute", self._refuse)

    def _refuse(self, *_: Any) -> None:
        self.times += 1
        raise self._error

    async def happened(self, times: int) -> None:
        async with asyncio.timeout(30):
            while self.times < times:  # noqa: ASYNC110 - a driver sets no event
                await asyncio.sleep(0.005)

    def over(self) -> None:
        event.remove(self._engine, "before_cursor_execute", self._refuse)


# values ------------------------------------------------------------------------------------------

FITTED = [
    ({"cause": "a\x00b"}, {"cause": "ab"}),
    ({"cause": "x" * 65}, {"cause": "x" * 64}),
    ({"sip_status": 2**31}, {"sip_status": 2**31 - 1}),
    ({"answered_ms": -(10**30)}, {"answered_ms": -(2**63)}),
    ({"duration_s": float("nan")}, {"duration_s": None}),
    ({"attempts": [{"reason": "half \ud800"}]}, {"attempts": [{"reason": "half ?"}]}),
    ({"attempts": [{"reason": "n\x00l"}]}, {"attempts": [{"reason": "nl"}]}),
    ({"media": {"lost": 10**30}}, {"media": {"lost": 1e30}}),
    ({"media": {"jitter": float("inf")}}, {"media": {"jitter": None}}),
]


@pytest.mark.parametrize(("odd", "shown"), FITTED, ids=[str(odd)[:40] for odd, _ in FITTED])
async def test_what_a_column_does_not_take_is_made_to_fit(
    url: str, odd: dict[str, Any], shown: dict[str, Any]
) -> None:
    async with open_store(url) as store:
        store.save(record(1))
        store.save(record(2, **odd))
        store.save(record(3))
        await settled(store)
        assert await ids(store) == ["sid-1", "sid-2", "sid-3"]
        found = await store.by_call_sid("sid-2")
        assert {name: getattr(found, name) for name in shown} == shown


async def test_a_row_that_cannot_be_stored_is_set_aside_and_told(url: str) -> None:
    """A value of a wrong type: the rows beside it are stored, and so are those after it."""
    async with open_store(url) as store:
        with capture_logs() as told:
            for number in range(40):
                wrong = {"started_ms": object()} if number in (7, 30) else {}
                store.save(record(number, **wrong))
            await settled(store)
        assert await store.count() == 38
        assert await store.ok()
        store.save(record(40))
        assert await store.count() == 39
    lines = [line for line in told if line["event"] == "records.set-aside"]
    assert [line["key"] for line in lines] == [record(7).call_id, record(30).call_id]
    assert all(line["log_level"] == "error" and line["file"] and line["error"] for line in lines)
    aside = spooled("*aside*")
    assert [line["row"]["call_sid"] for line in aside] == ["sid-7", "sid-30"]
    async with open_store(url) as store:  # a second start does not stumble over it
        assert await store.count() == 39


async def test_a_ban_that_cannot_be_stored_stops_no_other(url: str) -> None:
    async with (
        open_engine(url) as engine,
        open_table(engine, bans, BanRecord, Path("spool")) as table,
    ):
        for number in range(3):
            strikes = None if number == 1 else number
            address = f"198.51.100.{number}"
            table.save(replace(BAN, address=address, strikes=strikes))  # type: ignore[arg-type]
        found = {ban.address for ban in await table.load()}
    assert found == {"198.51.100.0", "198.51.100.2"}


# drivers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ConnectionRefusedError, RuntimeError, TimeoutError, KeyError])
async def test_whatever_the_driver_raises_is_waited_out(url: str, error: type[Exception]) -> None:
    async with open_store(url) as store:
        with capture_logs() as told:
            refusal = Refusal(store, error)
            store.save(record(1))
            await refusal.happened(5)
            assert not await store.ok()
            with pytest.raises(StorageError):
                await store.page(Query())
            assert await store.get(record(1).call_id) == record(1)  # from memory
        refusal.over()
        await settled(store)
        assert await ids(store) == ["sid-1"]
        assert await store.ok()
    failed = [line for line in told if line["event"] == "records.store-failed"]
    assert len(failed) == 1  # not one a second


async def test_an_outage_at_exit_is_outlasted_by_a_file(url: str) -> None:
    """What cannot be flushed is read by the next start, the newest state of each call."""
    with capture_logs() as told:
        async with open_store(url) as store:
            store.save(record(1))
            await settled(store)
            Refusal(store)
            store.save(record(1, state="ended", cause="busy"))
            store.save(record(2, state="ended", attempts=[{"code": 486, "reason": "Besetzt"}]))
            store.save(record(3))
    assert [line["records"] for line in told if line["event"] == "records.spooled"] == [3]
    assert len(spooled("calls.jsonl")) == 3
    with capture_logs() as told:
        async with open_store(url) as store:
            found = {item.call_sid: item for item in await store.page(Query())}
    assert found["sid-1"].cause == "busy"
    assert found["sid-2"] == record(2, state="ended", attempts=found["sid-2"].attempts)
    assert found["sid-2"].attempts[0]["reason"] == "Besetzt"
    assert found["sid-3"].state == "interrupted"  # it was up when that run ended
    assert [line["records"] for line in told if line["event"] == "records.unspooled"] == [3]
    assert not list(Path.cwd().rglob("calls.jsonl"))


async def test_a_damaged_line_of_that_file_costs_itself_only(url: str) -> None:
    async with open_store(url) as store:
        Refusal(store)
        for number in range(3):
            store.save(record(number, state="ended"))
    (file,) = Path.cwd().rglob("calls.jsonl")
    first, _, third = file.read_text().splitlines()
    file.write_text(f'{first}\n{{"row": {{"call\n[]\n{third[:-9]}')
    async with open_store(url) as store:
        assert await ids(store) == ["sid-0"]
    assert len(spooled("*damaged*")) == 3


async def test_more_than_memory_holds_goes_to_the_file_and_comes_back(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.call_records.MAX_WAITING", 10)
    async with open_store(url) as store:
        refusal = Refusal(store, RuntimeError)
        for number in range(25):
            store.save(record(number))
            await asyncio.sleep(0)
        await refusal.happened(3)
        assert store.waiting <= 10
        assert spooled("calls.jsonl")
        refusal.over()
        await settled(store)
        assert await store.count() == 25
        assert not list(Path.cwd().rglob("calls.jsonl"))


async def test_a_server_stopped_under_load_loses_no_record(postgres_server: Postgres) -> None:
    """Records come all the time, some of them odd, while PostgreSQL goes and comes back."""
    async with open_store(postgres_server.new_database()) as store:

        async def load() -> None:
            for number in range(400):
                odd = {"sip_status": 2**40} if number % 50 == 0 else {}
                store.save(record(number, **odd))
                await asyncio.sleep(0.005)

        loading = asyncio.create_task(load())
        await asyncio.sleep(0.5)
        await asyncio.to_thread(postgres_server.stop)
        try:
            await asyncio.sleep(0.3)
            assert not await store.ok()
        finally:
            await asyncio.to_thread(postgres_server.start)
        await loading
        await settled(store)
        assert await store.count() == 400
        assert await store.ok()


async def test_a_database_that_hangs_is_not_well(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks gives up before it answers, and asks again at once."""
    async with open_store(url) as store:
        assert await store.ok()

        async def hang(_: object) -> None:
            await asyncio.sleep(60)

        monkeypatch.setattr(call_records, "check_writable", hang)
        monkeypatch.setattr(call_records, "KNOWN_S", 60.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await store.ok()
        assert not await store.ok()


# disks -------------------------------------------------------------------------------------------


def _pragma(engine: AsyncEngine, statement: str) -> None:
    """Say it on every connection there is and will be."""

    def say(connection: Any, *_: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()

    event.listen(engine.sync_engine, "checkout", say)


@pytest.mark.parametrize(
    ("bad", "well", "words"),
    [
        ("PRAGMA query_only=1", "PRAGMA query_only=0", "readonly"),
        ("PRAGMA max_page_count=1", "PRAGMA max_page_count=1000000", "full"),
    ],
)
async def test_a_disk_that_is_full_or_read_only(
    tmp_path: Path, bad: str, well: str, words: str
) -> None:
    async with open_store(f"sqlite:///{tmp_path}/gateway.db") as store:
        store.save(record(0))
        await settled(store)
        assert await store.ok()
        _pragma(store.engine, bad)
        with capture_logs() as told:
            assert not await store.ok() or words == "full"  # an idle gateway tells of it as well
            for number in range(1, 40):
                store.save(record(number, attempts=[{"reason": "x" * 4000}]))
            async with asyncio.timeout(30):
                while not any(words in line.get("error", "") for line in told):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        assert not await store.ok()
        _pragma(store.engine, well)
        await settled(store)
        assert await store.count() == 40
        assert await store.ok()


async def test_a_file_that_is_deleted_is_noticed_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.file_watch.EVERY_S", 0.01)
    file = tmp_path / "gateway.db"
    async with open_store(f"sqlite:///{file}") as store:
        store.save(record(1))
        await settled(store)
        with capture_logs() as told:
            for name in files(tmp_path):
                name.unlink()
            assert not await store.ok()
            store.save(record(2))
            async with asyncio.timeout(30):
                while not await store.ok() or store.waiting:  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        (line,) = (line for line in told if line["event"] == "storage.file-gone")
        assert (line["file"], line["log_level"]) == (str(file), "error")
        assert await ids(store) == ["sid-2"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with open_store(f"sqlite:///{file}") as store:
        assert await ids(store) == ["sid-2"]


async def test_a_folder_that_is_gone_leaves_records_waiting(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    async with open_store(f"sqlite:///{folder}/gateway.db") as store:
        store.save(record(1))
        await settled(store)
        folder.rename(tmp_path / "elsewhere")
        store.save(record(2))
        await asyncio.sleep(0.2)
        assert not await store.ok()
        assert store.waiting == 1
        (tmp_path / "elsewhere").rename(folder)
        await settled(store)
        assert await store.ok()
        assert await ids(store) == ["sid-1", "sid-2"]


@pytest.mark.parametrize("before", [None, 0o644, 0o640])
async def test_only_its_user_reads_the_file(tmp_path: Path, before: int | None) -> None:
    """An operator who lets a group read keeps that; what all may read was nobody's wish."""
    file = tmp_path / "gateway.db"
    if before is not None:
        file.touch(before)
        file.chmod(before)
    async with open_store(f"sqlite:///{file}") as store:
        store.save(record(1))
        await settled(store)
        modes = {stat.S_IMODE(each.stat().st_mode) for each in files(tmp_path)}
    assert modes == {0o640 if before == 0o640 else 0o600}


# time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        (Keep(days=1), {"sid-0", "sid-3", "sid-4"}),
        (Keep(calls=2), {"sid-0", "sid-3", "sid-4"}),
        (Keep(), {f"sid-{number}" for number in range(5)}),
    ],
)
async def test_old_records_go_and_a_call_in_progress_stays(
    url: str, keep: Keep, left: set[str]
) -> None:
    """By age and by number; sid-0 is the oldest and still up."""
    day_ms, now_ms = 86_400_000, 1_790_000_000_000
    ages_ms = [3 * day_ms, 2 * day_ms, day_ms + 1, day_ms - 1, 0]
    async with open_store(url) as store:
        for number, age_ms in enumerate(ages_ms):
            started_ms = now_ms - age_ms
            call_id = f"{started_ms:012x}{number:020x}"
            state = "ended" if number else "live"
            store.save(record(number, call_id=call_id, state=state, started_ms=started_ms))
        await settled(store)
        gone = await delete_old(store.engine, keep, now_ms=now_ms, batch=1)
        assert gone == 5 - len(left)
        assert set(await ids(store)) == left
