"""What those may cost who prove nothing: bodies, /metrics, web pages, errors."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from gateway.http import bodies, health
from gateway.http.app_keys import METRICS
from gateway.http.bodies import BODIES
from tests.gateway.conftest import TOKEN, Gateway, Start
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


PLAIN = json.dumps({"event": "call_ended", "call": {"call_id": "call_1"}}).encode()


@pytest.mark.parametrize("path", [HOOK, "/webhooks/twilio/status", "/api/v1/calls", "/nothing"])
@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("deflate", zlib.compress(bytes(bodies.MAX_BODY + 1))),  # some kilobytes on the wire
        ("deflate", b"this is none"),
        ("gzip", gzip.compress(PLAIN)),
        ("gzip", gzip.compress(PLAIN)[:-12]),
        ("br", b"whatever"),
        ("identity, gzip", PLAIN),
    ],
    ids=["deflate, much", "deflate, none", "gzip", "gzip, cut", "br", "several"],
)
async def test_a_body_comes_as_it_is(
    gateway: Gateway, path: str, encoding: str, body: bytes
) -> None:
    """What is signed are the bytes; and nobody unpacks for strangers."""
    headers = {
        "X-Retell-Signature": signature(PLAIN.decode()),
        "Authorization": f"Bearer {TOKEN}",
        "Content-Encoding": encoding,
    }
    with capture_logs() as lines:
        async with gateway.http.post(gateway.url + path, data=body, headers=headers) as response:
            found = (response.status, (await response.json())["code"])
    assert found == (415, "bad-content-encoding")
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []
    headers["Content-Encoding"] = "identity"
    async with gateway.http.post(gateway.url + HOOK, data=PLAIN, headers=headers) as response:
        assert response.status == 204


@pytest.mark.parametrize("kind", [None, "text/plain", "multipart/form-data; boundary=x"])
async def test_a_signed_body_is_read_whatever_it_is_called(
    gateway: Gateway, kind: str | None
) -> None:
    """Without a Content-Length, in chunks of any size; the signature says all."""

    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(PLAIN), 7):
            yield PLAIN[begin : begin + 7]

    headers = {"X-Retell-Signature": signature(PLAIN.decode())}
    if kind is not None:
        headers["Content-Type"] = kind
    async with gateway.http.post(gateway.url + HOOK, data=chunks(), headers=headers) as response:
        assert response.status == 204


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


async def raw(gateway: Gateway, data: bytes) -> tuple[int, bytes]:
    """Status and code of the problem that these bytes get."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
            return int(head.split()[1]), await reader.read(2000)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("path", ["/api/v1/calls", "/retell", "/healthz", HOOK])
@pytest.mark.parametrize(
    "value", [b"\xff", b"Bearer \xff", b"Basic \xed\xa0\x80", b"websocket\xff"]
)
async def test_a_header_that_is_no_text_is_no_error_of_ours(
    start: Start, path: str, value: bytes
) -> None:
    """Each was one, with a traceback in the log, for whoever sent it."""
    login = {"username": "jambonz", "password": "secret"}
    gateway = await start(application={"serve": True, **login})
    names = ("Authorization", "Origin", "X-Retell-Signature", "X-Forwarded-For", "Idempotency-Key")
    method = "POST" if path == HOOK else "GET"
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n"
    wanted = 200 if path == "/healthz" else 401
    with capture_logs() as lines:
        for name in names:
            status, body = await raw(gateway, f"{head}{name}: ".encode() + value + b"\r\n\r\n")
            foreign = (path, name) == ("/retell", "Origin")
            assert status == (403 if foreign else wanted), (name, body)
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []


async def test_what_aiohttp_would_quote_of_such_a_header_is_refused(gateway: Gateway) -> None:
    """Its own words for the refusal have the value in them, and cannot be sent."""
    ask = b"GET /retell HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: \xff\r\n\r\n"
    with capture_logs() as lines:
        status, body = await raw(gateway, ask)
    assert (status, b"not-text" in body, b"Upgrade" in body) == (400, True, True)
    assert [line for line in lines if line["log_level"] in ("error", "critical")] == []


async def test_a_path_that_is_no_text_is_refused(gateway: Gateway) -> None:
    for path in (b"/\xff", b"/api/v1/calls/\xff", b"/webhooks/twilio/voice/\xff?\xff=\xff"):
        status, _ = await raw(gateway, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
        assert 400 <= status < 500, path


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
