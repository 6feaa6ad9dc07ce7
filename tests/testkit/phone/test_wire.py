"""Messages in the manners of real peers are read, and handed to pyVoIP in the one it knows."""

import pytest

from testkit.phone.library import SIP
from testkit.phone.options import PhoneError, parse_via
from testkit.phone.wire import WireError, address_uri, parse, tag_of, tidied

RINGING = (
    b"SIP/2.0 180 Ringing\r\nv:SIP/2.0/UDP 127.0.0.1:5090;branch=z9hG4bK1;rport=5090\r\n"
    b"VIA: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK2\r\n"
    b'f:"Desk: 2; lobby" <sip:+14155550199@127.0.0.1;x=y>;x=1;tag=a\r\n'
    b"To :  sip:+14155550100@127.0.0.1 ; tag=b\r\ni:one@two\r\nCSeq:  1 \r\n INVITE\r\n"
    b"m:<sip:a@127.0.0.1;transport=udp>;q=0.5\r\nl:0\r\n\r\n"
)


def test_compact_and_folded_headers_are_read() -> None:
    message = parse(RINGING)
    assert (message.status, message.reason, message.method) == (180, "Ringing", "INVITE")
    assert len(message.all("via")) == 2
    assert message.get("call-id") == "one@two"
    assert message.get("cseq") == "1  INVITE"
    assert message.contact_uri == "sip:a@127.0.0.1;transport=udp"
    assert tag_of(message.get("from")) == "a"
    assert tag_of(message.get("to")) == "b"


def test_a_reason_moves_no_cursor() -> None:
    message = parse(RINGING.replace(b"180 Ringing", b"486 Busy \x1b[2J\x7f"))
    assert message.reason == "Busy \ufffd[2J\ufffd"


def test_pyvoip_understands_the_tidied_message() -> None:
    understood = SIP.SIPMessage(tidied(parse(RINGING)))
    assert understood.status is SIP.SIPStatus.RINGING
    assert understood.headers["To"]["tag"] == "b"
    assert understood.headers["From"]["tag"] == "a"
    assert understood.headers["Call-ID"] == "one@two"
    assert understood.headers["Contact"] == "<sip:a@127.0.0.1;transport=udp>"


@pytest.mark.parametrize(("status", "class_of"), [(199, 1), (299, 2), (399, 3), (499, 4), (699, 6)])
def test_a_status_that_pyvoip_does_not_list_keeps_its_class(status: int, class_of: int) -> None:
    message = parse(RINGING.replace(b"180 Ringing", f"{status} Odd".encode()))
    assert message.status == status
    assert SIP.SIPMessage(tidied(message)).status.value // 100 == class_of


def test_the_audio_is_found_in_a_rich_sdp() -> None:
    sdp = (
        b"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=a=b\nc=IN IP4 192.0.2.1\nt=0 0\na=x=y=z\n"
        b"m=video 4002 RTP/AVP 31\nc=IN IP4 192.0.2.2\n"
        b"m=audio 4000 RTP/AVP 8 101\nc=IN IP4 192.0.2.3\na=rtpmap:96 opus/48000/2\n"
        b"a=rtpmap:8 PCMA/8000\na=rtpmap:101 telephone-event/8000\na=ptime:20\na=sendonly\n"
        b"m=audio 4008 RTP/AVP 0\n"
    )
    understood = SIP.SIPMessage(tidied(parse(RINGING + sdp)))
    assert [one["address"] for one in understood.body["c"]] == ["192.0.2.3"]
    assert [(one["type"], one["port"]) for one in understood.body["m"]] == [("audio", 4000)]
    assert understood.body["m"][0]["methods"] == ["8", "101"]


def test_a_refused_audio_line_is_no_audio() -> None:
    sdp = b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 0 RTP/AVP 0\r\n"
    assert SIP.SIPMessage(tidied(parse(RINGING + sdp))).body == {}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"\x00\xff" * 30,
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
        RINGING[:-2],
    ],
)
def test_what_is_not_sip_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        parse(data)


def test_a_request_is_answered_as_it_came() -> None:
    bye = b"BYE sip:me@127.0.0.1 SIP/2.0\r\n" + RINGING.partition(b"\r\n")[2].replace(
        b"1 \r\n INVITE", b"8 BYE"
    )
    text = parse(bye).response("200 OK").decode()
    assert text.startswith("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5090;")
    assert "To: sip:+14155550100@127.0.0.1 ; tag=b\r\n" in text
    assert "CSeq: 8 BYE\r\n" in text


def test_address_uris() -> None:
    assert address_uri('"A <b>" <sip:c@d;e=f>;tag=g') == "sip:c@d;e=f"
    assert address_uri("sip:c@d;tag=g") == "sip:c@d"
    assert address_uri("<tel:+14155550100>") == "tel:+14155550100"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sip:192.0.2.1:5070", ("192.0.2.1", 5070)),
        ("sip:someone@gateway.example.com;transport=UDP", ("gateway.example.com", 5060)),
        ("127.0.0.1", ("127.0.0.1", 5060)),
    ],
)
def test_where_to_call_by(text: str, found: tuple[str, int]) -> None:
    assert parse_via(text) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sip:192.0.2.1;transport=tcp", "UDP only"),
        ("192.0.2.1:70000", "not an address"),
        ("sip:", "not an address"),
        ("::1", "not an address"),
    ],
)
def test_where_the_phone_cannot_call_by(text: str, reason: str) -> None:
    with pytest.raises(PhoneError, match=reason):
        parse_via(text)
