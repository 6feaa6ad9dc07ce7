"""Retell's webhooks, and callers while Retell is full: what keys say against each other."""

from pathlib import Path

import pytest

from tests.config.test_settings import problem, read

SECRET = "outbound: {callbacks: {secret: s}}"
KEY = "api_key: k, login: {username: u, password: p}"


def webhooks(keys: str, more: str = SECRET) -> str:
    return f"retell: {{{KEY}, webhooks: {{{keys}}}}}\n{more}"


@pytest.mark.parametrize(
    "keys",
    [
        "forward_url: 'https://hooks.example.com/r', forward_events: [call_ended]",
        "decide_url: 'http://127.0.0.1:9000/decide', decide_within_s: 1",
        "decide_function: 'crm.calls:decide'",
    ],
)
def test_webhooks_that_can_be(keys: str, tmp_path: Path) -> None:
    read(tmp_path, webhooks(keys))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (webhooks("forward_url: 'https://hooks.example.com'", ""), "outbound.callbacks.secret"),
        (webhooks("decide_url: 'https://hooks.example.com'", ""), "outbound.callbacks.secret"),
        (webhooks("forward_url: 'http://127.0.0.1/r'"), "outbound.callbacks.hosts"),
        (webhooks("forward_events: [call_ended]"), "has no effect without forward_url"),
        (webhooks("decide_url: 'https://a.example.com', decide_function: 'a:b'"), "one of the two"),
        (webhooks("decide_function: decide"), "package.module:function"),
        (webhooks("decide_within_s: 9"), "8"),
        (
            "numbers: {'*': {webhook: {rules: [{schedule: nigth}]}}}\n"
            "schedules: {night: {time_zone: UTC, hours: {mon-fri: ['20:00-06:00']}}}",
            "no schedule named nigth",
        ),
        ("numbers: {'*': {webhook: {variables: {who: '{nobody}'}}}}", "nothing is called"),
        ("retell: {when_full: wait}", "needs retell.api_key"),
        (f"retell: {{{KEY}, when_full: fallback}}", "has no effect: there is neither"),
        (
            f"retell: {{{KEY}, when_full: wait, concurrency: {{poll_s: 0}}}}",
            "nobody would know when Retell is full",
        ),
        (f"retell: {{{KEY}, wait_for_room_s: 5}}", "retell.when_full is not wait"),
        (f"retell: {{{KEY}, when_full: wait, waiting_music: m.wav}}", "names no folder"),
    ],
)
def test_what_contradicts_is_told(text: str, words: str, tmp_path: Path) -> None:
    assert words in problem(tmp_path, text)
