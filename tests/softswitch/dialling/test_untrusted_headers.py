"""Whatever an INVITE says of numbers and callers is read without error, passed in whole lines."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from sip.core.message import Headers, Request
from sip.errors import ParseError
from sip.softswitch.dialling.called_number import called_number
from sip.softswitch.dialling.header_policy import MAX_LINE, outgoing_headers, told_headers
from sip.softswitch.dialling.identity import Caller, inbound_identity, outbound_identity
from tests.softswitch.invites import invite, trunk

EVERYTHING = trunk(
    country="US",
    caller_id={
        "accept": ["ppi", "pai", "rpid", "diversion", "from"],
        "send": ["from", "pai", "ppi", "rpid", "diversion"],
        "user_phone": True,
    },
    called_number={"accept": "diversion", "format": "national", "strip": "9"},
    pass_headers={
        "inbound": ["X-*", "P-*", "Remote-Party-ID", "Diversion", "History-Info", "Identity"],
        "outbound": ["X-*", "P-*", "Diversion", "History-Info", "Identity"],
    },
)
NAMES = (
    *("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Diversion", "Privacy"),
    *("History-Info", "Identity", "User-to-User", "P-Called-Party-ID", "X-Any"),
)

#: pieces that mean something in addresses, in any order, and any text between them
pieces = st.sampled_from(
    [
        *("<", ">", '"', ";", ",", ":", "@", "%", "+", "sip:", "tel:", "anonymous", "unknown"),
        *("+14155550100", "4155550100", "200", "example.com", "anonymous.invalid", "[::1]"),
        *("phone-context=", "+1", "+", "npdi", "rn=", "verstat=", "privacy=", "full", "id", "%23"),
        *("party=calling", "?Privacy=history", " ", "\t", ".", "..", "eyJvcmlnIjp7fX0", "="),
    ]
)
texts = st.lists(pieces | st.text(max_size=4), max_size=12).map("".join)
lines = texts.filter(lambda text: not set("\r\n\x00") & set(text)).map(str.strip)


def request(sender: str, user: str, headers: list[tuple[str, str]]) -> Request | None:
    """The INVITE, if it is one that would be served."""
    with suppress(ParseError, ValueError):
        return invite(*headers, sender=f"{sender};tag=1", uri=f"sip:{user}@198.51.100.1")
    return None


@given(
    sender=lines,
    user=lines,
    headers=st.lists(st.tuples(st.sampled_from(NAMES), lines), max_size=6),
)
def test_any_invite_is_read(sender: str, user: str, headers: list[tuple[str, str]]) -> None:
    received = request(sender, user, headers) or request("<sip:1@192.0.2.1>", "2", headers)
    if received is None:
        return
    identity = inbound_identity(received, EVERYTHING)
    number = called_number(received, EVERYTHING)
    told, passed = told_headers(received, EVERYTHING, identity)
    if identity.anonymous:
        assert not {"p-asserted-identity", "remote-party-id"} & set(told)
    caller = Caller(number=identity.shown, name=identity.name, withheld=identity.withheld)
    from_, identities = outbound_identity(EVERYTHING, caller, "203.0.113.1")
    onward = outgoing_headers(passed.headers, EVERYTHING, caller=caller.number, called=number)
    fields = Headers([("From", str(from_)), *identities, *onward.headers])  # refuses line breaks
    assert all(len(f"{name}: {line}".encode()) <= MAX_LINE for name, line in fields)
