"""RTP never stops towards a party that may receive it: on virtual time, with real ports."""

import audioop
import math
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from sip.core.sdp_edits import silent_answer
from sip.media.relay.codecs import CODERS
from sip.media.relay.gaps import GAP_S
from sip.media.tones import Bank
from tests.media.desk import HOST, clip, port
from tests.media.talk import rtp
from tests.media.test_player import Call, Caller

PCMU_SILENCE, PCMA_SILENCE = b"\xff" * 160, b"\xd5" * 160
FRAME_S = 0.02


class Packet(NamedTuple):
    marked: bool
    payload_type: int
    seq: int
    timestamp: int
    ssrc: int
    payload: bytes


def read(data: bytes) -> Packet:
    _, kind, seq, timestamp, ssrc = struct.unpack("!BBHII", data[:12])
    return Packet(bool(kind & 0x80), kind & 0x7F, seq, timestamp, ssrc, data[12:])


def heard(caller: Caller) -> list[Packet]:
    return [read(data) for data in caller.heard()]


class Talker:
    """What a party says, packet by packet."""

    def __init__(self, call: "Line", ssrc: int = 0xB0B, tag: str = "B") -> None:
        self.call, self.ssrc = call, ssrc
        self.caller = call.b if tag == "B" else call.a
        self.port = call.b_port if tag == "B" else call.a_port
        self.seq, self.timestamp = 500, 90_000

    def says(self, packets: int, payload: bytes = b"\x11" * 160) -> None:
        for _ in range(packets):
            packet = rtp(8, self.seq, self.timestamp, self.ssrc, payload)
            self.caller.socket.sendto(packet, (HOST, self.port))
            self.call.desk.deliver()
            self.seq += 1
            self.timestamp += 160
            self.call.desk.passes(FRAME_S)

    def pauses(self, seconds: float) -> None:
        """Its clock goes on (RFC 3550 5.1)."""
        self.timestamp += round(8000 * seconds)
        self.call.desk.passes(seconds)


class Line(Call):
    """A call whose ports for both parties are known."""

    def __init__(self, a: str = "8 0 101", b: str = "8 0 101") -> None:
        super().__init__()
        self.b_port = 0
        self.reoffered(a, b)

    def reoffered(
        self,
        a: str = "8 0 101",
        b: str = "8 0 101",
        *,
        direction: str = "sendrecv",
        answered: str = "sendrecv",
        rtpmap: str = "101 telephone-event/8000",
        **keys: str,
    ) -> None:
        """A's re-INVITE, answered by B."""
        more = f"a=rtpmap:{rtpmap}\r\n"
        sdp = self.a.sdp(a, direction) + more
        self.b_port = port(self.desk.offer(to_tag="B", sdp=sdp, **keys))
        self.desk.answer(sdp=self.b.sdp(b, answered) + more, **keys)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.desk.sessions.close(line.desk.now)
    line.told()
    line.desk.passes(60)
    assert line.desk.at_rest, "no timer is left of a call that is over"
    line.a.socket.close()
    line.b.socket.close()


def goes_on(packets: list[Packet]) -> None:
    """One stream: an SSRC, numbers without a gap, and timestamps that never go back."""
    assert len({packet.ssrc for packet in packets}) == 1
    for one, other in pairwise(packets):
        assert (other.seq - one.seq) & 0xFFFF == 1
        step = (other.timestamp - one.timestamp) & 0xFFFFFFFF
        assert step == 160 or (other.marked and 160 <= step <= 8000), (one, other)


def test_a_silence_of_ten_minutes_on_both_sides_is_filled_on_both(line: Line) -> None:
    line.desk.passes(1.0)
    a, b = heard(line.a), heard(line.b)
    for _ in range(6000):
        line.desk.passes(0.1)
        for party, packets in ((line.a, a), (line.b, b)):
            now = heard(party)
            assert len(now) == 5, "no gap, no burst"
            packets += now
    goes_on(a)
    goes_on(b)
    assert len(a) > 29_990
    assert {packet.payload for packet in (*a, *b)} == {PCMA_SILENCE}


def test_what_is_filled_goes_on_from_what_was_said_and_back(line: Line) -> None:
    """A forwarded stream is taken over at its first gap, and given back at the next packet."""
    talker = Talker(line)
    talker.says(50)
    said = heard(line.a)
    assert [packet.seq for packet in said] == list(range(500, 550)), "untouched until then"
    talker.pauses(4.0)
    talker.says(50, b"\x22" * 160)
    rest = heard(line.a)
    goes_on(said + rest)
    filled = [packet for packet in rest if packet.payload == PCMA_SILENCE]
    assert 185 <= len(filled) <= 191
    assert filled[0].marked
    first = next(packet for packet in rest if packet.payload == b"\x22" * 160)
    assert first.marked, "RFC 3551 4.1: speech begins"
    assert [packet.payload for packet in rest[-50:]] == [b"\x22" * 160] * 50
    total = (rest[-1].timestamp - said[0].timestamp) & 0xFFFFFFFF
    assert total == pytest.approx(8000 * (0.98 + 0.02 + 4.0 + 0.98), abs=160)
    line.desk.passes(GAP_S - 0.03)
    assert heard(line.a) == [], "a gap of less is none"


def test_a_pause_that_is_shorter_leaves_the_stream_untouched(line: Line) -> None:
    talker = Talker(line)
    for _ in range(20):
        talker.says(10)
        talker.pauses(GAP_S - 0.05)
    assert [packet.seq for packet in heard(line.a)] == list(range(500, 700))


def test_nothing_is_said_to_a_caller_who_was_told_nothing(line: Line) -> None:
    desk = line.desk
    other = Caller()
    desk.offer(call_id="ringing", sdp=other.sdp())
    desk.passes(60)
    assert other.heard() == []
    desk.answer(call_id="ringing", sdp=line.b.sdp())  # early media, of which nothing comes
    desk.passes(1.0)
    assert {packet.payload for packet in heard(other)} == {PCMA_SILENCE}
    # hunting: the next callee rings, and the caller waits on
    desk.offer(call_id="ringing", sdp=other.sdp())
    desk.passes(4.0)
    assert len(heard(other)) >= 199
    other.socket.close()


def test_a_caller_who_is_answered_alone_hears_silence(line: Line) -> None:
    desk, other = line.desk, Caller()
    offered = desk.offer(call_id="alone", sdp=other.sdp())["sdp"]
    assert isinstance(offered, str)
    desk.answer(call_id="alone", sdp=silent_answer(offered), hold="music")
    desk.passes(4.0)
    packets = heard(other)
    goes_on(packets)
    assert len(packets) >= 185
    assert {packet.payload for packet in packets} == {PCMA_SILENCE}
    other.socket.close()


def test_a_hold_of_ten_minutes_says_nothing_to_who_holds_and_silence_to_who_is_held(
    line: Line,
) -> None:
    line.reoffered(direction="sendonly", answered="recvonly")
    line.desk.passes(600.0)
    assert heard(line.a) == []
    held = heard(line.b)
    goes_on(held)  # what the socket's buffer holds
    line.reoffered()
    line.desk.passes(1.0)
    assert heard(line.a)


@pytest.mark.parametrize("direction", ["inactive", "sendonly"])
def test_a_party_that_asked_for_nothing_gets_nothing(line: Line, direction: str) -> None:
    line.reoffered(direction=direction, answered="inactive")
    line.a.heard(), line.b.heard()
    line.desk.passes(600.0)
    assert (line.a.heard(), line.b.heard()) == ([], [])


def test_who_was_told_that_nothing_comes_gets_nothing(line: Line) -> None:
    """A phone that answers recvonly to a hold that sends nothing: as it was passed on."""
    line.reoffered(direction="inactive", answered="recvonly")
    line.desk.passes(10.0)
    assert heard(line.b) == []


def music(tmp_path: Path) -> str:
    """A file of 0.2 s, whose frames differ from each other and from silence."""
    path = tmp_path / "music.wav"
    path.write_bytes(clip(SOUND).encode("utf-8", "surrogateescape"))
    return str(path)


SOUND = b"".join(struct.pack("<h", 20 * n) for n in range(1600))
FRAMES = [audioop.lin2alaw(SOUND[at : at + 320], 2) for at in range(0, 3200, 320)]


def test_who_is_held_hears_music_again_and_again_until_the_other_is_back(
    line: Line, tmp_path: Path
) -> None:
    keys = {"hold": "music", "hold_music": music(tmp_path)}
    talker = Talker(line, tag="A")
    talker.says(10)
    line.reoffered(direction="inactive", answered="recvonly", **keys)
    said = heard(line.b)
    talker.pauses(3.0)
    held = heard(line.b)
    assert [packet.payload for packet in held] == (FRAMES * 20)[: len(held)]
    assert len(held) >= 135
    line.reoffered(**keys)
    talker.says(10)
    back = heard(line.b)
    assert [packet.payload for packet in back] == [b"\x11" * 160] * 10
    goes_on([*said, *held, *back])
    line.desk.passes(1.0)
    assert {packet.payload for packet in heard(line.b)} == {PCMA_SILENCE}, "nobody is held"


def test_music_of_the_holders_own_is_what_is_heard(line: Line, tmp_path: Path) -> None:
    line.reoffered(
        direction="sendonly", answered="recvonly", hold="music", hold_music=music(tmp_path)
    )
    talker = Talker(line, tag="A")
    talker.says(50)
    assert [packet.payload for packet in heard(line.b)] == [b"\x11" * 160] * 50


def test_a_bad_file_is_told_and_silence_is_heard(line: Line) -> None:
    keys = {"hold": "music", "hold_music": "/nonexistent.wav"}
    line.reoffered(direction="inactive", answered="recvonly", **keys)
    line.b.heard()
    line.desk.passes(1.0)
    assert {packet.payload for packet in heard(line.b)} == {PCMA_SILENCE}
    assert "relay.hold-music" in line.desk.logged
    line.desk.logged.clear()


def test_a_key_or_another_codec_does_not_open_a_gap(line: Line) -> None:
    talker = Talker(line)
    talker.says(5)
    line.reoffered("0 101", "0 101")
    line.desk.passes(1.0)
    packets = heard(line.a)
    goes_on(packets)
    assert packets[-1].payload == PCMU_SILENCE, "in the codec that holds now"
    assert packets[-1].payload_type == 0


def test_a_play_is_no_gap_and_a_gap_follows_it(line: Line) -> None:
    line.desk.passes(1.0)
    before = heard(line.a)
    line.play(blob=clip(b"\x10\x20" * 8000))
    line.desk.passes(1.0)
    played = heard(line.a)
    assert len(played) == 50 + 1 - 1
    assert PCMA_SILENCE not in {packet.payload for packet in played}
    line.desk.passes(1.0)
    goes_on([*before, *played, *heard(line.a)])


def test_a_codec_without_a_known_silence_has_comfort_noise_or_nothing(line: Line) -> None:
    line.reoffered("18 13 101", "18 13 101")
    line.desk.passes(1.0)
    packets = heard(line.a)
    assert {(packet.payload_type, packet.payload) for packet in packets[11:]} == {(13, b"\x7f")}
    line.reoffered("18 101", "18 101")
    line.desk.passes(1.0)
    line.a.heard()
    line.desk.passes(10.0)
    assert heard(line.a) == []


def decoded(packets: list[Packet], name: str) -> bytes:
    decoder = CODERS[name].decoder(16000)
    return b"".join(decoder.decode(packet.payload) for packet in packets)


@pytest.mark.parametrize(
    ("name", "number", "ticks"), [("G722", 9, 160), ("opus", 96, 960)], ids=["G722", "Opus"]
)
def test_a_wideband_party_hears_silence_and_music_in_its_codec(
    line: Line, tmp_path: Path, name: str, number: int, ticks: int
) -> None:
    rate = "48000/2" if name == "opus" else "8000"
    keys = {"hold": "music", "hold_music": song(tmp_path)}
    line.reoffered(f"{number} 101", f"{number} 101", rtpmap=f"{number} {name}/{rate}", **keys)
    line.b.heard()
    line.desk.passes(1.0)
    quiet = heard(line.b)
    assert {packet.payload_type for packet in quiet} == {number}
    assert audioop.rms(decoded(quiet, name.upper()), 2) < 20
    line.reoffered(
        f"{number} 101",
        f"{number} 101",
        direction="inactive",
        answered="recvonly",
        rtpmap=f"{number} {name}/{rate}",
        **keys,
    )
    line.desk.passes(2.0)
    held = heard(line.b)
    steps = {
        (other.timestamp - one.timestamp) & 0xFFFFFFFF for one, other in pairwise(quiet + held)
    }
    assert steps == {ticks}
    sound = decoded(held, name.upper())[6400:32000]
    (tune,) = Bank([440 / 2], len(sound) // 2).powers(sound)  # at 16 kHz, which it takes for 8
    assert math.sqrt(tune) == pytest.approx(8000 / math.sqrt(2), rel=0.1)


def song(tmp_path: Path) -> str:
    """A second of 440 Hz."""
    samples = [round(8000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000)]
    path = tmp_path / "song.wav"
    path.write_bytes(clip(struct.pack("<8000h", *samples)).encode("utf-8", "surrogateescape"))
    return str(path)


def test_a_relay_that_was_held_up_does_not_burst(line: Line) -> None:
    line.desk.passes(1.0)
    heard(line.a)
    line.desk.now += 5.0
    line.desk.timers.run(line.desk.now)
    assert len(heard(line.a)) <= 4
    line.desk.passes(0.1)
    assert len(heard(line.a)) <= 6
