"""`storage copy`: everything that lasts, from one kind of database to the other and back."""

import asyncio
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import main
from gateway.storage import copy as module
from gateway.storage import tables
from gateway.storage.audit import AuditQuery, open_audit
from gateway.storage.blocked_callers import BlockedCallers
from gateway.storage.call_query import Query
from gateway.storage.call_records import open_store
from gateway.storage.copy import Copied, NotEmptyError, copy
from gateway.storage.database import open_engine
from gateway.storage.day_counts import DayCount, open_day_counts
from gateway.storage.do_not_call import DoNotCall, DoNotCallStore
from gateway.storage.errors import InUseError, SchemaError, StorageError
from gateway.storage.ladders import open_ladders
from gateway.storage.migrations import NEWEST
from gateway.storage.queued_calls import QueueStore
from gateway.storage.retell_events import RetellEvent, RetellEventStore
from gateway.storage.samples import open_samples
from gateway.storage.shared_state import open_shared_state
from gateway.storage.spend import Spent, open_spend
from tests.gateway.storage.postgres import Postgres
from tests.gateway.storage.test_audit import TOLD
from tests.gateway.storage.test_call_records import record
from tests.gateway.storage.test_migrations import as_0_1_0, set_version
from tests.gateway.storage.test_queued_calls import attempt
from tests.gateway.storage.test_queued_calls import call as queued
from tests.gateway.storage.test_record_table import BAN, BINDING

COUNTS = [
    Copied("calls", 7, 7),
    Copied("ladders", 1, 1),
    Copied("samples", 1, 1),
    Copied("sip_bindings", 2, 2),
    Copied("bans", 1, 1),
    Copied("audit", 1, 1),
    Copied("day_counts", 1, 1),
    Copied("spend", 1, 1),
    Copied("blocked_callers", 1, 1),
    *(Copied(name, 0, 0) for name in ("callbacks", "campaigns")),
    Copied("retell_events", 1, 1),
    Copied("queued_calls", 1, 1),
    Copied("tries", 1, 1),
    Copied("queue_pauses", 1, 1),
    Copied("do_not_call", 1, 1),
]
EVENT = RetellEvent(
    event_id="rte_1",
    place="1",
    event="call_ended",
    retell_call_id="call_1",
    workspace="retell",
    received_ms=1,
    body="{}",
)
SAMPLES = {"a": {"began_ms": 1, "every_s": 5.0, "mos": [4.4]}}
MESSAGES = [{"at": 1.5, "message": "BYE sip:a@192.0.2.1 SIP/2.0"}]

runner = CliRunner()


async def fill(url: str) -> None:
    async with open_store(url) as store:
        for number in range(7):
            attempts = [{"trunk": "carrier", "code": 486}]
            store.save(record(number, state="ended", attempts=attempts, duration_s=1.25))
        async with open_ladders(store.engine, 10, Path("unused")) as ladders:
            ladders.save("1", MESSAGES)
        async with open_samples(store.engine, Path("unused")) as samples:
            samples.save("1", SAMPLES)
        async with open_audit(store.engine, Path("unused")) as audit:
            audit.note(**TOLD)
        async with open_day_counts(store.engine, Path("unused")) as counts:
            counts.save(DayCount(date(2026, 11, 30), "all", "", 3))
        async with open_spend(store.engine, Path("unused")) as spend:
            spend.save(Spent(date(2026, 11, 30), "all", "", 30_000, 1, 12.5))
        blocked = BlockedCallers(store.engine, time.time)
        await blocked.add("+12125550100")
        await RetellEventStore(store.engine).add([EVENT])
        queue, never = QueueStore(store.engine), DoNotCallStore(store.engine)
        async with queue.transaction() as connection:
            await queue.insert(connection, [queued("q1")])
            await queue.put_try(connection, attempt("c1", "q1"))
            await never.put(connection, [DoNotCall(number="+14155550199")])
        await queue.pause("spring", "ops", 1)
    async with open_shared_state(url) as shared:
        shared.bindings.save(BINDING)
        shared.bindings.save(replace(BINDING, contact="sip:b@192.0.2.7"))
        shared.bans.save(BAN)


@pytest.fixture
async def urls(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_server: Postgres
) -> tuple[str, str]:
    """A database with rows and an empty one of the other kind."""
    here, there = f"sqlite:///{tmp_path}/gateway.db", postgres_server.new_database()
    pair = (here, there) if request.param == "to-postgresql" else (there, here)
    await fill(pair[0])
    return pair


both_ways = pytest.mark.parametrize("urls", ["to-postgresql", "to-sqlite"], indirect=True)
one_way = pytest.mark.parametrize("urls", ["to-postgresql"], indirect=True)


@both_ways
async def test_everything_that_lasts_is_there_afterwards(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)  # the last batch of calls is not full
    source, target = urls
    assert await copy(source, target) == COUNTS
    async with open_store(source) as before, open_store(target) as after:
        assert await after.page(Query()) == await before.page(Query())
        async with open_ladders(after.engine, 10, Path("unused")) as ladders:
            assert await ladders.get("1") == MESSAGES
        async with open_samples(after.engine, Path("unused")) as samples:
            assert await samples.get("1") == SAMPLES
        async with open_audit(after.engine, Path("unused")) as audit:
            [row] = await audit.page(AuditQuery())
            assert (row.by, row.path) == (TOLD["by"], TOLD["path"])
    async with open_shared_state(source) as old, open_shared_state(target) as new:
        by_contact = sorted(await new.bindings.load(), key=lambda binding: binding.contact)
        assert by_contact == [BINDING, replace(BINDING, contact="sip:b@192.0.2.7")]
        assert await new.bans.load() == await old.bans.load() == [BAN]


@both_ways
async def test_a_second_copy_brings_what_is_new_and_only_when_told(urls: tuple[str, str]) -> None:
    source, target = urls
    await copy(source, target)
    async with open_store(source) as store:
        store.save(record(8))
    told = "7 in calls, 1 in ladders, .* 1 in audit, 1 in day_counts, 1 in spend, 1 in"
    with pytest.raises(NotEmptyError, match=told):
        await copy(source, target)
    counts = await copy(source, target, merge=True)
    assert counts == [Copied("calls", 8, 8), *COUNTS[1:]]


@one_way
async def test_a_target_that_a_gateway_uses_is_left_alone(urls: tuple[str, str]) -> None:
    source, target = urls
    async with open_shared_state(target):
        with pytest.raises(InUseError):
            await copy(source, target)
    async with open_store(target) as store:
        assert await store.count() == 0


@one_way
async def test_a_copy_that_fails_leaves_nothing_behind(
    urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = urls
    real = module._copy_table

    async def fails(table: object, *connections: object) -> Copied:
        if table is tables.bindings:
            raise OSError("the network is gone")
        return await real(table, *connections)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_copy_table", fails)
    with pytest.raises(StorageError, match="the network is gone"):
        await copy(source, target)
    async with open_store(target) as store:
        assert await store.count() == 0


async def test_a_source_is_never_changed(tmp_path: Path) -> None:
    source, target = f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db"
    with pytest.raises(SchemaError, match="no tables of a gateway"):
        await copy(source, target)
    await as_0_1_0(source, registrar=False)
    with pytest.raises(SchemaError, match=f"version 0001, not {NEWEST}: run `storage upgrade`"):
        await copy(source, target)
    assert not (tmp_path / "new.db").exists()


# the commands; their loop is their own, so nothing here is a coroutine


def invoke(*arguments: str) -> tuple[int, str]:
    result = runner.invoke(main.app, ["storage", *arguments])
    return result.exit_code, result.output


@pytest.fixture
def old(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/gateway.db"
    asyncio.run(as_0_1_0(url, registrar=True))
    return url


def test_version_upgrade_and_copy_say_what_there_is(old: str, tmp_path: Path) -> None:
    new = f"sqlite:///{tmp_path}/new.db"
    code, text = invoke("version", old)
    assert (code, text.strip()) == (
        0,
        f"schema version 0001: the gateway upgrades it to {NEWEST} at its start",
    )
    assert invoke("upgrade", old) == (0, f"schema version {NEWEST}: upgraded from 0001\n")
    assert invoke("upgrade", old) == (0, f"schema version {NEWEST}: already there\n")
    assert invoke("version", old) == (0, f"schema version {NEWEST}, this gateway's own\n")
    code, text = invoke("copy", old, new)
    assert (code, [line.split() for line in text.splitlines()]) == (
        0,
        [
            ["table", "copied", "there", "now"],
            ["calls", "1", "1"],
            ["ladders", "0", "0"],
            ["samples", "0", "0"],
            ["sip_bindings", "0", "0"],
            ["bans", "0", "0"],
            ["audit", "0", "0"],
            ["day_counts", "0", "0"],
            ["spend", "0", "0"],
            ["blocked_callers", "0", "0"],
            *([name, "0", "0"] for name in ("callbacks", "campaigns", "retell_events")),
            *([name, "0", "0"] for name in ("queued_calls", "tries")),
            *([name, "0", "0"] for name in ("queue_pauses", "do_not_call")),
        ],
    )
    code, text = invoke("copy", old, new)
    assert (code, "with --merge they stay" in text) == (1, True)
    assert invoke("copy", "--merge", old, new)[0] == 0


def test_what_is_asked_wrongly_ends_with_2(old: str, tmp_path: Path) -> None:
    assert invoke("copy", old, old) == (2, "error: FROM and TO are one database\n")
    assert invoke("copy", "mysql://host/db", old) == (
        2,
        "error: FROM: must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE\n",
    )
    code, text = invoke("version", f"sqlite:///{tmp_path}/none.db")
    assert (code, text.startswith("no tables yet")) == (0, True)


def test_the_configurations_database_is_the_default(old: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.yaml").write_text(f"storage: {{url: '{old}'}}")
    code, text = invoke("version", "-c", str(tmp_path / "gateway.yaml"))
    assert (code, text.startswith("schema version 0001")) == (0, True)


def test_a_later_schema_ends_every_command_with_2(old: str, tmp_path: Path) -> None:
    async def later() -> None:
        async with open_engine(old):
            pass
        await set_version(old, "0999")

    asyncio.run(later())
    for arguments in (("version", old), ("upgrade", old), ("copy", old, f"{old}2")):
        code, text = invoke(*arguments)
        assert (code, "schema version 0999" in text, text.count("\n")) == (2, True, 1)
