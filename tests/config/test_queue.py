"""`outbound.queue`: what it may say, and what other keys make of it."""

from pathlib import Path

import pytest

from tests.config.test_settings import problem, read


def test_rules_of_retries(tmp_path: Path) -> None:
    text = """
schedules: {office: {time_zone: UTC, hours: {mon-fri: ["09:00-17:00"]}}}
outbound:
  queue:
    calls: 20
    window: office
    retries: {busy: {times: 2, after_s: 600, factor: 2, jitter: 0.1}}
"""
    queue = read(tmp_path, text).outbound.queue
    rule = queue.retries["busy"]
    assert (rule.times, rule.after_s, rule.factor, rule.jitter) == (2, 600, 2, 0.1)
    assert (queue.calls, queue.window) == (20, "office")


@pytest.mark.parametrize(
    ("queue", "told"),
    [
        ("{window: ofice}", "there is no schedule named ofice; did you mean office?"),
        ("{calls: 501}", "501 are more than limits.calls allows of all calls, 500"),
        ("{calls_per_second: 51}", "51 are more than limits.calls_per_second allows"),
        ("{max_tries: 1, retries: {busy: {times: 1, after_s: 5}}}", "max_tries is 1"),
        ("{expires_s: 60, retries: {busy: {times: 1, after_s: 90}}}", "has expired by then"),
        ("{retries: {busy: {times: 1, after_s: 86400}}}", "has expired by then"),
        ("{retries: {answered: {times: 1, after_s: 60}}}", "answered"),
        ("{retries: {busy: {times: 0, after_s: 60}}}", "greater than 0"),
        ("{retries: {busy: {times: 1, after_s: 60, factor: 0.5}}}", "greater than or equal to 1"),
    ],
)
def test_what_cannot_be(tmp_path: Path, queue: str, told: str) -> None:
    office = '{office: {time_zone: UTC, hours: {mon: ["09:00-17:00"]}}}'
    text = f"schedules: {office}\noutbound:\n  queue: {queue}\n"
    found = problem(tmp_path, text)
    assert told in found
    assert found.startswith("gateway.yaml:3: outbound.queue")
