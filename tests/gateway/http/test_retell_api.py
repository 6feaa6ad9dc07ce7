"""What /api/v1/retell and /metrics say of Retell's own API."""

import asyncio

from aiohttp import web

from gateway.http.app_keys import ROOMS
from tests.gateway.conftest import Gateway, Retell, Start, settings_data


async def concurrency(_: web.Request) -> web.Response:
    return web.json_response(
        {"current_concurrency": 3, "concurrency_limit": 20, "reserved_inbound_concurrency": 2}
    )


async def asked(gateway: Gateway) -> None:
    """Somebody wants to place a call, and Retell has answered."""
    rooms = gateway.app[ROOMS]
    async with asyncio.timeout(5):
        while rooms.free() == 0:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_nothing_is_known_before_somebody_asks(gateway: Gateway) -> None:
    status, body = await gateway.get("/api/v1/retell")
    assert status == 200
    [one] = body["workspaces"]
    assert (one["name"], one["usable"], one["circuit"]) == ("retell", True, "closed")
    assert one["concurrency"]["limit"] is None
    assert 'gateway_retell_calls_limit{workspace="retell"} NaN' in await gateway.page()


async def test_what_retell_has_room_for(start: Start, retell: Retell) -> None:
    retell.others["GET", "/get-concurrency"] = concurrency
    data = settings_data()["retell"] | {"concurrency": {"reserve": 5}}
    gateway = await start(retell=data)
    await asked(gateway)
    _, body = await gateway.get("/api/v1/retell")
    shown = body["workspaces"][0]["concurrency"]
    assert (shown["current"], shown["limit"], shown["reserved"], shown["free"]) == (3, 20, 7, 10)
    assert shown["error"] is None
    page = await gateway.page()
    assert 'gateway_retell_calls_free{workspace="retell"} 10.0' in page
    assert 'retell_requests_total{operation="get-concurrency",outcome="ok"} 1.0' in page


async def test_retell_says_nothing(gateway: Gateway) -> None:
    """The stand-in of these tests knows no get-concurrency: 404."""
    await asked(gateway)
    _, body = await gateway.get("/api/v1/retell")
    shown = body["workspaces"][0]["concurrency"]
    assert shown["free"] is None
    assert "404" in shown["error"]
