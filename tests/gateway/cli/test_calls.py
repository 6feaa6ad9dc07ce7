"""The command `calls`: what it asks the running gateway for, and what it shows."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import main
from gateway.http.calls_api import CallsQuery

CALL: dict[str, Any] = {
    "call_id": "0123",
    "started_at": "2026-11-21T05:40:12.000Z",
    "direction": "inbound",
    "from": "+12125550100",
    "to": "+14155550100",
    "trunk": "twilio",
    "attempts": [{"trunk": "retell"}],
    "duration_s": 4.0,
    "ended_by": "caller",
    "state": "ended",
    "sip_status": 200,
    "cause": "hangup",
    "a_sip_call_id": "a",
    "transfers": [
        {"outcome": "failed", "target": "201"},
        {"outcome": "transferred", "target": "202"},
    ],
    "related": [
        {"role": "transfer", "certainty": "certain", "to": "+13125550177"},
        {"role": "transfer", "certainty": "probable", "to": "+13125550178"},
        {"role": "origin", "certainty": "probable"},
    ],
}
PLACED = CALL | {
    "direction": "retell",
    "trunk": "retell",
    "attempts": [{"trunk": "telnyx"}, {"trunk": "second"}],
    "from": "[red]caller",
}


class Answering(BaseHTTPRequestHandler):
    """The API, as far as the command asks it; `asked` are the paths with their queries."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.endswith(".pcap"):
            kind, content = "application/vnd.tcpdump.pcap", b"\xd4\xc3\xb2\xa1"
        elif self.path.endswith(".txt"):
            kind, content = "text/plain", b"--- now\nBYE sip:a@192.0.2.1 SIP/2.0\n"
        else:
            body: dict[str, Any] = {"items": [CALL, PLACED], "next": None}
            if "/calls/" in self.path:
                body = {"messages": []} if self.path.endswith("/ladder") else CALL
            kind, content = "application/json", json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Nothing to say."""


class Program:
    """`calls` with a configuration that leads to `Answering`."""

    def __init__(self, config: Path, asked: list[str]) -> None:
        self._config = config
        self._asked = asked

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(main.app, ["calls", "--config", str(self._config), *arguments])

    @property
    def asked(self) -> list[tuple[str, dict[str, str]]]:
        """Paths and queries."""
        parts = map(urlsplit, self._asked)
        return [(part.path, dict(parse_qsl(part.query))) for part in parts]


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    asked: list[str] = []
    handler = type("Handler", (Answering,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        config = tmp_path / "gateway.yaml"
        config.write_text(
            f"http: {{listen: '127.0.0.1:{server.server_port}', admin_token: token}}\n"
            "numbers: {'*': {}}\n"
        )
        yield Program(config, asked)
        server.shutdown()
        thread.join()


FILTERS = {
    "number": "+1415*",
    "carrier": "telnyx",
    "direction": "inbound",
    "trunk": "twilio",
    "from": "+12125550100",
    "to": "+14155550100",
    "state": "ended",
    "cause": "hangup",
    "fault": "nobody",
    "agent": "agent_1",
    "retell_call_id": "call_1",
    "part_of": "0122",
    "sip_status": "200",
    "since": "2026-11-20T08:00:00Z",
    "until": "2026-11-21",
    "cursor": "0123",
    "limit": "7",
    "parts": "true",
}
FLAGS = {"parts"}


def test_every_filter_of_the_api_can_be_given(program: Program) -> None:
    fields = CallsQuery.model_fields.items()
    assert FILTERS.keys() == {field.alias or name for name, field in fields}
    options = [
        f"--{name.replace('_', '-')}" + ("" if name in FLAGS else f"={value}")
        for name, value in FILTERS.items()
    ]
    assert program(*options).exit_code == 0
    assert program.asked == [("/api/v1/calls", FILTERS)]


def test_the_table_shows_who_carried_each_call(program: Program) -> None:
    heads, came, *handed_on, placed = program().output.splitlines()[:6]
    assert heads.split()[:4] == ["call", "started", "(UTC)", "from"]
    assert came.split()[3:5] == ["in", "+12125550100"]
    assert "twilio" in came
    assert placed.split()[3:5] == ["out", "[red]caller"]
    assert "second" in placed
    assert "retell" not in placed
    # below the number that the caller called: whom Retell called for it, and may have
    assert [line.split() for line in handed_on] == [
        ["→", "202"],
        ["↳", "+13125550177"],
        ["↳", "+13125550178?"],
    ]


def test_messages_whole_and_for_wireshark(program: Program, tmp_path: Path) -> None:
    assert program("0123", "--text").output == "--- now\nBYE sip:a@192.0.2.1 SIP/2.0\n\n"
    file = tmp_path / "call.pcap"
    assert program("0123", "--pcap", str(file)).exit_code == 0
    assert file.read_bytes() == b"\xd4\xc3\xb2\xa1"
    assert program("0123", "--pcap", str(tmp_path / "no" / "file")).exit_code == 1


@pytest.mark.parametrize(
    "arguments", [("--text",), ("--pcap", "x"), ("0123", "--cause", "busy"), ("--sip-status", "x")]
)
def test_what_makes_no_sense_is_bad_usage(program: Program, arguments: tuple[str, ...]) -> None:
    assert program(*arguments).exit_code == 2
    assert program.asked == []
