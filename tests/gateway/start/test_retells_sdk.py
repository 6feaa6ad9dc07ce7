"""Retell's SDK takes 50 MB and most of a second: a process reads it where a method asks Retell's
API, and not before."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ports import free_port, free_ports

ROOT = Path(__file__).parents[3]

#: A whole gateway in a process of its own. It is sent a signed event, is asked what it shows, and
#: then reads its file anew, which says `retell.method: dial` by then.
PROGRAM = """
import asyncio, hashlib, hmac, json, sys, time
from pathlib import Path
import aiohttp
from config.settings import load
from gateway.main import running
from gateway.start.reload import Reloader

file, out = Path(sys.argv[1]), []

def read():
    out.append("retell" in sys.modules)

async def main():
    settings = load(file, {})
    reloader = Reloader(settings, lambda: load(file, {}))
    async with running(settings, reloader=reloader), aiohttp.ClientSession() as http:
        url = f"http://{settings.http.listen.host}:{settings.http.listen.port}"
        read()
        body = json.dumps({"event": "call_started", "call": {"call_id": "call_1"}})
        at = str(int(time.time() * 1000))
        digest = hmac.new(b"key_test", (body + at).encode(), hashlib.sha256).hexdigest()
        signed = {"X-Retell-Signature": f"v={at},d={digest}"}
        async with http.post(f"{url}/webhooks/retell/events", data=body, headers=signed) as told:
            assert told.status == 204, await told.text()
        bearer = {"Authorization": "Bearer admin-token"}
        for path in ("api/v1/retell", "metrics"):
            async with http.get(f"{url}/{path}", headers=bearer) as shown:
                assert shown.status == 200, await shown.text()
        read()
        file.write_text(file.read_text().replace("method: trunk", "method: dial"))
        await reloader.reload()
        read()

asyncio.run(main())
print(*out)
"""


def seen(folder: Path, retell: dict[str, Any], **sections: Any) -> list[bool]:
    """Whether it was read when the gateway was ready, after what it was asked, and after the
    reload."""
    relay, file = free_ports(8), folder / "gateway.yaml"
    keys = {
        "http": {"listen": f"127.0.0.1:{free_port()}", "admin_token": "admin-token"},
        "sip": {"listen": [f"udp:127.0.0.1:{free_port()}"]},
        "media": {"ports": f"{relay}-{relay + 7}"},
        "storage": {"url": f"sqlite:///{folder}/gateway.db"},
        "trunks": [{"name": "one", "identify": ["127.0.0.1"]}],
        "numbers": {"+14155550100": {"agent": "agent_1"}},
        "retell": {"api_key": "key_test", "method": "trunk", **retell},
        **sections,
    }
    file.write_text(yaml.safe_dump(keys))
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    return [word == "True" for word in ran.stdout.splitlines()[-1].split()]


@pytest.mark.slow
def test_a_process_with_method_trunk_alone_never_reads_it(tmp_path: Path) -> None:
    """It has a key, by which Retell's webhooks are verified."""
    assert seen(tmp_path, {}) == [False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("retell", "sections"),
    [
        ({"method": "dial"}, {}),
        ({}, {"numbers": {"+14155550100": {"agent": "agent_1", "method": "dial"}}}),
        ({"when_full": "wait"}, {}),
        (
            {},
            {
                "twilio": {"account_sid": "AC" + "0" * 32, "auth_token": "token"},
                "http": {
                    "listen": f"127.0.0.1:{free_port()}",
                    "admin_token": "admin-token",
                    "public_url": "https://gateway.example.com",
                },
            },
        ),
    ],
    ids=["dial", "dial of a number", "its room", "twilio"],
)
def test_where_a_caller_would_wait_for_it_it_is_read_before_the_first(
    retell: dict[str, Any], sections: dict[str, Any], tmp_path: Path
) -> None:
    assert seen(tmp_path, retell, **sections)[0]
