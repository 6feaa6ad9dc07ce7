"""The codecs that the relay itself can speak: from payloads to 16-bit samples, and back.

G.711 by `audioop`, G.722 by libg722, Opus by libopus. A decoder or an encoder serves one stream in
one direction and keeps what its codec remembers. Samples are mono, at 8 or 16 kHz (`Coder.pcm_hz`);
libopus takes and gives either by itself, and stereo it mixes down.
"""

from __future__ import annotations

import array
import audioop
import ctypes
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, NamedTuple, Protocol

from sip.core.sdp_codecs import parameters

#: Octets of an encoder's output a second, times eight, where the other side asks for no other.
OPUS_BITRATE: Final = 24_000
#: A third of the work of 10, and hardly to be told from it in speech.
_OPUS_COMPLEXITY: Final = 5
#: What an encoder expects to be lost, in percent, so that it repeats what it said (RFC 6716 2.1.7).
_OPUS_LOSS: Final = 10
#: Longest packet of Opus (RFC 6716 3.2), in milliseconds.
_OPUS_LONGEST_MS: Final = 120


class Decoder(Protocol):
    """One stream's payloads become samples."""

    def decode(self, payload: bytes) -> bytes:
        """Its samples; ValueError for a payload that is none of this codec."""
        ...

    def conceal(self, samples: int, following: bytes) -> bytes | None:
        """What stands for as many lost samples; None for a codec that has nothing of its own.

        `following` is the packet after them, which may tell of what was lost.
        """
        ...


class Encoder(Protocol):
    """One stream's samples become payloads."""

    def encode(self, pcm: bytes) -> bytes: ...


class Coder(NamedTuple):
    """A codec. `clock_hz` is the RTP clock, `pcm_hz` the sampling rates that it can work at.

    `octets_per_ms` is None where a payload's length does not say its duration, `fixed_ms` are the
    packet times that it has, None for any.
    """

    name: str
    clock_hz: int
    pcm_hz: tuple[int, ...]
    octets_per_ms: int | None
    fixed_ms: tuple[int, ...] | None
    decoder: Callable[[int], Decoder]
    encoder: Callable[[int, str], Encoder]
    """By the sampling rate, and the other side's format parameters (fmtp)."""

    def ticks(self, payload: bytes) -> int:
        """How long a payload lasts on the RTP clock; 0 for one that cannot be read."""
        if self.octets_per_ms is None:
            return _opus_ticks(payload)
        return len(payload)  # a tick an octet, also for G.722 (RFC 3551 4.5.2)

    def packet_ms(self, wished_ms: int) -> int:
        """The packet time that it has and that is wished for, or the next shorter one."""
        if self.fixed_ms is None:
            return wished_ms
        return max((ms for ms in self.fixed_ms if ms <= wished_ms), default=self.fixed_ms[0])


class _G711:
    """Both directions: it remembers nothing."""

    __slots__ = ("_from_pcm", "_to_pcm")

    def __init__(
        self, to_pcm: Callable[[bytes, int], bytes], from_pcm: Callable[[bytes, int], bytes]
    ) -> None:
        self._to_pcm, self._from_pcm = to_pcm, from_pcm

    def decode(self, payload: bytes) -> bytes:
        return self._to_pcm(payload, 2)

    def conceal(self, samples: int, following: bytes) -> bytes | None:
        return None

    def encode(self, pcm: bytes) -> bytes:
        return self._from_pcm(pcm, 2)


class _G722:
    """64 kbit/s at 16 kHz, one direction."""

    __slots__ = ("_codec",)

    def __init__(self) -> None:
        from G722 import G722  # loaded by the first call that needs it

        self._codec = G722(16000, 64000)

    def decode(self, payload: bytes) -> bytes:
        samples: array.array[int] = self._codec.decode(payload)
        return samples.tobytes()

    def conceal(self, samples: int, following: bytes) -> bytes | None:
        return None

    def encode(self, pcm: bytes) -> bytes:
        payload: bytes = self._codec.encode(array.array("h", pcm))
        return payload


class _OpusDecoder:
    __slots__ = ("_decoder", "_hz")

    def __init__(self, hz: int) -> None:
        from opuslib_next import Decoder

        self._hz = hz
        self._decoder = Decoder(hz, 1)

    def decode(self, payload: bytes) -> bytes:
        return self._run(payload, self._hz * _OPUS_LONGEST_MS // 1000, from_next=False)

    def conceal(self, samples: int, following: bytes) -> bytes | None:
        """The last frame of the gap by what the next packet repeats of it, the others by guess."""
        step = self._hz // 400  # 2.5 ms, of which any length of Opus is a multiple
        whole = samples - samples % step
        last = min(whole, _opus_ticks(following) * self._hz // 48000)
        try:
            pcm = self._run(b"", whole - last, from_next=False) if whole > last else b""
            pcm += self._run(following, last, from_next=True) if last else b""
        except ValueError:
            return bytes(2 * samples)
        return pcm + bytes(2 * samples - len(pcm))

    def _run(self, payload: bytes, samples: int, *, from_next: bool) -> bytes:
        from opuslib_next.api.decoder import libopus_decode

        # opuslib_next's own `decode` leaves each packet's samples in a reference cycle
        room = _room()
        most = min(samples, len(room))
        state = self._decoder.decoder_state
        count = libopus_decode(state, payload or None, len(payload), room, most, int(from_next))
        if count < 0:
            raise ValueError(f"no Opus: error {count} of libopus")
        return ctypes.string_at(room, 2 * count)


@cache
def _room() -> ctypes.Array[ctypes.c_int16]:
    """Where libopus writes what it decodes, of whichever stream: the relay is one thread."""
    return (ctypes.c_int16 * (16000 * _OPUS_LONGEST_MS // 1000))()


class _OpusEncoder:
    __slots__ = ("_encoder", "_hz")

    def __init__(self, hz: int, fmtp: str) -> None:
        from opuslib_next import Encoder

        wishes = parameters(fmtp)
        self._hz = hz
        self._encoder = encoder = Encoder(hz, 1, "voip")
        encoder.complexity = _OPUS_COMPLEXITY
        encoder.bitrate = min(OPUS_BITRATE, max(6000, _number(wishes, "maxaveragebitrate")))
        encoder.vbr = int(wishes.get("cbr") != "1")
        encoder.inband_fec = int(wishes.get("useinbandfec") == "1")
        encoder.packet_loss_perc = _OPUS_LOSS

    def encode(self, pcm: bytes) -> bytes:
        payload: bytes = self._encoder.encode(pcm, len(pcm) // 2)
        return payload


def _number(wishes: Mapping[str, str], name: str) -> int:
    """A parameter's number; without one, more than any encoder is given."""
    value = wishes.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else 1_000_000


def _opus_ticks(payload: bytes) -> int:
    """RFC 6716 3.1: the first octet has the length of a frame and how many there are."""
    if not payload:
        return 0
    kind, code = payload[0] >> 3, payload[0] & 3
    if kind < 12:  # SILK
        frame = (480, 960, 1920, 2880)[kind & 3]
    elif kind < 16:  # hybrid
        frame = (480, 960)[kind & 1]
    else:  # CELT
        frame = (120, 240, 480, 960)[kind & 3]
    if code < 3:
        return frame * (1 if code == 0 else 2)
    ticks = frame * (payload[1] & 0x3F) if len(payload) > 1 else 0
    return ticks if ticks <= 48 * _OPUS_LONGEST_MS else 0


def _ulaw(*_: object) -> _G711:
    return _G711(audioop.ulaw2lin, audioop.lin2ulaw)


def _alaw(*_: object) -> _G711:
    return _G711(audioop.alaw2lin, audioop.lin2alaw)


def _g722(*_: object) -> _G722:
    return _G722()


_OPUS_MS: Final = (10, 20, 40, 60)

#: By the name that SDP gives it, in capitals.
CODERS: Final[Mapping[str, Coder]] = {
    coder.name: coder
    for coder in (
        Coder("PCMU", 8000, (8000,), 8, None, _ulaw, _ulaw),
        Coder("PCMA", 8000, (8000,), 8, None, _alaw, _alaw),
        Coder("G722", 8000, (16000,), 8, None, _g722, _g722),
        Coder("OPUS", 48000, (8000, 16000), None, _OPUS_MS, _OpusDecoder, _OpusEncoder),
    )
}

#: G.711 of the one law as the other's, an octet for an octet.
LAW_TO_LAW: Final[Mapping[tuple[str, str], bytes]] = {
    ("PCMU", "PCMA"): audioop.lin2alaw(audioop.ulaw2lin(bytes(range(256)), 2), 2),
    ("PCMA", "PCMU"): audioop.lin2ulaw(audioop.alaw2lin(bytes(range(256)), 2), 2),
}
