"""Contacts in the database: what one run registers, the next finds."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from gateway.storage.bindings import open_bindings


def row(contact: str, **changes: Any) -> dict[str, Any]:
    return {
        "trunk": "pbx",
        "aor": "pbx@gateway.example.com",
        "contact": contact,
        "params": ";q=0.5",
        "q": 0.5,
        "instance": "",
        "source": "udp:192.0.2.7:5060",
        "path": "<sip:edge.example.com;lr>\n<sip:core.example.com;lr>",
        "sip_call_id": "a@b",
        "cseq": 2**31 - 1,
        "user_agent": "PBX 1.0",
        "registered_ms": 1_790_000_000_000,
        "expires_ms": 1_790_000_600_000,
        **changes,
    }


async def test_rows_are_found_again(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    async with open_bindings(url) as store:
        store.save(row("sip:a@192.0.2.7"))
        store.save(row("sip:b@192.0.2.7", cseq=1))
        store.save(row("sip:b@192.0.2.7", cseq=2))
        store.save(row("sip:c@192.0.2.7"))
        store.delete("pbx", "pbx@gateway.example.com", "sip:c@192.0.2.7")
    async with open_bindings(url) as store:
        found = await store.load()
        assert sorted(found, key=lambda r: str(r["contact"])) == [
            row("sip:a@192.0.2.7"),
            row("sip:b@192.0.2.7", cseq=2),
        ]
        store.save(row("sip:a@192.0.2.7", cseq=9))
        store.delete("pbx", "pbx@gateway.example.com", "sip:b@192.0.2.7")
        store.delete("pbx", "pbx@gateway.example.com", "never there")
        assert await store.load() == [row("sip:a@192.0.2.7", cseq=9)]


async def test_what_could_not_be_stored_is_kept_for_later(tmp_path: Path) -> None:
    async with open_bindings(f"sqlite:///{tmp_path / 'gateway.db'}") as store:
        broken = row("sip:a@192.0.2.7", cseq=None)
        store.save(broken)
        with pytest.raises(SQLAlchemyError):
            await store.flush()
        store.save(row("sip:a@192.0.2.7"))
        assert await store.load() == [row("sip:a@192.0.2.7")]
