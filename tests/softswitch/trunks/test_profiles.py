"""What a call says under each profile that has a way of its own: the facts of carriers.md."""

from pathlib import Path

import pytest

from sip.softswitch.dialling.called_number import called_number, dialled_uri
from sip.softswitch.dialling.identity import ANONYMOUS, Caller, inbound_identity, outbound_identity
from sip.softswitch.trunks.trunk import Trunk
from tests.config.test_settings import read
from tests.softswitch.invites import invite

OURS = "203.0.113.10"
PROVEN = "{username: acct7, password: p}"


def of(tmp_path: Path, profile: str, own: str = "") -> Trunk:
    gateway = 'gateways: ["sip:192.0.2.1"]'
    entry = f"{{name: it, profile: {profile}, {gateway}, credentials: {PROVEN}, login: {PROVEN}"
    settings = read(tmp_path, f"trunks: [{entry}{own and ', '}{own}}}]")
    return Trunk.of(settings.trunks[0])


@pytest.mark.parametrize(
    ("profile", "own", "number", "caller", "uri", "sender", "headers"),
    [
        (
            "twilio",
            "",
            "+14155550100",
            "+12125550101",
            "sip:+14155550100@192.0.2.1",
            f"<sip:+12125550101@{OURS}>",
            {"P-Asserted-Identity": f"<sip:+12125550101@{OURS}>"},
        ),
        (
            "vonage",
            "caller_id: {from_domain: us.sip.example.com}",
            "+14155550100",
            "+12125550101",
            "sip:14155550100@192.0.2.1",
            "<sip:12125550101@us.sip.example.com>",
            {},
        ),
        (
            "sipgate",
            "",
            "+49211123456",
            "+492119876543",
            "sip:49211123456@192.0.2.1",
            "<sip:acct7@sipconnect.sipgate.de>",
            {"P-Preferred-Identity": "<sip:492119876543@sipconnect.sipgate.de>"},
        ),
        (
            "flowroute",
            'called_number: {prefix: "12345678*"}',
            "+14155550100",
            "+12125550101",
            "sip:12345678*+14155550100@192.0.2.1",
            f"<sip:+12125550101@{OURS}>",
            {"P-Asserted-Identity": f"<sip:+12125550101@{OURS}>"},
        ),
        (
            "voipms",
            "",
            "+442079460100",
            "+12125550101",
            "sip:011442079460100@192.0.2.1",
            f"<sip:2125550101@{OURS}>",
            {},
        ),
        (
            "didww",
            "",
            "+14155550100",
            "+12125550101",
            "sip:14155550100@192.0.2.1",
            f"<sip:12125550101@{OURS}>",
            {},
        ),
        (
            "telnyx",
            "",
            "+14155550100",
            ANONYMOUS,
            "sip:+14155550100@192.0.2.1",
            "Anonymous <sip:anonymous@anonymous.invalid>",
            {"P-Asserted-Identity": f"<sip:+12125550199@{OURS}>", "Privacy": "id"},
        ),
        (
            "teams",
            "contact_domain: sbc.example.com",
            "+14155550100",
            "+12125550101",
            "sip:+14155550100@192.0.2.1;user=phone",
            "<sip:+12125550101@sbc.example.com;user=phone>",
            {"P-Asserted-Identity": "<sip:+12125550101@sbc.example.com;user=phone>"},
        ),
        (
            "cucm",
            "",
            "2012",
            "+12125550101",
            "sip:2012@192.0.2.1",
            f"<sip:+12125550101@{OURS}>",
            {
                "P-Asserted-Identity": f"<sip:+12125550101@{OURS}>",
                "Remote-Party-ID": f"<sip:+12125550101@{OURS}>"
                ";party=calling;screen=yes;privacy=off",
            },
        ),
    ],
)
def test_a_call_to_it_says(
    tmp_path: Path,
    profile: str,
    own: str,
    number: str,
    caller: str,
    uri: str,
    sender: str,
    headers: dict[str, str],
) -> None:
    trunk = of(tmp_path, profile, own)
    from_, others = outbound_identity(trunk, Caller(number=caller, withheld="+12125550199"), OURS)
    assert str(dialled_uri(trunk.gateways[0], number, trunk)) == uri
    assert (str(from_), dict(others)) == (sender, headers)


@pytest.mark.parametrize(
    ("profile", "uri", "sender", "to", "headers", "caller", "number"),
    [
        (  # CUCM: both headers, an extension that calls
            "cucm",
            "sip:8800@198.51.100.1:5060",
            '"Desk 12" <sip:2012@192.0.2.1>;tag=1',
            "<sip:8800@198.51.100.1>",
            (
                ("Remote-Party-ID", '"Desk 12" <sip:2012@192.0.2.1>;party=calling;privacy=off'),
                ("P-Asserted-Identity", '"Desk 12" <sip:2012@192.0.2.1>'),
            ),
            "2012",
            "8800",
        ),
        (  # we are registered there: the Request-URI is our Contact
            "voipms",
            "sip:acct7@198.51.100.1",
            '"DOE JOHN" <sip:2125550101@192.0.2.1>;tag=1',
            "<sip:4155550100@seattle.example.com>",
            (),
            "+12125550101",
            "+14155550100",
        ),
        (
            "sipgate",
            "sip:acct7@198.51.100.1",
            "<sip:492119876543@sipconnect.example.com>;tag=1",
            "<sip:49211123456@sipconnect.example.com>",
            (),
            "+492119876543",
            "+49211123456",
        ),
        (
            "vonage",
            "sip:14155550100@198.51.100.1",
            "<sip:12125550101@192.0.2.1>;tag=1",
            "<sip:14155550100@198.51.100.1>",
            (),
            "+12125550101",
            "+14155550100",
        ),
        (
            "grandstream",
            "sip:gateway@198.51.100.1",
            '"2000" <sip:2000@192.0.2.1>;tag=1',
            "<sip:8800@192.0.2.1>",
            (("P-Preferred-Identity", '"Front desk" <sip:2000@192.0.2.1>'),),
            "2000",
            "8800",
        ),
        (  # FreeSWITCH: From holds the gateway's user, Remote-Party-ID the caller
            "freeswitch",
            "sip:+14155550100@198.51.100.1",
            '"Alice" <sip:gw7@192.0.2.1>;tag=1',
            "<sip:+14155550100@198.51.100.1>",
            (
                (
                    "Remote-Party-ID",
                    '"Alice" <sip:+12125550101@192.0.2.1>;party=calling;screen=yes;privacy=off',
                ),
            ),
            "+12125550101",
            "+14155550100",
        ),
        (
            "teams",
            "sip:+14155550100@sbc.example.com:5061;user=phone;transport=tls",
            "Adele Vance <sip:+12125550101@sip.example.com:5061;user=phone>;tag=1",
            "<sip:+14155550100@sbc.example.com:5061;user=phone>",
            (),
            "+12125550101",
            "+14155550100",
        ),
    ],
)
def test_a_call_from_it_is_read(
    tmp_path: Path,
    profile: str,
    uri: str,
    sender: str,
    to: str,
    headers: tuple[tuple[str, str], ...],
    caller: str,
    number: str,
) -> None:
    trunk = of(tmp_path, profile)
    request = invite(*headers, uri=uri, sender=sender, to=to)
    assert inbound_identity(request, trunk).number == caller
    assert called_number(request, trunk) == number
