"""What one party says in one codec arrives in another's: by content, time and numbers."""

import gc
import random
import struct
from collections.abc import Iterable, Sequence
from itertools import pairwise, permutations

import pytest

from sip.core.sdp_lines import Codec
from sip.media.relay.codecs import CODERS
from sip.media.relay.convert import Conversion, Relabelling, payload_of
from sip.media.relay.resample import Doubler, Halver
from sip.media.relay.ways import one_to_one, untouched, ways
from testkit.melody import AGENT, CALLER, find, synthesise

WRITTEN = {
    "PCMU": (0, Codec("PCMU", 8000)),
    "PCMA": (8, Codec("PCMA", 8000)),
    "G722": (9, Codec("G722", 8000)),
    "OPUS": (111, Codec("opus", 48000, 2)),
}
KEYS = Codec("telephone-event", 8000)
WIDE_KEYS = Codec("telephone-event", 48000)
NOISE = Codec("CN", 8000)


def rtp(kind: int, seq: int, timestamp: int, payload: bytes, *, marker: bool = False) -> bytes:
    head = struct.pack(
        "!BBHII", 0x80, kind | marker << 7, seq & 0xFFFF, timestamp & 0xFFFFFFFF, 0x5EED
    )
    return head + payload


def read(packet: bytes) -> tuple[int, int, int, bool]:
    """Payload type, sequence number, timestamp and marker."""
    _, kind, seq, timestamp, _ = struct.unpack_from("!BBHII", packet)
    return kind & 0x7F, seq, timestamp, bool(kind & 0x80)


def spoken(name: str, pcm: bytes, packet_ms: int = 20) -> list[bytes]:
    """8 kHz samples as a sender's packets; the first is marked."""
    number, codec = WRITTEN[name]
    coder = CODERS[name]
    hz = coder.pcm_hz[0]
    if hz == 16000:
        pcm = Doubler().take(pcm)
    encoder = coder.encoder(hz, "")
    size = 2 * hz * packet_ms // 1000
    pcm += bytes(-len(pcm) % size)
    return [
        rtp(number, 65530 + i, 4294967000 + i * codec.rate * packet_ms // 1000,
            encoder.encode(pcm[at : at + size]), marker=i == 0)
        for i, at in enumerate(range(0, len(pcm), size))
    ]  # fmt: skip


def understood(name: str, packets: Iterable[bytes]) -> bytes:
    """What a receiver plays, 8 kHz."""
    coder = CODERS[name]
    hz = coder.pcm_hz[0]
    decoder = coder.decoder(hz)
    pcm = b"".join(decoder.decode(payload_of(packet) or b"") for packet in packets)
    return Halver().take(pcm) if hz == 16000 else pcm


def conversion(
    source: str,
    target: str,
    packet_ms: int = 20,
    *,
    more: dict[int, Codec] | None = None,
    takes: Sequence[tuple[int, Codec]] = (),
) -> Conversion:
    number, codec = WRITTEN[source]
    of = ways({number: codec, **(more or {})}, (WRITTEN[target], *takes))
    return Conversion(of, packet_ms, random.Random(1))


def passed(convert: Conversion, packets: Iterable[bytes]) -> list[bytes]:
    out: list[bytes] = []
    for n, packet in enumerate(packets):
        out += convert(packet, n * 0.02)
    return out


def steps(packets: Sequence[bytes]) -> set[tuple[int, int]]:
    """By how much sequence numbers and timestamps rise from packet to packet."""
    return {
        ((b[1] - a[1]) & 0xFFFF, (b[2] - a[2]) & 0xFFFFFFFF)
        for a, b in pairwise(map(read, packets))
    }


@pytest.mark.parametrize(("source", "target"), list(permutations(WRITTEN, 2)))
@pytest.mark.parametrize("packet_ms", [20, 40])
def test_speech_arrives_from_every_codec_in_every_other(
    source: str, target: str, packet_ms: int
) -> None:
    pcm = synthesise(AGENT) + synthesise(CALLER)
    out = passed(conversion(source, target, packet_ms), spoken(source, pcm))
    heard = understood(target, out)
    assert find(AGENT, heard).score > 0.95
    assert find(CALLER, heard).score > 0.95
    number, codec = WRITTEN[target]
    assert {read(packet)[0] for packet in out} == {number}
    assert steps(out) == {(1, codec.rate * packet_ms // 1000)}
    assert [read(packet)[3] for packet in out] == [True] + [False] * (len(out) - 1)
    assert len(out) * packet_ms == 1920


@pytest.mark.parametrize("name", ["PCMU", "PCMA", "G722"])
@pytest.mark.parametrize(("came_ms", "sent_ms"), [(20, 10), (20, 30), (20, 60), (30, 20), (60, 40)])
def test_another_packet_time_keeps_every_octet(name: str, came_ms: int, sent_ms: int) -> None:
    came = spoken(name, synthesise(AGENT) * 2, came_ms)
    sent = passed(conversion(name, name, sent_ms), came)
    octets = b"".join(payload_of(packet) or b"" for packet in came)
    assert octets.startswith(b"".join(payload_of(packet) or b"" for packet in sent))
    assert {len(payload_of(packet) or b"") for packet in sent} == {8 * sent_ms}
    assert steps(sent) == {(1, 8 * sent_ms)}
    assert len(sent) == len(octets) // (8 * sent_ms)


def test_a_sender_of_other_packets_than_it_said_is_understood_by_their_length() -> None:
    pcm = synthesise(AGENT)
    came = [*spoken("PCMA", pcm, 10), *spoken("PCMA", pcm, 60)]
    numbered = []
    timestamp = 0
    for seq, packet in enumerate(came):
        payload = payload_of(packet) or b""
        numbered.append(rtp(8, seq, timestamp, payload))
        timestamp += len(payload)
    sent = passed(conversion("PCMA", "PCMU", 20), numbered)
    assert steps(sent) == {(1, 160)}
    assert find(AGENT, understood("PCMU", sent)).score > 0.95


def test_opus_has_no_packets_of_30_ms_and_gets_20() -> None:
    sent = passed(conversion("PCMU", "OPUS", 30), spoken("PCMU", synthesise(AGENT)))
    assert steps(sent) == {(1, 960)}


@pytest.mark.parametrize(
    ("source", "target"), [("OPUS", "PCMU"), ("G722", "OPUS"), ("PCMU", "G722")]
)
def test_a_lost_packet_is_made_up_for_and_costs_no_time(source: str, target: str) -> None:
    came = spoken(source, synthesise(AGENT) * 2)
    sent = passed(conversion(source, target), [p for n, p in enumerate(came) if n % 10 != 4])
    codec = WRITTEN[target][1]
    assert steps(sent) == {(1, codec.rate // 50)}
    assert len(sent) == len(came)
    assert find(AGENT, understood(target, sent)).score > 0.85


def test_a_packet_that_comes_after_its_time_is_dropped() -> None:
    came = spoken("OPUS", synthesise(AGENT))
    came[5], came[6] = came[6], came[5]
    convert = conversion("OPUS", "PCMU")
    counts = [len(list(convert(packet, 0.02 * n))) for n, packet in enumerate(came)]
    assert counts[5:8] == [2, 0, 1]
    assert sum(counts) == len(came)


def test_a_pause_stays_as_long_as_it_was() -> None:
    frame = bytes(160)
    came = [rtp(0, 1, 0, frame), rtp(0, 2, 160, frame), rtp(0, 3, 8160, frame, marker=True)]
    sent = passed(conversion("PCMU", "OPUS"), came)
    assert [read(packet)[1:3] for packet in sent] == [(0, 0), (1, 960), (2, 48960)]
    assert [read(packet)[3] for packet in sent] == [False, False, True]


def test_what_is_left_before_a_pause_is_filled_up_and_the_time_kept() -> None:
    frame = bytes(160)
    came = [rtp(0, 1, 0, frame), rtp(0, 2, 8000, frame), rtp(0, 3, 8160, frame)]
    sent = passed(conversion("PCMU", "PCMU", 30), came)
    assert [(read(packet)[2], len(packet)) for packet in sent] == [(0, 252), (8000, 252)]


def test_a_stream_that_begins_anew_goes_on_as_much_later_as_it_is() -> None:
    convert = conversion("PCMU", "PCMA", 20)
    frame = bytes(160)
    [first] = convert(rtp(0, 1, 0, frame), 1.0)
    other = bytearray(rtp(0, 900, 77_000_000, frame))
    other[8:12] = b"\1\2\3\4"
    [second] = convert(bytes(other), 2.0)
    assert read(first)[1:3] == (0, 0)
    assert read(second)[1:] == (1, 8000 + 160, True)


def test_a_sequence_that_jumps_far_back_is_a_new_one() -> None:
    convert = conversion("PCMU", "OPUS")
    frame = bytes(160)
    convert(rtp(0, 30000, 160, frame), 0.0)
    assert len(list(convert(rtp(0, 10, 320, frame), 0.02))) == 1
    assert len(list(convert(rtp(0, 11, 480, frame), 0.04))) == 1


# --- beside speech ---------------------------------------------------------------------------


def test_keys_keep_their_time_on_another_clock() -> None:
    """RFC 4733 2.1: all packets of a key have the timestamp of its beginning."""
    convert = conversion("PCMU", "OPUS", more={101: KEYS}, takes=[(110, WIDE_KEYS)])
    frame = bytes(160)
    convert(rtp(0, 1, 0, frame), 0.0)
    downs = [
        rtp(101, 2 + n, 160, struct.pack("!BBH", 5, 10, 160 * (n + 1)), marker=n == 0)
        for n in range(3)
    ]
    sent = passed(convert, downs)
    assert [read(packet) for packet in sent] == [
        (110, 1, 960, True), (110, 2, 960, False), (110, 3, 960, False),
    ]  # fmt: skip
    assert [struct.unpack("!BBH", packet[12:])[2] for packet in sent] == [960, 1920, 2880]
    [after] = convert(rtp(0, 5, 640, frame), 0.1)
    assert read(after) == (111, 4, 3840, False)


def test_a_key_during_speech_is_one_key_although_packets_are_packed_anew() -> None:
    convert = conversion("PCMU", "PCMA", 30, more={101: KEYS}, takes=[(101, KEYS)])
    came = []
    for n in range(6):
        came.append(rtp(0, 2 * n, 160 * n, bytes(160)))
        came.append(rtp(101, 2 * n + 1, 320, struct.pack("!BBH", 5, 10, 160 * (n + 1))))
    keys = [packet for packet in passed(convert, came) if read(packet)[0] == 101]
    assert len(keys) == 6
    assert len({read(packet)[2] for packet in keys}) == 1


def test_comfort_noise_becomes_noise_where_the_receiver_knows_none() -> None:
    convert = conversion("PCMU", "PCMA", more={13: NOISE})
    frame = bytes([0xFF]) * 160
    passed(convert, [rtp(0, 1, 0, frame)])
    [noise] = convert(rtp(13, 2, 160, bytes([40])), 0.02)
    assert read(noise)[0] == 8
    assert convert.noise_level == 40
    assert len(set(noise[12:])) > 10
    assert list(convert(rtp(13, 3, 1760, bytes([45])), 0.22)) == []  # who fills the silence goes on
    assert convert.noise_level == 45
    [after] = convert(rtp(0, 4, 8000, frame), 1.0)
    assert read(after)[1:3] == (2, 8000)
    assert convert.noise_level is None


def test_comfort_noise_passes_where_the_receiver_takes_it() -> None:
    convert = conversion("PCMU", "G722", more={13: NOISE}, takes=[(13, NOISE)])
    passed(convert, [rtp(0, 1, 0, bytes(160))])
    [noise] = convert(rtp(13, 2, 160, bytes([40])), 0.02)
    assert read(noise)[:3] == (13, 1, 160)
    assert noise[12:] == bytes([40])


def test_a_way_out_is_found_for_each_payload_type() -> None:
    sends = {0: WRITTEN["PCMU"][1], 9: WRITTEN["G722"][1], 18: Codec("G729", 8000), 101: KEYS}
    heard = (WRITTEN["G722"], (96, KEYS))
    found = ways(sends, heard)
    assert {number: way.payload_type for number, way in found.items()} == {0: 9, 9: 9, 101: 96}
    assert found[0].converts
    assert not found[9].converts
    assert not untouched(found)
    assert not one_to_one(found)
    assert untouched(ways({9: WRITTEN["G722"][1]}, heard))


# --- packet by packet ------------------------------------------------------------------------


def test_the_other_law_keeps_numbers_order_and_loss() -> None:
    of = ways({0: WRITTEN["PCMU"][1], 101: KEYS}, (WRITTEN["PCMA"], (96, KEYS)))
    assert one_to_one(of)
    convert = Relabelling(of)
    came = spoken("PCMU", synthesise(AGENT))
    del came[3]
    sent = [packet for each in came for packet in convert(each, 0.0)]
    assert [read(packet)[1:] for packet in sent] == [read(packet)[1:] for packet in came]
    assert find(AGENT, understood("PCMA", sent)).score > 0.9
    [key] = convert(rtp(101, 1, 2, b"\5\x0a\0\xa0"), 0.0)
    assert key == rtp(96, 1, 2, b"\5\x0a\0\xa0")
    assert list(convert(rtp(77, 1, 2, b""), 0.0)) == []


def test_padding_is_not_mistaken_for_speech() -> None:
    of = ways({0: WRITTEN["PCMU"][1]}, (WRITTEN["PCMA"],))
    plain = rtp(0, 1, 2, bytes(160))
    padded = bytes([plain[0] | 0x20]) + plain[1:] + b"\0\0\0\4"
    assert list(Relabelling(of)(padded, 0.0)) == list(Relabelling(of)(plain, 0.0))


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\xff\xff\xff\xff", bytes(2000)])
@pytest.mark.parametrize("source", ["OPUS", "G722", "PCMU"])
@pytest.mark.parametrize("head", [0x80, 0x90, 0xA0, 0x8F])
def test_odd_packets_harm_nothing(payload: bytes, source: str, head: int) -> None:
    target = "PCMA" if source != "PCMA" else "PCMU"
    convert = conversion(source, target)
    came = spoken(source, synthesise(AGENT))
    number = WRITTEN[source][0]
    odd = rtp(number, 65530 + 3, 4294967000 + 3 * 160, payload)
    passed(convert, [*came[:3], bytes([head]) + odd[1:]])
    sent = passed(convert, came[4:])
    assert find(AGENT, understood(target, sent)).score > 0.75


@pytest.mark.parametrize("name", list(WRITTEN))
def test_what_was_coded_is_freed_at_once(name: str) -> None:
    """And not when the collector comes by: a packet's samples are two kilobytes."""
    pcm = synthesise(CALLER)[:6400]
    understood(name, spoken(name, pcm))  # loads the codec
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(50):
            understood(name, spoken(name, pcm))
        assert len(gc.get_objects()) - before < 50
    finally:
        gc.enable()
