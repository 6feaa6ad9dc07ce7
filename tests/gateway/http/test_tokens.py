"""Who may do what with which token, how often, and that no token is ever written down."""

import asyncio
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import TokenSettings
from gateway.http.api import ROUTES
from gateway.http.problems import ProblemError
from gateway.http.rules.route import PREFIX, Route
from gateway.http.rules.tokens import TokenRates
from tests.gateway.conftest import TOKEN, Gateway, Json, Start

READ, OPERATE, ADMIN = "token-that-reads", "token-that-operates", "token-of-an-admin"
TOKENS = [
    {"name": "dashboard", "token": READ, "role": "read"},
    {"name": "desk", "token": OPERATE, "role": "operate"},
    {"name": "boss", "token": ADMIN, "role": "admin"},
]


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start(http={"admin_token": TOKEN, "tokens": TOKENS})


async def ask(
    gateway: Gateway, method: str, path: str, token: str, headers: Json | None = None
) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}", **(headers or {})}
    async with gateway.http.request(method, gateway.url + path, headers=headers) as response:
        text = await response.read()
        return response.status, await response.json() if text else None


def path_of(route: Route) -> str:
    return PREFIX + re.sub(r"\{\w+(:[^}]*)?\}", "unknown", route.path)


@pytest.mark.parametrize(
    ("token", "name", "role", "may"),
    [
        (READ, "dashboard", "read", {"read"}),
        (OPERATE, "desk", "operate", {"read", "operate"}),
    ],
)
async def test_a_role_opens_what_is_declared_for_it_and_nothing_more(
    gateway: Gateway, token: str, name: str, role: str, may: set[str]
) -> None:
    for route in ROUTES:
        if route.role in may:
            continue
        status, body = await ask(gateway, route.method, path_of(route), token)
        assert (status, body["code"]) == (403, "forbidden"), route.name
        told = f"token {name} has the role {role}, and this needs {route.role}"
        assert body["detail"] == told
    assert (await ask(gateway, "GET", f"{PREFIX}/calls", token))[0] == 200


async def test_what_changes_something_is_not_for_who_only_reads() -> None:
    assert {route.name for route in ROUTES if route.method != "GET" and route.role == "read"} == (
        set()
    )


@pytest.mark.parametrize("token", [TOKEN, ADMIN])
async def test_an_admin_may_everything(gateway: Gateway, token: str) -> None:
    assert (await ask(gateway, "GET", f"{PREFIX}/audit", token))[0] == 200
    assert (await ask(gateway, "DELETE", f"{PREFIX}/recordings/one", token))[1]["code"] == (
        "no-recording"
    )


async def test_tokens_alone_open_the_api(start: Start) -> None:
    gateway = await start(http={"tokens": TOKENS[:1]})
    assert (await ask(gateway, "GET", f"{PREFIX}/calls", READ))[0] == 200
    assert (await ask(gateway, "GET", f"{PREFIX}/calls", TOKEN))[0] == 401


async def test_no_token_is_in_a_log_or_in_the_audit(gateway: Gateway) -> None:
    with capture_logs() as lines:
        for token in (READ, OPERATE, ADMIN, "token-of-nobody"):
            await ask(gateway, "POST", f"{PREFIX}/reload", token)
    _, audit = await ask(gateway, "GET", f"{PREFIX}/audit", ADMIN)
    written = repr(lines) + repr(audit)
    assert "'desk'" in written
    for secret in (READ, OPERATE, ADMIN, "token-of-nobody"):
        assert secret not in written


async def test_each_token_has_its_own_rate(start: Start) -> None:
    slow = {"name": "slow", "token": "slow", "role": "read", "requests_per_second": 1}
    gateway = await start(http={"admin_token": TOKEN, "tokens": [slow]})
    path = f"{PREFIX}/drain"  # of which this application knows nothing: a 404, and no work
    asked = await asyncio.gather(*(ask(gateway, "GET", path, "slow") for _ in range(8)))
    refused = [body for status, body in asked if status == 429]
    assert len(refused) == 4, "two at once, and two that waited a second or two"
    assert {body["code"] for body in refused} == {"too-many-requests"}
    assert "token slow asks more than 1 times a second" in refused[0]["detail"]
    assert (await ask(gateway, "GET", path, TOKEN))[0] == 404


async def test_who_is_refused_is_told_when_to_come_back() -> None:
    token = TokenSettings.model_validate({**TOKENS[0], "requests_per_second": 1})
    rates = TokenRates(lambda: 0.0)
    for _ in range(2):
        await rates.turn(token)
    waiting = [asyncio.create_task(rates.turn(token)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ProblemError) as refused:
        await rates.turn(token)
    assert refused.value.headers == {"Retry-After": "3"}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
