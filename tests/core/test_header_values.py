"""Structured header fields (RFC 3261 20, 25)."""

import pytest

from sip.core.header_values import (
    CSeq,
    NameAddr,
    Via,
    canonical,
    parse_cseq,
    parse_name_addr,
    parse_name_addrs,
    parse_params,
    parse_via,
    readable_addresses,
    split_commas,
    wire_name,
)
from sip.core.uri import Uri
from sip.errors import ParseError


class TestNames:
    @pytest.mark.parametrize(
        ("given", "full"),
        [("Call-ID", "call-id"), ("i", "call-id"), ("V", "via"), ("X-Own", "x-own"), ("To ", "to")],
    )
    def test_every_spelling_has_one_name(self, given: str, full: str) -> None:
        assert canonical(given) == full

    @pytest.mark.parametrize(
        ("name", "spelling"),
        [
            ("call-id", "Call-ID"),
            ("cseq", "CSeq"),
            ("www-authenticate", "WWW-Authenticate"),
            ("content-type", "Content-Type"),
            ("x-twilio-callsid", "X-Twilio-Callsid"),
        ],
    )
    def test_conventional_spelling(self, name: str, spelling: str) -> None:
        assert wire_name(name) == spelling


class TestCommas:
    @pytest.mark.parametrize(
        ("value", "items"),
        [
            ("", []),
            ("timer", ["timer"]),
            ("timer, replaces ,100rel", ["timer", "replaces", "100rel"]),
            ("a,,b,", ["a", "b"]),
            (
                '"Doe, Jane" <sip:j@example.com>, <sip:a,b@example.com>;x="1,2"',
                ['"Doe, Jane" <sip:j@example.com>', '<sip:a,b@example.com>;x="1,2"'],
            ),
            (r'"quote \" and, comma" <a:b>, <c:d>', [r'"quote \" and, comma" <a:b>', "<c:d>"]),
        ],
    )
    def test_split(self, value: str, items: list[str]) -> None:
        assert split_commas(value) == items

    @pytest.mark.parametrize("value", ['"open, <sip:a@b>', "<sip:a@b, <sip:c@d>", 'x, "'])
    def test_what_does_not_close(self, value: str) -> None:
        with pytest.raises(ParseError):
            split_commas(value)


class TestParams:
    def test_values_stay_as_on_the_wire(self) -> None:
        params = parse_params(';a=1; b ;c = "x;\\"y" ;d=[2001:db8::1]')
        assert params == (("a", "1"), ("b", None), ("c", '"x;\\"y"'), ("d", "[2001:db8::1]"))

    @pytest.mark.parametrize("text", [";;", ";;a", ";a=", ";=1", ";a b", ';a="', "a=1", ";a=1;;"])
    def test_malformed(self, text: str) -> None:
        with pytest.raises(ParseError):
            parse_params(text)


class TestVia:
    def test_the_parts(self) -> None:
        via = parse_via("SIP/2.0/tcp 192.0.2.1:5062;branch=z9hG4bK7;rport;received=198.51.100.9")
        assert (via.transport, via.host, via.port) == ("TCP", "192.0.2.1", 5062)
        assert (via.branch, via.rport, via.received) == ("z9hG4bK7", "", "198.51.100.9")

    def test_what_is_absent(self) -> None:
        via = parse_via("SIP/2.0/UDP example.com")
        assert (via.port, via.branch, via.rport, via.received) == (None, None, None, None)

    def test_marking_the_source(self) -> None:
        """RFC 3581 4: rport is filled in where it stands."""
        via = parse_via("SIP/2.0/UDP [2001:db8::9]:5060;rport;branch=z9hG4bK7")
        marked = via.with_param("rport", "40000").with_param("received", "2001:db8::1")
        assert str(marked) == (
            "SIP/2.0/UDP [2001:db8::9]:5060;rport=40000;branch=z9hG4bK7;received=2001:db8::1"
        )
        assert parse_via(str(marked)) == marked

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "SIP/2.0/UDP",
            "HTTP/1.1/TCP example.com",
            "SIP/2.0/UDP exa mple.com",
            "SIP/2.0/UDP example.com:70000",
            "SIP/2.0/UDP \u212aelvin.example.com",
            "\u017fIP/2.0/UDP example.com",
            "SIP/2.0/UDP example.com:",
            "SIP/2.0/UDP example.com;;branch=z9hG4bK7",
            "SIP/2.0/UDP example.com, SIP/2.0/UDP example.net",
        ],
    )
    def test_malformed(self, value: str) -> None:
        with pytest.raises(ParseError):
            parse_via(value)

    def test_built(self) -> None:
        built = Via("UDP", "192.0.2.1", 5060, (("branch", "z9hG4bK1"), ("rport", None)))
        assert str(built) == "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport"


class TestNameAddr:
    @pytest.mark.parametrize(
        ("value", "name", "user", "params"),
        [
            ("<sip:a@b.c>", None, "a", ()),
            ("sip:a@b.c;tag=1", None, "a", (("tag", "1"),)),
            ('"Jane \\"J\\" Doe"<sip:a@b.c>;tag=1', 'Jane "J" Doe', "a", (("tag", "1"),)),
            ('"" <sip:a@b.c>', "", "a", ()),
            ("Jane Doe <sip:a@b.c>", "Jane Doe", "a", ()),
            ("José (desk) <sip:a@b.c>", "José (desk)", "a", ()),
            ("+1 (415) 555-0100 <sip:a@b.c>", "+1 (415) 555-0100", "a", ()),
            ('<sip:a@b.c>;+sip.instance="<urn:uuid:1>"', None, "a", None),
            ("<tel:+14155550100>", None, "+14155550100", ()),
            # what should have been quoted or escaped, where it is plain what was meant
            (
                '"John "The Duke" Doe" <sip:a@b.c>;tag=1',
                'John "The Duke" Doe',
                "a",
                (("tag", "1"),),
            ),
            ('"Ann\\" <sip:a@b.c>;tag=1', "Ann", "a", (("tag", "1"),)),
            ('"J "\\" D" <sip:a@b.c>', 'J "" D', "a", ()),
            ("Doe, Jane; (desk) <sip:a@b.c>", "Doe, Jane; (desk)", "a", ()),
            ("CORP\\jane <sip:a@b.c>", "CORP\\jane", "a", ()),
        ],
    )
    def test_the_parts(
        self, value: str, name: str | None, user: str, params: tuple[object, ...] | None
    ) -> None:
        address = parse_name_addr(value)
        assert (address.display_name, address.uri.user) == (name, user)
        if params is not None:
            assert address.params == params
        assert parse_name_addr(str(address)) == address

    def test_parameters_are_read_without_their_quotes(self) -> None:
        address = parse_name_addr('<sip:a@b.c>;Expires=60;note="a \\"b\\"";ob')
        assert address.param("expires") == "60"
        assert address.param("note") == 'a "b"'
        assert address.param("ob") == ""
        assert address.tag is None

    def test_a_tag_is_added(self) -> None:
        address = NameAddr("Bob", Uri.parse("sip:b@b.c")).with_param("tag", "77")
        assert str(address) == "Bob <sip:b@b.c>;tag=77"

    def test_values_and_names_are_quoted_where_they_must_be(self) -> None:
        address = NameAddr('a, "b" \\', Uri.parse("sip:b@b.c")).with_param("note", 'x; "y"')
        assert str(address) == '"a, \\"b\\" \\\\" <sip:b@b.c>;note="x; \\"y\\""'
        assert parse_name_addr(str(address)) == address

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "*",
            "<>",
            "sip:d@e.f, Jane <sip:a@b.c>",
            '"Jane" <sip:d@e.f>, "Doe" <sip:a@b.c>',
            'Jane "Doe <sip:a@b.c>',
            '"Jane <sip:a@b.c>',
            "< sip:a@b.c>",
            "<sip:a@b.c",
            "sip:a@b.c>",
            "<sip:a@b.c> tag=1",
            "sip:a@b.c?Subject=x",
            "<sip:a@b.c>, <sip:d@e.f>",
        ],
    )
    def test_malformed(self, value: str) -> None:
        with pytest.raises(ParseError):
            parse_name_addr(value)

    def test_several_lines_of_several(self) -> None:
        found = parse_name_addrs(["<sip:p1.example.com;lr>, <sip:p2.example.com;lr>", "sip:p3.x"])
        assert [address.uri.host for address in found] == [
            "p1.example.com",
            "p2.example.com",
            "p3.x",
        ]

    @pytest.mark.parametrize(
        ("value", "found"),
        [
            ("<sip:a@b.c>, <tel:+1>;x=1", ["<sip:a@b.c>", "<tel:+1>;x=1"]),
            ("Doe, Jane <sip:a@b.c>;x=1", ['"Doe, Jane" <sip:a@b.c>;x=1']),
            ('"Jane <sip:a@b.c>;x=1, <tel:+1>', ["<sip:a@b.c>;x=1", "<tel:+1>"]),
            ('"Ann\\" <sip:a@b.c>, "Ann" <tel:+1>', ["<sip:a@b.c>", "<tel:+1>"]),
            ("<sip:@>, junk, <sip:a@b.c:0>, <tel:+1>", ["<tel:+1>"]),
            ('<sip:a@b.c>;="x", <tel:+1>', ["<tel:+1>"]),
            ("<sip:@>", []),
            ("", []),
        ],
    )
    def test_what_can_be_read_of_several(self, value: str, found: list[str]) -> None:
        """One that is broken hides none of the others; one whose parameters are is not used."""
        assert [str(address) for address in readable_addresses([value])] == found


class TestCSeq:
    def test_the_parts(self) -> None:
        assert parse_cseq("0009  INVITE") == CSeq(9, "INVITE")
        assert str(CSeq(9, "BYE")) == "9 BYE"
        assert parse_cseq("2147483647 BYE").number == 2**31 - 1

    @pytest.mark.parametrize(
        "value",
        [
            "",
            "INVITE",
            "1",
            "-1 INVITE",
            "1INVITE",
            "2147483648 BYE",
            "1 IN VITE",
            "1" * 5000 + " A",
        ],
    )
    def test_malformed(self, value: str) -> None:
        with pytest.raises(ParseError):
            parse_cseq(value)
