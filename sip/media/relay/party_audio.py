"""What one party says, out of its packets, as one run of audio: PCM16, one channel, 8 kHz.

It lasts as long as time does. What was lost, a pause in which nothing is sent, keys and comfort
noise are silence; what comes late or twice is left out. Where nothing comes at all the silence is
made by the clock, so that a party that never speaks is heard to say nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sip.core.sdp_codecs import BESIDE_SPEECH, name_of
from sip.core.sdp_lines import Codec
from sip.media.plane import MediaError
from sip.media.relay.codecs import CODERS, Coder, Decoder
from sip.media.relay.losses import MAX_MISORDER
from sip.media.relay.resample import Halver
from sip.media.relay.rtp import HEADER, MAX_DRIFT_S, payload_of
from sip.media.tones import RATE_HZ

#: Seconds without a packet after which its time is filled by the clock: more than a packet is late
#: on any network that carries speech.
QUIET_S: Final = 0.4

#: What is made up at once, at most: a relay that was held up goes on from then.
_LONGEST_S: Final = 10.0

#: Timestamps may run ahead of the clock by as much; beyond, their sender has begun them anew.
_AHEAD_S: Final = 1.0

_SEQ: Final = 0xFFFF
_TYPE: Final = 0x7F
_CLOCK: Final = 1 << 32


class _Reading:
    """One codec of the party, and what its decoder remembers."""

    __slots__ = ("_coder", "_decoder", "_halver", "_hz")

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._hz = RATE_HZ if RATE_HZ in coder.pcm_hz else 2 * RATE_HZ
        self._decoder: Decoder = coder.decoder(self._hz)
        self._halver = None if self._hz == RATE_HZ else Halver()

    def ticks(self, payload: bytes) -> int:
        """How long it lasts on the RTP clock; 0 for one that cannot be read."""
        return self._coder.ticks(payload)

    def pcm(self, payload: bytes) -> bytes:
        """Its samples; silence of its length where it is none of this codec."""
        try:
            pcm = self._decoder.decode(payload)
        except ValueError:
            pcm = bytes(2 * self.ticks(payload) * self._hz // self._coder.clock_hz)
        return pcm if self._halver is None else self._halver.take(pcm)


class PartyAudio:
    """Reads one party from `now` on; times are monotonic seconds."""

    __slots__ = ("_codec_of", "_due", "_filled", "_heard_at", "_next_seq", "_readings",
                 "_source")  # fmt: skip

    def __init__(self, codec_of: Callable[[int], Codec | None], now: float) -> None:
        """`codec_of` says what a payload type of the party is."""
        self._codec_of = codec_of
        self._readings: dict[str, _Reading] = {}
        #: The stream, and the numbers that its next packet should have; -1 before the first.
        self._source = -1
        self._next_seq = 0
        self._due = 0
        #: When its last audio came, or when this began; and the samples of silence since then.
        self._heard_at = now
        self._filled = 0

    def read(self, packet: bytes, now: float) -> bytes:
        """The audio that follows what was read before; nothing for what is late, twice or no audio.

        The packet is RTP of a negotiated type. Raises MediaError unsupported, whose text names the
        codec, where it is not decoded here.
        """
        kind, seq, timestamp, ssrc = HEADER.unpack_from(packet)
        codec = self._codec_of(kind & _TYPE)
        if codec is None or name_of(codec) in BESIDE_SPEECH:
            return b""
        reading = self._reading(codec)
        payload = payload_of(packet)
        ticks = reading.ticks(payload)
        if not ticks:
            return b""
        passed = round((now - self._heard_at) * RATE_HZ)
        if ssrc != self._source or self._jumps(timestamp, codec.rate):
            missing = passed - ticks * RATE_HZ // codec.rate  # by the clock: it begins anew
        elif _SEQ + 1 - (seq - self._next_seq & _SEQ) <= MAX_MISORDER:
            return b""
        else:
            gap = _ahead(timestamp, self._due) * RATE_HZ // codec.rate
            missing = min(gap, passed + round(_AHEAD_S * RATE_HZ))
        silence = _silence(missing - self._filled)
        self._source, self._next_seq = ssrc, seq + 1 & _SEQ
        self._due = (timestamp + ticks) % _CLOCK
        self._heard_at, self._filled = now, 0
        return silence + reading.pcm(payload)

    def quiet(self, now: float) -> bytes:
        """The silence of a time in which nothing came; none while a packet may be only late."""
        passed_s = now - self._heard_at
        if passed_s < QUIET_S:
            return b""
        silence = _silence(round(passed_s * RATE_HZ) - self._filled)
        self._filled += len(silence) // 2
        return silence

    def _reading(self, codec: Codec) -> _Reading:
        name = name_of(codec)
        reading = self._readings.get(name)
        if reading is None:
            coder = CODERS.get(name)
            if coder is None or coder.clock_hz != codec.rate:
                raise MediaError("unsupported", f"codec {codec}")
            reading = self._readings[name] = _Reading(coder)
        return reading

    def _jumps(self, timestamp: int, rate_hz: int) -> bool:
        return abs(_ahead(timestamp, self._due)) > MAX_DRIFT_S * rate_hz


def can_hear(codec: Codec) -> bool:
    """Whether what is said in this codec can be read."""
    coder = CODERS.get(name_of(codec))
    return coder is not None and coder.clock_hz == codec.rate


def _silence(samples: int) -> bytes:
    return bytes(2 * min(max(samples, 0), round(_LONGEST_S * RATE_HZ)))


def _ahead(timestamp: int, due: int) -> int:
    """By how much it is later; negative if it is earlier."""
    ahead = (timestamp - due) % _CLOCK
    return ahead - _CLOCK if ahead > _CLOCK >> 1 else ahead
