"""What both engines do and tell beside relaying, through the same `MediaSession`."""

import asyncio
import json
import os
import random
import struct
from collections.abc import AsyncIterator
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from sip.media.events import Digit, Heard, Lost, MediaEvent, OneWay, Played, Silent
from sip.media.ng.client import NgClient
from sip.media.ng.key_log import KeyLog
from sip.media.ng.rtpengine import RtpengineClient, RtpengineOptions
from sip.media.plane import MAX_BLOB, Capability, MediaError
from sip.media.ringback import ringback
from sip.media.session import A_TAG, MediaSession
from sip.media.terms import MediaSide, Signalling
from sip.media.tones import Bank
from testkit import melody
from tests.media.conftest import SILENCE_S, Engine
from tests.media.talk import PATIENCE_S, PHONES, Phone, key_packets, rtp
from tests.media.voices import pcm_of, wav

OURS = MediaSide("127.0.0.1", Signalling(PHONES))
_random = random.Random(11)


GREETING = wav(melody.synthesise(melody.AGENT))


#: Where the signalling of both comes from.


class Line:
    """A call with a caller, and later an agent; what was told of it."""

    def __init__(self, plane: NgClient) -> None:
        self.events: asyncio.Queue[MediaEvent] = asyncio.Queue()
        self.call_id = f"events-{os.getpid()}-{_random.getrandbits(40):x}"
        self.session = MediaSession(plane, self.call_id, on_event=self.events.put_nowait)
        self.caller = Phone("caller")
        self.agent = Phone("agent")
        self.agent_tag = ""
        self._seq = 0

    async def answered(self) -> None:
        """The caller hears from us, and there is no agent yet."""
        told = await self.session.hold_a(self.caller.sdp(), side=OURS)
        self.caller.hear_of(told)

    async def joined(self) -> None:
        """The agent answers."""
        self.agent_tag, offered = await self.session.offer_to_b(
            self.caller.sdp(), sender=OURS, reader=OURS
        )
        self.agent.hear_of(offered)
        told = await self.session.answer_to_a(
            self.agent_tag, self.agent.sdp(), sender=OURS, reader=OURS
        )
        self.caller.hear_of(told)

    async def held(self, direction: str) -> None:
        """The agent puts the caller on hold, or takes it off."""
        answers = {"sendonly": "recvonly", "inactive": "inactive", "sendrecv": "sendrecv"}
        offer = self.agent.sdp().replace("sendrecv", direction)
        answer = self.caller.sdp().replace("sendrecv", answers[direction])
        tags = self.agent_tag, A_TAG
        await self.session.reoffer(*tags, offer, sender=OURS, reader=OURS)
        await self.session.reanswer(*tags, answer, sender=OURS, reader=OURS)

    async def next(self, patience_s: float = PATIENCE_S) -> MediaEvent:
        async with asyncio.timeout(patience_s):
            return await self.events.get()

    def presses(
        self,
        number: int,
        *,
        lost: frozenset[int] = frozenset(),
        marker: bool = True,
        ssrc: int | None = None,
    ) -> None:
        """The caller presses a key; the packets of these indices are lost."""
        self._seq += 100
        packets = key_packets(
            101,
            number,
            seq=1000 + self._seq,
            timestamp=160 * (1000 + self._seq),
            ssrc=ssrc or int.from_bytes(b"call"),
            marker=marker,
        )
        for index, packet in enumerate(packets):
            if index not in lost:
                self.caller.snd(packet)

    async def close(self) -> None:
        self.caller.close()
        self.agent.close()
        await self.session.close()


@pytest.fixture
async def line(plane: NgClient) -> AsyncIterator[Line]:
    line = Line(plane)
    yield line
    await line.close()


async def recorded(phone: Phone, seconds: float) -> list[bytes]:
    """The packets that come to a phone in that time."""
    packets: list[bytes] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                packets.append((await phone.rtp.receive())[0])
    except TimeoutError:
        return packets


async def played(line: Line, events: int = 1) -> tuple[list[bytes], list[Played]]:
    """What the caller hears until that many plays are over, and what was told of them."""
    packets: list[bytes] = []

    async def record() -> None:
        while True:
            packets.append((await line.caller.rtp.receive())[0])

    recording = asyncio.create_task(record())
    told = [await line.next() for _ in range(events)]
    await asyncio.sleep(0.1)
    recording.cancel()
    await asyncio.wait([recording])
    return packets, [event for event in told if isinstance(event, Played)]


async def talks(phone: Phone, until: asyncio.Event, payload: bytes = b"\xff" * 160) -> None:
    """The phone sends silence of its own SSRC every 20 ms."""
    ssrc = int.from_bytes(phone.tag.encode()[:4])
    for index in range(500):
        if until.is_set():
            return
        phone.snd(rtp(0, index, index * 160, ssrc, payload))
        await asyncio.sleep(0.02)


# play


async def test_the_caller_hears_a_file_before_the_agent_is_dialled(line: Line) -> None:
    """And then the agent, from the same port; no re-INVITE is needed for that."""
    await line.answered()
    assert "c=IN IP4 127.0.0.1" in line.caller.told, "a place to send to: keys are heard"
    port = line.caller.told_port
    play_id = await line.session.play(A_TAG, GREETING)
    packets, [told] = await played(line)
    assert melody.find(melody.AGENT, pcm_of(packets)).heard
    assert not melody.find(melody.CALLER, pcm_of(packets)).heard
    assert (told.party, told.play_id, told.finished) == (A_TAG, play_id, True)
    assert len(packets) == melody.duration_ms(melody.AGENT) / 20
    # one stream: RFC 3550 5.1, and a marker at its beginning (RFC 3551 4.1)
    heads = [struct.unpack("!BBHII", packet[:12]) for packet in packets]
    assert [head[1] >> 7 for head in heads] == [1] + [0] * (len(heads) - 1)
    assert len({head[4] for head in heads}) == 1
    for before, after in pairwise(heads):
        assert (after[2] - before[2]) & 0xFFFF == 1
        assert (after[3] - before[3]) & 0xFFFFFFFF == 160
    await line.joined()
    assert line.caller.told_port == port
    line.agent.snd(rtp(0, 1, 160, 7, b"agent"))
    data, _ = await line.caller.rtp.receive()
    assert data[12:] == b"agent"
    assert line.events.empty()


async def test_what_is_played_takes_the_other_sides_place_and_gives_it_back(line: Line) -> None:
    await line.joined()
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talks(line.agent, over, b"agent" * 32))
        tasks.create_task(talks(line.caller, over))
        await recorded(line.caller, 0.2)
        await line.session.play(A_TAG, GREETING)
        await recorded(line.caller, 0.15)  # under way, or sent before the block came
        during = await recorded(line.caller, 0.4)
        assert b"agent" * 32 not in {packet[12:] for packet in during}, "only one is heard"
        assert isinstance(await line.next(), Played)
        await recorded(line.caller, 0.15)
        after = await recorded(line.caller, 0.3)
        assert {packet[12:] for packet in after} == {b"agent" * 32}
        heard = await recorded(line.agent, 0.1)
        assert {packet[8:12] for packet in heard} == {b"call"}, "the other way was never cut"
        over.set()
    stats = await line.session.close()
    assert stats is not None
    assert stats.parties[A_TAG].packets_received > 30


async def test_a_play_that_is_stopped_ends_at_once_and_is_told_once(line: Line) -> None:
    await line.answered()
    play_id = await line.session.play(A_TAG, GREETING)
    await recorded(line.caller, 0.2)
    await line.session.stop_play(A_TAG)
    stopped = await line.next()
    assert isinstance(stopped, Played)
    assert (stopped.play_id, stopped.finished) == (play_id, False)
    await recorded(line.caller, 0.15)
    after = await recorded(line.caller, 0.2)
    assert {packet[12:] for packet in after} <= {b"\xff" * 160}, "nothing, or silence"
    await line.session.stop_play(A_TAG)
    assert line.events.empty()


async def test_a_second_play_takes_the_place_of_the_first(line: Line) -> None:
    await line.answered()
    first = await line.session.play(A_TAG, GREETING)
    await recorded(line.caller, 0.2)
    second = await line.session.play(A_TAG, wav(melody.synthesise(melody.CALLER)))
    packets, told = await played(line, 2)
    assert melody.find(melody.CALLER, pcm_of(packets)).heard
    assert [(e.play_id, e.finished) for e in told] == [(first, False), (second, True)]


async def test_a_file_is_played_as_often_as_asked(line: Line) -> None:
    await line.answered()
    play_id = await line.session.play(A_TAG, GREETING, times=2)
    packets, [told] = await played(line)
    assert len(packets) == pytest.approx(2 * melody.duration_ms(melody.AGENT) / 20, abs=10)
    half = len(packets) // 2
    for part in (packets[:half], packets[half:]):
        assert melody.find(melody.AGENT, pcm_of(part)).heard
    assert (told.play_id, told.finished) == (play_id, True)


async def test_a_ringback_tone_is_heard_in_its_cadence_until_it_is_stopped(line: Line) -> None:
    """The British one: 400 and 450 Hz, 0.4 s on, 0.2 off, 0.4 on, 2.0 off."""
    await line.answered()
    await line.session.ring(A_TAG, "GB")
    sound = pcm_of(await recorded(line.caller, 4.2))
    bank = Bank(ringback("GB").frequencies_hz, 160)
    loud = [min(bank.powers(sound[at : at + 320])) > 300**2 for at in range(0, len(sound), 320)]
    runs = [(on, len(list(frames)) * 0.02) for on, frames in groupby(loud)]
    assert [on for on, _ in runs[:6]] == [True, False, True, False, True, False]
    for (_, heard_s), cadence_s in zip(runs[:5], (0.4, 0.2, 0.4, 2.0, 0.4), strict=True):
        assert heard_s == pytest.approx(cadence_s, abs=0.06)
    await line.session.stop_play(A_TAG)
    stopped = await line.next()
    assert isinstance(stopped, Played)
    assert not stopped.finished


async def test_a_country_that_is_not_known_has_a_ringback_tone_too(line: Line) -> None:
    await line.answered()
    await line.session.ring(A_TAG, "")
    sound = pcm_of(await recorded(line.caller, 0.6))
    bank = Bank(ringback("").frequencies_hz, 160)
    assert min(bank.powers(sound[3200:3520])) > 300**2


async def test_a_file_is_played_by_its_path(line: Line, tmp_path: Path) -> None:
    """Longer than what goes through a datagram."""
    path = tmp_path / "long.wav"
    path.write_bytes(wav(melody.synthesise(melody.AGENT) + bytes(2 * MAX_BLOB)))
    path.chmod(0o644)
    await line.answered()
    await line.session.play(A_TAG, path)
    packets = await recorded(line.caller, 1.5)
    assert melody.find(melody.AGENT, pcm_of(packets)).heard
    with pytest.raises(MediaError, match="path"):
        await line.session.play(A_TAG, path.read_bytes())


async def test_what_is_no_audio_is_bad_audio(line: Line) -> None:
    await line.answered()
    for strange in (b"hello", GREETING[:20], Path("/nonexistent/greeting.wav")):
        with pytest.raises(MediaError) as bad:
            await line.session.play(A_TAG, strange)
        assert bad.value.slug == "bad-audio"
    assert line.events.empty()


async def test_a_play_to_a_party_that_is_not_there_is_refused(line: Line) -> None:
    await line.answered()
    with pytest.raises(MediaError):
        await line.session.play("stranger", GREETING)


async def test_a_call_that_ends_while_something_is_played_leaves_nothing(line: Line) -> None:
    await line.answered()
    await line.session.play(A_TAG, GREETING)
    await recorded(line.caller, 0.1)
    await line.session.close()
    await recorded(line.caller, 0.15)
    assert await recorded(line.caller, 0.2) == []
    assert line.events.empty()


# digits


@pytest.mark.parametrize("lost", [None, 0, 1, 4, 5, 6, 7])
async def test_each_key_is_told_once_with_any_packet_lost(line: Line, lost: int | None) -> None:
    """The first, one in the middle, the last before the ends, and each of the ends."""
    await line.answered()
    line.caller.snd(rtp(0, 1, 160, int.from_bytes(b"call")))
    told: list[MediaEvent] = []
    for number in (1, 10, 11, 15):
        line.presses(number, lost=frozenset() if lost is None else frozenset({lost}))
        told.append(await line.next())
    line.presses(1)  # the same key again is another press
    told.append(await line.next())
    assert [event.digit for event in told if isinstance(event, Digit)] == ["1", "*", "#", "D", "1"]
    assert {event.party for event in told if isinstance(event, Digit)} == {A_TAG}
    assert {event.duration_ms for event in told if isinstance(event, Digit)} == {120}
    line.presses(9)
    last = await line.next()
    assert isinstance(last, Digit)
    assert last.digit == "9", "nothing was told twice in between"


async def test_keys_of_both_parties_while_they_talk_and_they_still_pass(line: Line) -> None:
    await line.joined()
    line.caller.snd(rtp(0, 1, 160, int.from_bytes(b"call")))
    await line.agent.rtp.receive()
    line.presses(5, marker=False)
    told = await line.next()
    assert isinstance(told, Digit)
    assert (told.party, told.digit) == (A_TAG, "5")
    assert len(await recorded(line.agent, 0.2)) == 8
    for packet in key_packets(101, 3, seq=1, timestamp=160, ssrc=77):
        line.agent.snd(packet)
    told = await line.next()
    assert isinstance(told, Digit)
    assert (told.party, told.digit) == (line.agent_tag, "3")


async def test_keys_with_an_ssrc_of_their_own_are_told_and_disturb_no_audio(line: Line) -> None:
    await line.joined()
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talks(line.caller, over))
        await recorded(line.agent, 0.1)
        line.presses(8, ssrc=0xFEED)
        told = await line.next()
        assert isinstance(told, Digit)
        assert told.digit == "8"
        heard = await recorded(line.agent, 0.3)
        over.set()
    audio = [packet for packet in heard if packet[8:12] == b"call"]
    keys = [packet for packet in heard if packet[8:12] == b"\0\0\xfe\xed"]
    assert len(keys) == 8
    assert len(audio) >= 10
    assert line.events.empty()


# silence


async def test_one_way_audio_is_told_once_and_so_is_its_end(line: Line) -> None:
    await line.joined()
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(talks(line.agent, over))
        told = await line.next()
        assert isinstance(told, OneWay)
        assert told.party == A_TAG
        assert told.since_s >= SILENCE_S
        await asyncio.sleep(SILENCE_S * 1.5)
        assert line.events.empty()
        tasks.create_task(talks(line.caller, over))
        heard = await line.next()
        assert isinstance(heard, Heard)
        assert heard.party == A_TAG
        over.set()


async def test_two_that_are_silent_are_told_each(line: Line) -> None:
    await line.joined()
    told = [await line.next(), await line.next()]
    assert {(type(e), e.party) for e in told if isinstance(e, Silent)} == {
        (Silent, A_TAG),
        (Silent, line.agent_tag),
    }


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
async def test_who_is_on_hold_may_be_silent(line: Line, direction: str) -> None:
    """The time begins anew when the hold is over."""
    await line.joined()
    await line.held(direction)
    over = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        if direction == "sendonly":  # music
            tasks.create_task(talks(line.agent, over))
        await asyncio.sleep(SILENCE_S * 2)
        assert line.events.empty()
        await line.held("sendrecv")
        told = await line.next()
        assert isinstance(told, Silent | OneWay)
        over.set()


async def test_a_caller_who_waits_for_the_agent_may_be_silent(line: Line) -> None:
    await line.answered()
    await asyncio.sleep(SILENCE_S * 2)
    assert line.events.empty()


# what an engine cannot do


async def test_what_an_engine_cannot_do_is_refused_in_words(engine: Engine) -> None:
    client = await NgClient.connect(engine.address)
    session = MediaSession(client, "plain")
    for work in (session.play(A_TAG, GREETING), session.stop_play(A_TAG)):
        with pytest.raises(MediaError, match="cannot play") as unsupported:
            await work
        assert unsupported.value.slug == "unsupported"
    with pytest.raises(MediaError, match="no known way"):
        await client.play("plain", A_TAG, GREETING, 1)
    await client.close()


async def test_an_rtpengine_that_logs_no_keys_declares_no_digits(
    rtpengine_engine: Engine,
) -> None:
    client = await RtpengineClient.connect(rtpengine_engine.address)
    capabilities = client.capabilities
    await client.close()
    assert Capability.DIGITS not in capabilities
    assert {Capability.PLAY, Capability.SILENCE} <= capabilities


async def test_an_address_for_keys_that_is_taken_is_said(rtpengine_engine: Engine) -> None:
    first, second = KeyLog(), KeyLog()
    await first.listen(rtpengine_engine.dtmf_log)
    with pytest.raises(OSError, match="in use"):
        await second.listen(rtpengine_engine.dtmf_log)
    assert first.listens
    assert not second.listens
    first.close()


async def test_all_rtpengines_tell_keys_to_one_address(rtpengine_engine: Engine) -> None:
    """Each client hears of its own calls; one that is closed hears nothing more."""
    key_log = KeyLog()
    options = RtpengineOptions(key_log=key_log)
    clients = [
        await RtpengineClient.connect(rtpengine_engine.address, options=options) for _ in range(2)
    ]
    told: list[tuple[str, MediaEvent]] = []
    for name, client in zip("ab", clients, strict=True):
        client.listen(name, lambda event, name=name: told.append((name, event)))  # type: ignore[misc]

    def press(call_id: str) -> None:
        line = {"type": "DTMF", "callid": call_id, "source_tag": "x", "event": 5, "duration": 100}
        key_log.came(json.dumps(line).encode())

    press("a")
    press("b")
    press("nobody's")
    assert [name for name, _ in told] == ["a", "b"]
    await clients[0].close()
    press("a")
    assert len(told) == 2
    await clients[1].close()


async def test_a_call_that_rtpengine_lost_is_told(rtpengine_engine: Engine) -> None:
    """As after its restart: another client deletes the call."""
    options = RtpengineOptions(poll_s=0.1)
    client = await RtpengineClient.connect(rtpengine_engine.address, options=options)
    other = await NgClient.connect(rtpengine_engine.address)
    line = Line(client)
    await line.joined()
    await other.delete(line.call_id)
    assert isinstance(await line.next(), Lost)
    with pytest.raises(MediaError, match="unknown-call"):
        await line.close()
    await client.close()
    await other.close()
