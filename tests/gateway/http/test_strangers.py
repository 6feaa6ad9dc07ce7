"""What those may cost who prove nothing: bodies, /metrics, web pages, errors."""

import asyncio
import json
import time
import zlib
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from gateway.http import bodies, health
from gateway.http.app_keys import METRICS
from gateway.http.bodies import BODIES
from tests.gateway.conftest import Gateway, Start
from tests.gateway.http.test_retell_webhooks import signature

HOOK = "/webhooks/retell/events"


class Upload:
    """A webhook's body that is sent bit by bit, and never finished."""

    def __init__(self, gateway: Gateway, length: int, sign: str | None = None) -> None:
        """Without `sign` it is signed now, for five minutes."""
        sign = signature("x") if sign is None else sign
        self.head = (
            f"POST {HOOK} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {length}\r\n"
            f"X-Retell-Signature: {sign}\r\n\r\n"
        ).encode()
        self.host, _, port = gateway.url.removeprefix("http://").partition(":")
        self.port = int(port)

    async def begin(self, size: int) -> None:
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        self.writer.write(self.head + bytes(size))
        with suppress(ConnectionError):
            await self.writer.drain()

    async def status(self) -> int:
        line = await self.reader.readline()
        self.writer.transport.abort()
        await asyncio.sleep(0.2)  # aiohttp reads on for a moment
        return int(line.split()[1])


async def test_an_unsigned_body_is_not_read(gateway: Gateway) -> None:
    for sign in ("", "v=1,d=2", f"v=1,d={'0' * 64}"):
        upload = Upload(gateway, 8 << 20, sign)
        await upload.begin(1000)
        assert await upload.status() == 401
    assert gateway.app[BODIES].held == 0


async def test_unfinished_bodies_have_a_budget_and_a_time(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """150 clients that announce 8 MB and stop before the end; a real event comes all the same."""
    monkeypatch.setattr(bodies, "CLIENT_BUDGET", 1 << 20)
    monkeypatch.setattr(bodies, "BODY_S", 1.0)
    uploads = [Upload(gateway, 8 << 20) for _ in range(20)]
    await asyncio.gather(*(upload.begin(100_000) for upload in uploads))
    await asyncio.sleep(0.3)
    assert 0 < gateway.app[BODIES].held <= 1 << 20
    statuses = await asyncio.gather(*(upload.status() for upload in uploads))
    assert set(statuses) == {408, 503}
    assert statuses.count(503) >= 8
    assert gateway.app[BODIES].held == 0
    body = json.dumps({"event": "call_ended", "call": {"call_id": "call_1"}})
    headers = {"X-Retell-Signature": signature(body)}
    async with gateway.http.post(gateway.url + HOOK, data=body, headers=headers) as response:
        assert response.status == 204


async def test_a_body_that_says_it_is_too_long_is_not_begun(gateway: Gateway) -> None:
    upload = Upload(gateway, bodies.MAX_BODY + 1)
    await upload.begin(10)
    assert await upload.status() == 413
    body = zlib.compress(bytes(bodies.MAX_BODY + 1))  # some kilobytes on the wire
    headers = {"X-Retell-Signature": signature("x"), "Content-Encoding": "deflate"}
    async with gateway.http.post(gateway.url + HOOK, data=body, headers=headers) as response:
        assert response.status == 413


async def test_making_the_metrics_page_takes_a_tenth_of_the_time_at_most(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    def slowly() -> bytes:
        nonlocal made
        made += 1
        time.sleep(0.01)
        return b"page\n"

    monkeypatch.setattr(gateway.app[METRICS], "page", slowly)
    began = time.monotonic()
    for _ in range(30):
        async with gateway.http.get(f"{gateway.url}/metrics") as response:
            assert await response.text() == "page\n"
    took_s = time.monotonic() - began
    assert made * 0.01 <= took_s * health.METRICS_SHARE + 0.011


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("null", 403),
        ("http://{host}.evil.example", 403),
        ("http://{host}", 101),
        (None, 101),
    ],
)
async def test_no_web_page_of_others_commands_calls(
    gateway: Gateway, origin: str | None, status: int
) -> None:
    host = gateway.url.removeprefix("http://")
    headers = {} if origin is None else {"Origin": origin.format(host=host)}
    got = 101
    try:
        async with gateway.http.ws_connect(
            f"{gateway.url}/retell", headers=headers, protocols=("ws.jambonz.org",)
        ):
            pass
    except aiohttp.WSServerHandshakeError as error:
        got = error.status
    assert got == status


PROBLEMS: list[tuple[str, str, int, str]] = [
    ("GET", "/nothing", 404, "not-found"),
    ("PUT", "/healthz", 405, "method-not-allowed"),
    ("POST", HOOK, 401, "not-signed"),
    ("GET", "/api/v1/calls", 401, "unauthorized"),
    ("GET", "/retell", 401, "refused"),
    ("GET", "/readyz", 503, "not-ready"),
    ("GET", "/metrics", 500, "internal"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), PROBLEMS)
async def test_every_error_is_a_problem(
    start: Start, monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: int, code: str
) -> None:
    """RFC 9457 3: its media type, and members that say what happened and where."""

    async def not_ready() -> dict[str, bool]:
        return {"media": False}

    jambonz = {"serve": True, "username": "jambonz", "password": "secret"}
    gateway = await start(make={"ready": not_ready}, application=jambonz)

    def broken() -> bytes:
        raise RuntimeError("an error of ours, with a secret in it")

    monkeypatch.setattr(gateway.app[METRICS], "page", broken)
    async with gateway.http.request(method, gateway.url + path) as response:
        assert response.status == status
        assert response.content_type == "application/problem+json"
        problem: dict[str, Any] = await response.json()
        assert ("Allow" in response.headers) is (status == 405)
        assert ("WWW-Authenticate" in response.headers) is (code in ("unauthorized", "refused"))
    assert {"type", "title", "status", "code", "detail", "instance"} <= problem.keys()
    assert (problem["status"], problem["code"], problem["instance"]) == (status, code, path)
    assert problem["title"] == response.reason
    assert "secret" not in problem["detail"]
