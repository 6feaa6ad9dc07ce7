"""RFC 5118: torture test messages for IPv6, by its sections."""

import pytest

from sip.core import sdp
from sip.core.errors import ParseError
from sip.core.message import Request, parse_message, validate


def receive(start: str, via: str = "SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bKas3-111") -> Request:
    method = start.partition(" ")[0]
    message = parse_message(
        f"{start} SIP/2.0\r\nTo: sip:user@example.com\r\nFrom: sip:user@example.com;tag=81x2\r\n"
        f"Via: {via}\r\nCall-ID: SSG9559905523997077@hlau_4100\r\nMax-Forwards: 70\r\n"
        f'Contact: "Caller" <sip:caller@[2001:db8::1]>\r\nCSeq: 98176 {method}\r\n'
        "Content-Length: 0\r\n\r\n".encode()
    )
    validate(message)
    assert isinstance(message, Request)
    return message


def test_4_1_a_reference_in_brackets() -> None:
    request = receive("REGISTER sip:[2001:db8::10]")
    assert request.request_uri.host == "2001:db8::10"
    assert request.via.host == "2001:db8::9:1"
    assert request.contact is not None
    assert request.contact.uri.host == "2001:db8::1"
    assert str(request.request_uri) == request.uri


def test_4_2_an_address_without_brackets() -> None:
    with pytest.raises(ParseError) as caught:
        receive("REGISTER sip:2001:db8::10")
    assert caught.value.status == 400
    assert caught.value.request is not None


def test_4_3_what_looks_like_a_port_inside_the_brackets() -> None:
    uri = receive("REGISTER sip:[2001:db8::10:5070]").request_uri
    assert (uri.host, uri.port) == ("2001:db8::10:5070", None)


def test_4_4_a_port_outside_the_brackets() -> None:
    uri = receive("REGISTER sip:[2001:db8::10]:5070").request_uri
    assert (uri.host, uri.port) == ("2001:db8::10", 5070)


@pytest.mark.parametrize("received", ["[2001:db8::9:255]", "2001:db8::9:255"])
def test_4_5_received_with_brackets_and_without(received: str) -> None:
    via = f"SIP/2.0/UDP [2001:db8::9:1];received={received};branch=z9hG4bKas3-111"
    assert receive("BYE sip:[2001:db8::10]", via).via.received == "2001:db8::9:255"


def test_4_6_and_4_8_both_families_in_one_description() -> None:
    description = sdp.parse(
        "v=0\r\no=bob 280744730 28977631 IN IP4 host.example.com\r\ns=\r\nt=0 0\r\n"
        "m=audio 22334 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n"
        "m=video 6024 RTP/AVP 107\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:107 H263-1998/90000\r\n"
    )
    places = [description.connection_of(media) for media in description.media]
    assert [str(place) for place in places] == ["IN IP4 192.0.2.1", "IN IP6 2001:db8::1"]


def test_4_7_both_families_in_the_vias() -> None:
    via = (
        "SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKas3-111,"
        " SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKjhja8781hjuaij65144"
    )
    request = receive("BYE sip:user@host.example.net", via)
    assert (request.via.host, request.via.port) == ("2001:db8::9:1", 6050)
    assert len(request.headers.get_all("via")) == 2


def test_4_9_ipv4_mapped_addresses() -> None:
    via = "SIP/2.0/UDP [::ffff:192.0.2.10]:19823;branch=z9hG4bKbh19"
    assert receive("INVITE sip:user@example.com", via).via.host == "::ffff:192.0.2.10"


@pytest.mark.parametrize("host", ["[2001:db8:::192.0.2.1]", "[2001:db8::192.0.2.1]"])
def test_4_10_the_extra_colon_of_rfc_3261(host: str) -> None:
    assert receive(f"OPTIONS sip:user@{host}").request_uri.host == "2001:db8::192.0.2.1"
