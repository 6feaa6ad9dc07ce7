"""RTCP packets as values, read and written (RFC 3550 6, RFC 3611): pure, of bytes alone.

A datagram is a *compound* of packets. What is read here: sender and receiver reports, CNAMEs, BYE,
and of extended reports the VoIP metrics, the receiver's clock and its echo. Packets and blocks of
other kinds are passed over. Times of NTP's are whole numbers: 64 bits of 1/2^32 s since 1900, or
their middle 32 bits, which are units of 1/65536 s (RFC 3550 4).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from sip.errors import Fault, SipError

#: Smallest packet: a header with one SSRC.
MIN_SIZE: Final = 8

#: RFC 5761 4: packet types that are, or may become, RTCP.
FIRST_TYPE: Final = 192
LAST_TYPE: Final = 223

#: Report blocks in one report, CNAMEs or sources in one packet: what a count of five bits holds.
MAX_COUNT: Final = 31

#: Octets of a CNAME, and of the reason of a BYE: what its length's octet holds.
MAX_TEXT: Final = 255

#: Seconds from the start of NTP's time, 1900, to that of Unix's.
NTP_EPOCH_S: Final = 2_208_988_800

_SR, _RR, _SDES, _BYE, _XR = 200, 201, 202, 203, 207
_CNAME: Final = 1
_RECEIVER_TIME, _DLRR, _VOIP = 4, 5, 7

_HEADER: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!QIII")
_BLOCK: Final = struct.Struct("!IIIIII")
_DLRR_BLOCK: Final = struct.Struct("!III")
_VOIP_BLOCK: Final = struct.Struct("!IBBBBHHHHbbBBBBBBBxHHH")


class RtcpError(SipError):
    """The bytes are something else than RTCP."""

    fault = Fault.PEER


class Block(NamedTuple):
    """What a receiver says of one source (RFC 3550 6.4.1).

    `fraction` is the loss since the last report in 1/256, `lost` that of all time, below 0 where
    packets came twice; `highest` the extended sequence number, `jitter` in ticks of the source's
    clock. `last_report` is the middle of the NTP time of the source's last report, 0 if there was
    none, and `delay` the time since it came, in 1/65536 s.
    """

    ssrc: int
    fraction: int = 0
    lost: int = 0
    highest: int = 0
    jitter: int = 0
    last_report: int = 0
    delay: int = 0


class SenderReport(NamedTuple):
    """Who sends audio says how much, and which moment `rtp_time` was (RFC 3550 6.4.1)."""

    ssrc: int
    ntp: int
    rtp_time: int
    packets: int
    octets: int
    blocks: tuple[Block, ...] = ()


class ReceiverReport(NamedTuple):
    """Who sends none says how others are heard (RFC 3550 6.4.2)."""

    ssrc: int
    blocks: tuple[Block, ...] = ()


class Names(NamedTuple):
    """The CNAMEs of sources (RFC 3550 6.5): pairs of SSRC and name."""

    names: tuple[tuple[int, str], ...]


class Bye(NamedTuple):
    """These sources are no more (RFC 3550 6.6)."""

    ssrcs: tuple[int, ...]
    reason: str = ""


class ReceiverTime(NamedTuple):
    """The clock of one who may send nothing (RFC 3611 4.4)."""

    ntp: int


class Echo(NamedTuple):
    """When a receiver's time came, told back to it (RFC 3611 4.5); fields as a block's."""

    ssrc: int
    last_report: int
    delay: int


class Echoes(NamedTuple):
    """What is told back of receivers' times."""

    echoes: tuple[Echo, ...]


class VoipMetrics(NamedTuple):
    """How a receiver hears one source (RFC 3611 4.7), by the fields of that section.

    Rates and densities are in 1/256, times in ms, levels in dBm0; 127 is an unknown one of the
    grades: `r_factor` and `external_r` of 0-100, `mos_lq` and `mos_cq` of 10-50 tenths.
    """

    ssrc: int
    loss_rate: int = 0
    discard_rate: int = 0
    burst_density: int = 0
    gap_density: int = 0
    burst_ms: int = 0
    gap_ms: int = 0
    round_trip_ms: int = 0
    end_system_ms: int = 0
    signal_level: int = 127
    noise_level: int = 127
    echo_return_loss: int = 127
    min_gap: int = 16
    r_factor: int = 127
    external_r: int = 127
    mos_lq: int = 127
    mos_cq: int = 127
    receiver: int = 0
    buffer_ms: int = 0
    buffer_max_ms: int = 0
    buffer_abs_max_ms: int = 0


Extension: TypeAlias = ReceiverTime | Echoes | VoipMetrics


class ExtendedReport(NamedTuple):
    """RFC 3611: blocks of other kinds are left out."""

    ssrc: int
    blocks: tuple[Extension, ...]


Packet: TypeAlias = SenderReport | ReceiverReport | Names | Bye | ExtendedReport


def valid(packet: bytes) -> bool:
    """Whether the first packet of the compound has RTCP's version, a type of its range and fits.

    RFC 3550 A.2 also wants SR or RR first; reduced-size RTCP (RFC 5506) does not, so that is
    not asked for.
    """
    if len(packet) < MIN_SIZE or packet[0] & 0xC0 != 0x80:
        return False
    if not FIRST_TYPE <= packet[1] <= LAST_TYPE:
        return False
    return ((packet[2] << 8 | packet[3]) + 1) * 4 <= len(packet)


def ssrc(packet: bytes) -> bytes:
    """Who sent a valid packet (RFC 3550 6.4): its first four octets after the header."""
    return packet[4:8]


def ntp_of(epoch: float) -> int:
    """Seconds since 1970 as NTP's 64 bits."""
    return int((epoch + NTP_EPOCH_S) * 0x100000000) & 0xFFFFFFFFFFFFFFFF


def middle(ntp: int) -> int:
    """The middle 32 of NTP's 64 bits."""
    return ntp >> 16 & 0xFFFFFFFF


def read(compound: bytes) -> list[Packet]:
    """The packets of a datagram, as far as they are of a kind that is read. `RtcpError`."""
    if not compound:
        raise RtcpError("an empty datagram")
    packets: list[Packet] = []
    for kind, count, body in _split(compound):
        packet = _read(kind, count, body)
        if packet is not None:
            packets.append(packet)
    return packets


def write(packets: Iterable[Packet]) -> bytes:
    """A datagram of these, in this order. Raises ValueError for what no field holds."""
    try:
        return b"".join(map(_written, packets))
    except struct.error as error:
        raise ValueError(str(error)) from None


def _split(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, count and body of each packet, padding cut off (RFC 3550 6.4.1, A.2)."""
    at, size = 0, len(compound)
    while at < size:
        if size - at < 4:
            raise RtcpError(f"{size - at} octets after the last packet")
        first, kind, words = _HEADER.unpack_from(compound, at)
        end = at + 4 * (words + 1)
        if first & 0xC0 != 0x80:
            raise RtcpError(f"version {first >> 6}, not 2")
        if not FIRST_TYPE <= kind <= LAST_TYPE:
            raise RtcpError(f"type {kind} is none of RTCP")
        if end > size:
            raise RtcpError(f"a packet of {end - at} octets in {size - at}")
        body = compound[at + 4 : end]
        if first & 0x20:
            body = _unpadded(body, last=end == size)
        yield kind, first & 0x1F, body
        at = end


def _unpadded(body: bytes, *, last: bool) -> bytes:
    padding = body[-1] if body else 0
    if not last or not 0 < padding <= len(body) or padding % 4:
        raise RtcpError("padding that cannot be")
    return body[:-padding]


def _read(kind: int, count: int, body: bytes) -> Packet | None:
    reader = _READERS.get(kind)
    return None if reader is None else reader(body, count)


def _sender_report(body: bytes, count: int) -> SenderReport:
    size = 4 + _SENDER.size
    _need(body, size)
    ntp, rtp_time, packets, octets = _SENDER.unpack_from(body, 4)
    return SenderReport(
        _number(body, 0), ntp, rtp_time, packets, octets, _blocks(body, size, count)
    )


def _receiver_report(body: bytes, count: int) -> ReceiverReport:
    _need(body, 4)
    return ReceiverReport(_number(body, 0), _blocks(body, 4, count))


def _bye(body: bytes, count: int) -> Bye:
    _need(body, 4 * count)
    return Bye(struct.unpack_from(f"!{count}I", body), _reason(body[4 * count :]))


def _extended_report(body: bytes, _: int) -> ExtendedReport:
    _need(body, 4)
    return ExtendedReport(_number(body, 0), tuple(_extensions(body)))


def _blocks(body: bytes, at: int, count: int) -> tuple[Block, ...]:
    _need(body, at + count * _BLOCK.size)
    blocks: list[Block] = []
    for index in range(count):
        source, loss, highest, jitter, last_report, delay = _BLOCK.unpack_from(
            body, at + index * _BLOCK.size
        )
        lost = loss & 0xFFFFFF
        if lost & 0x800000:
            lost -= 0x1000000
        blocks.append(Block(source, loss >> 24, lost, highest, jitter, last_report, delay))
    return tuple(blocks)


def _chunks(body: bytes, count: int) -> Iterator[tuple[int, str]]:
    at = 0
    for _ in range(count):
        _need(body, at + 5)
        source = _number(body, at)
        at += 4
        while True:  # items, until a null; then up to the next word
            _need(body, at + 1)
            item = body[at]
            if item == 0:
                break
            _need(body, at + 2)
            end = at + 2 + body[at + 1]
            _need(body, end)
            if item == _CNAME:
                yield source, body[at + 2 : end].decode("utf-8", "replace")
            at = end
        at += 4 - at % 4


def _reason(rest: bytes) -> str:
    if not rest:
        return ""
    _need(rest, 1 + rest[0])
    return rest[1 : 1 + rest[0]].decode("utf-8", "replace")


def _extensions(body: bytes) -> Iterator[Extension]:
    at = 4
    while at < len(body):
        _need(body, at + 4)
        kind, _, words = _HEADER.unpack_from(body, at)
        start, at = at + 4, at + 4 + 4 * words
        _need(body, at)
        if kind == _RECEIVER_TIME and words == 2:
            yield ReceiverTime(*struct.unpack_from("!Q", body, start))
        elif kind == _DLRR and words % 3 == 0:
            found = _DLRR_BLOCK.iter_unpack(body[start:at])
            yield Echoes(tuple([Echo(*fields) for fields in found]))
        elif kind == _VOIP and words == _VOIP_BLOCK.size // 4:
            yield VoipMetrics(*_VOIP_BLOCK.unpack_from(body, start))


def _need(body: bytes, size: int) -> None:
    if len(body) < size:
        raise RtcpError(f"a packet with {len(body)} octets where {size} should be")


def _number(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 4], "big")


def _names(body: bytes, count: int) -> Names:
    return Names(tuple(_chunks(body, count)))


_READERS: Final[Mapping[int, Callable[[bytes, int], Packet]]] = {
    _SR: _sender_report,
    _RR: _receiver_report,
    _SDES: _names,
    _BYE: _bye,
    _XR: _extended_report,
}


def _written(packet: Packet) -> bytes:
    match packet:
        case SenderReport():
            body = struct.pack("!I", packet.ssrc) + _SENDER.pack(*packet[1:5])
            return _packet(_SR, len(packet.blocks), body + _written_blocks(packet.blocks))
        case ReceiverReport():
            body = struct.pack("!I", packet.ssrc)
            return _packet(_RR, len(packet.blocks), body + _written_blocks(packet.blocks))
        case Names():
            chunks = [_chunk(source, name) for source, name in packet.names]
            return _packet(_SDES, len(chunks), b"".join(chunks))
        case Bye():
            body = struct.pack(f"!{len(packet.ssrcs)}I", *packet.ssrcs)
            if packet.reason:
                reason = _text(packet.reason)
                body += bytes((len(reason),)) + reason
                body += bytes(-len(body) % 4)
            return _packet(_BYE, len(packet.ssrcs), body)
        case ExtendedReport():
            blocks = b"".join(map(_extension, packet.blocks))
            return _packet(_XR, 0, struct.pack("!I", packet.ssrc) + blocks)


def _packet(kind: int, count: int, body: bytes) -> bytes:
    if count > MAX_COUNT:
        raise ValueError(f"{count} in one packet, which holds {MAX_COUNT}")
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body


def _written_blocks(blocks: tuple[Block, ...]) -> bytes:
    return b"".join(
        _BLOCK.pack(
            block.ssrc,
            block.fraction << 24 | block.lost & 0xFFFFFF,
            block.highest,
            block.jitter,
            block.last_report,
            block.delay,
        )
        for block in blocks
    )


def _chunk(source: int, name: str) -> bytes:
    text = _text(name)
    item = bytes((_CNAME, len(text))) + text
    return struct.pack("!I", source) + item + bytes(4 - len(item) % 4)


def _text(text: str) -> bytes:
    written = text.encode()
    if len(written) > MAX_TEXT:
        raise ValueError(f"{len(written)} octets of text, at most {MAX_TEXT} fit")
    return written


def _extension(block: Extension) -> bytes:
    match block:
        case ReceiverTime():
            return _HEADER.pack(_RECEIVER_TIME, 0, 2) + struct.pack("!Q", block.ntp)
        case Echoes():
            body = b"".join(_DLRR_BLOCK.pack(*echo) for echo in block.echoes)
            return _HEADER.pack(_DLRR, 0, len(body) // 4) + body
        case VoipMetrics():
            return _HEADER.pack(_VOIP, 0, _VOIP_BLOCK.size // 4) + _VOIP_BLOCK.pack(*block)
