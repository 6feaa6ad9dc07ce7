"""/api/v1/drain: what an operator asks of a gateway that is to stop."""

from typing import Any

import pytest

from gateway.start.drain import Drain
from tests.gateway.conftest import TOKEN, Gateway, Start

Json = dict[str, Any]


async def post(gateway: Gateway, body: Any = None, path: str = "drain") -> tuple[int, Json]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    url = f"{gateway.url}/api/v1/{path}"
    async with gateway.http.post(url, headers=headers, json=body) as response:
        return response.status, await response.json()


async def test_it_begins_once_and_counts_down(start: Start) -> None:
    drain = Drain(60)
    gateway = await start(make={"lifecycle": drain})
    assert await gateway.get("/api/v1/drain") == (
        200,
        {"draining": False, "calls": 0, "ends_in_s": None},
    )
    status, view = await post(gateway, {"within_s": 30})
    assert (status, view["draining"]) == (202, True)
    assert 29 <= view["ends_in_s"] <= 30
    status, view = await post(gateway)
    assert (status, drain.begun) == (202, True)
    assert view["ends_in_s"] <= 30, "a second wish never gives calls more time"


@pytest.mark.parametrize("body", [{"within_s": -1}, {"within_s": "soon"}, {"within_s": True}, [1]])
async def test_a_wish_that_makes_no_sense_begins_nothing(start: Start, body: Any) -> None:
    drain = Drain(60)
    gateway = await start(make={"lifecycle": drain})
    status, told = await post(gateway, body)
    assert (status, told["code"]) == (400, "bad-body")
    assert not drain.begun


async def test_it_is_the_operators_alone(start: Start) -> None:
    drain = Drain(60)
    gateway = await start(make={"lifecycle": drain})
    async with gateway.http.post(f"{gateway.url}/api/v1/drain") as response:
        assert response.status == 401
    assert not drain.begun
