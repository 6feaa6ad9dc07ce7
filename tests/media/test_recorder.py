"""From the relay's parties to a file, through the recorder's process; and what hurts no call."""

import asyncio
import audioop
import os
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from sip.core.sdp_lines import Codec as SdpCodec
from sip.media.ng.relay import RelayClient
from sip.media.plane import Capability, MediaError
from sip.media.recording.decoders import Decoder
from sip.media.recording.keys import Keys, new_key
from sip.media.recording.process import Ended, recorder
from sip.media.recording.vault import VaultReader
from sip.media.relay import tape
from sip.media.relay.codecs import CODERS
from sip.media.relay.frames import Codec, Frame, Kind, decode
from sip.media.relay.resample import Doubler
from sip.media.relay.rtp_endpoint import Ear
from sip.media.supervisor import RelayOptions, RelayProcess
from testkit import melody
from tests.media.talk import Phone, Talk, rtp
from tests.ports import free_ports

FRAME = 160


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    keys = tmp_path / "keys"
    keys.write_text(new_key("main", bytes(range(32))))
    keys.chmod(0o600)
    return tmp_path


class Studio:
    """A relay with a recorder, and what the recorder said."""

    def __init__(self, plane: RelayClient, folder: Path, ended: asyncio.Queue[Ended]) -> None:
        self.plane = plane
        self.folder = folder
        self.ended = ended

    def channels(self, name: str) -> tuple[bytes, bytes]:
        """Left and right, as 16-bit PCM."""
        reader = VaultReader.open(self.folder / "recordings" / f"{name}.rec")
        audio = b"".join(reader.chunks(Keys.read(self.folder / "keys")))
        assert reader.complete
        reader.close()
        samples = [each[0] for each in struct.iter_unpack("<h", audio)]
        left, right = samples[::2], samples[1::2]
        return struct.pack(f"<{len(left)}h", *left), struct.pack(f"<{len(right)}h", *right)


@pytest.fixture
async def studio(folder: Path) -> AsyncIterator[Studio]:
    ended: asyncio.Queue[Ended] = asyncio.Queue()
    place = folder / "socket"
    async with recorder(place, folder / "recordings", folder / "keys", ended.put_nowait):
        first = free_ports(20)
        options = RelayOptions(
            advertise="127.0.0.1",
            listen="127.0.0.1",
            ports=(first, first + 19),
            recorder=str(place),
        )
        async with RelayProcess(options) as relay:
            yield Studio(relay.plane, folder, ended)


async def joined(talk: Talk) -> tuple[Phone, Phone]:
    """A caller and an agent who talk."""
    a, b = talk.phone("call"), talk.phone("agent")
    await talk.offer(a, b)
    await talk.answer(a, b)
    return a, b


def ulaw(tune: melody.Melody) -> bytes:
    return audioop.lin2ulaw(melody.synthesise(tune), 2)


async def speak(phone: Phone, pcm_ulaw: bytes, seconds: float, start: int = 0) -> None:
    ssrc = int.from_bytes(phone.tag.encode()[:4].ljust(4))
    for n in range(round(seconds / 0.02)):
        index = start + n
        payload = pcm_ulaw[index * FRAME : (index + 1) * FRAME].ljust(FRAME, b"\xff")
        phone.snd(rtp(0, index, index * FRAME, ssrc, payload))
        await asyncio.sleep(0.02)


async def test_each_side_is_heard_in_its_channel_and_in_no_other(studio: Studio) -> None:
    async with Talk(studio.plane) as talk:
        a, b = await joined(talk)
        await studio.plane.record(talk.call_id, "call", a.tag)
        await asyncio.gather(speak(a, ulaw(melody.CALLER), 3.0), speak(b, ulaw(melody.AGENT), 3.0))
        await studio.plane.stop_recording(talk.call_id)
        end = await asyncio.wait_for(studio.ended.get(), 5)
    assert (end.recording, end.reason) == ("call", "ended")
    assert end.seconds == pytest.approx(3.0, abs=1.0)
    left, right = studio.channels("call")
    assert melody.find(melody.CALLER, left).heard
    assert not melody.find(melody.AGENT, left).heard
    assert melody.find(melody.AGENT, right).heard
    assert not melody.find(melody.CALLER, right).heard
    path = studio.folder / "recordings" / "call.rec"
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert os.stat(path.parent).st_mode & 0o777 == 0o700


async def test_a_pause_is_silence_of_the_same_length(studio: Studio) -> None:
    loud = b"\x80" * FRAME * 200
    async with Talk(studio.plane) as talk:
        a, _ = await joined(talk)
        await studio.plane.record(talk.call_id, "call", a.tag)
        await speak(a, loud, 0.6)
        await studio.plane.pause_recording(talk.call_id)
        await speak(a, loud, 0.6, start=30)
        await studio.plane.record(talk.call_id, "call", a.tag)
        await speak(a, loud, 0.6, start=60)
    end = await asyncio.wait_for(studio.ended.get(), 5)
    assert end.reason == "ended"
    left, right = studio.channels("call")
    loudness = [any(left[at : at + 320]) for at in range(0, len(left), 320)]
    pauses = "".join("x" if each else "." for each in loudness).strip(".").split("x")
    assert max(map(len, pauses)) * 0.02 == pytest.approx(0.6, abs=0.2)
    assert not any(right)


async def test_a_name_that_is_taken_ends_the_recording_and_no_call(studio: Studio) -> None:
    (studio.folder / "recordings" / "call.rec").write_bytes(b"older")
    async with Talk(studio.plane) as talk:
        a, b = await joined(talk)
        await studio.plane.record(talk.call_id, "call", a.tag)
        end = await asyncio.wait_for(studio.ended.get(), 5)
        assert (end.reason, end.octets) == ("write-failed", 0)
        a.snd(rtp(0, 1, 160, 7, b"heard"))
        packet, _ = await b.rtp.receive()
        assert packet[12:] == b"heard"
    assert (studio.folder / "recordings" / "call.rec").read_bytes() == b"older"


async def test_without_a_recorder_recording_is_refused(relay_plane: RelayClient) -> None:
    assert Capability.RECORD not in relay_plane.capabilities
    async with Talk(relay_plane) as talk:
        a, _ = await joined(talk)
        with pytest.raises(MediaError, match="without a recorder"):
            await relay_plane.record(talk.call_id, "call", a.tag)


@pytest.fixture
def program(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ["--socket", folder / "s", "--directory", folder / "r", "--keys", folder / "keys"]
    with subprocess.Popen(
        [sys.executable, "-m", "sip.media.recording", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(10) == 0


def test_garbage_on_its_socket_ends_nothing(folder: Path, program: subprocess.Popen[bytes]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as relay:
        relay.connect(str(folder / "s"))
        for junk in (b"x", bytes(64), Frame(Kind.AUDIO, 9, 1.0, b"\0").encode()):
            relay.send(junk)
        for body in (b"no json", b"[]", b'{"recording": "../x", "call_sid": "", "started_at": 1}'):
            relay.send(Frame(Kind.BEGIN, 1, 1.0, body).encode())
            frame = decode(relay.recv(100))
            assert frame is not None
            assert frame.kind is Kind.ENDED
        good = b'{"recording": "x", "call_sid": "c", "started_at": 1.0}'
        relay.send(Frame(Kind.BEGIN, 2, 1.0, good).encode())
        for body in (b"", b"\0", b"\7\0" + rtp(0, 1, 1, 1), b"\0\x63" + rtp(0, 1, 1, 1), b"\0\0x"):
            relay.send(Frame(Kind.AUDIO, 2, 1.1, body).encode())
        relay.send(Frame(Kind.END, 2, 2.0, b"ended").encode())
        frame = decode(relay.recv(100))
        assert frame is not None
        assert frame.number == 2
    assert sorted(path.name for path in (folder / "r").iterdir()) == ["x.rec"]


@pytest.mark.parametrize("codec", [Codec.G722, Codec.OPUS, Codec.PCMA])
def test_every_codec_is_kept_as_what_was_said(codec: Codec) -> None:
    """Encoded as a phone does, packet by packet, and found by content."""
    coder = CODERS[codec.name]
    hz = coder.pcm_hz[0]
    pcm = melody.synthesise(melody.CALLER)
    wide = pcm if hz == 8000 else Doubler().take(pcm)
    encoder, decoder = coder.encoder(hz, ""), Decoder(codec)
    frame = hz // 50 * 2
    packets = [encoder.encode(wide[at : at + frame]) for at in range(0, len(wide) - frame, frame)]
    kept = [decoder.pcm(packet) for packet in packets]
    assert {len(each) for each in kept} == {320}, "20 ms at 8 kHz each"
    assert melody.find(melody.CALLER, b"".join(kept)).heard
    assert decoder.clock_hz == coder.clock_hz


def test_a_payload_that_is_no_opus_is_left_out() -> None:
    assert Decoder(Codec.OPUS).pcm(b"\xff\xff\xff") == b""


def test_what_is_said_in_a_pause_is_not_even_sent() -> None:
    """Also where the recorder's buffer is full and the frame of the pause is lost."""
    sent: list[Kind] = []

    class Deaf(tape.Recorder):
        def begin(self, about: dict[str, object], now: float, on_end: Callable[[], None]) -> int:
            return 1

        def send(self, frame: Frame) -> bool:
            sent.append(frame.kind)
            return frame.kind is not Kind.PAUSE

    class Speaker:
        tag = "a"
        ears: ClassVar[list[Ear]] = []

        def codec(self, payload_type: int) -> SdpCodec | None:
            return SdpCodec("PCMU", 8000)

        def listen_in(self, ear: Ear) -> None:
            self.ears.append(ear)

        def let_be(self, ear: Ear) -> None:
            self.ears.remove(ear)

    speaker = Speaker()
    recording = tape.Tape(Deaf.__new__(Deaf), {}, "a", 0.0)
    recording.hear(speaker)
    for paused in (False, True, False):
        if paused or Kind.PAUSE in sent:
            recording.pause(paused, 1.0)
        speaker.ears[0](rtp(0, 1, 160, 7), 1.0)
    assert sent == [Kind.AUDIO, Kind.PAUSE, Kind.RESUME, Kind.AUDIO]
