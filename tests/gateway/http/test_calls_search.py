"""Calls that are looked for, written to files, and told in order."""

import csv
import io
import json
from typing import Any

import pytest

from gateway.http import calls_export
from gateway.http.app_keys import STORE
from gateway.outbound.campaign_csv import write_rows
from gateway.storage.call_records import CallRecord
from tests.gateway.conftest import TOKEN, Gateway, Start
from tests.gateway.http.test_ladders_api import Remembered
from tests.gateway.http.test_ladders_api import one_call as call_with_ladder
from tests.gateway.http.test_retell_webhooks import event
from tests.gateway.storage.conftest import postgres_server, url

__all__ = ["postgres_server", "url"]

MS = 1_790_000_000_000


def leg(trunk: str, **more: Any) -> dict[str, Any]:
    return {
        "trunk": trunk,
        "role": "agent",
        "target": "+14155550199",
        "started_ms": MS + 100,
        "code": 200,
        "reason": None,
        "detail": None,
        "words": {},
        "early_media": False,
        "cost_estimate": None,
        "sip_call_id": f"{trunk}-1",
        "sip_call_ids": [f"{trunk}-1"],
        **more,
    }


def record(number: int, **more: Any) -> CallRecord:
    values: dict[str, Any] = {
        "call_id": f"{number:032x}",
        "call_sid": f"sid-{number}",
        "direction": "inbound",
        "trunk": "carrier",
        "from_number": "+12125550100",
        "to_number": "+14155550100",
        "method": "trunk",
        "agent": "agent_1",
        "state": "ended",
        "started_ms": MS + number,
        "ended_ms": MS + number + 5000,
        **more,
    }
    return CallRecord(**values)


@pytest.fixture
async def gateway(start: Start, url: str) -> Gateway:
    gateway = await start(storage={"url": url, "keep_days": 0})  # their ids are as of 1970
    for one in (
        record(1, attempts=[leg("second"), leg("PBX")]),
        record(2, from_number="+14155550123", to_number="100%", cause="busy"),
        record(3, trunk="second", to_number="=cmd|' /C calc'!A0", disconnection_reason="-1+1"),
        record(4, trunk="pbx", part_of=f"{1:032x}"),
    ):
        gateway.app[STORE].save(one)
    await gateway.app[STORE].flush()
    return gateway


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("number=%2B14155550123", [2]),
        ("number=%2B1415555*", [2, 1]),
        ("number=%2B14155550*&parts=true", [4, 2, 1]),
        ("number=100%25", [2]),
        ("number=10%25*", []),
        ("number=+*", []),
        ("number=_%2A", []),
        ("carrier=second", [3, 1]),
        ("carrier=PBX", [1]),
        ("carrier=pbx", []),
        ("carrier=pbx&parts=true", [4]),
        ("carrier=carrier&cause=busy", [2]),
        ('carrier=second","role', []),
    ],
)
async def test_a_search(gateway: Gateway, query: str, found: list[int]) -> None:
    status, body = await gateway.get(f"/api/v1/calls?{query}")
    assert status == 200
    assert [int(call["call_id"], 16) for call in body["items"]] == found


def test_no_cell_begins_a_formula() -> None:
    """owasp.org, CSV Injection: also in full width, and behind a line's end."""
    odd = (
        "=1",
        "+1-1",
        "-1",
        "@A1",
        "\t=1",
        "\r=1",
        "\n=1",
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
    )
    for text in (*odd, "+\u0661", "+"):
        assert write_rows([[text]]) in (f"'{text}\r\n", f'"\'{text}"\r\n')
    for text in ("+14155550123", "a=1", "1-1", "sip:+1@example.com"):
        assert write_rows([[text]]) == f"{text}\r\n"


async def fetch(gateway: Gateway, path: str) -> str:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with gateway.http.get(f"{gateway.url}/api/v1{path}", headers=headers) as response:
        assert response.status == 200
        return await response.text()


@pytest.mark.parametrize("page", [1, 2, 3, 500])
async def test_all_of_them_as_files(
    gateway: Gateway, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_export, "PAGE", page)
    rows = list(csv.DictReader(io.StringIO(await fetch(gateway, "/calls.csv"))))
    assert [int(row["call_id"], 16) for row in rows] == [3, 2, 1]
    assert rows[0]["to"] == "'=cmd|' /C calc'!A0", "no spreadsheet runs it"
    assert rows[0]["disconnection_reason"] == "'-1+1"
    assert rows[1]["from"] == "+14155550123"
    assert rows[2]["carriers"] == "second PBX"
    lines = [json.loads(line) for line in (await fetch(gateway, "/calls.ndjson")).splitlines()]
    _, listed = await gateway.get("/api/v1/calls")
    assert lines == listed["items"]
    assert (
        await fetch(gateway, "/calls.ndjson?cause=busy")
        == json.dumps(lines[1], separators=(",", ":")) + "\n"
    )


async def test_none_at_all_is_a_file_too(gateway: Gateway) -> None:
    assert await fetch(gateway, "/calls.ndjson?cause=none") == ""
    assert (await fetch(gateway, "/calls.csv?cause=none")).startswith("call_id,direction,")
    status, body = await gateway.get("/api/v1/calls.csv?limit=1")
    assert (status, body["code"]) == (400, "bad-parameter")


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_what_happened_in_order(start: Start, url: str) -> None:
    gateway = await start(make={"messages": Remembered()})
    await call_with_ladder(gateway)
    call_id = (await gateway.records())[0].call_id
    status, told = await gateway.get(f"/api/v1/calls/{call_id}/timeline")
    assert (status, told["state"]) == (200, "ended")
    whats = [(event["what"], event["leg"]) for event in told["events"]]
    assert {("call.begun", "a"), ("leg.dialled", "retell"), ("message.in", "a")} <= set(whats)
    ours = [what for what, _ in whats if not what.startswith("message.")]
    assert ours == ["call.begun", "leg.dialled", "call.answered", "call.ended"]
    times = [event["at"] for event in told["events"]]
    assert times == sorted(times)
    assert (await gateway.get("/api/v1/calls/none/timeline"))[1]["code"] == "no-such-call"


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_what_retells_webhooks_told_and_how_many_keys_were_pressed(
    start: Start, url: str
) -> None:
    """Which keys they were stands nowhere: a PIN is among them."""
    gateway = await start(storage={"url": url, "keep_days": 0})
    media = {"a": {"keys_received": 4, "keys_sent": 0}, "b": {"keys_sent": 0}, "moves": 1}
    gateway.app[STORE].save(record(1, media=media))
    call_id = f"{1:032x}"
    for name in ("call_started", "call_ended", "call_analyzed"):
        assert await event(gateway, name, metadata={"gateway_call_id": call_id}) == 204
    await event(gateway, "call_started", call_id="call_of_others")
    _, told = await gateway.get(f"/api/v1/calls/{call_id}/timeline")
    assert [one["what"] for one in told["events"]] == [
        *("call.begun", "keys.counted", "call.ended"),
        *("retell.call_started", "retell.call_ended", "retell.call_analyzed"),
    ]
    keys, ended = told["events"][1], told["events"][4]
    assert (keys["leg"], keys["data"]) == ("a", {"received": 4, "sent": 0})
    _, shown = await gateway.get(f"/api/v1/retell/events/{ended['data']['event_id']}")
    assert (shown["event"], ended["data"]["state"]) == ("call_ended", "done")
