"""Where events go: what the keys of `outbound.callbacks` say against each other."""

from pathlib import Path

import pytest

from tests.config.test_settings import problem, read


def text(callbacks: str) -> str:
    return f"outbound: {{callbacks: {callbacks}}}"


@pytest.mark.parametrize(
    "callbacks",
    [
        "{url: 'https://hooks.example.com/calls', secret: s}",
        "{url: 'http://192.0.2.20/', secret: s, hosts: [192.0.2.20]}",
        "{url: 'https://one.example.net/', secret: s, hosts: ['*.Example.net']}",
        "{secret: s}",
    ],
)
def test_a_receiver_that_may_be_told(callbacks: str, tmp_path: Path) -> None:
    assert read(tmp_path, text(callbacks)).outbound.callbacks.secret is not None


@pytest.mark.parametrize(
    ("callbacks", "words"),
    [
        ("{url: 'https://hooks.example.com/'}", "secret: is required"),
        ("{url: 'http://127.0.0.1/', secret: s}", "url: 127.0.0.1 is no public address"),
        ("{url: 'http://localhost/', secret: s}", "url: localhost is no public address"),
        (
            "{url: 'https://a.example.com/', secret: s, hosts: [example.com]}",
            "url: a.example.com is not in outbound.callbacks.hosts",
        ),
        ("{url: 'ftp://example.com/', secret: s}", "is not an http:// or https:// URL"),
        ("{secret: s, hosts: ['https://example.com']}", "is neither a host such as"),
        ("{secret: s, keep_trying_days: 31}", "less than or equal to 30"),
    ],
)
def test_what_is_against_itself(callbacks: str, words: str, tmp_path: Path) -> None:
    assert words in problem(tmp_path, text(callbacks))
