"""What one party says, made into what another understands: codecs, packet times, payload types.

`ways` says of each payload type that a party may send what becomes of it. Where every packet stays
a packet (another number, the other law of G.711) a `Relabelling` does it, and what was lost or
overtook on the way stays visible. A `Conversion` takes the packets apart: it decodes, encodes and
packs anew. It waits for nothing; a packet that comes after its time is dropped, one that is lost is
made up for, a pause stays as long as it was.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sip.core.sdp_codecs import COMFORT_NOISE, TELEPHONE_EVENT, name_of
from sip.media.relay.codecs import CODERS, LAW_TO_LAW
from sip.media.relay.losses import MAX_MISORDER
from sip.media.relay.noise import Noise, noise_level
from sip.media.relay.packing import Coding, Hear, Packing
from sip.media.relay.rtp import HEADER, HEADER_SIZE, MAX_DRIFT_S
from sip.media.relay.ways import Way

#: What is made up for a loss, at most, in seconds.
MAX_CONCEALED_S: Final = 0.1

_VERSION: Final = 0x8000
_MARKER: Final = 0x80
_TYPE: Final = 0x7F
_SEQ: Final = 0xFFFF
_TIMESTAMP: Final = 0xFFFFFFFF
_EXTENSION: Final = 0x10
_PADDING: Final = 0x20
_EVENT: Final = struct.Struct("!BBH")


class Relabelling:
    """Packet by packet: another payload type, perhaps the other law of G.711."""

    __slots__ = ("_ways",)

    def __init__(self, of: Mapping[int, Way]) -> None:
        self._ways = {
            number: (
                way.payload_type,
                LAW_TO_LAW.get((name_of(way.source), name_of(way.target))),
            )
            for number, way in of.items()
        }

    def __call__(self, packet: bytes, now: float) -> Iterable[bytes]:
        """The packet that the receiver understands; none for a payload type without a way."""
        way = self._ways.get(packet[1] & _TYPE)
        if way is None:
            return ()
        number, table = way
        first, kind = packet[0], packet[1] & _MARKER | number
        if table is None:
            return (bytes((first, kind)) + packet[2:],)
        start, payload = payload_start(packet), payload_of(packet)
        if start is None or payload is None:
            return ()
        head = bytes((first & ~_PADDING, kind)) + packet[2:start]
        return (head + payload.translate(table),)


class Conversion:
    """One party's packets become packets of its own numbers, in the receiver's codec and size.

    `packet_ms` is the time of a packet that the receiver is sent, `fmtp` what the receiver says of
    a payload type; `hear` is given what is decoded. The packets are numbered under an SSRC of their
    own. `noise_level` is the level, in -dBov, of the noise that fills the present silence, None
    while the party speaks or never said.
    """

    __slots__ = ("_at", "_coding", "_due", "_in_hz", "_key", "_marked", "_next_seq", "_noise",
                 "_out_hz", "_owed", "_packet_ms", "_seq", "_source", "_ssrc", "_stage",
                 "_timestamp", "_ways", "noise_level")  # fmt: skip

    def __init__(
        self,
        of: Mapping[int, Way],
        packet_ms: int,
        rng: random.Random,
        fmtp: Callable[[int], str | None] = lambda _: None,
        hear: Hear = lambda _: None,
    ) -> None:
        self._ways = of
        self._packet_ms = packet_ms
        self._coding = Coding(fmtp, hear)
        self._ssrc = rng.getrandbits(32)
        self._noise = Noise(rng)
        self.noise_level: int | None = None
        #: What is taken in: its source, and the numbers that its next packet should have.
        self._source = -1
        self._next_seq = 0
        self._due = 0
        self._at = 0.0
        self._in_hz = self._out_hz = 8000
        self._stage: Packing | None = None
        #: What goes out next.
        self._seq = 0
        self._timestamp = 0
        self._marked = False
        #: Ticks that went out too many, where a packet was filled up.
        self._owed = 0
        #: The key under way: its timestamp as it came, and as it goes out.
        self._key = (-1, 0)

    def __call__(self, packet: bytes, now: float) -> Iterable[bytes]:
        """The packets that are complete with this one."""
        kind, seq, timestamp, ssrc = HEADER.unpack_from(packet)
        way = self._ways.get(kind & _TYPE)
        payload = payload_of(packet)
        if way is None or payload is None:
            return ()
        lost = self._follow(ssrc, seq, timestamp, now)
        if lost is None:
            return ()
        if kind & _MARKER:
            self._marked = True
        name = name_of(way.source)
        if name == TELEPHONE_EVENT:
            return self._pass(way, _event(payload, way), timestamp)
        if name == COMFORT_NOISE:
            return self._quiet(way, payload, timestamp)
        self.noise_level = None
        return self._speech(way, payload, timestamp, lost)

    # what comes in

    def _follow(self, ssrc: int, seq: int, timestamp: int, now: float) -> int | None:
        """How many packets were lost before this one; None for one that is too late."""
        ahead = (seq - self._next_seq) & _SEQ
        if ssrc != self._source or abs(_ahead(timestamp, self._due)) > MAX_DRIFT_S * self._in_hz:
            if self._source >= 0:  # a stream that begins anew: as much later as it really is
                self._pause_s(now - self._at)
            self._source, self._due = ssrc, timestamp
            ahead = 0
        elif _SEQ + 1 - ahead <= MAX_MISORDER:
            return None
        self._at = now
        self._next_seq = seq + 1 & _SEQ
        return ahead

    def _speech(self, way: Way, payload: bytes, timestamp: int, lost: int) -> list[bytes]:
        coder = CODERS.get(name_of(way.source))
        if coder is None or (not way.converts and coder.octets_per_ms is None):
            return self._whole(way, payload, timestamp)
        ticks = coder.ticks(payload)
        if not ticks:
            return []
        packets, stage = self._stage_of(way)
        packets += self._catch_up(stage, timestamp, lost, payload)
        try:
            stage.feed(payload)
        except ValueError:
            stage.conceal(ticks, b"")
        self._due = (timestamp + ticks) & _TIMESTAMP
        return packets + self._packets(stage)

    def _catch_up(self, stage: Packing, timestamp: int, lost: int, following: bytes) -> list[bytes]:
        """The time between what came last and `timestamp`: a loss is made up for, a pause kept."""
        gap = _ahead(timestamp, self._due)
        if gap <= 0:
            return []
        if lost and gap <= MAX_CONCEALED_S * self._in_hz:
            stage.conceal(gap, following)
            return []
        return self._pause(gap)

    def _pause(self, gap: int) -> list[bytes]:
        """Nothing was said for so many ticks of the source's clock."""
        packets = self._finish()
        ticks = gap * self._out_hz // self._in_hz
        paid = min(ticks, self._owed)
        self._owed -= paid
        self._timestamp += ticks - paid
        return packets

    def _pause_s(self, seconds: float) -> None:
        """The same by the clock; what was not complete is lost."""
        if self._stage is not None:
            self._stage.pending = b""
        self._owed = 0
        self._timestamp += max(0, round(seconds * self._out_hz))
        self._marked = True

    def _finish(self) -> list[bytes]:
        """What is not a whole packet yet becomes one."""
        stage = self._stage
        if stage is None or not stage.pending:
            return []
        self._owed += stage.fill_up() * self._out_hz // 1000
        return self._packets(stage)

    def _whole(self, way: Way, payload: bytes, timestamp: int) -> list[bytes]:
        """A packet that passes as it is, whatever its length."""
        packets = self._move_to(way, timestamp)
        return [*packets, self._packet(way.payload_type, payload, self._timestamp)]

    def _move_to(self, way: Way, timestamp: int) -> list[bytes]:
        self._clocks(way)
        packets = self._pause(max(0, _ahead(timestamp, self._due)))
        self._due = timestamp
        return packets

    def _pass(self, way: Way, payload: bytes, timestamp: int) -> list[bytes]:
        """A key, beside what is said: its packets share the time of its beginning."""
        if self._key[0] != timestamp:
            ahead = _ahead(timestamp, self._due) * way.target.rate // way.source.rate
            self._key = timestamp, self._timestamp + ahead
        return [self._packet(way.payload_type, payload, self._key[1])]

    def _quiet(self, way: Way, payload: bytes, timestamp: int) -> list[bytes]:
        """The party falls silent, and tells how its room sounds."""
        if not way.converts:
            return self._whole(way, payload, timestamp)
        known, self.noise_level = self.noise_level is not None, noise_level(payload)
        stage = self._stage
        if known or stage is None or way.source.rate != self._in_hz:
            return []  # who fills the silence goes on, at the new level
        packets = self._catch_up(stage, timestamp, 0, b"")
        stage.put(self._noise.pcm(stage.samples, self.noise_level))
        self._due = (timestamp + self._in_hz * stage.packet_ms // 1000) & _TIMESTAMP
        return packets + self._packets(stage)

    # what goes out

    def _clocks(self, way: Way) -> None:
        self._in_hz, self._out_hz = way.source.rate, way.target.rate

    def _stage_of(self, way: Way) -> tuple[list[bytes], Packing]:
        """Where that way's audio is made, and the last packets of another one before it."""
        stage = self._stage
        if stage is not None and stage.way == way:
            return [], stage
        packets = self._finish()
        self._clocks(way)
        self._stage = stage = self._coding.packing(way, self._packet_ms)
        return packets, stage

    def _packets(self, stage: Packing) -> list[bytes]:
        packets = []
        ticks = stage.packet_ms * self._out_hz // 1000
        for payload in stage.payloads():
            packets.append(self._packet(stage.way.payload_type, payload, self._timestamp))
            self._timestamp += ticks
        return packets

    def _packet(self, payload_type: int, payload: bytes, timestamp: int) -> bytes:
        kind = _VERSION | payload_type | (_MARKER if self._marked else 0)
        self._marked = False
        header = HEADER.pack(kind, self._seq, timestamp & _TIMESTAMP, self._ssrc)
        self._seq = self._seq + 1 & _SEQ
        return header + payload


def payload_start(packet: bytes) -> int | None:
    """Where an RTP packet's payload begins, behind CSRCs and extension (RFC 3550 5.1)."""
    start = HEADER_SIZE + 4 * (packet[0] & 0x0F)
    if packet[0] & _EXTENSION:
        if len(packet) < start + 4:
            return None
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    return start if start <= len(packet) else None


def payload_of(packet: bytes) -> bytes | None:
    """An RTP packet's payload without padding; None where it is too short for what it says."""
    start = payload_start(packet)
    if start is None:
        return None
    padding = packet[-1] if packet[0] & _PADDING else 0
    end = len(packet) - padding
    return packet[start:end] if end >= start else None


def _event(payload: bytes, way: Way) -> bytes:
    """A key's payload with its duration on the receiver's clock (RFC 4733 2.3)."""
    if way.source.rate == way.target.rate or len(payload) < _EVENT.size:
        return payload
    number, flags, duration = _EVENT.unpack_from(payload)
    scaled = min(duration * way.target.rate // way.source.rate, 0xFFFF)
    return _EVENT.pack(number, flags, scaled) + payload[_EVENT.size :]


def _ahead(timestamp: int, due: int) -> int:
    """By how much it is later; negative if it is earlier."""
    ahead = (timestamp - due) & _TIMESTAMP
    return ahead - (_TIMESTAMP + 1) if ahead > _TIMESTAMP >> 1 else ahead
