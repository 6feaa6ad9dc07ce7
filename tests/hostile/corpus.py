"""What the damage is done to: the RFCs' torture messages, and every message of an ordinary call."""

import itertools
from pathlib import Path

from tests.ladder import CALLER, DID, PCMU

_DATA = Path(__file__).parent.parent / "data"
#: the one counter of this process
_ids = [itertools.count(1)]

REQUESTS = (
    *("INVITE", "OPTIONS", "BYE", "CANCEL", "ACK", "REGISTER", "INFO", "UPDATE", "PRACK"),
    *("SUBSCRIBE", "NOTIFY", "REFER", "MESSAGE", "PUBLISH"),
)
_IN_DIALOG = frozenset({"BYE", "ACK", "INFO", "UPDATE", "PRACK", "NOTIFY"})


def number_from(first: int) -> None:
    """Give requests identifiers from here on, so that another process has none of them."""
    _ids[0] = itertools.count(first)


def torture() -> list[bytes]:
    """RFC 4475 and RFC 5118, as printed there."""
    found = [path.read_bytes() for rfc in ("rfc4475", "rfc5118") for path in _files(rfc)]
    assert len(found) == 49 + 12
    return found


def _files(rfc: str) -> list[Path]:
    return sorted((_DATA / rfc).glob("*.dat"))


def request(
    method: str,
    gateway: str,
    us: str,
    *,
    user: str = DID,
    caller: str = CALLER,
    dialog: tuple[str, str, str] | None = None,
    target: str | None = None,
    cseq: int = 1,
) -> bytes:
    """A well-formed request, every header that we read in it; `gateway` and `us` are host:port.

    `dialog` is Call-ID, From value and To value of a live one; without it all is new.
    """
    number = next(_ids[0])
    call_id, from_value, to_value = dialog or (
        f"hostile-{number}@test",
        f'"Caller" <sip:{caller}@{us}>;tag=h{number}',
        f"<sip:{user}@{gateway}>" + (";tag=x" if method in _IN_DIALOG else ""),
    )
    body = PCMU.encode() if method in ("INVITE", "UPDATE", "ACK") else b""
    lines = [
        f"{method} {target or f'sip:{user}@{gateway}'} SIP/2.0",
        f"Via: SIP/2.0/UDP {us};branch=z9hG4bK-hostile-{number};rport",
        "Max-Forwards: 70",
        f"From: {from_value}",
        f"To: {to_value}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        f"Contact: <sip:{us}>",
        "Supported: timer, 100rel",
        "Session-Expires: 1800;refresher=uac",
        "Min-SE: 90",
        "Allow: INVITE, ACK, BYE, CANCEL, UPDATE, PRACK",
        f"P-Asserted-Identity: <sip:{caller}@{us}>",
        "Privacy: none",
        "Diversion: <sip:+12125550102@example.com>;reason=unconditional",
        "User-to-User: 48656c6c6f;encoding=hex",
        "RAck: 1 1 INVITE",
        "Expires: 60",
        "Authorization: " + _DIGEST,
        "Proxy-Authorization: " + _DIGEST,
        "X-Campaign: spring",
    ]
    if body:
        lines.append("Content-Type: application/sdp")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def strayed_response(status: int, us: str) -> bytes:
    """A response to nothing of ours."""
    number = next(_ids[0])
    return "\r\n".join(
        [
            f"SIP/2.0 {status} Whatever",
            f"Via: SIP/2.0/UDP {us};branch=z9hG4bK-stray-{number}",
            f"From: <sip:{us}>;tag=s{number}",
            f"To: <sip:{DID}@{us}>;tag=t",
            f"Call-ID: stray-{number}@test",
            "CSeq: 1 INVITE",
            f"Contact: <sip:{us}>",
            "Require: 100rel",
            "RSeq: 1",
            "Retry-After: 5",
            "Session-Expires: 1800;refresher=uas",
            "WWW-Authenticate: " + _CHALLENGE,
            "Proxy-Authenticate: " + _CHALLENGE,
            "Content-Length: 0",
            "",
            "",
        ]
    ).encode()


_CHALLENGE = 'Digest realm="carrier", nonce="n", qop="auth", algorithm=MD5, stale=FALSE'
_DIGEST = (
    'Digest username="pbx", realm="gateway.example.com", nonce="n", uri="sip:x", '
    'response="00000000000000000000000000000000", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'
)
