"""Real speech through whole calls: every pair of codecs, each side in the clear or encrypted.

What the phones do is done by others than what stands in the relay: SoX has the laws of G.711 and
the rates, Opus is spoken in stereo at 48 kHz as browsers speak it, and SRTP is the RFC's arithmetic
(`reference_srtp.py`). G.722 alone has the same library on both sides.
"""

import array
import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from G722 import G722
from opuslib_next import Decoder, Encoder

from sip.core.sdp_codecs import Codecs
from sip.core.sdp_crypto import Crypto, Encryption, Suite
from sip.media.ng.client import NgClient
from sip.media.relay.gaps import GAP_S
from sip.media.terms import MediaTerms
from tests.b2bua.stage import make_stage
from tests.interop.harness import speech
from tests.interop.harness.programs import program
from tests.media.reference_srtp import Reference
from tests.media.scenarios.test_secure import CM_80, SecurePhone
from tests.media.talk import PATIENCE_S, rtp
from tests.media.test_conversions import FILLINGS
from tests.media.test_convert import WRITTEN, read
from tests.media.test_fax import body
from tests.media.test_secure_conversions import speaking

SENTENCES = {
    "A": "Seven green apples are lying on the table.",
    "B": "Please call me back before tomorrow morning.",
}
TICKS = {"PCMU": 160, "PCMA": 160, "G722": 160, "OPUS": 960}
FRAMES_A_SECOND = 50

#: As SoX is told of samples.
PCM = ["-t", "raw", "-e", "signed", "-b", "16"]
LAWS = {"PCMU": "u-law", "PCMA": "a-law"}


def sox(data: bytes, before: Sequence[str], after: Sequence[str]) -> bytes:
    """Samples in another form or at another rate."""
    command = [program("sox"), *before, "-", *after, "-"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def pcm(rate_hz: int, channels: int = 1) -> list[str]:
    return [*PCM, "-r", str(rate_hz), "-c", str(channels)]


def law(codec: str) -> list[str]:
    return ["-t", "raw", "-e", LAWS[codec], "-b", "8", "-r", "8000", "-c", "1"]


def frames(data: bytes, octets: int) -> list[bytes]:
    return [data[at : at + octets] for at in range(0, len(data) - octets + 1, octets)]


def encoded(codec: str, samples: bytes) -> list[bytes]:
    """Speech of 8 kHz as a phone's payloads, 20 ms each."""
    if codec in LAWS:
        return frames(sox(samples, pcm(8000), law(codec)), 160)
    if codec == "G722":
        wide, coder = sox(samples, pcm(8000), pcm(16000)), G722(16000, 64000)
        return [bytes(coder.encode(array.array("h", each))) for each in frames(wide, 640)]
    stereo, encoder = sox(samples, pcm(8000), pcm(48000, 2)), Encoder(48000, 2, "voip")
    return [encoder.encode(each, 960) for each in frames(stereo, 3840)]


def decoded(codec: str, payloads: list[bytes]) -> bytes:
    """What a phone plays of them, 8 kHz."""
    if codec in LAWS:
        return sox(b"".join(payloads), law(codec), pcm(8000))
    if codec == "G722":
        coder = G722(16000, 64000)
        wide = b"".join(coder.decode(each).tobytes() for each in payloads)
        return sox(wide, pcm(16000), pcm(8000))
    decoder = Decoder(48000, 2)
    stereo = b"".join(bytes(decoder.decode(each, 5760)) for each in payloads)
    return sox(stereo, pcm(48000, 2), pcm(8000))


class Speech:
    """Both sentences, as samples and in each codec, where they are equally long."""

    def __init__(self, folder: Path) -> None:
        self.payloads: dict[tuple[str, str], list[bytes]] = {}
        spoken = {who: speech.speak(text, folder / f"{who}.wav") for who, text in SENTENCES.items()}
        self.words = {who: speech.read(wav) for who, wav in spoken.items()}
        longest = max(map(len, self.words.values()))
        for who, wav in spoken.items():
            samples = sox(wav.read_bytes(), ["-t", "wav"], pcm(8000)).ljust(2 * longest, b"\0")
            for codec in WRITTEN:
                self.payloads[codec, who] = encoded(codec, samples)


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Speech:
    return Speech(tmp_path_factory.mktemp("speech"))


class Speaker(SecurePhone):
    """A phone with one codec, which says its sentence and keeps what it hears."""

    def __init__(self, tag: str, codec: str, suite: Suite | None, sentences: Speech) -> None:
        super().__init__(tag, suite)
        self.codec = codec
        self.heard: list[bytes] = []
        #: The longest time between two packets that it heard, in seconds.
        self.longest_gap_s = 0.0
        self._roll_over, self._last_seq = 0, -1
        kind = WRITTEN[codec][0]
        payloads = sentences.payloads[codec, tag]
        self.said = [
            rtp(kind, 1000 + n, n * TICKS[codec], 0xA0 + ord(tag), payload)
            for n, payload in enumerate(payloads)
        ]
        key = None if suite is None else Reference(Crypto(1, suite, self.key))
        self.wire = [each if key is None else key.protect(each) for each in self.said]

    @property
    def media_terms(self) -> MediaTerms:
        wanted = Encryption.OFF if self.suite is None else Encryption.REQUIRED
        return MediaTerms(encryption=wanted, codecs=Codecs((self.codec,)))

    async def listen(self) -> None:
        """Forever."""
        key, heard_at = None, None
        clock = asyncio.get_running_loop().time
        while True:
            packet, _ = await self.rtp.receive()
            now = clock()
            self.longest_gap_s = max(self.longest_gap_s, now - (heard_at or now))
            heard_at = now
            if self.suite is not None:
                [line] = [each for each in self.lines if each.suite is self.suite]
                key = key or Reference(line)
                packet = self._opened(key, packet)
            self.heard.append(packet)

    def _opened(self, key: Reference, packet: bytes) -> bytes:
        """RFC 3711 3.3.1, of what comes in order."""
        seq = read(packet)[1]
        if seq < self._last_seq - 0x8000:
            self._roll_over += 1
        self._last_seq = seq
        return key.unprotect(packet, self._roll_over)


def beside(said: list[bytes], heard: list[bytes]) -> list[bytes] | None:
    """What was heard beside all that was said, in its order; None if not all of it was heard."""
    wanted = iter(said)
    next_payload = next(wanted)[12:]
    more: list[bytes] = []
    missing = len(said)
    for packet in heard:
        if missing and packet[12:] == next_payload:
            missing -= 1
            next_payload = next(wanted, bytes(12))[12:]
        else:
            more.append(packet)
    return None if missing else more


def all_heard(speaker: Speaker, hearer: Speaker) -> bool:
    if speaker.codec == hearer.codec:
        return beside(speaker.said, hearer.heard) is not None
    return len(hearer.heard) >= len(speaker.said)


async def speak(a: Speaker, b: Speaker) -> float:
    """Both at once, in real time, until each has heard the other out.

    By how many seconds a packet was sent late, or came after another, at most.
    """
    loop = asyncio.get_running_loop()
    began, late_s = loop.time(), 0.0
    for n in range(max(len(a.wire), len(b.wire))):
        late_s = max(late_s, loop.time() - began - n / FRAMES_A_SECOND)
        for phone in (a, b):
            if n < len(phone.wire):
                phone.snd(phone.wire[n])
        await asyncio.sleep(began + (n + 1) / FRAMES_A_SECOND - loop.time())
    for _ in range(round(PATIENCE_S * FRAMES_A_SECOND)):
        if all_heard(a, b) and all_heard(b, a):
            break
        await asyncio.sleep(1 / FRAMES_A_SECOND)
    return max(late_s, a.longest_gap_s, b.longest_gap_s)


async def called(plane: NgClient, a: Speaker, b: Speaker) -> float:
    """One call, from INVITE to BYE; what `speak` returns."""
    async with make_stage(plane) as stage:
        carrier, agent = stage.peer("carrier"), stage.peer("agent")
        stage.terms |= {"carrier": a.media_terms, "agent": b.media_terms}
        await carrier.send("INVITE", sdp=speaking(a, a.codec, a.described()))
        await carrier.expect(100)
        stage.dial(stage.calls[0], "agent")
        b.hear_of(body(await agent.expect("INVITE")))
        await agent.send(180)
        await agent.send(200, sdp=speaking(b, b.codec, b.answer_to()))
        await agent.expect("ACK")
        await carrier.expect(180)
        a.hear_of(body(await carrier.expect(200, of="INVITE")))
        await carrier.send("ACK")
        listening = [asyncio.create_task(phone.listen()) for phone in (a, b)]
        late_s = await speak(a, b)
        for task in listening:
            task.cancel()
        await asyncio.wait(listening)
        for task in listening:
            assert task.cancelled(), task.exception()
        await carrier.hang_up()
        await agent.is_hung_up()
        for call in stage.calls:
            await call.close()
    return late_s


def check(sentences: Speech, speaker: Speaker, hearer: Speaker) -> None:
    """The sentence and no other, in the hearer's codec; bit for bit if that is the speaker's."""
    case = (speaker.codec, speaker.suite, hearer.codec, hearer.suite)
    heard = hearer.heard
    assert {read(packet)[0] for packet in heard} == {WRITTEN[hearer.codec][0]}, case
    assert len({packet[8:12] for packet in heard}) == 1, case
    sound = np.frombuffer(decoded(hearer.codec, [each[12:] for each in heard]), dtype="<i2") / 32768
    own, other = sentences.words[speaker.tag], sentences.words[hearer.tag]
    assert speech.likeness(sound, own) > 0.9, case
    assert speech.likeness(sound, other) < 0.6, case
    if speaker.codec == hearer.codec:
        more = beside(speaker.said, heard)
        assert more is not None, case
        # a slow machine makes gaps, and what fills them has numbers of its own
        assert more or heard == speaker.said, case
        assert hearer.codec == "G722" or {each[12:] for each in more} <= FILLINGS, case


@pytest.fixture
def room() -> Iterator[ExitStack]:
    """Closes phones."""
    with ExitStack() as room:
        yield room


@pytest.mark.parametrize("one", list(WRITTEN))
async def test_speech_crosses_to_every_codec_with_every_encryption(
    relay_plane: NgClient, sentences: Speech, room: ExitStack, one: str
) -> None:
    """Sixteen calls beside each other.

    A machine that stands still makes gaps, which are filled: then they are placed again.
    """
    for _ in range(3):
        pairs = []
        for other, a_suite, b_suite in product(WRITTEN, (None, CM_80), (None, CM_80)):
            a = Speaker("A", one, a_suite, sentences)
            b = Speaker("B", other, b_suite, sentences)
            room.callback(a.close)
            room.callback(b.close)
            pairs.append((a, b))
        late_s = await asyncio.gather(*(called(relay_plane, a, b) for a, b in pairs))
        if max(late_s) < GAP_S / 2:
            break
    for a, b in pairs:
        check(sentences, a, b)
        check(sentences, b, a)
