"""Callers in and out, as the carriers and PBXs of the fact sheet tell them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.header_values import parse_name_addr
from sip.core.message import Headers
from sip.softswitch.dialling.identity import (
    ANONYMOUS,
    Caller,
    Identity,
    inbound_identity,
    outbound_identity,
)
from tests.softswitch.invites import invite, trunk

ANONYMOUS_FROM = '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1'
PAI = ("P-Asserted-Identity", "<sip:+12125550101@192.0.2.1>")


@pytest.mark.parametrize(
    ("entry", "sender", "headers", "identity"),
    [
        (  # a plain carrier
            {},
            '"Alice" <sip:+12125550101@192.0.2.1>;tag=1',
            (),
            Identity(number="+12125550101", name="Alice", asserted_by="from"),
        ),
        (  # the asserted number counts, the name is From's
            {},
            '"Alice" <sip:+12125550199@192.0.2.1>;tag=1',
            (PAI,),
            Identity(number="+12125550101", name="Alice", asserted_by="pai"),
        ),
        (  # two values, the first of them no number
            {},
            "<sip:x@192.0.2.1>;tag=1",
            (("P-Asserted-Identity", '"Bob" <sip:unknown@192.0.2.1>, <tel:+1-212-555-0101>'),),
            Identity(number="+12125550101", asserted_by="pai"),
        ),
        (  # what the trunk is not believed is not read
            {"caller_id": {"accept": ["from"]}},
            "<sip:+12125550199@192.0.2.1>;tag=1",
            (PAI, ("Remote-Party-ID", "<sip:+12125550102@192.0.2.1>")),
            Identity(number="+12125550199", asserted_by="from"),
        ),
        (  # Telnyx: P-Preferred-Identity before P-Asserted-Identity before Remote-Party-ID
            {"caller_id": {"accept": ["ppi", "pai", "rpid", "from"]}},
            "<sip:user@192.0.2.1>;tag=1",
            (PAI, ("P-Preferred-Identity", "<sip:+12125550103@192.0.2.1>")),
            Identity(number="+12125550103", asserted_by="ppi"),
        ),
        (  # Vonage: E.164 without a plus
            {"caller_id": {"format": "e164"}},
            "<sip:12125550101@192.0.2.1>;tag=1",
            (),
            Identity(number="+12125550101", asserted_by="from"),
        ),
        (  # sipgate: digits only, no plus, no 00, no 0
            {"caller_id": {"accept": ["ppi", "pai", "from"], "format": "e164"}, "country": "DE"},
            "<sip:1234567t0@sipconnect.example.com>;tag=1",
            (("P-Preferred-Identity", "<sip:49211123456@sipconnect.example.com>"),),
            Identity(number="+49211123456", asserted_by="ppi"),
        ),
        (  # VoIP.ms: ten or eleven digits
            {"country": "CA"},
            '"DOE JOHN" <sip:2125550101@192.0.2.1>;tag=1',
            (),
            Identity(number="+12125550101", name="DOE JOHN", asserted_by="from"),
        ),
        (  # CUCM: Remote-Party-ID and P-Asserted-Identity, four-digit extension
            {"caller_id": {"accept": ["rpid", "pai", "from"]}},
            '"Desk 12" <sip:2012@192.0.2.1>;tag=1',
            (
                (
                    "Remote-Party-ID",
                    '"Desk 12" <sip:2012@192.0.2.1>;party=calling;screen=yes;privacy=off',
                ),
                ("P-Asserted-Identity", '"Desk 12" <sip:2012@192.0.2.1>'),
            ),
            Identity(number="2012", name="Desk 12", asserted_by="rpid"),
        ),
        (  # CUCM: the party that is called is nobody who calls
            {"caller_id": {"accept": ["rpid", "from"]}},
            "<sip:2012@192.0.2.1>;tag=1",
            (("Remote-Party-ID", "<sip:9999@192.0.2.1>;party=called;privacy=off"),),
            Identity(number="2012", asserted_by="from"),
        ),
        (  # Remote-Party-ID's own privacy
            {"caller_id": {"accept": ["rpid", "from"]}},
            '"Alice" <sip:2012@192.0.2.1>;tag=1',
            (("Remote-Party-ID", '"Alice" <sip:2012@192.0.2.1>;privacy=full;screen=yes'),),
            Identity(number="2012", anonymous=True, asserted_by="rpid"),
        ),
        (
            {"caller_id": {"accept": ["rpid", "from"]}},
            '"Alice" <sip:2012@192.0.2.1>;tag=1',
            (("Remote-Party-ID", '"Alice" <sip:2012@192.0.2.1>;privacy=name'),),
            Identity(number="2012", asserted_by="rpid"),
        ),
        (  # Teams: user=phone, unquoted display name
            {},
            "Adele Vance <sip:+12125550101@sip.example.com:5061;user=phone>;tag=1",
            (),
            Identity(number="+12125550101", name="Adele Vance", asserted_by="from"),
        ),
        (  # Telnyx: verstat in a parameter of P-Asserted-Identity
            {},
            "<sip:+12125550101@192.0.2.1>;tag=1",
            (
                (
                    "P-Asserted-Identity",
                    "<sip:+12125550101@192.0.2.1;verstat=TN-Validation-Passed-A;user=phone>",
                ),
            ),
            Identity(number="+12125550101", asserted_by="pai", verstat="TN-Validation-Passed-A"),
        ),
        (  # RFC 4694 style: with the number
            {},
            "<sip:+12125550101;verstat=No-TN-Validation@192.0.2.1;user=phone>;tag=1",
            (),
            Identity(number="+12125550101", asserted_by="from", verstat="No-TN-Validation"),
        ),
        (  # RFC 3325: withheld, and known to us all the same
            {},
            ANONYMOUS_FROM,
            (("P-Asserted-Identity", '"Alice" <tel:+12125550101>'), ("Privacy", "id")),
            Identity(number="+12125550101", anonymous=True, asserted_by="pai"),
        ),
        (  # an anonymous From says as much without a Privacy header
            {},
            ANONYMOUS_FROM,
            (PAI,),
            Identity(number="+12125550101", anonymous=True, asserted_by="pai"),
        ),
        (  # unless the caller declined privacy (RFC 3323 4.2)
            {},
            ANONYMOUS_FROM,
            (PAI, ("Privacy", "none")),
            Identity(number="+12125550101", asserted_by="pai"),
        ),
        ({}, ANONYMOUS_FROM, (), Identity(anonymous=True)),
        ({}, "<sip:Restricted@192.0.2.1>;tag=1", (), Identity(anonymous=True)),
        ({}, '"Unknown" <sip:unknown@192.0.2.1>;tag=1', (), Identity()),
        ({}, "<sip:192.0.2.1>;tag=1", (), Identity()),
        (  # Privacy with a number in From: a network that leaves the hiding to us
            {},
            '"Alice" <sip:+12125550101@192.0.2.1>;tag=1',
            (("Privacy", "user;id;critical"),),
            Identity(number="+12125550101", anonymous=True, asserted_by="from"),
        ),
        (  # "session" asks nothing of the caller's identity
            {},
            "<sip:+12125550101@192.0.2.1>;tag=1",
            (("Privacy", "session"),),
            Identity(number="+12125550101", asserted_by="from"),
        ),
        (  # names that should have been quoted, or quoted better
            {},
            "<sip:trunk@192.0.2.1>;tag=1",
            (("P-Asserted-Identity", 'Doe, "J" <sip:+12125550101@192.0.2.1>, <tel:+1>'),),
            Identity(number="+12125550101", asserted_by="pai"),
        ),
        (
            {},
            "DOE, JANE <sip:+12125550101@192.0.2.1>;tag=1",
            (),
            Identity(number="+12125550101", name="DOE, JANE", asserted_by="from"),
        ),
        (  # a wish for privacy is not lost with its name's quotes
            {"caller_id": {"accept": ["rpid", "from"]}},
            "<sip:trunk@192.0.2.1>;tag=1",
            (("Remote-Party-ID", '"Ann\\" <sip:2012@192.0.2.1>;privacy=full'),),
            Identity(number="2012", anonymous=True, asserted_by="rpid"),
        ),
        (  # what cannot be read is not there
            {},
            "<sip:+12125550101@192.0.2.1>;tag=1",
            (("P-Asserted-Identity", '"unclosed <sip:+1'),),
            Identity(number="+12125550101", asserted_by="from"),
        ),
        (  # a display name that only repeats the number
            {},
            '"+12125550101" <sip:+12125550101@192.0.2.1>;tag=1',
            (),
            Identity(number="+12125550101", asserted_by="from"),
        ),
    ],
)
def test_the_caller_is_read_as_the_trunk_may_be_believed(
    entry: dict[str, object],
    sender: str,
    headers: tuple[tuple[str, str], ...],
    identity: Identity,
) -> None:
    assert inbound_identity(invite(*headers, sender=sender), trunk(**entry)) == identity


def test_a_withheld_number_is_known_here_and_shown_to_nobody() -> None:
    request = invite(PAI, ("Privacy", "id"), sender=ANONYMOUS_FROM)
    identity = inbound_identity(request, trunk())
    assert (identity.shown, identity.withheld) == (ANONYMOUS, "+12125550101")
    assert inbound_identity(invite(), trunk()).withheld is None
    assert Identity().shown == ANONYMOUS


KNOWN = Caller(number="+12125550101", name="Alice")
WITHHELD = Caller(number=ANONYMOUS, name="Alice", withheld="+12125550101")


@pytest.mark.parametrize(
    ("entry", "caller", "sender", "headers"),
    [
        ({}, KNOWN, "Alice <sip:+12125550101@203.0.113.1>", ()),
        (  # Flowroute: P-Asserted-Identity before Remote-Party-ID before From
            {"caller_id": {"send": ["from", "pai", "rpid"]}},
            KNOWN,
            "Alice <sip:+12125550101@203.0.113.1>",
            (
                ("P-Asserted-Identity", "Alice <sip:+12125550101@203.0.113.1>"),
                (
                    "Remote-Party-ID",
                    "Alice <sip:+12125550101@203.0.113.1>;party=calling;screen=yes;privacy=off",
                ),
            ),
        ),
        (  # Vonage: no plus, our domain
            {"caller_id": {"format": "e164", "from_domain": "us.sip.example.com"}},
            KNOWN,
            "Alice <sip:12125550101@us.sip.example.com>",
            (),
        ),
        (  # sipgate: the account in From, the number in P-Preferred-Identity, digits only
            {
                "caller_id": {
                    "send": ["ppi"],
                    "format": "e164",
                    "from_domain": "sipconnect.example.com",
                },
                "credentials": {"username": "1234567t0", "password": "p"},
            },
            Caller(number="+49211123456"),
            "<sip:1234567t0@sipconnect.example.com>",
            (("P-Preferred-Identity", "<sip:49211123456@sipconnect.example.com>"),),
        ),
        (
            {"caller_id": {"send": ["pai"], "from_user": "gw"}},
            KNOWN,
            "Alice <sip:gw@203.0.113.1>",
            (("P-Asserted-Identity", "Alice <sip:+12125550101@203.0.113.1>"),),
        ),
        (  # from_user is for those who do not want the number in From
            {"caller_id": {"send": ["from"], "from_user": "gw"}},
            KNOWN,
            "Alice <sip:+12125550101@203.0.113.1>",
            (),
        ),
        (  # Teams: our name of their tenant, user=phone
            {"contact_domain": "sbc.example.com", "caller_id": {"user_phone": True}},
            KNOWN,
            "Alice <sip:+12125550101@sbc.example.com;user=phone>",
            (),
        ),
        (  # VoIP.ms: ten digits
            {"country": "US", "caller_id": {"format": "national"}},
            Caller(number="+12125550101"),
            "<sip:2125550101@203.0.113.1>",
            (),
        ),
        (  # Telnyx wants its own number in Diversion of a call that we pass on
            {"caller_id": {"send": ["from", "diversion"]}},
            Caller(number="+12125550101"),
            "<sip:+12125550101@203.0.113.1>",
            (("Diversion", "<sip:+12125550101@203.0.113.1>;reason=unconditional"),),
        ),
        ({}, Caller(number="200", name="200"), "<sip:200@203.0.113.1>", ()),
        (
            {},
            Caller(number="+12125550101", name="a\r\nX: b"),
            '"aX: b" <sip:+12125550101@203.0.113.1>',
            (),
        ),
        # who withholds the number
        (
            {},
            WITHHELD,
            "Anonymous <sip:anonymous@anonymous.invalid>",
            (("Privacy", "id"),),
        ),
        (
            {"caller_id": {"send": ["from", "pai", "rpid"]}},
            WITHHELD,
            "Anonymous <sip:anonymous@anonymous.invalid>",
            (
                ("P-Asserted-Identity", "<sip:+12125550101@203.0.113.1>"),
                (
                    "Remote-Party-ID",
                    "<sip:+12125550101@203.0.113.1>;party=calling;screen=yes;privacy=full",
                ),
                ("Privacy", "id"),
            ),
        ),
        (
            {"caller_id": {"send": ["ppi"], "from_user": "1234567t0"}},
            WITHHELD,
            "<sip:1234567t0@203.0.113.1>",
            (("P-Preferred-Identity", "<sip:+12125550101@203.0.113.1>"), ("Privacy", "id")),
        ),
        (
            {"caller_id": {"send": ["from", "pai"]}},
            Caller(number=ANONYMOUS),
            "Anonymous <sip:anonymous@anonymous.invalid>",
            (("Privacy", "id"),),
        ),
        (  # our own PBX may know
            {"caller_id": {"privacy": False}},
            WITHHELD,
            "Alice <sip:+12125550101@203.0.113.1>",
            (),
        ),
        (
            {"caller_id": {"privacy": False}},
            Caller(number="unknown"),
            "Anonymous <sip:anonymous@anonymous.invalid>",
            (("Privacy", "id"),),
        ),
    ],
)
def test_the_caller_is_written_as_the_trunk_wants_it(
    entry: dict[str, object],
    caller: Caller,
    sender: str,
    headers: tuple[tuple[str, str], ...],
) -> None:
    from_, others = outbound_identity(trunk(**entry), caller, "203.0.113.1")
    assert (str(from_), others) == (sender, headers)


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("2001:db8::1", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("gw.example:5070", "gw.example:5070"),
    ],
)
def test_our_address_may_be_ipv6_and_a_domain_may_have_a_port(domain: str, host: str) -> None:
    from_, _ = outbound_identity(trunk(), KNOWN, domain)
    assert str(from_) == f"Alice <sip:+12125550101@{host}>"


@given(number=st.text(), name=st.none() | st.text(), withheld=st.none() | st.text())
def test_no_caller_breaks_a_line_and_all_can_be_read_back(
    number: str, name: str | None, withheld: str | None
) -> None:
    everything = trunk(caller_id={"send": ["from", "pai", "ppi", "rpid", "diversion"]})
    caller = Caller(number=number, name=name, withheld=withheld)
    from_, headers = outbound_identity(everything, caller, "203.0.113.1")
    assert parse_name_addr(str(from_)) == from_
    for field, value in headers:
        Headers([(field, value)])  # refuses what breaks a line
        assert field == "Privacy" or str(parse_name_addr(value)) == value
