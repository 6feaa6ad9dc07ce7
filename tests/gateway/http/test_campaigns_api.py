"""Campaigns over HTTP: files in, results out."""

import csv
import io
import json
from typing import Any

import pytest

from gateway.outbound.ports import Result
from gateway.storage.answers import AnswerStore
from tests.gateway.callbacks.receiver import receiving
from tests.gateway.conftest import Gateway, Json, Start
from tests.gateway.http.placing import OURS, Placing, ask, until_is
from tests.gateway.http.test_queue_api import outbound

CSV = {"Content-Type": "text/csv"}
ALL = "?agent=agent_1&from=%2B14155550100"


@pytest.fixture
def placing() -> Placing:
    return Placing()


@pytest.fixture
async def gateway(start: Start, placing: Placing) -> Gateway:
    return await start(make={"queue": placing.open}, outbound=outbound())


async def send(gateway: Gateway, text: str, query: str = ALL, **headers: str) -> tuple[int, Json]:
    return await ask(
        gateway, "POST", f"/campaigns{query}", data=text.encode(), headers={**CSV, **headers}
    )


async def items(gateway: Gateway, path: str) -> list[Json]:
    _, page = await ask(gateway, "GET", path)
    found: list[Json] = page["items"]
    return found


async def test_a_file_becomes_calls_and_calls_become_results(
    gateway: Gateway, placing: Placing
) -> None:
    text = "number,var.name,metadata.crm\n+12125550123,Ann,1\n+12125550124,=Bob,2\n"
    status, taken = await send(gateway, text, f"{ALL}&name=spring&on_machine=hangup")
    assert status == 200
    assert (taken["name"], taken["calls"], taken["error_count"]) == ("spring", 2, 0)
    campaign = taken["campaign_id"]
    calls = await items(gateway, f"/queue?campaign={campaign}")
    by_name = {call["variables"]["name"]: call["queued_id"] for call in calls}
    wanted = await placing.until_begun(by_name["Ann"])
    assert (wanted.agent, wanted.from_number, wanted.metadata) == ("agent_1", OURS, {"crm": "1"})
    assert wanted.amd is not None
    await placing.talks(by_name["Ann"])
    await placing.talks(by_name["=Bob"], Result.BUSY)
    for queued_id in by_name.values():
        await until_is(gateway, queued_id, "done")
    _, standing = await ask(gateway, "GET", f"/campaigns/{campaign}")
    assert (standing["state"], standing["made_by"]) == ("done", "admin")
    assert standing["counts"] == {"done": 2, "result:answered": 1, "result:busy": 1}
    _, file = await ask(gateway, "GET", f"/campaigns/{campaign}/results")
    rows = {row["to"]: row for row in csv.DictReader(io.StringIO(file["text"]))}
    assert rows["+12125550123"]["result"] == "answered"
    assert rows["+12125550123"]["duration_s"] == "12.5"
    assert json.loads(rows["+12125550124"]["variables"]) == {"name": "=Bob"}
    _, file = await ask(gateway, "GET", f"/campaigns/{campaign}/results.ndjson")
    lines = [json.loads(line) for line in file["text"].splitlines()]
    assert {line["to"]: len(line["history"]) for line in lines} == dict.fromkeys(rows, 1)


async def test_every_line_that_is_wrong_is_told(gateway: Gateway) -> None:
    await ask(gateway, "POST", "/do-not-call", json={"numbers": ["+12125550129"]})
    text = (
        "number,priority,not_before,window\n"
        "+12125550123,,,\n"
        "12,,,\n"
        "+12125550124,11,,\n"
        "+12125550125,,tomorrow,\n"
        "+12125550126,,,office\n"
        "(212) 555-0123,,,\n"
        "+12125550129,,,\n"
        "+12125550127,5,2099-01-01T00:00:00Z,\n"
    )
    wrong = [
        (3, "bad-number"),
        (4, "bad-line"),
        (5, "bad-line"),
        (6, "unknown-window"),
        (7, "duplicate"),
        (8, "do-not-call"),
    ]
    status, refused = await send(gateway, text)
    assert (status, refused["code"], refused["error_count"]) == (422, "bad-lines", 6)
    assert [(one["line"], one["code"]) for one in refused["errors"]] == wrong
    assert "line 3" in refused["detail"]
    assert refused["errors"][1]["reason"] == "priority must be -10 to 10, the higher the earlier"
    assert refused["errors"][4]["reason"] == "+12125550123 is on line 2 already"
    assert await items(gateway, "/campaigns") == []
    status, checked = await send(gateway, text, f"{ALL}&check=true")
    assert (status, checked["campaign_id"], checked["calls"]) == (200, None, 2)
    assert [(one["line"], one["code"]) for one in checked["errors"]] == wrong
    assert await items(gateway, "/queue") == []
    status, taken = await send(gateway, text, f"{ALL}&skip_bad=true")
    assert (status, taken["calls"], taken["error_count"]) == (200, 2, 6)
    assert len(await items(gateway, "/queue")) == 2


@pytest.mark.parametrize(
    ("text", "query", "status", "code", "words"),
    [
        ("", ALL, 422, "bad-file", "the file is empty"),
        ("phone\n+1\n", ALL, 422, "bad-file", "there is no column 'phone'"),
        ("number\n", ALL, 422, "no-calls", "nobody to call"),
        ("number\n+12125550123\n", "", 422, "bad-lines", "from_number is missing"),
        ("number\n+12125550123\n", f"{ALL}&skip=1", 400, "bad-parameter", "skip_bad"),
        ("number\n+12125550123\n", f"{ALL}&callback=http://10.0.0.1/", 422, "bad-callback", "10."),
        ("number\n+12125550123\n", f"{ALL}&on_machine=message", 422, "bad-lines", "message"),
    ],
)
async def test_a_file_that_is_none_is_refused(
    gateway: Gateway, text: str, query: str, status: int, code: str, words: str
) -> None:
    got, body = await send(gateway, text, query)
    assert (got, body["code"]) == (status, code)
    assert words in body["detail"]


async def test_bounds_of_a_file(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    status, body = await ask(gateway, "POST", "/campaigns", data=b"x")
    assert (status, body["code"]) == (415, "bad-content-type")
    monkeypatch.setattr("gateway.http.campaign_files.MOST", 1)
    status, body = await send(gateway, "number\n+12125550123\n+12125550124\n")
    assert (body["code"], "more than 1 calls" in body["detail"]) == ("bad-file", True)
    large = io.BytesIO(b"x" * ((20 << 20) + 1))
    status, body = await ask(gateway, "POST", f"/campaigns{ALL}", data=large, headers=CSV)
    assert (status, body["code"]) == (413, "too-large")


async def test_as_json(gateway: Gateway, placing: Placing) -> None:
    campaign: dict[str, Any] = {
        "name": "spring",
        "defaults": {"from": OURS, "agent": "agent_1", "not_before": "2099-01-01T00:00:00Z"},
        "calls": [{"to": "+12125550123"}, {"to": "+12125550124", "agent": "agent_2"}],
    }
    status, taken = await ask(gateway, "POST", "/campaigns", json=campaign)
    assert (status, taken["name"], taken["calls"]) == (200, "spring", 2)
    calls = await items(gateway, "/queue")
    assert {call["agent"] for call in calls} == {"agent_1", "agent_2"}
    assert {call["not_before"] for call in calls} == {"2099-01-01T00:00:00.000Z"}
    campaign["calls"].append({"number": "+1"})
    status, body = await ask(gateway, "POST", "/campaigns", json=campaign)
    assert (status, body["errors"][-1]["line"]) == (422, 3)
    assert "to is missing" in body["errors"][-1]["reason"]
    assert (await ask(gateway, "POST", "/campaigns", json=[1]))[1]["code"] == "bad-body"


async def test_it_is_paused_resumed_and_cancelled(gateway: Gateway, placing: Placing) -> None:
    await ask(gateway, "POST", "/queue/pause")
    campaign = (await send(gateway, "number\n+12125550123\n+12125550124\n"))[1]["campaign_id"]
    status, standing = await ask(gateway, "POST", f"/campaigns/{campaign}/pause")
    assert (status, standing["state"]) == (200, "paused")
    await ask(gateway, "POST", "/queue/resume")
    _, other = await ask(
        gateway, "POST", "/calls", json={"to": "+12125550125", "from": OURS, "agent": "a"}
    )
    await placing.until_begun(other["queued_id"])
    assert list(placing.begun) == [other["queued_id"]], "others go on"
    assert (await ask(gateway, "POST", f"/campaigns/{campaign}/resume"))[1]["state"] == "running"
    calls = await items(gateway, f"/queue?campaign={campaign}")
    await placing.until_begun(calls[0]["queued_id"])
    await placing.until_begun(calls[1]["queued_id"])
    assert await ask(gateway, "POST", f"/campaigns/{campaign}/cancel") == (200, {"calls": 2})
    assert len(placing.cancelled) == 2
    assert (await ask(gateway, "GET", f"/campaigns/{campaign}"))[1]["state"] == "cancelled"
    status, body = await ask(gateway, "POST", f"/campaigns/{campaign}/resume")
    assert (status, body["code"]) == (409, "already-over")
    for path in ("", "/results", "/results.ndjson"):
        status, body = await ask(gateway, "GET", f"/campaigns/nothing{path}")
        assert (status, body["code"]) == (404, "no-such-campaign")


async def test_sent_again_after_a_crash_begins_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AnswerStore, "save", lambda *_: None)
    key = {"Idempotency-Key": "one"}
    ids = []
    for _ in range(2):
        gateway = await start(make={"queue": Placing().open}, outbound=outbound())
        status, taken = await send(gateway, "number\n+12125550123\n", **key)
        assert (status, taken["calls"]) == (200, 1)
        ids.append(taken["campaign_id"])
        assert len(await items(gateway, "/queue")) == 1
        await gateway.runner.cleanup()
    assert ids[0] == ids[1]


async def test_what_was_withdrawn_may_be_asked_for_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender was told 503, since the database had lost the answer to a commit."""
    monkeypatch.setattr(AnswerStore, "save", lambda *_: None)
    ids = []
    for _ in range(2):
        gateway = await start(make={"queue": Placing().open}, outbound=outbound())
        await ask(gateway, "POST", "/queue/pause")
        key = {"Idempotency-Key": "one"}
        ids.append((await send(gateway, "number\n+12125550123\n", **key))[1]["campaign_id"])
        [call] = await items(gateway, f"/queue?campaign={ids[-1]}")
        await ask(gateway, "POST", f"/queue/{call['queued_id']}/cancel")
        await gateway.runner.cleanup()
    assert ids[0] != ids[1]


async def test_every_call_of_a_campaign_is_told_once(gateway: Gateway, placing: Placing) -> None:
    text = "number\n" + "".join(f"+1212555{number:04d}\n" for number in range(60))
    async with receiving() as receiver:
        status, taken = await send(gateway, text, f"{ALL}&callback={receiver.url}")
        assert (status, taken["calls"]) == (200, 60)
        calls = await items(gateway, f"/queue?campaign={taken['campaign_id']}&limit=100")
        for call in reversed(calls):
            await placing.talks(call["queued_id"])
        await receiver.until(lambda: sum(receiver.ids().values()) >= 60 * 5)
        assert len(receiver.ids()) == 60 * 5
        for call in calls:
            assert receiver.kinds(call["queued_id"])[::4] == ["call.queued", "call.done"]
