"""The REST API, health pages and metrics, as an operator's tools see them."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from config.settings import Settings
from gateway.http.app import make_app
from gateway.http.app_keys import CALLS
from gateway.storage.errors import StorageError
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, settings_data
from tests.gateway.peer import Jambonz

CALLER = "+12125550100"


async def one_call(gateway: Gateway, **more: Any) -> Jambonz:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID, **more)
        await jambonz.answered()
        await jambonz.callee_hangs_up(headers={"x_outcome": "booked"})
    await gateway.app[CALLS].none_left()
    return jambonz


async def test_call_as_the_api_shows_it(gateway: Gateway) -> None:
    jambonz = await one_call(gateway)
    status, body = await gateway.get("/api/v1/calls")
    assert status == 200
    call = body["items"][0]
    assert body == {"items": [call], "next": None}
    assert set(call) == {
        *("call_id", "call_sid", "direction", "state", "trunk", "from", "to", "method", "agent"),
        *("retell_call_id", "a_sip_call_id", "b_sip_call_id", "attempts", "transfers"),
        *(
            "started_at",
            "answered_at",
            "ended_at",
            "duration_s",
            "ended_by",
            "cause",
            "sip_status",
            "fault",
        ),
        *(
            "media",
            "retell_headers",
            "disconnection_reason",
            "part_of",
            "related",
            "headers",
            "retell",
        ),
        "cost_estimate",
    }
    assert (call["from"], call["to"], call["state"]) == (CALLER, TRUNK_DID, "ended")
    assert (call["ended_by"], call["cause"], call["sip_status"]) == ("callee", "hangup", 200)
    assert call["retell_headers"] == {"x-outcome": "booked"}
    assert call["started_at"].endswith("Z")
    assert call["attempts"][0]["sip_call_id"] == jambonz.b_call_id
    status, same = await gateway.get(f"/api/v1/calls/{call['call_id']}")
    assert (status, same) == (200, call)


async def test_call_in_progress_is_listed(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        _, body = await gateway.get("/api/v1/calls?state=live")
        assert [call["call_sid"] for call in body["items"]] == [jambonz.call_sid]
        assert body["items"][0]["ended_at"] is None
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def test_pages_follow_the_cursor_newest_first(gateway: Gateway) -> None:
    sids = [(await one_call(gateway)).call_sid for _ in range(5)]
    seen: list[str] = []
    path = "/api/v1/calls?limit=2"
    cursor = None
    for _ in range(3):
        _, body = await gateway.get(path + (f"&cursor={cursor}" if cursor else ""))
        seen += [call["call_sid"] for call in body["items"]]
        cursor = body["next"]
    assert seen == sids[::-1]
    assert cursor is None


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("direction=inbound", 1),
        ("direction=retell", 0),
        ("from=%2B12125550100", 1),
        ("to=%2B14155550199", 0),
        ("cause=hangup&sip_status=200&fault=nobody", 1),
        ("sip_status=486", 0),
        ("since=2020-01-01T00:00:00Z", 1),
        ("until=2020-01-01", 0),
    ],
)
async def test_filters(gateway: Gateway, query: str, found: int) -> None:
    await one_call(gateway)
    status, body = await gateway.get(f"/api/v1/calls?{query}")
    assert status == 200
    assert len(body["items"]) == found


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=0", "limit must be a number from 1 to 1000"),
        ("limit=x", "limit must be a number from 1 to 1000"),
        ("sip_status=42", "sip_status must be a number from 100 to 699"),
        ("since=yesterday", "since must be a time such as 2026-11-20T08:00:00Z"),
        ("directon=inbound", "unknown parameter directon; did you mean direction?"),
    ],
)
async def test_bad_parameters(gateway: Gateway, query: str, message: str) -> None:
    status, body = await gateway.get(f"/api/v1/calls?{query}")
    assert status == 400
    assert (body["code"], body["detail"]) == ("bad-parameter", message)


@pytest.mark.parametrize("token", [None, "", "wrong", "admin-tokenx", "\u00e4"])
async def test_token_is_demanded(gateway: Gateway, token: str | None) -> None:
    status, body = await gateway.get("/api/v1/calls", token)
    assert (status, body["code"]) == (401, "unauthorized")


async def test_token_of_another_scheme_is_none(gateway: Gateway) -> None:
    headers = {"Authorization": "Basic admin-token"}
    async with gateway.http.get(f"{gateway.url}/api/v1/calls", headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_no_token_configured_means_no_api(start: Start) -> None:
    gateway = await start(http={})
    status, body = await gateway.get("/api/v1/calls", "anything")
    assert status == 403
    assert (
        body["detail"] == "the API is off: set http.admin_token or http.tokens in the configuration"
    )


async def test_errors_under_api_are_json(gateway: Gateway) -> None:
    status, body = await gateway.get("/api/v1/nothing")
    assert (status, body["code"]) == (404, "not-found")
    status, body = await gateway.get("/api/v1/calls/unknown")
    assert (status, body["detail"]) == (404, "there is no call unknown")
    headers = {"Authorization": "Bearer admin-token"}
    async with gateway.http.put(f"{gateway.url}/api/v1/calls", headers=headers) as response:
        assert response.status == 405
        assert (await response.json())["detail"] == "use GET, HEAD, POST"


async def test_alive_and_ready(start: Start) -> None:
    checks = {"sip": True, "media": True}

    async def ready() -> dict[str, bool]:
        return checks

    gateway = await start(make={"ready": ready})
    assert await gateway.get("/healthz", None) == (200, {"status": "ok"})
    body = {"ready": True, "checks": {"storage": True, "sip": True, "media": True}}
    assert await gateway.get("/readyz", None) == (200, body)
    checks["media"] = False
    status, body = await gateway.get("/readyz", None)
    assert (status, body["ready"]) == (503, False)


async def test_check_that_breaks_is_not_passed(start: Start) -> None:
    async def ready() -> dict[str, bool]:
        raise RuntimeError("broken")

    gateway = await start(make={"ready": ready})
    status, body = await gateway.get("/readyz", None)
    assert (status, body["checks"]) == (503, {"storage": True, "softswitch": False})


async def test_check_that_hangs_is_not_passed(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.http.health.CHECK_S", 0.01)

    async def ready() -> dict[str, bool]:
        await asyncio.Event().wait()
        return {}

    gateway = await start(make={"ready": ready})
    status, body = await gateway.get("/readyz", None)
    assert (status, body["checks"]["softswitch"]) == (503, False)


async def test_metrics_page(start: Start) -> None:
    gateway = await start(make={"gauges": {"open_legs": lambda: 7}})
    await one_call(gateway)
    async with gateway.http.get(f"{gateway.url}/metrics") as response:
        assert response.content_type == "text/plain"
        page = await response.text()
    assert 'gateway_calls_started_total{direction="inbound",trunk="carrier"} 1.0' in page
    assert "gateway_open_legs 7.0" in page
    assert "gateway_records_waiting 0.0" in page or "gateway_records_waiting 1.0" in page
    assert CALLER not in page


async def test_storage_that_cannot_be_opened_stops_the_start() -> None:
    data = settings_data(storage={"url": "sqlite:////proc/nothing.db"})
    runner = web.AppRunner(make_app(Settings.model_validate(data)))
    with pytest.raises(StorageError, match=r"nothing\.db"):
        await runner.setup()
    await runner.cleanup()
