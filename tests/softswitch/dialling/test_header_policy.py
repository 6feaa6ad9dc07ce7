"""What crosses from leg to leg: named by a trunk's policy, one line long, and nobody's secret."""

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings
from sip.core.message import Headers, Request
from sip.softswitch.dialling.header_policy import (
    MAX_LINE,
    NEVER,
    outgoing_headers,
    passing,
    signs,
    told_headers,
    with_ours,
)
from sip.softswitch.dialling.identity import inbound_identity
from sip.softswitch.trunks.trunk import Trunk
from tests.softswitch.invites import invite, trunk

RETELL = Trunk.of(Settings().retell.own_trunk())
DIVERSION = "<sip:+14155550111@example.com>;reason=user-busy;counter=1"
HISTORY = "<sip:+14155550111@example.com?Reason=SIP%3Bcause%3D302>;index=1"
USER_TO_USER = "56a390f3d2b7310023a2;encoding=hex;purpose=isdn-interwork;content=isdn-uui"


def told(request: Request, it: Trunk) -> dict[str, str]:
    return told_headers(request, it, inbound_identity(request, it))[0]


# --- patterns --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "patterns", "passes"),
    [
        ("X-Caller-Id", ("X-*",), True),
        ("x-caller-id", ("X-*",), True),
        ("User-to-User", ("user-to-user",), True),
        ("User-to-User", ("User-to-User-*",), False),
        ("Diversion", ("X-*",), False),
        ("P-Asserted-Identity", ("P-*",), True),
        ("y", ("Identity",), True),  # its compact form
        # whatever a policy says
        ("Via", ("V*",), False),
        ("Contact", ("Contact",), False),
        ("m", ("Contact",), False),
        ("Route", ("R*",), False),
        ("Session-Expires", ("Session-Expires",), False),
        ("Proxy-Authorization", ("P*",), False),
        ("Content-Length", ("C*",), False),
        ("X-Authenticated-User", ("X-*",), False),
        ("X-Originating-Carrier", ("X-*",), False),
        ("X-Forwarded-For", ("X-*",), False),
    ],
)
def test_a_header_passes_by_its_name(name: str, patterns: tuple[str, ...], passes: bool) -> None:
    assert passing([(name, "1")], patterns).headers == (((name, "1"),) if passes else ())


def test_a_line_of_1024_bytes_passes_and_one_of_1025_is_dropped_and_named() -> None:
    """docs.retellai.com/build/telephony/sip-headers."""
    room = MAX_LINE - len("X-A: ")
    passed = passing([("X-A", "1" * room), ("X-B", "1" * (room + 1)), ("X-C", "é" * 511)], ["X-*"])
    assert [name for name, _ in passed.headers] == ["X-A"]
    assert [name for name, _ in passed.dropped] == ["X-B", "X-C"]
    assert all("more than 1024 bytes" in why for _, why in passed.dropped)


def test_a_list_too_long_for_one_line_goes_on_as_several() -> None:
    """RFC 3261 7.3.1: they mean the same."""
    entries = [f"<sip:+1415555{n:04}@example.com>;reason=unconditional" for n in range(100, 130)]
    passed = passing([("Diversion", ", ".join(entries))], ["Diversion"])
    assert passed.headers == tuple(("Diversion", entry) for entry in entries)
    assert passed.dropped == ()


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "a\x1bb"])
def test_a_value_with_a_control_character_is_dropped_and_named(value: str) -> None:
    passed = passing([("X-A", value)], ["X-*"])
    assert passed.headers == ()
    assert [name for name, _ in passed.dropped] == ["X-A"]


@given(st.lists(st.tuples(st.text(), st.text())))
def test_nothing_that_passes_breaks_a_line_or_is_too_long(lines: list[tuple[str, str]]) -> None:
    for name, value in passing(lines, None).headers:
        Headers([(name, value)])
        assert name.lower() not in NEVER
        assert len(f"{name}: {value}".encode()) <= MAX_LINE


# --- inbound: what an application is told ------------------------------------------------------


def test_an_application_sees_the_standard_headers_and_what_the_trunk_passes() -> None:
    request = invite(
        ("User-Agent", "PBX 1"),
        ("X-Order-Id", "7"),
        ("Diversion", DIVERSION),
        ("User-to-User", USER_TO_USER),
        ("P-Charge-Info", "<sip:+14155550111@example.com>"),
        ("Subject", "hello"),
    )
    seen = told(request, trunk())
    assert seen["X-Order-Id"] == "7"
    assert (seen["diversion"], seen["user-to-user"]) == (DIVERSION, USER_TO_USER)
    assert seen["call-id"] == "1@192.0.2.1"
    assert (seen["user-agent"], seen["subject"]) == ("PBX 1", "hello")
    assert "p-charge-info" not in seen
    assert "x-order-id" not in told(request, trunk(pass_headers={"inbound": []}))


def test_several_lines_of_a_list_are_told_as_one() -> None:
    request = invite(("Diversion", DIVERSION), ("Diversion", "<sip:200@example.com>"))
    assert told(request, trunk())["diversion"] == f"{DIVERSION}, <sip:200@example.com>"


def test_nobody_outside_speaks_for_us_and_no_proof_is_told() -> None:
    request = invite(
        ("X-Authenticated-User", "retell@gateway"),
        ("X-Originating-Carrier", "retell"),
        ("X-Forwarded-For", "192.0.2.66"),
        ("X-Carrier-Token", "s3cret"),
        ("s", "s3cret too"),
        ("Authorization", 'Digest username="a"'),
        ("Proxy-Authorization", 'Digest username="a"'),
    )
    proofs = {"X-Carrier-Token": "s3cret", "Subject": "s3cret too"}
    seen = told(request, trunk(identify_headers=proofs))
    assert not {"x-authenticated-user", "x-originating-carrier", "x-forwarded-for"} & {
        name.lower() for name in seen
    }
    assert "s3cret" not in str(seen)
    assert "Digest" not in str(seen)


@pytest.mark.parametrize(
    ("accept", "seen"),
    [
        (["pai", "from"], {"p-asserted-identity"}),
        (["from"], set()),
        (
            ["rpid", "pai", "ppi"],
            {"remote-party-id", "p-asserted-identity", "p-preferred-identity"},
        ),
    ],
)
def test_an_identity_that_is_not_believed_is_not_passed_on(
    accept: list[str], seen: set[str]
) -> None:
    request = invite(
        ("P-Asserted-Identity", "<sip:+12125550101@192.0.2.1>"),
        ("P-Preferred-Identity", "<sip:+12125550102@192.0.2.1>"),
        ("Remote-Party-ID", "<sip:+12125550103@192.0.2.1>"),
    )
    it = trunk(caller_id={"accept": accept}, pass_headers={"inbound": ["P-*", "Remote-Party-ID"]})
    assert {name for name in told(request, it) if name.startswith(("p-", "remote"))} == seen


def test_a_withheld_caller_is_in_no_header_that_goes_on() -> None:
    """RFC 3325 9.3: P-Asserted-Identity leaves the trust domain only without `Privacy: id`."""
    pai = ("P-Asserted-Identity", "<sip:+12125550101@192.0.2.1>")
    it = trunk(pass_headers={"inbound": ["P-*"]})
    anonymous = "<sip:anonymous@anonymous.invalid>;tag=1"
    assert "p-asserted-identity" in told(invite(pai), it)
    request = invite(pai, ("Privacy", "id"), sender=anonymous)
    assert "+12125550101" not in str(told(request, it))


@pytest.mark.parametrize(
    ("header", "value", "left"),
    [
        ("Diversion", f"<sip:1@example.com>;privacy=full, {DIVERSION}", DIVERSION),
        ("Diversion", "<sip:1@example.com>;privacy=uri", None),
        ("History-Info", f"<sip:1@example.com?Privacy=history>;index=1, {HISTORY}", HISTORY),
        ("Diversion", '"unclosed <sip:1', None),
        ("History-Info", HISTORY, HISTORY),
    ],
)
def test_a_diversion_that_wants_to_be_untold_is(header: str, value: str, left: str | None) -> None:
    """RFC 5806 5.4, RFC 7044 10.1."""
    assert told(invite((header, value)), trunk()).get(header.lower()) == left


def test_privacy_for_the_history_hides_all_of_it() -> None:
    seen = told(invite(("History-Info", HISTORY), ("Privacy", "history")), trunk())
    assert "history-info" not in seen


# --- outbound ----------------------------------------------------------------------------------


def test_retell_gets_what_it_keeps_and_nothing_else() -> None:
    given_headers = (
        ("X-Order-Id", "7"),
        ("User-to-User", USER_TO_USER),
        ("Diversion", DIVERSION),
        ("History-Info", HISTORY),
        ("P-Asserted-Identity", "<sip:+12125550101@192.0.2.1>"),
        ("Remote-Party-ID", "<sip:+12125550101@192.0.2.1>"),
        ("Subject", "hello"),
        ("X-Long", "1" * 1024),
    )
    passed = outgoing_headers(given_headers, RETELL, caller="1", called="2")
    assert passed.headers == given_headers[:5]
    assert passed.dropped == (("X-Long", "it has more than 1024 bytes"),)


def test_a_trunks_own_headers_and_our_identity_headers_win() -> None:
    given_headers = (
        ("x-account", "theirs"),
        ("P-Asserted-Identity", "<sip:forged@example.com>"),
        ("X-Other", "1"),
    )
    identity = (("P-Asserted-Identity", "<sip:+12125550101@gw>"), ("X-Account", "nobody's"))
    assert with_ours(given_headers, identity, (("X-Account", "ours"),)) == (
        ("X-Other", "1"),
        ("P-Asserted-Identity", "<sip:+12125550101@gw>"),
        ("X-Account", "ours"),
    )


# --- Identity (RFC 8224) -----------------------------------------------------------------------


def part(claims: object) -> str:
    return urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def identity(orig: str, *dest: str) -> str:
    header = part({"alg": "ES256", "ppt": "shaken", "typ": "passport"})
    claims = part({"attest": "A", "dest": {"tn": dest}, "iat": 1, "orig": {"tn": orig}})
    return f"{header}.{claims}.c2ln;info=<https://cert.example.com/x.pem>;alg=ES256;ppt=shaken"


SIGNED = identity("12125550101", "14155550100")


@pytest.mark.parametrize(
    ("value", "caller", "called", "holds"),
    [
        (SIGNED, "+12125550101", "+14155550100", True),
        (SIGNED, "+12125550101", "+14155550199", False),  # transferred elsewhere
        (SIGNED, "+12125550199", "+14155550100", False),  # another caller id
        (SIGNED, "anonymous", "+14155550100", False),
        (identity("12125550101", "1", "14155550100"), "+12125550101", "+14155550100", True),
        ("..c2ln;info=<https://cert.example.com/x.pem>", "+12125550101", "+14155550100", False),
        ("", "+12125550101", "+14155550100", False),
        ("a.b.c", "+12125550101", "+14155550100", False),
        (f"a.{part([])}.c", "+1", "+2", False),
        (f"a.{part({'orig': {'tn': '1'}, 'dest': {'tn': '123'}})}.c", "+1", "+2", False),
        (f"a.{'W1tb' * 4000}.c", "+1", "+2", False),  # [[[[…
    ],
)
def test_a_signature_holds_for_the_numbers_it_was_made_of(
    value: str, caller: str, called: str, holds: bool
) -> None:
    assert signs(value, caller, called) is holds


@pytest.mark.parametrize(("called", "passes"), [("+14155550100", True), ("+14155550199", False)])
def test_identity_goes_on_untouched_or_not_at_all(called: str, passes: bool) -> None:
    it = trunk(pass_headers={"outbound": ["Identity"]})
    given_headers = (("Identity", SIGNED),)
    passed = outgoing_headers(given_headers, it, caller="+12125550101", called=called)
    assert passed.headers == (given_headers if passes else ())
    assert [name for name, _ in passed.dropped] == ([] if passes else ["Identity"])
    without = outgoing_headers(given_headers, trunk(), caller="+12125550101", called=called)
    assert without.headers == ()
