"""SDP in, SDP out, side by side; and the descriptions that are not relayed."""

import pytest

from sip.core.sdp import parse
from sip.media.plane import MediaError
from sip.media.relay import rewrite

OFFER = """\
v=0
o=- 1785 2 IN IP4 192.168.7.20
s=Phone
c=IN IP4 192.168.7.20
b=AS:84
t=0 0
a=sendrecv
a=group:BUNDLE audio video
m=audio 16384/2 RTP/AVP 9 0 8 101
c=IN IP4 192.168.7.21
a=rtpmap:9 G722/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=rtcp:16400 IN IP4 192.168.7.22
a=rtcp-mux
a=mid:audio
a=ice-ufrag:abcd
a=candidate:1 1 UDP 2130706431 192.168.7.20 16384 typ host
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0
a=fingerprint:sha-256 AA:BB
a=ptime:20
a=x-vendor:kept as it is
m=video 16386 RTP/AVP 96
a=rtpmap:96 H264/90000
m=audio 16388 RTP/AVP 0
"""

RELAYED = """\
v=0
o=- 1785 2 IN IP4 203.0.113.10
s=Phone
c=IN IP4 203.0.113.10
b=AS:84
t=0 0
a=sendrecv
m=audio 20000 RTP/AVP 9 0 8 101
c=IN IP4 203.0.113.10
a=rtpmap:9 G722/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=x-vendor:kept as it is
m=video 0 RTP/AVP 96
m=audio 0 RTP/AVP 0
"""


def wire(text: str) -> str:
    return text.replace("\n", "\r\n")


def offered(text: str, *, version: int = 4) -> rewrite.RemoteMedia:
    return rewrite.read(wire(text), version, offer=True).media


def relayed(text: str, address: str = "203.0.113.10", *, version: int = 4) -> str:
    return rewrite.read(wire(text), version, offer=True).rewritten(address, 20000)


def plain(connection: str = "IN IP4 192.0.2.1", media: str = "audio 4000 RTP/AVP 0") -> str:
    return f"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc={connection}\nt=0 0\nm={media}\n"


def test_addresses_change_and_the_rest_passes() -> None:
    assert relayed(OFFER) == wire(RELAYED)


def test_where_the_party_wants_its_media() -> None:
    media = offered(OFFER)
    assert media.rtp == ("192.168.7.21", 16384)
    assert media.rtcp == ("192.168.7.22", 16400)
    assert {number: codec.name for number, codec in media.codecs} == {
        9: "G722",
        0: "PCMU",
        8: "PCMA",
        101: "TELEPHONE-EVENT",
    }


def test_rtcp_is_the_port_above_unless_said_otherwise() -> None:
    assert offered(plain()).rtcp == ("192.0.2.1", 4001)
    assert offered(plain() + "a=rtcp:5555\n").rtcp == ("192.0.2.1", 5555)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ("0", ("192.0.2.1", 4001)),
        ("99999", ("192.0.2.1", 4001)),
        ("", ("192.0.2.1", 4001)),
        ("x IN IP4 192.0.2.9", ("192.0.2.1", 4001)),
        ("5555 IN IP4 media.example.com", ("192.0.2.1", 5555)),
        ("5555 IN IP4", ("192.0.2.1", 5555)),
        ("5555 IN IP4 224.1.1.1", None),
    ],
)
def test_odd_rtcp_fails_no_call(value: str, where: tuple[str, int] | None) -> None:
    text = f"{plain()}a=rtcp:{value}\n"
    media = offered(text)
    assert (media.rtp, media.rtcp) == (("192.0.2.1", 4000), where)
    assert "a=rtcp" not in relayed(text)  # ours is always the port above


def test_media_for_a_name_goes_where_its_description_came_from() -> None:
    """To look the name up would hold up every call."""
    text = wire(plain("IN IP4 pbx.example.com"))
    for address in ("192.0.2.7", "192.0.2.8"):
        sdp = rewrite.read(text, 4, offer=True, signalling_ip=address)
        assert (sdp.media.rtp, sdp.media.rtcp) == ((address, 4000), (address, 4001))
        assert "pbx.example.com" not in sdp.rewritten("203.0.113.10", 20000)


def test_what_is_no_payload_type_is_left_out() -> None:
    text = plain(media="audio 4000 RTP/AVP 0 PCMU 101 255")
    assert [number for number, _ in offered(text).codecs] == [0, 101]
    out = relayed(text)
    assert "m=audio 20000 RTP/AVP 0 101\r\n" in out


def test_hold_by_the_zero_address_passes_as_hold() -> None:
    """RFC 3264 8.4: our address in its place would end the hold."""
    held = plain("IN IP4 0.0.0.0")
    media = offered(held)
    assert (media.rtp, media.rtcp) == (None, None)
    out = parse(relayed(held))
    assert out.connection is not None
    assert out.connection.address == "0.0.0.0"
    assert out.media[0].port == 20000
    assert out.origin.address == "203.0.113.10"


@pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive", "sendrecv"])
def test_the_direction_passes(direction: str) -> None:
    assert parse(relayed(plain() + f"a={direction}\n")).media[0].direction == direction


def test_ipv6() -> None:
    text = plain("IN IP6 2001:db8::1")
    assert offered(text, version=6).rtp == ("2001:db8::1", 4000, 0, 0)
    assert "c=IN IP6 2001:db8::99\r\n" in relayed(text, "2001:db8::99", version=6)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hello", "Malformed SDP"),
        (plain("IN IP4 224.1.1.1/127"), "multicast"),
        (plain("IN IP6 2001:db8::1"), "not IPv4"),
        (plain("IN IP4 pbx.example.com"), "no IP address"),
        (plain(media="audio 4000 RTP/SAVP 0"), "without a=crypto"),
        (plain(media="audio 4000 UDP/TLS/RTP/SAVPF 0"), "transport protocol: UDP/TLS/RTP/SAVPF"),
        (plain(media="audio 0 RTP/AVP 0"), "no audio"),
        (plain(media="image 4000 TCP t38"), "no audio"),
        (plain(media="audio 4000 RTP/AVP PCMU"), "payload type"),
        (plain(media="audio 4000 RTP/AVP 128"), "payload type"),
    ],
)
def test_offers_that_are_not_relayed(text: str, why: str) -> None:
    with pytest.raises(MediaError, match=why) as refused:
        offered(text)
    assert refused.value.slug == "bad-sdp"


def test_an_answer_may_refuse_the_audio() -> None:
    sdp = rewrite.read(wire(plain(media="audio 0 RTP/AVP 0")), 4, offer=False)
    assert (sdp.media.rtp, sdp.media.codecs) == (None, ())
    assert "m=audio 0 RTP/AVP 0\r\n" in sdp.rewritten("203.0.113.10", 20000)


def test_the_next_call_of_a_peer_differs_in_its_numbers_alone() -> None:
    """What is remembered of the first call is not its port, its session or our address."""
    first = plain(media="audio 4000 RTP/AVP 0 101") + "a=rtpmap:101 telephone-event/8000\n"
    relayed(first)
    known = rewrite.remembered()
    other = first.replace("- 1 1", "phone 77 3").replace("audio 4000", "audio 6000")
    assert offered(other) == offered(first)._replace(
        rtp=("192.0.2.1", 6000), rtcp=("192.0.2.1", 6001)
    )
    assert relayed(other, "198.51.100.9") == wire(
        other.replace("192.0.2.1", "198.51.100.9").replace("audio 6000", "audio 20000")
    )
    assert rewrite.remembered() == known


@pytest.mark.parametrize(
    "line", ["a=rtcp:4005", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0", "i=" + "x" * 1024]
)
def test_what_is_a_calls_own_is_not_remembered(line: str) -> None:
    known = rewrite.remembered()
    relayed(plain() + line + "\n")
    assert rewrite.remembered() == known


@pytest.mark.parametrize("port", ["65535", "65536", "04000", "4000/2"])
def test_a_port_at_the_edge_is_read_like_any(port: str) -> None:
    text = plain(media=f"audio {port} RTP/AVP 0")
    if port == "65536":
        with pytest.raises(MediaError, match="Malformed SDP Media"):
            offered(text)
        return
    assert offered(text).rtp == ("192.0.2.1", int(port.partition("/")[0]))
    assert "m=audio 20000 RTP/AVP 0\r\n" in relayed(text)
