"""RFC 5118: torture test messages for IPv6, as the RFC prints them; what the parser makes of each.

What a softswitch answers them is in tests/conformance/test_torture.py.
"""

from operator import attrgetter
from pathlib import Path

import pytest

from sip.core import sdp
from sip.core.message import MessageError, Request
from sip.core.parser import parse_message
from sip.core.validation import validate

CORPUS = {
    path.stem: path
    for path in sorted((Path(__file__).parents[1] / "data" / "rfc5118").glob("*.dat"))
}
#: 4.6, 4.8 and 4.9 print a Content-Length that is not their body's: 268, 181, 236 octets for these.
LENGTHS = {"ipv6-in-sdp": 251, "mult-ip-in-sdp": 189, "ipv4-mapped-ipv6": 245}


def receive(name: str) -> Request:
    """What every received datagram goes through."""
    head, _, body = CORPUS[name].read_bytes().partition(b"\r\n\r\n")
    if name in LENGTHS:
        assert len(body) == LENGTHS[name]
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        head = b"\r\n".join(lines)
    message = parse_message(head + b"\r\n\r\n" + body)
    validate(message)
    assert isinstance(message, Request)
    return message


VALID: dict[str, dict[str, object]] = {
    # 4.1: a reference in brackets
    "ipv6-good": {
        "request_uri.host": "2001:db8::10",
        "request_uri.port": None,
        "via.host": "2001:db8::9:1",
        "contact.uri.host": "2001:db8::1",
    },
    # 4.3: what looks like a port inside the brackets is the end of the address
    "port-ambiguous": {"request_uri.host": "2001:db8::10:5070", "request_uri.port": None},
    # 4.4
    "port-unambiguous": {"request_uri.host": "2001:db8::10", "request_uri.port": 5070},
    # 4.5: `received` with brackets and without
    "via-received-param-with-delim": {"via.received": "2001:db8::9:255"},
    "via-received-param-no-delim": {"via.received": "2001:db8::9:255"},
    # 4.6
    "ipv6-in-sdp": {"to.uri.host": "2001:db8::10", "contact.uri.host": "2001:db8::20"},
    # 4.7: both families in the Vias
    "mult-ip-in-header": {"via.host": "2001:db8::9:1", "via.port": 6050},
    # 4.8
    "mult-ip-in-sdp": {"via.host": "2001:db8::9:1"},
    # 4.9: IPv4-mapped addresses
    "ipv4-mapped-ipv6": {
        "via.host": "::ffff:192.0.2.10",
        "via.port": 19823,
        "contact.uri.host": "::ffff:192.0.2.2",
    },
    # 4.10: the third colon that RFC 3261's grammar allows, and the right form
    "ipv6-bug-abnf-3-colons": {"request_uri.host": "2001:db8::192.0.2.1"},
    "ipv6-correct-abnf-2-colons": {"request_uri.host": "2001:db8::192.0.2.1"},
}


@pytest.mark.parametrize("name", VALID)
def test_valid_messages_are_understood(name: str) -> None:
    message = receive(name)
    assert {path: attrgetter(path)(message) for path in VALID[name]} == VALID[name]


def test_4_1_a_reference_keeps_its_brackets_when_written() -> None:
    request = receive("ipv6-good")
    assert str(request.request_uri) == request.uri


def test_4_2_an_address_without_brackets_is_refused() -> None:
    with pytest.raises(MessageError) as caught:
        receive("ipv6-bad")
    assert caught.value.status == 400
    assert caught.value.request is not None


def test_4_7_every_via_is_kept() -> None:
    assert len(receive("mult-ip-in-header").headers.get_all("via")) == 3


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("ipv6-in-sdp", ["IN IP6 2001:db8::20"] * 2),
        ("mult-ip-in-sdp", ["IN IP4 192.0.2.1", "IN IP6 2001:db8::1"]),
        ("ipv4-mapped-ipv6", ["IN IP6 ::ffff:192.0.2.2"] * 2),
    ],
)
def test_4_6_4_8_4_9_where_the_media_is(name: str, places: list[str]) -> None:
    """In SDP an IPv6 address has no brackets; each medium may have its own family."""
    description = sdp.parse(receive(name).body)
    assert [str(description.connection_of(media)) for media in description.media] == places


def test_every_message_of_the_rfc_is_judged_here() -> None:
    assert sorted([*VALID, "ipv6-bad"]) == sorted(CORPUS)
