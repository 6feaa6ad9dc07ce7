"""SIP and tel URIs (RFC 3261 19.1, RFC 3966)."""

import pytest

from sip.core.uri import Uri, same_uri
from sip.errors import ParseError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sip:192.0.2.1", Uri("sip", host="192.0.2.1")),
        ("sips:example.com:5061", Uri("sips", host="example.com", port=5061)),
        ("sip:+14155550100@example.com", Uri("sip", "+14155550100", host="example.com")),
        ("sip:alice:secret@example.com", Uri("sip", "alice", "secret", "example.com")),
        ("sip:bob@[2001:db8::1]:5070", Uri("sip", "bob", host="2001:db8::1", port=5070)),
        (
            "sip:200@pbx_1.example.com;transport=TCP;lr?X-Id=7&Subject=a",
            Uri(
                "sip",
                "200",
                host="pbx_1.example.com",
                params=(("transport", "TCP"), ("lr", None)),
                headers="X-Id=7&Subject=a",
            ),
        ),
        ("tel:+1-415-555-0100", Uri("tel", "+1-415-555-0100")),
        (
            "tel:0100;phone-context=example.com",
            Uri("tel", "0100", params=(("phone-context", "example.com"),)),
        ),
        ("urn:service:sos", Uri("urn", "service:sos")),
    ],
)
def test_the_parts_of_a_uri(text: str, expected: Uri) -> None:
    assert Uri.parse(text) == expected
    assert str(expected) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sip",
        "sip:",
        ":example.com",
        " sip:example.com",
        "sip:example.com ",
        "<sip:example.com>",
        "sip:@example.com",
        "sip:a@b@example.com",
        "sip:example.com:0",
        "sip:example.com:65536",
        "sip:example.com:5060x",
        "sip:a%4@example.com",
        "sip:a%zz@example.com",
        "sip:a@example.com;=1",
        "sip:a@example.com;;lr",
        'sip:"a"@example.com',
        "sip:a@exam\0ple.com",
        "sip:2001:db8::10",
        "sip:example.com:\u0665060",
        "sip:\u212aelvin.example.com",
        "sip:[2001:db8::1",
        "tel:",
        "tel:forty-two",
    ],
)
def test_what_is_no_uri(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        Uri.parse(text)
    assert caught.value.status == 400


def test_escapes_are_undone_and_redone() -> None:
    """RFC 3261 19.1.2: the same user may be written in many ways; it is kept in none of them."""
    uri = Uri.parse("sip:%61lice%20%40%c3%A9@example.com;p%61r=%3b1")
    assert (uri.user, uri.params) == ("alice @é", (("par", ";1"),))
    assert str(uri) == "sip:alice%20%40%C3%A9@example.com;par=%3B1"


def test_octets_that_are_not_utf_8_read_as_latin_1() -> None:
    """Nothing a peer sends may become text that cannot be written to a log or a database."""
    user = Uri.parse("sip:caf%e9@example.com").user
    assert user == "café"


def test_a_feature_code_may_come_unescaped() -> None:
    """PBXs send # as dialled, though RFC 3261 25.1 wants it escaped."""
    uri = Uri.parse("sip:*31#4155550100@example.com")
    assert uri.user == "*31#4155550100"
    assert str(uri) == "sip:*31%234155550100@example.com"


def test_a_telephone_number_cannot_leave_its_uri() -> None:
    assert str(Uri("tel", "+1415>;a")) == "tel:+1415%3E%3Ba"


def test_parameters_by_name() -> None:
    uri = Uri.parse("sip:example.com;Transport=TLS;lr")
    assert uri.transport == "tls"
    assert uri.param("lr") == ""
    assert uri.param("maddr") is None
    assert uri.param("TRANSPORT") == "TLS"
    assert uri.has_param("lr")
    assert not uri.has_param("maddr")
    assert Uri.parse("sip:example.com").transport is None


def test_changed_copies() -> None:
    uri = Uri.parse("sip:a@example.com;transport=udp;lr")
    assert str(uri.with_param("transport", "tcp")) == "sip:a@example.com;transport=tcp;lr"
    assert str(uri.with_param("ob")) == "sip:a@example.com;transport=udp;lr;ob"
    assert str(uri.replace(host="2001:db8::2", params=())) == "sip:a@[2001:db8::2]"
    assert uri.hostport == "example.com"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
    ],
)
def test_equal_uris(a: str, b: str) -> None:
    """The examples of RFC 3261 19.1.4."""
    assert same_uri(Uri.parse(a), Uri.parse(b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:carol@chicago.com", "sips:carol@chicago.com"),
    ],
)
def test_unequal_uris(a: str, b: str) -> None:
    """The examples of RFC 3261 19.1.4."""
    assert not same_uri(Uri.parse(a), Uri.parse(b))


def test_a_control_character_is_an_escape_however_it_came() -> None:
    """A C1 control (U+0080) as a byte pair of UTF-8, and escaped."""
    raw, escaped = (
        Uri.parse("sip:0\x80@192.0.2.1;a=\x80"),
        Uri.parse("sip:0%C2%80@192.0.2.1;a=%C2%80"),
    )
    assert raw == escaped
    assert str(raw) == "sip:0%C2%80@192.0.2.1;a=%C2%80"
