"""REFER and what belongs to it, as peers write it: Refer-To, Replaces, sipfrag, subscriptions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.message import Headers, Request, Response
from sip.core.refer import parse_refer_to, read_refer, says_no_subscription
from sip.core.replaces import Replaces, parse_replaces, read_replaces
from sip.core.sipfrag import KIND, Status, read, write
from sip.core.subscription import (
    EventType,
    SubscriptionState,
    parse_event,
    parse_subscription_state,
)
from sip.errors import ParseError

REPLACES = Replaces(sip_call_id="425928@phone", to_tag="7743", from_tag="6472")


def refer(*headers: tuple[str, str]) -> Request:
    return Request("REFER", "sip:gateway.test", Headers(headers))


# whom to call


@pytest.mark.parametrize(
    ("value", "uri", "user"),
    [
        ("<sip:+14155550100@carrier.test>", "sip:+14155550100@carrier.test", "+14155550100"),
        ("sip:+14155550100@carrier.test", "sip:+14155550100@carrier.test", "+14155550100"),
        ("  <sip:200@192.0.2.1:5080> ", "sip:200@192.0.2.1:5080", "200"),
        ('"Desk, front" <sip:200@pbx.test>', "sip:200@pbx.test", "200"),
        ('"a <b>" <sip:200@pbx.test>', "sip:200@pbx.test", "200"),
        ("Front desk <sip:200@pbx.test>;x=1", "sip:200@pbx.test", "200"),
        ("<sips:a@pbx.test>", "sips:a@pbx.test", "a"),
        ("<SIP:a@pbx.test>", "sip:a@pbx.test", "a"),
        ("<tel:+14155550100>", "tel:+14155550100", "+14155550100"),
        ("tel:+1-415-555-0100", "tel:+1-415-555-0100", "+1-415-555-0100"),
        ("<tel:0100;phone-context=+1415555>", "tel:0100;phone-context=+1415555", "0100"),
        # without brackets the parameters are the URI's, as the sender means them
        ("sip:a@pbx.test;transport=tcp", "sip:a@pbx.test;transport=tcp", "a"),
        ("<sip:a@pbx.test;Method=INVITE;transport=tcp>", "sip:a@pbx.test;transport=tcp", "a"),
        ("<sip:pbx.test>", "sip:pbx.test", ""),
        ("<sip:192.0.2.1>", "sip:192.0.2.1", ""),
        ("<sip:a@[2001:db8::1]:5070>", "sip:a@[2001:db8::1]:5070", "a"),
        ("<sip:%2361@pbx.test>", "sip:%2361@pbx.test", "#61"),
    ],
)
def test_refer_to(value: str, uri: str, user: str) -> None:
    found = parse_refer_to(value)
    assert (str(found.uri), found.user, found.text) == (uri, user, value.strip())
    assert found.replaces is None
    assert found.headers == ()


@pytest.mark.parametrize(
    ("value", "user"),
    [
        ("+14155550100", "+14155550100"),
        ("<+14155550100>", "+14155550100"),
        ("200", "200"),
        ("*98", "*98"),
        ("#61", "#61"),
        ("+1 (415) 555-0100".replace(" ", ""), "+1(415)555-0100"),
        ("sip:+14155550100", "+14155550100"),
        ("<sip:+14155550100>", "+14155550100"),
        ("<sip:+14155550100@>", "+14155550100"),
        ("<sip:200>", "200"),
        ("<sip:*98>", "*98"),
        ("<sip:%2361>", "#61"),
        ("<sip:+14155550100;user=phone>", "+14155550100"),
        ("<sips:+14155550100>", "+14155550100"),
    ],
)
def test_a_number_without_a_host(value: str, user: str) -> None:
    """What it is a number of is for the dial plan to say."""
    found = parse_refer_to(value)
    assert found.uri.scheme in ("sip", "sips")
    assert (found.uri.host, found.user) == ("", user)


@pytest.mark.parametrize(
    "value",
    [
        "<sip:b@pbx.test?Replaces=425928%40phone%3Bto-tag%3D7743%3Bfrom-tag%3D6472>",
        "<sip:b@pbx.test?replaces=425928@phone%3bto-tag%3d7743%3bfrom-tag%3d6472>",
        "<sip:b@pbx.test?Require=replaces&Replaces=425928%40phone%3Bfrom-tag%3D6472%3Bto-tag%3D7743>",
        "sip:b@pbx.test?Replaces=425928%40phone%3Bto-tag%3D7743%3Bfrom-tag%3D6472",
        '"B" <sip:b@pbx.test;x=1?Replaces=425928%40phone%3Bto-tag%3D7743%3Bfrom-tag%3D6472>',
    ],
)
def test_an_attended_transfer(value: str) -> None:
    """RFC 5589 7: the target replaces a dialog that the transferor has with it."""
    found = parse_refer_to(value)
    assert found.replaces == REPLACES
    assert (found.user, found.uri.headers) == ("b", "")


def test_header_fields_in_refer_to() -> None:
    found = parse_refer_to("<sip:b@pbx.test?X-Queue=front%20desk&User-to-User=a%3Bencoding%3Dhex>")
    assert found.headers == (("X-Queue", "front desk"), ("User-to-User", "a;encoding=hex"))


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ("", 400),
        ("   ", 400),
        ("<>", 400),
        ("<sip:>", 400),
        ("<sip:@>", 400),
        ("front desk", 400),
        ("sip:a@pbx.test, sip:b@pbx.test", 400),
        ("<sip:a@pbx.test>, <sip:b@pbx.test>", 400),
        ("<sip:a@pbx.test", 400),
        ("sip:a@pbx.test>", 400),
        ('"Desk <sip:a@pbx.test>', 400),
        ("<sip:a@pbx.test> <sip:b@pbx.test>", 400),
        ("<sip:a b@pbx.test>", 400),
        ("<sip:a@pbx.test:99999>", 400),
        ("<tel:front-desk>", 400),
        ("<sip:a@pbx.test?Replaces=nonsense>", 400),
        ("<sip:a@pbx.test?Replaces=1%3Bto-tag%3D1%3Bfrom-tag%3D2&Replaces=2>", 400),
        ("<sip:a@pbx.test?X-A=1%0D%0AX-B=2>", 400),
        ("<sip:a@pbx.test?X%20A=1>", 400),
        ("<http://pbx.test/>", 416),
        ("<mailto:desk@pbx.test>", 416),
        ("<cid:1@pbx.test>", 416),
        ("<sip:a@pbx.test;method=BYE>", 501),
    ],
)
def test_what_cannot_be_called(value: str, status: int) -> None:
    with pytest.raises(ParseError) as refused:
        parse_refer_to(value)
    assert refused.value.status == status


@given(st.text(max_size=80))
def test_any_text_is_a_target_or_refused(value: str) -> None:
    try:
        found = parse_refer_to(value)
    except ParseError:
        return
    assert found.uri.scheme in ("sip", "sips", "tel")


# the whole request


def test_what_a_refer_asks() -> None:
    asked = read_refer(
        refer(
            ("Refer-To", "<tel:+14155550100>"),
            ("Referred-By", '"Agent" <sip:agent@pbx.test>;cid=1'),
            ("X-Queue", "sales"),
            ("User-to-User", "3132;encoding=hex"),
            ("Subject", "a call"),
            ("User-Agent", "Desk/1.0"),
        )
    )
    assert asked.refer_to.user == "+14155550100"
    assert asked.referred_by is not None
    assert (asked.referred_by.user, asked.referred_by.text[:7]) == ("agent", '"Agent"')
    assert asked.headers == (("X-Queue", "sales"), ("User-to-User", "3132;encoding=hex"))
    assert (asked.user_agent, asked.subscribes) == ("Desk/1.0", True)


def test_compact_forms() -> None:
    """RFC 3515 2.1, RFC 3892 2.1."""
    asked = read_refer(refer(("r", "<sip:a@pbx.test>"), ("b", "<sip:agent@pbx.test>")))
    assert asked.refer_to.user == "a"
    assert asked.referred_by is not None
    assert asked.referred_by.user == "agent"


def test_a_referred_by_that_cannot_be_read_refuses_nothing() -> None:
    asked = read_refer(refer(("Refer-To", "<sip:a@pbx.test>"), ("Referred-By", "the agent")))
    assert asked.referred_by is not None
    assert (asked.referred_by.text, asked.referred_by.user) == ("the agent", "")


@pytest.mark.parametrize(
    "headers",
    [(), (("Refer-To", "<sip:a@pbx.test>"), ("Refer-To", "<sip:b@pbx.test>"))],
)
def test_a_refer_names_one_target(headers: tuple[tuple[str, str], ...]) -> None:
    """RFC 3515 2.4.2: none or two is 400."""
    with pytest.raises(ParseError) as refused:
        read_refer(refer(*headers))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("line", "silent"),
    [("false", True), (" FALSE ;x=1", True), ("true", False), ("", False), ("falsehood", False)],
)
def test_refer_sub(line: str, *, silent: bool) -> None:
    """RFC 4488 4."""
    message = Response(202, "Accepted", Headers([("Refer-Sub", line)]))
    assert says_no_subscription(message) is silent
    assert read_refer(refer(("Refer-To", "1"), ("Refer-Sub", line))).subscribes is not silent


# Replaces


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("425928@phone;to-tag=7743;from-tag=6472", REPLACES),
        (" 425928@phone ; from-tag = 6472 ; to-tag = 7743 ", REPLACES),
        ("425928@phone;TO-TAG=7743;From-Tag=6472;x=1", REPLACES),
        (
            "425928@phone;to-tag=7743;from-tag=6472;early-only",
            Replaces(sip_call_id="425928@phone", to_tag="7743", from_tag="6472", early_only=True),
        ),
    ],
)
def test_replaces(value: str, found: Replaces) -> None:
    assert parse_replaces(value) == found
    assert parse_replaces(found.text) == found


@pytest.mark.parametrize(
    "value",
    ["", ";to-tag=1;from-tag=2", "a", "a;to-tag=1", "a;from-tag=1", "a;to-tag=;from-tag=2",
     "a;to-tag=1;to-tag=2;from-tag=3", "a b;to-tag=1;from-tag=2", "a;to-tag;from-tag=2",
     'a;to-tag="1 2";from-tag=2'],
)  # fmt: skip
def test_a_malformed_replaces(value: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse_replaces(value)
    assert refused.value.status == 400


def test_replaces_of_an_invite() -> None:
    """RFC 3891 3: more than one is 400."""
    line = REPLACES.text
    assert read_replaces(Request("INVITE", "sip:a")) is None
    assert read_replaces(Request("INVITE", "sip:a", Headers([("Replaces", line)]))) == REPLACES
    for two in ([("Replaces", line), ("Replaces", line)], [("Replaces", f"{line}, {line}")]):
        with pytest.raises(ParseError):
            read_replaces(Request("INVITE", "sip:a", Headers(two)))


# message/sipfrag


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"SIP/2.0 100 Trying\r\n", 100, "Trying"),
        (b"SIP/2.0 100 Trying", 100, "Trying"),
        (b"SIP/2.0 200 OK\n", 200, "OK"),
        (
            b"SIP/2.0 603 Declined\r\nTo: <sip:a@pbx.test>\r\nCSeq: 1 INVITE\r\n\r\n",
            603,
            "Declined",
        ),
        (b"\r\nSIP/2.0 486 Busy Here\r\n\r\n", 486, "Busy Here"),
        (b"SIP/2.0 503\r\n", 503, "Service Unavailable"),
        (b"SIP/2.0 180 \r\n", 180, "Ringing"),
        (b"sip/2.0  180  Ringing ", 180, "Ringing"),
        (b"200 OK", 200, "OK"),
        (b"486", 486, "Busy Here"),
        (b"SIP/2.0 480 \x1b[2J\r\n", 480, "\ufffd[2J"),
        ("SIP/2.0 486 Occup\u00e9\r\n".encode(), 486, "Occup\u00e9"),
    ],
)
def test_a_status_in_a_body(body: bytes, status: int, reason: str) -> None:
    assert read(body) == Status(status, reason)


@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", b"OK", b"SIP/2.0 OK", b"SIP/2.0 099 Low", b"SIP/2.0 700 High", b"2000 OK",
     b"INVITE sip:a@pbx.test SIP/2.0", b"To: <sip:a@pbx.test>\r\nSIP/2.0 200 OK", b"\xff\xfe"],
)  # fmt: skip
def test_a_body_without_a_status(body: bytes) -> None:
    with pytest.raises(ParseError):
        read(body)


def test_what_is_written() -> None:
    """RFC 3420 2.1: a status line ends with CRLF."""
    kind, content = write(Status(180, "Ringing"))
    assert (kind, content) == (f"{KIND};version=2.0", b"SIP/2.0 180 Ringing\r\n")
    with pytest.raises(ValueError, match="line break"):
        write(Status(200, "OK\r\nTo: x"))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_status_or_refused(body: bytes) -> None:
    try:
        found = read(body)
    except ParseError:
        return
    assert 100 <= found.status < 700
    assert found.reason.isprintable()


# subscriptions


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("refer", EventType("refer")),
        (" Refer ; id=93809824", EventType("refer", "93809824")),
        ("refer;x=1;id=2", EventType("refer", "2")),
        ("dialog", EventType("dialog")),
    ],
)
def test_events(value: str, found: EventType) -> None:
    assert parse_event(value) == found
    assert parse_event(str(found)) == found


@pytest.mark.parametrize("value", ["", ";id=1", "a b", "refer;;", "refer,refer"])
def test_a_malformed_event(value: str) -> None:
    with pytest.raises(ParseError):
        parse_event(value)


@pytest.mark.parametrize(
    ("value", "state", "expires_s", "reason"),
    [
        ("active;expires=60", "active", 60, None),
        ("Terminated;Reason=NoResource", "terminated", None, "noresource"),
        ("terminated", "terminated", None, None),
        ("terminated;reason=noresource;expires=0", "terminated", 0, "noresource"),
        ("pending; expires = soon", "pending", None, None),
        ("active;expires=99999999999999", "active", None, None),
        ("terminated;;=", "terminated", None, None),
    ],
)
def test_subscription_states(
    value: str, state: str, expires_s: int | None, reason: str | None
) -> None:
    found = parse_subscription_state(value)
    assert (found.state, found.expires_s, found.reason) == (state, expires_s, reason)
    assert found.over is (state == "terminated")


def test_a_subscription_state_is_written() -> None:
    assert str(SubscriptionState(state="active", expires_s=60)) == "active;expires=60"
    over = SubscriptionState(state="terminated", reason="noresource")
    assert str(over) == "terminated;reason=noresource"


@pytest.mark.parametrize("value", ["", ";expires=60", "act ive"])
def test_a_malformed_subscription_state(value: str) -> None:
    with pytest.raises(ParseError):
        parse_subscription_state(value)
