"""INVITEs and trunks as carriers and PBXs make them, for tables of examples."""

from config.settings import TrunkSettings
from sip.core.message import Request
from sip.core.parser import parse_message
from sip.core.validation import validate
from sip.softswitch.trunks.trunk import Trunk

PLAIN_FROM = "<sip:+12125550101@192.0.2.1>;tag=1"


def invite(
    *headers: tuple[str, str],
    uri: str = "sip:+14155550100@198.51.100.1",
    sender: str = PLAIN_FROM,
    to: str = "<sip:+14155550100@198.51.100.1>",
) -> Request:
    """An INVITE as it comes from the wire, checked as a received one is."""
    lines = [
        f"INVITE {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport",
        "Max-Forwards: 70",
        f"From: {sender}",
        f"To: {to}",
        "Call-ID: 1@192.0.2.1",
        "CSeq: 1 INVITE",
        "Contact: <sip:192.0.2.1:5060>",
        *(f"{name}: {value}" for name, value in headers),
        "Content-Length: 0",
    ]
    message = parse_message(("\r\n".join(lines) + "\r\n\r\n").encode())
    validate(message)
    assert isinstance(message, Request)
    return message


def trunk(**entry: object) -> Trunk:
    """A trunk with these keys of its configuration."""
    return Trunk.of(TrunkSettings.model_validate({"name": "it", **entry}))
