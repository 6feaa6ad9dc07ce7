"""The session description in a body, alone or among parts (RFC 5621)."""

import pytest

from sip.core.body import session_description, understood
from sip.core.message import Headers, Request

SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"


def invite(content_type: str, body: str, *more: tuple[str, str]) -> Request:
    headers = Headers()
    headers.add("content-type", content_type)
    for name, value in more:
        headers.add(name, value)
    return Request("INVITE", "sip:+14155550100@192.0.2.1", headers, body.encode())


def multipart(*parts: tuple[str, str, str], mark: str = "frontier") -> str:
    """Parts of (Content-Type, further header lines, body)."""
    text = "preamble\r\n"
    for kind, more, body in parts:
        text += f"--{mark}\r\nContent-Type: {kind}\r\n{more}\r\n{body}\r\n"
    return text + f"--{mark}--\r\n"


ISUP = ("application/ISUP;version=ansi88", "", "\x01\x00\x49")
PLAIN_SDP = ("application/sdp", "", SDP)


def test_sdp_alone() -> None:
    assert session_description(invite("application/sdp", SDP)) == SDP
    assert session_description(invite("application/sdp", "")) is None


@pytest.mark.parametrize("boundary", ["frontier", '"fron tier"', "=_next:1"])
def test_sdp_beside_isup(boundary: str) -> None:
    mark = boundary.strip('"')
    body = multipart(ISUP, PLAIN_SDP, mark=mark)
    request = invite(f"multipart/mixed; boundary={boundary}", body)
    assert (session_description(request) or "").splitlines() == SDP.splitlines()
    assert understood(request)


def test_a_part_that_must_be_understood_and_is_not() -> None:
    body = multipart(("application/vnd.nobody", "", "x"), PLAIN_SDP)
    assert not understood(invite("multipart/mixed;boundary=frontier", body))
    optional = ("application/vnd.nobody", "Content-Disposition: signal; handling=optional\r\n", "x")
    body = multipart(optional, PLAIN_SDP)
    assert understood(invite("multipart/mixed;boundary=frontier", body))


def test_alternatives_need_one_that_is_known() -> None:
    one = multipart(("application/vnd.nobody", "", "x"), PLAIN_SDP)
    none = multipart(("application/vnd.nobody", "", "x"))
    assert understood(invite("multipart/alternative;boundary=frontier", one))
    assert not understood(invite("multipart/alternative;boundary=frontier", none))


def test_another_body_is_passed_over_only_where_it_is_optional() -> None:
    assert not understood(invite("application/vnd.nobody", "x"))
    optional = ("Content-Disposition", "session ; handling=OPTIONAL")
    assert understood(invite("application/vnd.nobody", "x", optional))


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/mixed", multipart(PLAIN_SDP)),
        ("multipart/mixed;boundary=other", multipart(PLAIN_SDP)),
        ("multipart/mixed;boundary=frontier", "--frontier"),
        ("multipart/mixed;boundary=frontier", "--frontier--\r\n" + multipart(PLAIN_SDP)),
        ("multipart/mixed;boundary=frontier", "--frontier\r\n" * 1000),
    ],
)
def test_a_broken_multipart_body_holds_no_session(content_type: str, body: str) -> None:
    assert session_description(invite(content_type, body)) is None
