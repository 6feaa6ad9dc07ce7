"""Keys read from RTP events: each once, whatever the network does (RFC 4733)."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.info_keys import KEYS
from sip.media.relay.dtmf import KeyReader, Press
from tests.media.talk import key_packets, rtp

TICK_S = 1 / 8000


def key(number: int = 5, seq: int = 10, timestamp: int = 8000, **more: bool) -> list[bytes]:
    return key_packets(101, number, seq=seq, timestamp=timestamp, ssrc=7, **more)


#: A key and the milliseconds that it was held.
Told = tuple[str, int]


def told_of(presses: list[Press]) -> list[Told]:
    return [(press.key, press.duration_ms) for press in presses]


def read(*packets: bytes) -> list[Told]:
    """What a reader tells of these packets, and of what is still down at their end."""
    reader = KeyReader()
    told = [press for packet in packets for press in reader.take(packet, TICK_S)]
    return told_of(told + reader.release())


def event(number: int, timestamp: int, duration: int, *, end: bool = False, ssrc: int = 7) -> bytes:
    payload = struct.pack("!BBH", number, 0x80 if end else 0, duration)
    return rtp(101, 0, timestamp, ssrc, payload)


@pytest.mark.parametrize("number", range(16))
def test_each_key_has_its_name(number: int) -> None:
    assert read(*key(number)) == [(KEYS[number], 120)]


@pytest.mark.parametrize("number", [16, 32, 66, 255])
def test_an_event_that_is_no_key_is_none(number: int) -> None:
    """Hook flash and the tones of modems."""
    assert read(*key(number)) == []


def test_it_is_told_with_the_first_end() -> None:
    reader = KeyReader()
    packets = key()
    assert [reader.take(packet, TICK_S) for packet in packets[:5]] == [[]] * 5
    assert reader.held == Press("5", 0.1)
    assert told_of(reader.take(packets[5], TICK_S)) == [("5", 120)]
    assert reader.release() == []
    assert [reader.take(packet, TICK_S) for packet in packets[6:]] == [[], []]


@pytest.mark.parametrize("lost", list(itertools.combinations(range(8), 2)))
@pytest.mark.parametrize("marker", [True, False])
def test_any_two_packets_may_be_lost(lost: tuple[int, int], marker: bool) -> None:
    packets = [p for index, p in enumerate(key(marker=marker)) if index not in lost]
    assert read(*packets) == [("5", 120)]


def test_with_all_ends_lost_the_next_key_ends_it() -> None:
    first, second = key(1)[:5], key(1, seq=30, timestamp=16000)
    assert read(*first, *second) == [("1", 100), ("1", 120)]
    assert read(*first) == [("1", 100)], "or the time, by who runs the reader"


def test_ends_that_come_after_the_next_key_began_tell_nothing() -> None:
    first, second = key(1), key(2, seq=30, timestamp=16000)
    told = read(*first[:5], second[0], *first[5:], *second[1:])
    assert told == [("1", 100), ("2", 120)]


def test_a_key_longer_than_its_duration_field_is_one() -> None:
    """RFC 4733 2.5.1.3: after 8.19 s it goes on as another event, 0xFFFF later."""
    told = read(
        event(3, 1000, 0xF000),
        event(3, 1000, 0xFFFF),
        event(3, 1000 + 0xFFFF, 800),
        event(3, 1000 + 0xFFFF, 1600, end=True),
        event(3, 1000 + 0xFFFF, 1600, end=True),
    )
    assert told == [("3", round((0xFFFF + 1600) / 8))]


def test_the_same_key_with_another_ssrc_is_another_press() -> None:
    assert read(event(3, 1000, 800, end=True), event(3, 1000, 800, end=True, ssrc=8)) == [
        ("3", 100),
        ("3", 100),
    ]


def test_contributing_sources_and_an_extension_are_passed_over() -> None:
    packet = (
        struct.pack("!BBHII", 0x92, 101, 5, 800, 9)
        + b"csrc" * 2
        + b"\0\1\0\1ext!"
        + struct.pack("!BBH", 4, 0x80, 800)
    )
    assert read(packet) == [("4", 100)]


@given(data=st.binary(max_size=40))
def test_any_bytes_tell_at_most_one_key(data: bytes) -> None:
    assert len(read(data)) <= 1


@given(
    numbers=st.lists(st.integers(0, 15), min_size=1, max_size=6),
    data=st.data(),
)
def test_keys_come_in_order_and_once_with_loss_and_repetition(
    numbers: list[int], data: st.DataObject
) -> None:
    """Of each key at least one packet arrives, and any may arrive twice in a row."""
    packets: list[bytes] = []
    for index, number in enumerate(numbers):
        sent = key(number, seq=100 * index, timestamp=8000 * (index + 1))
        arrive = data.draw(st.lists(st.sampled_from(range(8)), min_size=1, max_size=12))
        packets += [sent[n] for n in sorted(arrive)]
    assert [key for key, _ in read(*packets)] == [KEYS[number] for number in numbers]
