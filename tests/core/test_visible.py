"""No control character of a peer gets past the door: not into a header, a URI, a log or a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.message import Headers, MessageError, Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.core.validation import validate
from sip.core.visible import HARMFUL, visible

HARM = {
    "NUL": "\0", "BEL": "\a", "BS": "\b", "VT": "\v", "FF": "\f", "ESC": "\x1b[2J", "FS": "\x1c",
    "DEL": "\x7f", "NEL": "\x85", "CSI": "\x9b2J", "LS": "\u2028", "RLO": "\u202e", "PDI": "\u2069",
}  # fmt: skip


def invite(
    *,
    uri: str = "sip:+14155550100@192.0.2.1",
    name: str = "Jane",
    call_id: str = "a@b",
    branch: str = "z9hG4bK1",
    agent: str = "x",
) -> bytes:
    return (
        f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch={branch}\r\n"
        f'From: "{name}" <sip:+12125550101@192.0.2.9>;tag=1\r\nTo: <{uri}>\r\n'
        f"Call-ID: {call_id}\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nUser-Agent: {agent}\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def take(data: bytes) -> Request | Response:
    message = parse_message(data)
    validate(message)
    return message


@pytest.mark.parametrize("harm", HARM.values(), ids=HARM)
class TestDoor:
    def test_what_a_call_does_not_need_is_cleaned(self, harm: str) -> None:
        message = take(invite(name=f"Ja{harm}ne", agent=f"PBX {harm}"))
        assert message.from_.display_name == f"Ja{visible(harm)}ne"
        assert message.headers.get("user-agent") == f"PBX {visible(harm)}"
        assert not HARMFUL.search("".join(line for _, line in message.headers))

    @pytest.mark.parametrize("field", ["uri", "call_id"])
    def test_what_it_is_known_by_is_refused(self, harm: str, field: str) -> None:
        """Cleaned it would be another's; the refusal carries none of it either."""
        with pytest.raises(MessageError) as refused:
            take(invite(**{field: f"sip:a{harm}b@192.0.2.1"}))
        assert refused.value.status == 400
        assert refused.value.request is not None
        response = make_response(refused.value.request, 400, refused.value.reason)
        assert not HARMFUL.search(response.to_bytes().decode().replace("\r\n", ""))

    def test_a_reason_phrase_is_cleaned(self, harm: str) -> None:
        status_line = f"SIP/2.0 486 Bu{harm}sy\r\n".encode()
        response = take(status_line + invite().partition(b"\r\n")[2])
        assert isinstance(response, Response)
        assert response.reason == f"Bu{visible(harm)}sy"

    def test_a_header_of_ours_is_cleaned(self, harm: str) -> None:
        """An application's, say: it may have it from a peer of its own."""
        headers = Headers([("X-A", harm)])
        headers.prepend("X-B", harm)
        headers.set("X-C", harm)
        assert [line for _, line in headers] == [visible(harm)] * 3

    def test_an_escaped_one_stays_an_escape(self, harm: str) -> None:
        """RFC 4475 3.1.1.4 calls it valid: a peer is called back by the same letters."""
        escaped = "".join(f"%{octet:02X}" for octet in harm[0].encode())
        for text in (f"sip:a{escaped}@192.0.2.1", f"sip:a@192.0.2.1;x=b{escaped}"):
            uri = Uri.parse(text)
            assert not HARMFUL.search(f"{uri.user}{uri.params}")
            assert uri.text == text


@given(st.text())
def test_visible_text(text: str) -> None:
    seen = visible(text)
    assert not HARMFUL.search(seen)
    assert len(seen) == len(text)
    assert visible(seen) == seen
    seen.encode()  # no half characters
