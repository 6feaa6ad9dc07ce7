"""Who had the gateway do what, told whether it was done or refused."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.http.rules.route import PREFIX
from tests.gateway.conftest import TOKEN, Gateway, Json, Start
from tests.gateway.http.test_trunks_api import NETWORK, Switch

DESK = {"name": "desk", "token": "token-that-operates", "role": "operate"}


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    switch = Switch()
    return await start(
        http={"admin_token": TOKEN, "tokens": [DESK]}, make={"find_operations": lambda: switch}
    )


async def write(gateway: Gateway, method: str, path: str, token: str, **more: Any) -> int:
    headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "write-1"}
    url = f"{gateway.url}{PREFIX}/{path}"
    async with gateway.http.request(method, url, headers=headers, **more) as response:
        return response.status


async def audit(gateway: Gateway, query: str = "") -> list[Json]:
    status, body = await gateway.get(f"{PREFIX}/audit{query}")
    assert status == 200
    items: list[Json] = body["items"]
    return items


async def test_a_write_leaves_a_row_and_a_line(gateway: Gateway) -> None:
    with capture_logs() as lines:
        assert await write(gateway, "DELETE", f"bans/{NETWORK}", "token-that-operates") == 204
    [entry] = await audit(gateway)
    told = {
        "by": "desk",
        "client": "127.0.0.1",
        "method": "DELETE",
        "path": f"{PREFIX}/bans/{NETWORK}",
        "request_id": "write-1",
        "status": 204,
        "what": "lift_ban",
    }
    assert {name: entry[name] for name in told} == told
    assert entry["at"].endswith("Z")
    [line] = [line for line in lines if line["event"] == "api.write"]
    assert {name: line[name] for name in told} == told


async def test_what_was_refused_is_there_too_and_what_only_looks_is_not(gateway: Gateway) -> None:
    await gateway.get(f"{PREFIX}/trunks")
    wrong = {"json": {"within_s": -1}}
    asked = [
        ("POST", "drain", "token-that-operates", {}, 403, "desk", "drain"),
        ("POST", "drain", TOKEN, wrong, 400, "admin", "drain"),
        ("POST", "trunks/no/register", TOKEN, {}, 404, "admin", "register_trunk"),
        ("POST", "trunks", TOKEN, {}, 405, "admin", ""),
        ("DELETE", "nothing", TOKEN, {}, 404, "admin", ""),
        ("POST", "drain", "token-of-nobody", {}, 401, None, ""),
    ]
    for method, path, token, more, status, _, _ in asked:
        assert await write(gateway, method, path, token, **more) == status
    found = [(row["status"], row["by"], row["what"]) for row in await audit(gateway)]
    assert found[::-1] == [(status, by, what) for *_, status, by, what in asked]


async def test_strangers_cannot_drown_it(gateway: Gateway) -> None:
    for _ in range(5):
        assert await write(gateway, "POST", "drain", "token-of-nobody") == 401
    await write(gateway, "DELETE", "bans/192.0.2.1", TOKEN)
    assert [row["by"] for row in await audit(gateway)] == ["admin", None]


async def test_pages_and_filters(gateway: Gateway) -> None:
    for number in range(3):
        await write(gateway, "DELETE", f"bans/192.0.2.{number}", TOKEN)
    await write(gateway, "DELETE", "bans/192.0.2.3", "token-that-operates")
    assert [row["path"][-1] for row in await audit(gateway, "?by=admin")] == ["2", "1", "0"]
    _, first = await gateway.get(f"{PREFIX}/audit?limit=3")
    _, last = await gateway.get(f"{PREFIX}/audit?limit=3&cursor={first['next']}")
    seen = [row["path"][-1] for row in (*first["items"], *last["items"])]
    assert (seen, last["next"]) == (["3", "2", "1", "0"], None)
    assert await audit(gateway, "?until=2020-01-01") == []
    assert len(await audit(gateway, "?since=2020-01-01")) == 4


async def test_it_is_the_admins_alone(gateway: Gateway) -> None:
    assert (await gateway.get(f"{PREFIX}/audit", "token-that-operates"))[0] == 403
