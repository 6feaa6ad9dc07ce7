"""How the relay speaks to a party: 20 ms at a time, in a codec that the party takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sip.core.sdp_codecs import name_of
from sip.core.sdp_lines import Codec
from sip.media.relay.codecs import CODERS, Encoder
from sip.media.relay.gaps import Frame
from sip.media.relay.resample import Doubler
from sip.media.relay.wav import FRAME_MS, Clip, Coding
from sip.media.tones import RATE_HZ

#: Of which clips have the very octets.
_LAWS = {"PCMU": Coding.PCMU, "PCMA": Coding.PCMA}


class _Speech(NamedTuple):
    """An encoder of 16-bit samples, and what brings 8 kHz to its rate."""

    encoder: Encoder
    doubler: Doubler | None


class Voice:
    """One codec of one party, and what its encoder remembers."""

    __slots__ = ("_fmtp", "_law", "_speech", "codec", "payload_type", "ticks")

    def __init__(self, payload_type: int, codec: Codec, fmtp: str) -> None:
        """`codec` is one of `CODERS`; `fmtp` is what the party says of it."""
        self.payload_type = payload_type
        self.codec = codec
        self.ticks = codec.rate * FRAME_MS // 1000
        self._law = _LAWS.get(name_of(codec))
        self._fmtp = fmtp
        self._speech: _Speech | None = None

    def says(self, clip: Clip, index: int) -> Frame:
        """A frame of a clip."""
        if self._law is not None:
            return Frame(self.payload_type, clip.frame(index, self._law), self.ticks)
        return self.says_pcm(clip.frame(index, Coding.PCM16))

    def says_pcm(self, pcm: bytes) -> Frame:
        """20 ms of PCM16 at 8 kHz."""
        speech = self._speech
        if speech is None:
            speech = self._speech = self._made()
        samples = pcm if speech.doubler is None else speech.doubler.take(pcm)
        return Frame(self.payload_type, speech.encoder.encode(samples), self.ticks)

    def _made(self) -> _Speech:
        coder = CODERS[name_of(self.codec)]
        if RATE_HZ in coder.pcm_hz:
            return _Speech(coder.encoder(RATE_HZ, self._fmtp), None)
        return _Speech(coder.encoder(2 * RATE_HZ, self._fmtp), Doubler())


def voice(
    codecs: Iterable[tuple[int, Codec]], heard: int | None, fmtp: Callable[[int], str | None]
) -> Voice | None:
    """In the payload type that the party hears, `heard`, else in its first that we can speak.

    `codecs` are those that it takes.
    """
    known = [(number, codec) for number, codec in codecs if _speaks(codec)]
    for number, codec in (*[each for each in known if each[0] == heard], *known):
        return Voice(number, codec, fmtp(number) or "")
    return None


def _speaks(codec: Codec) -> bool:
    coder = CODERS.get(name_of(codec))
    return coder is not None and coder.clock_hz == codec.rate
