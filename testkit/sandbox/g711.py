"""The two laws of G.711 (RFC 3551 4.5.14), and the agent's script in each. Audio is 8 kHz mono."""

import audioop
import wave
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Final

from testkit import melody

#: 20 ms
FRAME_BYTES = 160
_WIDTH = 2

#: What the agent says first.
GREETING: Final = Path(__file__).with_name("greeting.wav")


class Law(Enum):
    """A codec; the value is its static payload type."""

    PCMU = 0
    PCMA = 8

    @property
    def silence(self) -> bytes:
        """One byte of silence."""
        return b"\xff" if self is Law.PCMU else b"\xd5"

    def encode(self, pcm: bytes) -> bytes:
        """PCM16 to G.711."""
        if self is Law.PCMU:
            return audioop.lin2ulaw(pcm, _WIDTH)
        return audioop.lin2alaw(pcm, _WIDTH)

    def decode(self, payload: bytes) -> bytes:
        """G.711 to PCM16."""
        if self is Law.PCMU:
            return audioop.ulaw2lin(payload, _WIDTH)
        return audioop.alaw2lin(payload, _WIDTH)

    def level(self, payload: bytes) -> int:
        """The RMS of this audio, of 32767."""
        return audioop.rms(self.decode(payload), _WIDTH)


@cache
def script(law: Law, *, greeting: bool) -> bytes:
    """What the agent says before it listens, as whole frames: a breath, its melody, a sentence."""
    pause = bytes(2 * melody.SAMPLE_RATE_HZ // 5)  # 200 ms
    pcm = pause + melody.synthesise(melody.AGENT) + pause
    if greeting:
        pcm += _greeting() + pause
    whole = law.encode(pcm)
    missing = -len(whole) % FRAME_BYTES
    return whole + law.silence * missing


@cache
def _greeting() -> bytes:
    with wave.open(str(GREETING)) as recording:
        pcm: bytes = recording.readframes(recording.getnframes())
        return pcm
