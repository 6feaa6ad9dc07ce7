"""RTCP read and written: octets of the RFCs' figures, and nothing hostile gets through."""

import struct
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.media import rtcp
from sip.media.rtcp import (
    Block,
    Bye,
    Echo,
    Echoes,
    ExtendedReport,
    Names,
    Packet,
    ReceiverReport,
    ReceiverTime,
    RtcpError,
    SenderReport,
    VoipMetrics,
)

many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORD = st.integers(0, 0xFFFFFFFF)
OCTET = st.integers(0, 255)
SHORT = st.integers(0, 0xFFFF)
LEVEL = st.integers(-128, 127)
NTP = st.integers(0, 0xFFFFFFFFFFFFFFFF)
TEXT = st.text(max_size=60).filter(lambda text: len(text.encode()) <= rtcp.MAX_TEXT)

blocks = st.lists(
    st.builds(Block, WORD, OCTET, st.integers(-0x800000, 0x7FFFFF), WORD, WORD, WORD, WORD),
    max_size=rtcp.MAX_COUNT,
).map(tuple)
metrics = st.builds(
    VoipMetrics, WORD, *[OCTET] * 4, *[SHORT] * 4, *[LEVEL] * 2, *[OCTET] * 7, *[SHORT] * 3
)
extensions = st.one_of(
    st.builds(ReceiverTime, NTP),
    st.builds(Echoes, st.lists(st.builds(Echo, WORD, WORD, WORD), max_size=5).map(tuple)),
    metrics,
)
packets = st.one_of(
    st.builds(SenderReport, WORD, NTP, WORD, WORD, WORD, blocks),
    st.builds(ReceiverReport, WORD, blocks),
    st.builds(Names, st.lists(st.tuples(WORD, TEXT), max_size=rtcp.MAX_COUNT).map(tuple)),
    st.builds(Bye, st.lists(WORD, max_size=rtcp.MAX_COUNT).map(tuple), TEXT),
    st.builds(ExtendedReport, WORD, st.lists(extensions, max_size=4).map(tuple)),
)
compounds = st.lists(packets, min_size=1, max_size=4)


@many
@given(compounds)
def test_reading_undoes_writing(compound: list[Packet]) -> None:
    written = rtcp.write(compound)
    assert rtcp.read(written) == compound
    assert len(written) % 4 == 0


@many
@given(st.binary(max_size=300))
def test_any_octets_are_read_or_refused(datagram: bytes) -> None:
    read(datagram)


@many
@given(compounds, st.data())
def test_a_report_with_wrong_octets_is_read_or_refused(
    compound: list[Packet], data: st.DataObject
) -> None:
    """Bits changed, the end cut off, or more behind it."""
    datagram = bytearray(rtcp.write(compound))
    for _ in range(data.draw(st.integers(1, 4))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(OCTET)
    cut = data.draw(st.integers(0, len(datagram)))
    read(bytes(datagram[:cut]))
    read(bytes(datagram) + data.draw(st.binary(max_size=9)))


def read(datagram: bytes) -> None:
    """Whatever it is, there is one error for it."""
    with suppress(RtcpError):
        rtcp.read(datagram)


def test_a_sender_report_is_laid_out_as_in_rfc_3550() -> None:
    report = SenderReport(
        1, 0x8000000180000000, 160, 50, 8000, (Block(2, 64, -1, 0x10005, 12, 0xABCD, 65536),)
    )
    assert rtcp.write([report]) == (
        struct.pack("!BBH", 0x81, 200, 12)
        + struct.pack("!IQIII", 1, 0x8000000180000000, 160, 50, 8000)
        + struct.pack("!IIIIII", 2, 0x40FFFFFF, 0x10005, 12, 0xABCD, 65536)
    )


def test_voip_metrics_are_laid_out_as_in_rfc_3611() -> None:
    block = VoipMetrics(
        2, 1, 2, 3, 4, 500, 600, 70, 80, -20, -60, 55, 16, 93, 127, 44, 43, 0x40, 40, 60, 200
    )
    assert rtcp.write([ExtendedReport(1, (block,))]) == (
        bytes.fromhex("80cf000a 00000001 07000008 00000002 01020304 01f40258 00460050")
        + bytes.fromhex("ecc43710 5d7f2c2b 40000028 003c00c8".replace(" ", ""))
    )


def test_a_cname_ends_on_a_word_with_a_null() -> None:
    for name, size in (("", 12), ("a", 12), ("ab", 16), ("abcdef", 20)):
        written = rtcp.write([Names(((7, name),))])
        assert len(written) == size, name
        assert written[-1] == 0
        assert rtcp.read(written) == [Names(((7, name),))]


def test_items_beside_the_cname_are_passed_over() -> None:
    items = b"\x02\x03Bob" + b"\x01\x02me" + b"\x00"
    body = struct.pack("!I", 9) + items + bytes(-len(items) % 4)
    datagram = struct.pack("!BBH", 0x81, 202, len(body) // 4) + body
    assert rtcp.read(datagram) == [Names(((9, "me"),))]


def test_the_padding_of_the_last_packet_is_cut_off() -> None:
    report = rtcp.write([ReceiverReport(5)])
    bye = struct.pack("!BBHI", 0xA1, 203, 2, 5) + b"\0\0\0\4"
    assert rtcp.read(report + bye) == [ReceiverReport(5), Bye((5,))]
    with pytest.raises(RtcpError, match="padding"):
        rtcp.read(bye + report)


def test_kinds_that_are_not_read_are_passed_over() -> None:
    feedback = struct.pack("!BBHII", 0x81, 206, 2, 1, 2)
    assert rtcp.read(feedback + rtcp.write([Bye((1,))])) == [Bye((1,))]


@pytest.mark.parametrize(
    ("datagram", "says"),
    [
        (b"", "empty"),
        (b"\x80\xc9\0", "octets after"),
        (b"\x40\xc9\0\1\0\0\0\1", "version"),
        (b"\x80\x20\0\1\0\0\0\1", "type"),
        (b"\x80\xc9\0\2\0\0\0\1", "a packet of 12"),
        (b"\x81\xc9\0\1\0\0\0\1", "28 should be"),
        (b"\x80\xc8\0\1\0\0\0\1", "24 should be"),
        (b"\x82\xcb\0\1\0\0\0\1", "8 should be"),
        (b"\x81\xca\0\2\0\0\0\1\1\x09ab", "octets where"),
        (b"\x80\xcf\0\2\0\0\0\1\7\0\0\x08", "octets where"),
    ],
)
def test_what_is_no_rtcp_is_refused_in_words(datagram: bytes, says: str) -> None:
    with pytest.raises(RtcpError, match=says):
        rtcp.read(datagram)


def test_what_no_field_holds_is_not_written() -> None:
    with pytest.raises(ValueError, match="31"):
        rtcp.write([ReceiverReport(1, tuple([Block(2)] * 32))])
    with pytest.raises(ValueError, match="255"):
        rtcp.write([Names(((1, "x" * 256),))])
    with pytest.raises(ValueError, match=r"argument|format"):
        rtcp.write([SenderReport(-1, 0, 0, 0, 0)])


def test_the_time_of_ntp() -> None:
    """RFC 3550 6.4.1's figure: 10 Nov 1995 11:33:25.125 UTC is b44db705:20000000."""
    ntp = rtcp.ntp_of(816003205.125)
    assert ntp == 0xB44DB705_20000000
    assert rtcp.middle(ntp) == 0xB7052000
