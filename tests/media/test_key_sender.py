"""Keys that are sent: each one clean event (RFC 4733 2.5) or one tone, one after another."""

import audioop
import struct

import pytest

from sip.core.info_keys import KEYS
from sip.core.sdp_lines import Codec
from sip.media.key_tones import Change, KeyToneReader
from sip.media.relay.dtmf import KeyReader
from sip.media.relay.key_sender import (
    LEAST_S,
    MAX_WAITING,
    PACKET_S,
    Held,
    KeySender,
    Keystroke,
    KeyVoice,
)
from sip.media.relay.timers import NEVER, Timers
from sip.media.relay.voice import Voice
from tests.media.talk import rtp

EVENTS = KeyVoice(101)


class Line:
    """What a party hears, and a clock."""

    def __init__(self, voice: KeyVoice | Voice | None = EVENTS) -> None:
        self.voice: KeyVoice | Voice | None = voice
        self.timers = Timers()
        self.now = 50.0
        self.sender = KeySender(self, lambda: self.voice, self.timers)
        #: when, what was done to the timestamp, number, end, volume, duration
        self.events: list[tuple[float, int | None, int, bool, int, int]] = []
        self.tones = b""
        self.busy: list[tuple[float, bool]] = []

    def speak_key(self, payload_type: int, payload: bytes, step: int | None, now: float) -> bool:
        assert payload_type == 101
        number, flags, duration = struct.unpack("!BBH", payload)
        at = round(now - 50, 6)
        self.events.append((at, step, number, bool(flags & 0x80), flags & 0x3F, duration))
        return True

    def speak_tone(self, payload_type: int, payload: bytes, ticks: int, now: float) -> bool:
        assert (payload_type, ticks, len(payload)) == (8, 160, 160)
        self.tones += audioop.alaw2lin(payload, 2)
        return True

    def keying(self, keying: bool, now: float) -> None:
        self.busy.append((round(now - 50, 6), keying))

    def passes(self, seconds: float) -> None:
        end = self.now + seconds
        while self.timers.next_due <= end:
            self.now = self.timers.next_due
            self.timers.run(self.now)
        self.now = end

    def read(self) -> list[tuple[str, int]]:
        """What a receiver makes of the events."""
        reader, told, timestamp = KeyReader(), [], 0
        for at, step, number, end, volume, duration in self.events:
            if step == 0:
                timestamp = round(at * 8000) + 1
            timestamp += step or 0
            payload = struct.pack("!BBH", number, end << 7 | volume, duration)
            told += reader.take(rtp(101, 0, timestamp, 7, payload), 1 / 8000)
        return [(press.key, press.duration_ms) for press in told]


def test_a_key_of_120_ms() -> None:
    line = Line()
    assert line.sender.press(Keystroke("5", duration_s=0.12), line.now)
    line.passes(1)
    downs = [(n * PACKET_S, None if n else 0, 5, False, 8, 160 * (n + 1)) for n in range(5)]
    ends = [(n * PACKET_S, None, 5, True, 8, 960) for n in (5, 6, 7)]
    assert line.events == [pytest.approx(each) for each in downs + ends]
    assert line.busy == [(0.0, True), (0.16, False)], "nothing else is heard until its last end"
    assert line.sender.idle
    assert line.sender.sent == 1
    assert line.timers.next_due == NEVER


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("ms", [40, 50, 125, 1000])
def test_its_duration_is_exact(key: str, ms: int) -> None:
    line = Line()
    line.sender.press(Keystroke(key, duration_s=ms / 1000), line.now)
    line.passes(3)
    assert line.read() == [(key, ms)]
    assert [end for _, _, _, end, _, _ in line.events].count(True) == 3


def test_one_after_another_with_a_pause() -> None:
    line = Line()
    for key in "12#":
        line.sender.press(Keystroke(key, duration_s=0.1, pause_s=0.1), line.now)
    line.passes(2)
    assert line.read() == [("1", 100), ("2", 100), ("#", 100)]
    begins = [at for at, step, *_ in line.events if step == 0]
    assert begins == [pytest.approx(each) for each in (0.0, 0.2, 0.4)]
    assert [keying for _, keying in line.busy] == [True, False]


def test_a_key_follows_its_sender_who_still_holds_it() -> None:
    """The last duration is what the sender said, however late the end comes."""
    line = Line()
    held = Held("7", 0.02)
    line.sender.send(held, line.now)
    for n in range(2, 6):
        line.passes(0.02)
        held.lasts(n * 0.02)
    line.passes(0.07)
    assert line.events[-1][-1] == 800, "it does not grow while nothing is heard"
    held.end(0.12)
    line.passes(1)
    assert line.read() == [("7", 120)]


def test_a_key_whose_beginning_was_lost_is_as_long() -> None:
    line = Line()
    held = Held("7", 0.08)
    line.sender.send(held, line.now)
    line.passes(0.02)
    held.end(0.1)
    line.passes(1)
    assert [event[-1] for event in line.events] == [160, 320, 480, 640, 800, 800, 800]


def test_what_is_pressed_while_another_is_sent_waits() -> None:
    line = Line()
    first, second = Held("1", 0.02), Held("2", 0.02)
    line.sender.send(first, line.now)
    line.passes(0.05)
    first.end(0.05)
    line.sender.send(second, line.now)
    line.passes(0.05)
    second.end(0.05)
    line.passes(1)
    assert line.read() == [("1", 50), ("2", 50)]
    ended = next(at for at, _, number, end, *_ in line.events if number == 1 and end)
    begun = next(at for at, step, number, *_ in line.events if number == 2 and step == 0)
    assert begun - ended >= LEAST_S


def test_a_key_held_for_long_goes_on_in_segments() -> None:
    """RFC 4733 2.5.1.3."""
    line = Line()
    line.sender.press(Keystroke("3", duration_s=20.0), line.now)
    line.passes(25)
    assert [step for _, step, *_ in line.events if step is not None] == [0, 0xFFFF, 0xFFFF]
    assert line.read() == [("3", 20000)]
    durations = [event[-1] for event in line.events]
    assert durations.count(0xFFFF) == 2
    assert max(durations) == 0xFFFF


def test_another_clock_rate() -> None:
    line = Line(KeyVoice(101, 48000))
    line.sender.press(Keystroke("3", duration_s=0.1), line.now)
    line.passes(1)
    assert [event[-1] for event in line.events] == [960, 1920, 2880, 3840, 4800, 4800, 4800]


def test_too_many_are_refused() -> None:
    line = Line()
    taken = [line.sender.press(Keystroke("1"), line.now) for _ in range(MAX_WAITING + 5)]
    assert taken == [True] * (MAX_WAITING + 1) + [False] * 4
    line.passes(60)
    assert len(line.read()) == line.sender.sent == MAX_WAITING + 1


def test_a_party_that_takes_no_keys_any_more_is_sent_none() -> None:
    line = Line()
    line.sender.press(Keystroke("1"), line.now)
    line.sender.press(Keystroke("2"), line.now)
    line.passes(0.1)
    line.voice = None
    line.passes(5)
    assert line.read() == [("1", 250)]
    assert line.sender.idle
    assert line.busy[-1][1] is False


def test_closed_it_sends_nothing_more() -> None:
    line = Line()
    line.sender.press(Keystroke("1"), line.now)
    line.passes(0.1)
    line.sender.close()
    count = len(line.events)
    line.passes(5)
    assert len(line.events) == count


def test_a_loop_that_was_held_up_sends_all_that_is_left() -> None:
    line = Line()
    line.sender.press(Keystroke("1", duration_s=0.1), line.now)
    line.now += 3
    line.timers.run(line.now)
    line.passes(1)
    assert line.read() == [("1", 100)]


def test_as_tones() -> None:
    line = Line(Voice(8, Codec("PCMA", 8000), ""))
    for key in KEYS:
        line.sender.press(Keystroke(key, duration_s=0.1, pause_s=0.1), line.now)
    line.passes(5)
    assert line.events == []
    assert len(line.tones) == 16 * 5 * 320
    reader = KeyToneReader()
    for at in range(0, len(line.tones), 1600):
        key = KEYS[at // 1600]
        assert reader.take(line.tones[at : at + 1600] + bytes(800))[0] == Change(key)


def test_a_tone_lasts_as_long_as_its_key() -> None:
    line = Line(Voice(8, Codec("PCMA", 8000), ""))
    held = Held("5", 0.04)
    line.sender.send(held, line.now)
    line.passes(0.51)
    assert len(line.tones) == 26 * 320
    held.end(0.53)
    line.passes(1)
    assert len(line.tones) == 27 * 320
