"""The audit's rows: what was noted comes back, the newest first, and is deleted when it is old."""

from pathlib import Path

from gateway.storage.audit import AuditQuery, open_audit
from gateway.storage.database import open_engine
from gateway.storage.retention import Keep, delete_old

TOLD = {
    "by": "desk",
    "client": "192.0.2.1",
    "method": "POST",
    "path": "/api/v1/drain",
    "request_id": "job-1",
    "status": 202,
    "what": "drain",
}
DAY_S = 86_400


async def test_rows_come_back(url: str, tmp_path: Path) -> None:
    now = 1000.0
    async with open_engine(url) as engine:
        async with open_audit(engine, tmp_path, lambda: now) as store:
            for number in range(3):
                now = 1000.0 + number
                store.note(**{**TOLD, "path": f"/{number}", "by": None if number else "desk"})
            store.note(**{**TOLD, "path": "/" + "x" * 600})
        async with open_audit(engine, tmp_path) as store:
            rows = await store.page(AuditQuery())
            assert [row.path[:2] for row in rows] == ["/x", "/2", "/1", "/0"], "of one moment, too"
            assert max(len(row.path) for row in rows) == 512
            [first] = await store.page(AuditQuery(by="desk", until_ms=1_000_500))
            assert (first.at_ms, first.path, first.status) == (1_000_000, "/0", 202)
            assert len(await store.page(AuditQuery(since_ms=1_001_000))) == 3
            newest = await store.page(AuditQuery(limit=1))
            assert len(await store.page(AuditQuery(before=newest[0].audit_id))) == 3


async def test_old_rows_go_with_old_records(url: str, tmp_path: Path) -> None:
    now = 100.0 * DAY_S
    async with open_engine(url) as engine, open_audit(engine, tmp_path, lambda: now) as store:
        store.note(**TOLD)
        now = 130.0 * DAY_S
        store.note(**TOLD)
        await store.writer.flush()
        await delete_old(engine, Keep(days=20), now_ms=round(now * 1000))
        [row] = await store.page(AuditQuery())
        assert row.at_ms == now * 1000
