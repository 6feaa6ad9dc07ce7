"""Where the audio of one way gathers until a packet is full.

What stays in its codec, or changes between the laws of G.711, is packed octet by octet. The rest is
decoded, brought to the sampling rate of the other's encoder, and encoded.
"""

from __future__ import annotations

import audioop
from collections.abc import Callable, Iterable
from typing import Final

from sip.core.sdp_codecs import name_of
from sip.media.relay.codecs import CODERS, LAW_TO_LAW, Coder, Decoder, Encoder
from sip.media.relay.resample import Doubler, Halver
from sip.media.relay.ways import Way

#: What is made up for a loss is no louder than half of what was before.
_FADE: Final = 0.5


#: Is given a packet's audio, as 16-bit samples.
Hear = Callable[[bytes], None]


class Coding:
    """Decoders and encoders of one conversion: each goes on where its codec comes up again."""

    __slots__ = ("_decoders", "_encoders", "_fmtp", "_hear")

    def __init__(self, fmtp: Callable[[int], str | None], hear: Hear) -> None:
        """`fmtp` is what the receiver says of a payload type; `hear` is given what is decoded."""
        self._fmtp = fmtp
        self._hear = hear
        self._encoders: dict[tuple[int, int], Encoder] = {}
        self._decoders: dict[tuple[str, int], Decoder] = {}

    def packing(self, way: Way, wished_ms: int) -> Packing:
        """Of that way, in packets as long as wished, or as its codec can."""
        source, target = name_of(way.source), CODERS[name_of(way.target)]
        packet_ms = target.packet_ms(wished_ms)
        table = LAW_TO_LAW.get((source, target.name))
        if source == target.name or table is not None:
            return _Octets(way, packet_ms, table)
        from_hz, to_hz = _rates(CODERS[source], target)
        encoder = self._encoders.get((way.payload_type, to_hz))
        if encoder is None:
            encoder = target.encoder(to_hz, self._fmtp(way.payload_type) or "")
            self._encoders[way.payload_type, to_hz] = encoder
        decoder = self._decoders.get((source, from_hz))
        if decoder is None:
            decoder = self._decoders[source, from_hz] = CODERS[source].decoder(from_hz)
        return _Samples(way, packet_ms, decoder, encoder, from_hz, to_hz, self._hear)


class Packing:
    """Where one way's audio gathers until a packet is full."""

    __slots__ = ("_size", "packet_ms", "pending", "way")

    def __init__(self, way: Way, packet_ms: int, size: int) -> None:
        self.way = way
        self.packet_ms = packet_ms
        self.pending = b""
        self._size = size

    @property
    def samples(self) -> int:
        """Of a packet, at the rate of what is `put` in."""
        raise NotImplementedError

    def feed(self, payload: bytes) -> None:
        """A packet's payload; ValueError for one that cannot be decoded."""
        raise NotImplementedError

    def conceal(self, ticks: int, following: bytes) -> None:
        """As much of anything that may have been lost before the payload `following`."""
        raise NotImplementedError

    def put(self, pcm: bytes) -> None:
        """Samples of ours, at the rate of the target."""
        raise NotImplementedError

    def fill_up(self) -> int:
        """Silence up to the end of the packet, so many milliseconds."""
        missing = -len(self.pending) % self._size
        self._silence(missing)
        return missing * self.packet_ms // self._size

    def _silence(self, size: int) -> None:
        raise NotImplementedError

    def payloads(self) -> Iterable[bytes]:
        """Those that are full."""
        size = self._size
        while len(self.pending) >= size:
            frame, self.pending = self.pending[:size], self.pending[size:]
            yield self._payload(frame)

    def _payload(self, frame: bytes) -> bytes:
        raise NotImplementedError


class _Octets(Packing):
    """G.711 or G.722 packed anew, perhaps in the other law: nothing is decoded."""

    __slots__ = ("_encoder", "_hz", "_last", "_table")

    def __init__(self, way: Way, packet_ms: int, table: bytes | None) -> None:
        super().__init__(way, packet_ms, 8 * packet_ms)
        self._table = table
        self._last = b""
        self._hz = CODERS[name_of(way.target)].pcm_hz[0]
        #: For noise, where it is needed.
        self._encoder: Encoder | None = None

    @property
    def samples(self) -> int:
        return self._hz * self.packet_ms // 1000

    def feed(self, payload: bytes) -> None:
        self._last = payload if self._table is None else payload.translate(self._table)
        self.pending += self._last

    def conceal(self, ticks: int, following: bytes) -> None:
        again = self._last or b"\xff"
        self.pending += (again * (ticks // len(again) + 1))[:ticks]

    def put(self, pcm: bytes) -> None:
        if self._encoder is None:
            self._encoder = CODERS[name_of(self.way.target)].encoder(self._hz, "")
        self.pending += self._encoder.encode(pcm)

    def _silence(self, size: int) -> None:
        self.conceal(size, b"")

    def _payload(self, frame: bytes) -> bytes:
        return frame


class _Samples(Packing):
    """Decoded, brought to the rate of the target's encoder, encoded."""

    __slots__ = ("_decoder", "_encoder", "_from_hz", "_hear", "_last", "_resampler", "_to_hz")

    def __init__(
        self,
        way: Way,
        packet_ms: int,
        decoder: Decoder,
        encoder: Encoder,
        from_hz: int,
        to_hz: int,
        hear: Hear,
    ) -> None:
        super().__init__(way, packet_ms, 2 * to_hz * packet_ms // 1000)
        self._decoder, self._encoder = decoder, encoder
        self._from_hz, self._to_hz = from_hz, to_hz
        self._resampler = None if from_hz == to_hz else Doubler() if from_hz < to_hz else Halver()
        self._hear = hear
        self._last = b""

    @property
    def samples(self) -> int:
        return self._size // 2

    def feed(self, payload: bytes) -> None:
        self._last = self._decoder.decode(payload)
        self._hear(self._last)
        self._take(self._last)

    def conceal(self, ticks: int, following: bytes) -> None:
        samples = ticks * self._from_hz // self.way.source.rate
        pcm = self._decoder.conceal(samples, following)
        if pcm is None:
            self._last = audioop.mul(self._last, 2, _FADE)
            again = self._last or bytes(2)
            pcm = (again * (2 * samples // len(again) + 1))[: 2 * samples]
        self._take(pcm)

    def put(self, pcm: bytes) -> None:
        self.pending += pcm

    def _silence(self, size: int) -> None:
        self.pending += bytes(size)

    def _take(self, pcm: bytes) -> None:
        self.pending += pcm if self._resampler is None else self._resampler.take(pcm)

    def _payload(self, frame: bytes) -> bytes:
        return self._encoder.encode(frame)


def _rates(source: Coder, target: Coder) -> tuple[int, int]:
    """At which sampling rates to decode and to encode: the same, where they have one."""
    common = [hz for hz in source.pcm_hz if hz in target.pcm_hz]
    return (common[-1], common[-1]) if common else (source.pcm_hz[-1], target.pcm_hz[-1])
