"""Numbers in and out: what carriers and PBXs write, and what may be made of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.uri import Uri
from sip.softswitch.dialling.called_number import called_number, dialled_uri
from sip.softswitch.dialling.numbers import (
    NumberFormat,
    Subscriber,
    dialling_problem,
    to_e164,
    write_number,
)
from tests.softswitch.invites import invite, trunk


@pytest.mark.parametrize(
    ("text", "country", "full", "number"),
    [
        ("+14155550100", None, False, "+14155550100"),
        ("+1 (415) 555-0100", None, False, "+14155550100"),
        ("14155550100", None, False, None),  # who knows? no plus is invented
        ("14155550100", None, True, "+14155550100"),  # Vonage: E.164 without a plus
        ("14155550100", "US", False, "+14155550100"),
        ("4155550100", "US", False, "+14155550100"),
        ("442079460100", "US", True, "+442079460100"),
        ("442079460100", "US", False, None),
        ("011442079460100", "US", False, "+442079460100"),
        ("00442079460100", "DE", False, "+442079460100"),
        ("02079460100", "GB", False, "+442079460100"),
        ("0211123456", "DE", False, "+49211123456"),
        ("49211123456", "DE", False, "+49211123456"),  # sipgate: digits only
        ("5550100", "US", False, None),  # a local number lacks its area
        ("200", "US", True, None),
        ("911", "US", True, None),
        ("112", "DE", True, None),
        ("*98", "US", True, None),
        ("+911", None, False, None),
        ("anonymous", "US", True, None),
        ("٤١٥٥٥٥٠١٠٠", "US", True, None),
        ("1" * 500, "US", True, None),
    ],
)
def test_a_number_becomes_e164_only_where_that_is_certain(
    text: str, country: str | None, full: bool, number: str | None
) -> None:
    assert to_e164(text, country, full=full) == number


@pytest.mark.parametrize(
    ("uri", "number"),
    [
        ("sip:+14155550100@192.0.2.1;user=phone", "+14155550100"),
        ("sip:%2B14155550100@192.0.2.1", "+14155550100"),
        ("tel:+1-415-555-0100", "+14155550100"),
        ("sip:+14155550100;npdi;rn=+14155550111@192.0.2.1;user=phone", "+14155550100"),
        ("sip:+14155550100;verstat=TN-Validation-Passed@192.0.2.1", "+14155550100"),
        ("tel:+14155550100;verstat=No-TN-Validation", "+14155550100"),
        ("tel:555-0100;phone-context=+1-415", "+14155550100"),
        ("sip:5550100;phone-context=+1415@192.0.2.1;user=phone", "+14155550100"),
        ("tel:02079460100;phone-context=+44", "+442079460100"),
        ("tel:2079460100;phone-context=+44", "+442079460100"),
        ("tel:7042;phone-context=example.com", "7042"),
        ("tel:7042;phone-context=+1", "7042"),
        ("sip:200@192.0.2.1", "200"),
        ("sip:alice;day=tuesday@example.com", "alice;day=tuesday"),
        ("sip:*98%23@192.0.2.1", "*98#"),
        ("sip:192.0.2.1", ""),
    ],
)
def test_a_uri_is_read_as_a_telephone_subscriber(uri: str, number: str) -> None:
    assert Subscriber.of(Uri.parse(uri)).number(None) == number


@pytest.mark.parametrize(
    ("number", "written", "country", "prefix", "shown"),
    [
        ("+14155550100", "+e164", None, "", "+14155550100"),
        ("+14155550100", "e164", None, "", "14155550100"),
        ("+14155550100", "national", "US", "", "4155550100"),  # VoIP.ms: 10 digits
        ("+442079460100", "national", "US", "", "011442079460100"),
        ("+442079460100", "national", "GB", "", "02079460100"),
        ("+14155550100", "national", "DE", "", "0014155550100"),
        ("+14155550100", "national", None, "", "+14155550100"),
        ("+14155550100", "+e164", "US", "12345678*", "12345678*+14155550100"),  # Flowroute
        ("+49211123456", "national", "DE", "0", "00211123456"),
        ("4155550100", "+e164", "US", "", "+14155550100"),
        ("4155550100", "as-is", "US", "9", "94155550100"),
        ("200", "+e164", "US", "12345678*", "200"),
        ("911", "e164", "US", "9", "911"),
        ("112", "national", "DE", "0", "112"),
        ("*98#", "e164", "US", "9", "*98#"),
        ("sales", "+e164", "US", "9", "sales"),
        ("0800 12", "e164", None, "", "080012"),
    ],
)
def test_a_number_is_written_as_the_trunk_wants_it(
    number: str, written: NumberFormat, country: str | None, prefix: str, shown: str
) -> None:
    assert write_number(number, written, country=country, prefix=prefix) == shown


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("", "No Number"),
        ("+1234567890123456", "16 Digits"),
        ("1" * 65, "65 Characters"),
        ("+1415555\r\nX-Evil: 1", "Cannot Be Dialled"),
        ("200@evil.example.com", "Cannot Be Dialled"),
        ("a b", "Cannot Be Dialled"),
        ("200<script>", "Cannot Be Dialled"),
        ("200%41", "Cannot Be Dialled"),
    ],
)
def test_what_cannot_be_a_number_is_refused_in_words(number: str, words: str) -> None:
    assert words in (dialling_problem(number) or "")


@pytest.mark.parametrize("number", ["+14155550100", "200", "911", "*98#", "+1 415 555 0100", "bob"])
def test_what_may_be_dialled_has_no_problem(number: str) -> None:
    assert dialling_problem(number) is None


REGISTERED = {
    "register": True,
    "gateways": ["sip:pbx.example.com"],
    "credentials": {"username": "acct7", "password": "p"},
}


@pytest.mark.parametrize(
    ("entry", "uri", "to", "headers", "number"),
    [
        ({}, "sip:+14155550100@gw", "<sip:x@gw>", (), "+14155550100"),
        ({}, "tel:+1-415-555-0100", "<sip:x@gw>", (), "+14155550100"),
        ({}, "sip:200@gw", "<sip:200@gw>", (), "200"),
        # no user at all: To may tell
        ({}, "sip:gw", "<sip:+14155550100@gw>", (), "+14155550100"),
        # Twilio with a user in its origination URI: the dialled number is in Diversion
        (
            {"called_number": {"accept": "diversion"}},
            "sip:gateway@gw",
            "<sip:gateway@gw>",
            (
                ("Diversion", "<sip:+14155550100@twilio.com>;reason=unconditional"),
                ("Diversion", "<sip:+14155550199@twilio.com>"),
            ),
            "+14155550100",
        ),
        (
            {"called_number": {"accept": "diversion"}},
            "sip:+14155550100@gw",
            "<sip:x@gw>",
            (),
            "+14155550100",
        ),
        (
            {"called_number": {"accept": "diversion"}},
            "sip:+14155550100@gw",
            "<sip:x@gw>",
            (("Diversion", '"<'),),
            "+14155550100",
        ),
        (
            {"called_number": {"accept": "to"}},
            "sip:s@gw",
            "<sip:+14155550100@gw>",
            (),
            "+14155550100",
        ),
        (
            {"called_number": {"accept": "p-called-party-id"}},
            "sip:gw@gw",
            "<sip:x@gw>",
            (("P-Called-Party-ID", '"DID" <tel:+14155550100>'),),
            "+14155550100",
        ),
        # a registrar calls the Contact that we registered: the DID stands in To
        (REGISTERED, "sip:acct7@192.0.2.9", "<sip:14155550100@pbx>", (), "14155550100"),
        (
            {**REGISTERED, "country": "US"},
            "sip:acct7@192.0.2.9",
            "<sip:4155550100@pbx>",
            (),
            "+14155550100",
        ),
        (REGISTERED, "sip:acct7@192.0.2.9", "<sip:acct7@pbx>", (), "acct7"),
        # prefixes of the sender's are taken off
        (
            {"called_number": {"strip": "9"}},
            "sip:9+14155550100@gw",
            "<sip:x@gw>",
            (),
            "+14155550100",
        ),
        (
            {"called_number": {"format": "e164"}},
            "sip:14155550100@gw",
            "<sip:x@gw>",
            (),
            "+14155550100",
        ),
        # a ported number's routing number is not who is called
        (
            {},
            "sip:+14155550100;npdi;rn=+14155550111@gw;user=phone",
            "<sip:x@gw>",
            (),
            "+14155550100",
        ),
    ],
)
def test_the_called_number_is_found_where_the_trunk_puts_it(
    entry: dict[str, object],
    uri: str,
    to: str,
    headers: tuple[tuple[str, str], ...],
    number: str,
) -> None:
    request = invite(*headers, uri=uri.replace("@gw", "@198.51.100.1"), to=to)
    assert called_number(request, trunk(**entry)) == number


@pytest.mark.parametrize(
    ("gateway", "number", "entry", "uri"),
    [
        ("sip:sip.example.com", "+14155550100", {}, "sip:+14155550100@sip.example.com"),
        (
            "sip:us-west-or.sip.flowroute.com",
            "+14155550100",
            {"called_number": {"prefix": "12345678*"}},
            "sip:12345678*+14155550100@us-west-or.sip.flowroute.com",
        ),
        (
            "sip:sip.pstnhub.microsoft.com;transport=tls",
            "+14155550100",
            {"caller_id": {"user_phone": True}},
            "sip:+14155550100@sip.pstnhub.microsoft.com;transport=tls;user=phone",
        ),
        ("sip:pbx.example.com;lr", "*98#", {}, "sip:*98%23@pbx.example.com"),
        (
            "sip:pbx.example.com:5080",
            "sales",
            {"caller_id": {"user_phone": True}},
            "sip:sales@pbx.example.com:5080",
        ),
    ],
)
def test_the_request_uri_calls_through_a_gateway(
    gateway: str, number: str, entry: dict[str, object], uri: str
) -> None:
    assert str(dialled_uri(Uri.parse(gateway), number, trunk(**entry))) == uri


@given(
    st.text(),
    st.sampled_from(["+e164", "e164", "national", "as-is"]),
    st.sampled_from([None, "US", "DE"]),
)
def test_no_uri_of_ours_has_a_line_break_and_all_can_be_read_back(
    number: str, written: NumberFormat, country: str | None
) -> None:
    it = trunk(called_number={"format": written}, country=country)
    if dialling_problem(number) is None:
        uri = dialled_uri(Uri.parse("sip:gw.example.com"), number, it)
        assert not set('\r\n "<>') & set(str(uri))
        assert Uri.parse(str(uri)) == uri


@given(
    st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True), st.sampled_from([None, "US", "DE", "IT"])
)
def test_a_full_number_survives_every_trunk(number: str, country: str | None) -> None:
    assert to_e164(number, country) == number
    assert to_e164(write_number(number, "+e164", country=country), country) == number


@given(st.from_regex(r"[0-9*#]{1,6}", fullmatch=True))
def test_short_numbers_are_never_touched(number: str) -> None:
    for written in ("+e164", "e164", "national", "as-is"):
        assert write_number(number, written, country="US", prefix="12345678*") == number
