"""The relay plays, reads keys and tells of both, on virtual time and with real ports."""

import audioop
import socket
import struct
from collections.abc import Iterator

import pytest

from sip.media.ng.bencode import Decoded
from sip.media.ng.form import Form, decode
from sip.media.relay.dtmf import RELEASE_S
from sip.media.relay.timers import Timers
from tests.media.desk import HOST, SAMPLES, Desk, clip, port, reason
from tests.media.talk import key_packets, rtp


class Caller:
    """A party's socket, and what it receives."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((HOST, 0))

    def sdp(self, formats: str = "8 0 101", direction: str = "sendrecv") -> str:
        return (
            f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
            f"m=audio {self.socket.getsockname()[1]} RTP/AVP {formats}\r\n"
            f"a=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )

    def heard(self) -> list[bytes]:
        packets: list[bytes] = []
        while True:
            try:
                packets.append(self.socket.recv(2000))
            except BlockingIOError:
                return packets


class Call:
    """A call of two parties that a client listens to."""

    def __init__(self) -> None:
        self.desk = Desk(Form.BENCODE)
        self.a, self.b = Caller(), Caller()
        self.desk.offer(sdp=self.a.sdp(), notify=1)
        self.a_port = port(self.desk.answer(sdp=self.b.sdp()))

    def play(self, tag: str = "A", blob: str | None = None, play_id: int = 1) -> dict[str, Decoded]:
        return self.desk.ask(
            "play media",
            call_id="call",
            from_tag=tag,
            play_id=play_id,
            blob=clip() if blob is None else blob,
        )

    def send(self, packet: bytes) -> None:
        """A packet of A's, read by the relay."""
        self.a.socket.sendto(packet, (HOST, self.a_port))
        party = self.desk.sessions.find("call").parties["A"]
        party.rtp.on_readable(self.desk.now)

    def told(self) -> list[tuple[Decoded, ...]]:
        """What is waiting for the client, which then has it."""
        if not self.desk.sent:
            return []
        datagram, to = self.desk.sent[-1]
        self.desk.sent.clear()
        events = decode(datagram.partition(b" ")[2])[0]["events"]
        assert isinstance(events, list)
        fields: list[tuple[Decoded, ...]] = []
        for event in events:
            assert isinstance(event, dict)
            number = event.pop("number")
            assert isinstance(number, int)
            assert event.pop("call-id") == "call"
            fields.append(tuple(event.values()))
            ack = b"d6:numberi%de6:result2:oke" % number
            assert self.desk.control.handle(b"notice-1 " + ack, to, self.desk.now) is None
        return fields


@pytest.fixture
def call() -> Iterator[Call]:
    call = Call()
    yield call
    call.desk.sessions.close(call.desk.now)
    call.told()
    call.desk.passes(60)  # what was cancelled is let go when it would have been due
    assert call.desk.at_rest
    assert call.desk.sent == []
    call.a.socket.close()
    call.b.socket.close()


def test_a_frame_each_20_ms_in_the_partys_own_codec(call: Call) -> None:
    reply = call.play()
    assert (reply["result"], reply["duration"]) == ("ok", 100)
    packets = call.a.heard()
    assert len(packets) == 1, "the first at once"
    for _ in range(4):
        call.desk.passes(0.019)
        assert call.a.heard() == []
        call.desk.passes(0.001)
        packets += call.a.heard()
    assert [packet[1] for packet in packets] == [0x88, 8, 8, 8, 8], "A-law is its first"
    assert b"".join(packet[12:] for packet in packets) == audioop.lin2alaw(SAMPLES, 2)
    assert call.told() == []
    call.desk.passes(0.02)
    assert call.told() == [("played", "A", 1, 1)]
    call.desk.passes(1)
    assert {packet[12:] for packet in call.a.heard()} == {b"\xd5" * 160}, "nothing but silence"


def test_the_next_play_goes_on_with_the_stream_of_the_last(call: Call) -> None:
    """RFC 3550 5.1: one SSRC, sequence without a gap, timestamps with the pause."""
    call.play()
    call.desk.passes(0.1)
    call.desk.passes(0.15)
    call.play(play_id=2)
    call.desk.passes(0.1)
    heads = [struct.unpack("!BBHII", packet[:12]) for packet in call.a.heard()]
    assert len(heads) == 10
    assert [head[1] >> 7 for head in heads] == [1, 0, 0, 0, 0] * 2
    assert len({head[4] for head in heads}) == 1
    assert [(head[2] - heads[0][2]) & 0xFFFF for head in heads] == list(range(10))
    assert (heads[5][3] - heads[0][3]) & 0xFFFFFFFF == 0.25 * 8000


def test_a_loop_that_was_held_up_catches_up_a_little(call: Call) -> None:
    call.play(blob=clip(SAMPLES * 20))
    assert len(call.a.heard()) == 1
    call.desk.now += 10.0
    call.desk.timers.run(call.desk.now)
    assert 1 < len(call.a.heard()) <= 7
    call.desk.ask("stop media", call_id="call", from_tag="A")
    assert call.told() == [("played", "A", 1, 0)]


def test_a_party_without_g711_is_told_to_have_none(call: Call) -> None:
    desk = call.desk
    desk.offer(call_id="other", sdp=call.a.sdp("18"))
    desk.answer(call_id="other", sdp=call.b.sdp("18"))
    refused = desk.ask("play media", call_id="other", from_tag="A", blob=clip())
    assert reason(refused).startswith("unsupported: ")


def test_strange_requests_are_refused_by_name(call: Call) -> None:
    desk = call.desk
    assert reason(call.play(tag="Z")).startswith("unknown-call: ")
    assert reason(call.play(blob="x")).startswith("bad-audio: ")
    assert "'file'" in reason(desk.ask("play media", call_id="call", from_tag="A"))
    for path in ("/", "/nonexistent", "/dev/zero", "a\0b"):
        missing = desk.ask("play media", call_id="call", from_tag="A", file=path)
        assert reason(missing).startswith("bad-audio: ")
    odd = desk.ask("play media", call_id="call", from_tag="A", blob=clip(), play_id="x")
    assert "'play-id'" in reason(odd)
    assert "'silence'" in reason(desk.offer(notify=1, silence="long"))


def test_a_reinvite_changes_the_codec_of_what_is_played(call: Call) -> None:
    call.play()
    call.desk.offer(to_tag="B", sdp=call.a.sdp("0 101"))
    call.desk.answer(sdp=call.b.sdp("0 101"))
    call.desk.passes(0.1)
    assert [packet[1] for packet in call.a.heard()] == [0x88, 0, 0, 0, 0]


def test_a_callee_who_is_given_up_hears_no_more(call: Call) -> None:
    """Hunting: the first callee heard something when the next one was tried."""
    call.play("B")
    call.desk.offer(sdp=call.a.sdp())
    call.desk.answer(to_tag="C", sdp=call.a.sdp())
    assert call.told() == [("played", "B", 1, 0)]
    call.b.heard()
    call.desk.passes(1)
    assert call.b.heard() == []


def test_a_key_is_told_and_one_whose_ends_are_lost_is_let_go_by_time(call: Call) -> None:
    call.send(rtp(0, 1, 160, 7))
    packets = key_packets(101, 4, seq=2, timestamp=320, ssrc=7)
    for packet in packets:
        call.send(packet)
    assert call.told() == [("digit", "A", "4", 120)]
    for packet in key_packets(101, 6, seq=20, timestamp=4000, ssrc=7)[:3]:
        call.send(packet)
        call.desk.passes(RELEASE_S * 0.9)
    assert call.told() == []
    call.desk.passes(RELEASE_S)
    assert call.told() == [("digit", "A", "6", 60)]


def test_nothing_is_told_of_a_call_that_nobody_listens_to() -> None:
    desk = Desk(Form.JSON)
    a = Caller()
    desk.offer(sdp=a.sdp())
    desk.answer()
    desk.ask("play media", call_id="call", from_tag="A", blob=clip())
    desk.passes(1)
    assert desk.sent == []
    desk.sessions.close(desk.now)
    desk.passes(1)
    assert desk.at_rest
    a.socket.close()


def test_silence_is_looked_for_only_where_it_is_wanted(call: Call) -> None:
    call.desk.passes(5.0)
    assert call.told() == []
    call.desk.offer(to_tag="B", sdp=call.a.sdp(), notify=1, silence=2000)
    call.desk.answer(sdp=call.b.sdp())
    call.desk.passes(1.9)
    assert call.told() == []
    call.desk.passes(1.0)
    assert {event[:2] for event in call.told()} == {("silent", "A"), ("silent", "B")}
    call.send(rtp(0, 1, 160, 7))
    call.desk.passes(0.5)
    assert [event[:2] for event in call.told()] == [("heard", "A"), ("one-way", "B")]


def test_timers_fire_in_order_and_a_fault_of_one_stops_no_other() -> None:
    timers = Timers()
    fired: list[str] = []

    def fault(now: float) -> None:
        raise ValueError

    timers.at(2.0, lambda now: fired.append("second"))
    timers.at(1.0, lambda now: fired.append("first"))
    timers.at(3.0, fault)
    timers.at(4.0, lambda now: fired.append("last"))
    timers.at(1.5, lambda now: fired.append("never")).cancel()
    timers.run(0.5)
    assert fired == []
    with pytest.raises(ValueError, match=r"^$"):
        timers.run(5.0)
    assert timers.next_due == 4.0
    timers.run(5.0)
    assert fired == ["first", "second", "last"]
