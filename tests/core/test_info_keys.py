"""Keys in INFO bodies, as peers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.info_keys import (
    ALONE,
    KEYS,
    KINDS,
    LEAST_MS,
    MOST_MS,
    RELAY,
    USUAL_MS,
    InfoKey,
    read,
    write,
)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("key", KEYS)
def test_what_is_written_is_read(kind: str, key: str) -> None:
    duration_ms = 160 if kind == RELAY else USUAL_MS
    assert read(kind, write(kind, InfoKey(key, duration_ms))) == InfoKey(key, duration_ms)


def test_what_is_written() -> None:
    assert write(RELAY, InfoKey("5", 160)) == b"Signal=5\r\nDuration=160\r\n"
    assert write(ALONE, InfoKey("#", 160)) == b"#"


@pytest.mark.parametrize(
    ("body", "key", "duration_ms"),
    [
        (b"Signal=5\r\nDuration=160", "5", 160),
        (b"Signal= 5\r\nDuration= 160\r\n", "5", 160),
        (b"signal : 5 \nduration : 160\n", "5", 160),
        (b"Duration=160\r\nSignal=*", "*", 160),
        (b"SIGNAL=a\r\n", "A", USUAL_MS),
        (b"Signal=10\r\nDuration=100", "*", 100),
        (b"Signal=11", "#", USUAL_MS),
        (b"Signal=15", "D", USUAL_MS),
        (b"Signal=1\r\nDuration=1", "1", LEAST_MS),
        (b"Signal=1\r\nDuration=99999999", "1", MOST_MS),
        (b"Signal=1\r\nDuration=long", "1", USUAL_MS),
        (b"\r\nSignal=1\r\n\r\nDuration=80\r\n", "1", 80),
    ],
)
def test_relay(body: bytes, key: str, duration_ms: int) -> None:
    assert read(RELAY, body) == InfoKey(key, duration_ms)


@pytest.mark.parametrize(
    ("body", "key"), [(b"7", "7"), (b" 7\r\n", "7"), (b"d", "D"), (b"#\n", "#"), (b"11", "#")]
)
def test_alone(body: bytes, key: str) -> None:
    assert read(ALONE, body) == InfoKey(key, USUAL_MS)


@pytest.mark.parametrize(
    "body",
    [b"Signal=!\r\nDuration=160", b"Signal=16", b"Signal=", b"Duration=160", b"", b"Signal=55",
     b"Signal=5 5", b"\xff\xfe", b"Signal=\xd9\xa3", b"Signal=123"],
)  # fmt: skip
def test_what_is_no_key(body: bytes) -> None:
    """A hook flash, and what cannot be read."""
    assert read(RELAY, body) is None
    assert read(ALONE, body) is None


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=80))
def test_any_bytes_are_a_key_or_none(kind: str, body: bytes) -> None:
    found = read(kind, body)
    assert found is None or (found.key in KEYS and LEAST_MS <= found.duration_ms <= MOST_MS)
