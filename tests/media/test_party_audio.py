"""A party's packets as one run of audio that lasts as long as time does."""

import audioop
import random
import struct

import pytest

from sip.core.sdp_lines import Codec
from sip.media.plane import MediaError
from sip.media.relay.party_audio import QUIET_S, PartyAudio, can_hear
from sip.media.tones import tone
from testkit.melody import CALLER, find, synthesise
from tests.media.test_convert import KEYS, NOISE, WRITTEN, spoken

CODECS = dict(WRITTEN.values()) | {101: KEYS, 13: NOISE, 18: Codec("G729", 8000)}
FRAME_S = 0.02
#: 20 ms that are no silence, and what they are once they went through G.711.
HUM = tone([400], 20, level_dbm0=-10)
PAYLOAD = audioop.lin2ulaw(HUM, 2)
HEARD = audioop.ulaw2lin(PAYLOAD, 2)
STILL = bytes(320)


def packet(
    seq: int, timestamp: int, *, kind: int = 0, ssrc: int = 7, payload: bytes = PAYLOAD
) -> bytes:
    head = struct.pack("!BBHII", 0x80, kind, seq & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
    return head + payload


class Listener:
    """What is read of packets that come 20 ms apart, unless said otherwise."""

    def __init__(self) -> None:
        self.now = 50.0
        self.audio = PartyAudio(CODECS.get, self.now)
        self.heard: list[bytes] = []

    def takes(self, *packets: bytes, wait_s: float = FRAME_S) -> None:
        for each in packets:
            self.now += wait_s
            self.heard.append(self.audio.read(each, self.now))

    def waits(self, seconds: float) -> None:
        """Time passes; it is looked at each 100 ms."""
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.heard.append(self.audio.quiet(self.now))

    @property
    def pcm(self) -> bytes:
        return b"".join(self.heard)

    @property
    def seconds(self) -> float:
        return len(self.pcm) / 16000


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("packet_ms", [10, 20, 60])
def test_every_codec_is_heard_at_8_khz(listener: Listener, name: str, packet_ms: int) -> None:
    said = synthesise(CALLER)
    listener.takes(*spoken(name, said, packet_ms), wait_s=packet_ms / 1000)
    assert find(CALLER, listener.pcm).score > 0.9
    assert abs(listener.seconds - len(said) / 16000) < 0.1


def test_what_is_lost_is_silence(listener: Listener) -> None:
    listener.takes(packet(1, 160), packet(2, 320))
    listener.takes(packet(5, 800), wait_s=3 * FRAME_S)
    assert listener.pcm == 2 * HEARD + 2 * STILL + HEARD


def test_one_that_comes_late_or_twice_is_left_out(listener: Listener) -> None:
    listener.takes(packet(1, 160), packet(3, 480), packet(2, 320), packet(3, 480), packet(4, 640))
    assert listener.pcm == HEARD + STILL + 2 * HEARD


def test_a_pause_by_timestamps_is_as_long_as_it_was(listener: Listener) -> None:
    listener.takes(packet(1, 160))
    listener.waits(3)
    listener.takes(packet(2, 160 + 160 + 24000))
    assert listener.seconds == pytest.approx(3.04, abs=0.03)
    assert listener.pcm.endswith(STILL + HEARD)


def test_where_nothing_comes_at_all_silence_is_made_by_the_clock(listener: Listener) -> None:
    listener.waits(QUIET_S - 0.1)
    assert listener.pcm == b"", "it may be only late"
    listener.waits(5)
    assert listener.seconds == pytest.approx(5.3, abs=0.01)
    assert not any(listener.pcm)
    listener.takes(packet(1, 160))
    assert listener.seconds == pytest.approx(5.32, abs=0.03)


def test_packets_that_were_held_up_are_heard_after_all(listener: Listener) -> None:
    """The network stalls for 0.6 s, and delivers everything at once."""
    listener.takes(packet(1, 160))
    listener.waits(0.6)
    listener.takes(*(packet(2 + n, 320 + 160 * n) for n in range(30)), wait_s=0.0)
    assert listener.pcm.endswith(30 * HEARD)
    assert listener.seconds == pytest.approx(1.2, abs=0.1)


@pytest.mark.parametrize("ssrc", [7, 8])
@pytest.mark.parametrize("timestamp", [3_000_000_000, 40, 400_000])
def test_a_stream_that_begins_anew_goes_on(listener: Listener, ssrc: int, timestamp: int) -> None:
    """A re-INVITE, a transfer at the far side: the time between is the clock's."""
    listener.takes(packet(1, 200_000), packet(2, 200_160))
    listener.takes(packet(3, timestamp, ssrc=ssrc), packet(4, timestamp + 160, ssrc=ssrc))
    assert listener.pcm.count(HEARD) == 4
    assert listener.seconds < 0.12


def test_a_clock_that_jumps_ahead_makes_no_silence_that_never_was(listener: Listener) -> None:
    listener.takes(packet(1, 160), packet(2, 320 + 8 * 8000))
    assert listener.seconds < 1.1


def test_keys_and_comfort_noise_are_silence(listener: Listener) -> None:
    listener.takes(packet(1, 160))
    listener.takes(packet(2, 320, kind=13, payload=b"\x40"))
    listener.takes(packet(3, 480, kind=101, payload=b"\5\0\0\xa0"))
    listener.takes(packet(4, 640))
    assert listener.pcm == HEARD + 2 * STILL + HEARD


def test_a_payload_that_is_none_of_its_codec_is_silence(listener: Listener) -> None:
    listener.takes(*spoken("OPUS", bytes(3200))[:1])
    bad = struct.pack("!BBHII", 0x80, 111, 65531, 4294967000 + 960 & 0xFFFFFFFF, 0x5EED)
    listener.takes(bad + b"\x08" + random.Random(1).randbytes(3), bad, b"\x90" + bad[1:])
    assert listener.seconds < 0.1


def test_a_codec_that_is_not_decoded_is_named(listener: Listener) -> None:
    with pytest.raises(MediaError, match="codec G729/8000"):
        listener.takes(packet(1, 160, kind=18))
    assert not can_hear(CODECS[18])
    assert not can_hear(KEYS)
    assert all(can_hear(codec) for _, codec in WRITTEN.values())
