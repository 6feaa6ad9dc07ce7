"""Clients that leave in the middle: nobody's fault, so no traceback and no error in the log."""

import asyncio
import json
import logging
import socket
import struct
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from gateway.storage.errors import StorageError
from tests.gateway.conftest import TOKEN, Gateway, Start
from tests.gateway.http.test_retell_webhooks import signature

EVENT = json.dumps({"event": "call_ended", "call": {"call_id": "call_1"}})

UPGRADE = (
    b"GET /retell HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Protocol: ws.jambonz.org\r\n\r\n"
)
HALF_A_FRAME = b"\x81\xfe\x10\x00\x00\x00\x00\x00{"


def list_calls(host: bytes) -> bytes:
    token = f"Authorization: Bearer {TOKEN}\r\n".encode()
    return b"GET /api/v1/calls HTTP/1.1\r\nHost: " + host + b"\r\n" + token + b"\r\n"


def half_a_body(host: bytes) -> bytes:
    head = (
        f"POST /webhooks/retell/events HTTP/1.1\r\nContent-Length: {len(EVENT)}\r\n"
        f"X-Retell-Signature: {signature(EVENT)}\r\n"
    )
    return head.encode() + b"Host: " + host + b"\r\n\r\n" + EVENT[:9].encode()


@pytest.mark.parametrize(
    ("sent", "after_s"),
    [
        (b"GET /api/v1/ca", 0.05),
        (list_calls, 0.0),
        (half_a_body, 0.05),
        (UPGRADE, 0.0),
        (UPGRADE + HALF_A_FRAME, 0.1),
    ],
    ids=["half a head", "a question", "half a body", "a handshake", "half a frame"],
)
async def test_a_client_that_leaves_is_no_error(
    start: Start, sent: object, after_s: float, caplog: pytest.LogCaptureFixture
) -> None:
    gateway: Gateway = await start()
    url = urlsplit(gateway.url)
    assert url.hostname is not None
    assert url.port is not None
    host = url.netloc.encode()
    data = sent(host) if callable(sent) else bytes(sent).replace(b"%b", host)  # type: ignore[call-overload]
    with capture_logs() as lines, caplog.at_level(logging.INFO):
        for abruptly in (True, False):
            with socket.create_connection((url.hostname, url.port)) as client:
                client.sendall(data)
                await asyncio.sleep(after_s)
                if abruptly:  # RST instead of FIN
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await asyncio.sleep(0.2)
        assert (await gateway.get("/healthz"))[0] == 200
    assert [line for line in lines if line["log_level"] == "error" or "exc_info" in line] == []
    assert [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING] == []


async def test_a_store_that_is_away_is_told_as_that(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, so that whoever asks comes again, and nothing of the driver's words but one line."""
    gateway: Gateway = await start()

    async def away(*_: object, **__: object) -> None:
        raise StorageError("no PostgreSQL answers at db.example.com, port 5432")

    monkeypatch.setattr("gateway.storage.call_records.CallStore.page", away)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with gateway.http.get(f"{gateway.url}/api/v1/calls", headers=headers) as response:
        problem = await response.json()
        assert (response.status, problem["code"]) == (503, "no-storage")
        assert int(response.headers["Retry-After"]) > 0
        assert "no PostgreSQL answers" in problem["detail"]
