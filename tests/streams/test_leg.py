"""The leg of a stream between a line that says what it was sent, and an engine's port."""

import asyncio
import audioop
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from sip.b2bua.call_events import Cause, Disconnect, Event, OfferEnded, Pressed, Side
from sip.b2bua.legs.leg import Leg
from sip.clock import LoopClock
from sip.media.tones import tone
from sip.streams.face import Frame, Key, Marked
from sip.streams.leg import StreamLeg
from sip.streams.loudness import BargeIn
from sip.streams.rtp_port import RtpPort
from tests.virtual import virtual_time

QUIET = b"\xff" * 160
LOUD = audioop.lin2ulaw(tone((500,), 20, level_dbm0=-15.0), 2)


class Wire:
    """The socket's side: everything in order. It may be one that takes no audio."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.stuck = False

    def audio(self, audio: bytes) -> bool:
        if not self.stuck:
            self.sent.append("loud" if audio[40:60] != QUIET[40:60] else "quiet")
        return not self.stuck

    def mark(self, name: str) -> None:
        self.sent.append(name)

    def clear(self) -> None:
        self.sent.append("clear")

    def close(self) -> None:
        self.sent.append("close")


class Engine:
    """The engine's port for this party."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self._sequence = 65_530
        self.sdp = (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.socket.getsockname()[1]} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )

    async def says(self, leg: StreamLeg, *pieces: bytes) -> None:
        for piece in pieces:
            self._sequence = (self._sequence + 1) & 0xFFFF
            packet = struct.pack("!BBHII", 0x80, 0, self._sequence, 0, 9) + piece
            self.socket.sendto(packet, leg._port.local)
        await asyncio.sleep(0.001)

    def heard(self) -> list[tuple[int, int, bytes]]:
        """Sequence number, timestamp and audio of each packet that came."""
        packets: list[tuple[int, int, bytes]] = []
        while True:
            try:
                data = self.socket.recv(2048)
            except BlockingIOError:
                return packets
            _, _, sequence, timestamp, _ = struct.unpack_from("!BBHII", data)
            packets.append((sequence, timestamp, data[12:]))


class Stage:
    def __init__(self, leg: StreamLeg, wire: Wire, engine: Engine, events: list[Event]) -> None:
        self.leg, self.wire, self.engine, self.events = leg, wire, engine, events
        self.counts: Counter[str] = leg._counts

    def caller_says(self, first: int, *pieces: bytes) -> None:
        for at, piece in enumerate(pieces, first):
            self.leg.heard(Frame(at, 20 * at, piece))


@asynccontextmanager
async def staged(barge_in: BargeIn | None = None) -> AsyncIterator[Stage]:
    wire, engine, events = Wire(), Engine(), []

    def on_event(_: Leg, event: Event) -> None:
        events.append(event)

    leg = StreamLeg(
        LoopClock(),
        await RtpPort.open("127.0.0.1"),
        wire,
        on_event,
        stream_id="MZ1",
        barge_in=barge_in or BargeIn(),
        counts=Counter(),
    )
    leg.start()
    try:
        yield Stage(leg, wire, engine, events)
    finally:
        leg.hangup()
        engine.socket.close()


@virtual_time
async def test_what_was_said_before_the_answer_is_caught_up_with() -> None:
    async with staged() as stage:
        stage.caller_says(1, *(bytes([0x80 + at]) * 160 for at in range(50)))
        await asyncio.sleep(1)
        assert stage.engine.heard() == []
        assert stage.leg.answer(stage.engine.sdp)
        await asyncio.sleep(0.255)
        assert 20 <= len(stage.engine.heard()) <= 26, "twice as fast as it was said"
        stage.caller_says(51, LOUD)
        await asyncio.sleep(1)
        packets = stage.engine.heard()
        assert packets[-1][2] == LOUD, "what is said meanwhile comes behind"
        steps = {(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(packets)}
        assert steps == {(1, 160)}
        stage.caller_says(52, QUIET)
        await asyncio.sleep(0.001)
        assert len(stage.engine.heard()) == 1, "and then nothing waits"


@virtual_time
@pytest.mark.parametrize("octets", [40, 80, 160, 320, 1000])
async def test_pieces_of_any_length_are_caught_up_with(octets: int) -> None:
    """By their length: short ones would never be, if each took as long as one of 20 ms."""
    async with staged() as stage:
        said = bytes(at % 256 for at in range(8000))
        pieces = [said[at : at + octets] for at in range(0, len(said), octets)]
        at_ms = 0
        for number, piece in enumerate(pieces, 1):
            stage.leg.heard(Frame(number, at_ms, piece))
            at_ms += len(piece) // 8
        stage.leg.answer(stage.engine.sdp)
        await asyncio.sleep(0.6)
        heard = stage.engine.heard()
        assert b"".join(audio for _, _, audio in heard) == said
        assert heard[-1][1] - heard[0][1] == len(said) - len(heard[-1][2]), "no gap in time"


@virtual_time
async def test_disorder_at_the_very_beginning_is_mended() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        for number in (2, 1, 3):
            stage.caller_says(number, bytes([number]) * 160)
        await asyncio.sleep(0.1)
        assert [audio[0] for _, _, audio in stage.engine.heard()] == [1, 2, 3]


@virtual_time
async def test_marks_that_never_come_back_are_no_harm() -> None:
    """The agent is silent for long: nothing of what it begins to say is taken back for them."""
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        await stage.engine.says(stage.leg, *[LOUD] * 60)
        await asyncio.sleep(20)
        assert stage.wire.sent.count("played-1") == 1
        stage.caller_says(1, *[LOUD] * 20)
        assert "clear" not in stage.wire.sent
        assert stage.counts["interruptions"] == 0


@virtual_time
async def test_disorder_is_mended_on_the_way_to_the_agent() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        for number in (1, 3, 2, 2, 5):
            stage.caller_says(number, bytes([number]) * 160)
        await asyncio.sleep(0.2)
        heard = stage.engine.heard()
        assert [audio[0] for _, _, audio in heard] == [1, 2, 3, 5]
        assert heard[3][1] - heard[2][1] == 320, "what never came is a gap in time"
        stage.leg.hangup()
        assert (stage.counts["mended"], stage.counts["missing"]) == (1, 1)


@virtual_time
async def test_the_agent_is_heard_little_ahead_and_marked() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        await stage.engine.says(stage.leg, *[LOUD] * 12)
        assert stage.wire.sent == ["loud"] * 8
        await asyncio.sleep(0.1)
        assert stage.wire.sent == ["loud"] * 12
        for _ in range(8):
            await stage.engine.says(stage.leg, QUIET)
            await asyncio.sleep(0.02)
        assert stage.wire.sent.count("played-1") == 1


@virtual_time
async def test_an_interruption_takes_back_what_was_not_heard() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        await stage.engine.says(stage.leg, *[LOUD] * 30)
        stage.caller_says(1, *[LOUD] * 9)
        assert "clear" not in stage.wire.sent
        stage.caller_says(10, LOUD)
        assert stage.wire.sent == [*["loud"] * 8, "clear"]
        await asyncio.sleep(0.5)
        assert stage.wire.sent[-1] == "clear", "what waited here is gone too"
        await stage.engine.says(stage.leg, LOUD)
        assert stage.wire.sent[-1] == "loud", "the agent is heard again, if it goes on"
        assert stage.counts["interruptions"] == 1


@virtual_time
async def test_nothing_is_taken_back_while_the_agent_is_silent_or_it_is_switched_off() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        await stage.engine.says(stage.leg, *[QUIET] * 5)
        stage.caller_says(1, *[LOUD] * 20)
        assert "clear" not in stage.wire.sent
    async with staged(BargeIn(wanted=False)) as stage:
        stage.leg.answer(stage.engine.sdp)
        await stage.engine.says(stage.leg, *[LOUD] * 30)
        stage.caller_says(1, *[LOUD] * 20)
        assert "clear" not in stage.wire.sent


@virtual_time
async def test_a_mark_that_is_still_awaited_means_that_the_agent_is_heard() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        for _ in range(5):
            await stage.engine.says(stage.leg, LOUD)
            await asyncio.sleep(0.02)
        for _ in range(30):
            await stage.engine.says(stage.leg, QUIET)
            await asyncio.sleep(0.02)
        assert "played-1" in stage.wire.sent
        stage.caller_says(1, *[LOUD] * 10)
        assert stage.wire.sent[-1] == "clear", "the peer has not said that it was played"


@virtual_time
async def test_a_peer_that_plays_too_late_is_told_to_forget() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        for _ in range(51):
            await stage.engine.says(stage.leg, LOUD)
            await asyncio.sleep(0.02)
        assert "played-1" in stage.wire.sent
        await asyncio.sleep(1.5)
        stage.leg.heard(Marked("played-1"))
        assert stage.wire.sent[-1] == "clear"
        assert stage.counts["behind"] == 1
        stage.leg.heard(Marked("played-1"))
        assert stage.counts["behind"] == 1


@virtual_time
async def test_a_peer_that_does_not_read_loses_audio_and_then_the_call() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        stage.wire.stuck = True
        for _ in range(100):
            await stage.engine.says(stage.leg, LOUD)
            await asyncio.sleep(0.02)
        assert "close" not in stage.wire.sent
        stage.wire.stuck = False
        await stage.engine.says(stage.leg, LOUD)
        await asyncio.sleep(0.2)
        assert "loud" in stage.wire.sent, "it is mended when it reads again"
        stage.wire.stuck = True
        for _ in range(300):
            await stage.engine.says(stage.leg, LOUD)
            await asyncio.sleep(0.02)
        assert stage.leg.gone
        [event] = stage.events
        assert isinstance(event, Disconnect)
        assert (event.by, event.cause) == (Side.PEER, Cause.DIALOG_LOST)


@virtual_time
async def test_keys_come_by_the_stream_and_go_as_tones() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        stage.leg.heard(Key(7, "5"))
        stage.leg.heard(Key(7, "5"))
        assert [event.key for event in stage.events if isinstance(event, Pressed)] == ["5"]
        assert stage.leg.keys.press("1", 160)
        await asyncio.sleep(0.1)
        assert stage.wire.sent == ["loud"] * 8
        assert not stage.leg.keys.press("F", 160)


@virtual_time
async def test_who_ends_it() -> None:
    async with staged() as stage:
        stage.leg.answer(stage.engine.sdp)
        stage.leg.ended(lost=False)
        stage.leg.ended(lost=True)
        [event] = stage.events
        assert isinstance(event, Disconnect)
        assert (event.by, event.cause, stage.leg.answered) == (Side.PEER, Cause.BYE, True)
        assert stage.wire.sent == ["close"]
    async with staged() as stage:
        stage.leg.reject(480)
        stage.leg.ended(lost=False)
        assert (stage.events, stage.wire.sent, stage.leg.answered) == ([], ["close"], False)
        assert not stage.leg.answer(stage.engine.sdp)


@virtual_time
async def test_it_moves_to_another_port_of_the_engine_without_a_word() -> None:
    async with staged() as stage:
        stage.leg.ring(183, sdp=stage.engine.sdp)
        await stage.engine.says(stage.leg, LOUD)
        assert stage.wire.sent == ["loud"], "early media is heard"
        stage.leg.answer(stage.engine.sdp)
        other = Engine()
        assert stage.leg.reoffer(other.sdp)
        [event] = stage.events
        assert isinstance(event, OfferEnded)
        assert event.status == 200
        await stage.engine.says(stage.leg, LOUD)
        assert stage.wire.sent == ["loud"], "nobody else is heard"
        stage.caller_says(1, LOUD)
        await asyncio.sleep(0.001)
        assert len(other.heard()) == 1
        other.socket.close()
