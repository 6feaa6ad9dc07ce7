"""Messages and their header fields (RFC 3261 7, 8.2.6)."""

import pytest

from sip.core.header_values import CSeq
from sip.core.message import Headers, MessageError, Request, Response, make_response
from sip.core.parser import (
    MAX_BODY,
    MAX_HEAD,
    best_effort,
    parse_message,
    reread_request,
    reread_response,
)
from sip.core.reasons import REASONS
from sip.core.validation import validate
from sip.errors import ParseError

CRLF = "\r\n"
REQUEST = (
    "INVITE sip:+14155550100@192.0.2.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK2\r\n"
    "Via: SIP/2.0/UDP 198.51.100.2;branch=z9hG4bK1\r\n"
    "From: <sip:+14155550101@198.51.100.1>;tag=caller\r\n"
    "To: <sip:+14155550100@192.0.2.1>\r\n"
    "Call-ID: 1@198.51.100.1\r\n"
    "CSeq: 1 INVITE\r\n"
    "Record-Route: <sip:198.51.100.1;lr>\r\n"
    "Timestamp: 54.1\r\n"
    "X-CID: 7\r\n"
)


def request(extra: str = "", body: bytes = b"", head: str = REQUEST) -> Request:
    message = parse_message(f"{head}{extra}\r\n".encode() + body)
    assert isinstance(message, Request)
    return message


def refusal(data: bytes) -> MessageError:
    with pytest.raises(MessageError) as caught:
        validate(parse_message(data))
    return caught.value


class TestHeaders:
    def test_names_in_any_spelling(self) -> None:
        headers = Headers([("Call-ID", "1"), ("x-own", "a"), ("X-CID", "7")])
        assert [headers.get(name) for name in ("call-id", "i", "CALL-ID", "X-Own")] == list("111a")
        assert "I" in headers
        assert "via" not in headers
        assert headers.get("via") is None
        assert list(headers) == [("Call-ID", "1"), ("X-Own", "a"), ("X-CID", "7")]

    def test_several_lines_stay_in_order_and_as_received(self) -> None:
        headers = Headers([("Allow", "INVITE,ACK"), ("X", "1"), ("allow", "BYE , CANCEL")])
        assert headers.get("allow") == "INVITE,ACK"
        assert headers.get_all("allow") == ["INVITE,ACK", "BYE , CANCEL"]
        assert headers.values("allow") == ["INVITE", "ACK", "BYE", "CANCEL"]
        assert headers.values("supported") == []

    def test_changes(self) -> None:
        headers = Headers([("To", "a"), ("Via", "1")])
        headers.prepend("via", "0")
        headers.prepend("Route", "r")
        headers.add("v", "2")
        headers.set("to", "b")
        headers.replace_first("via", "00")
        headers.replace_first("subject", "s")
        assert " ".join(f"{name}={line}" for name, line in headers) == (
            "Route=r To=b Via=00 Via=1 Via=2 Subject=s"
        )
        headers.remove("VIA")
        headers.remove("absent")
        assert [name for name, _ in headers] == ["Route", "To", "Subject"]

    def test_a_copy_is_independent(self) -> None:
        headers = Headers([("Via", "1")])
        twin = headers.copy()
        twin.prepend("via", "0")
        assert headers.get_all("via") == ["1"]

    def test_what_is_handed_out_is_not_the_inside(self) -> None:
        headers = Headers([("Via", "1")])
        headers.get_all("via").append("2")
        assert headers.get_all("via") == ["1"]

    @pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\rb"])
    def test_a_value_cannot_add_a_line(self, value: str) -> None:
        headers = Headers([("To", "a")])
        for change in (headers.add, headers.set, headers.prepend, headers.replace_first):
            with pytest.raises(ValueError, match="line break"):
                change("to", value)
            with pytest.raises(ValueError, match="line break"):
                change("subject", value)
        assert list(headers) == [("To", "a")]

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "To\r\n", "é", "x" * 200])
    def test_a_name_is_a_token(self, name: str) -> None:
        with pytest.raises(ValueError, match="header name"):
            Headers([(name, "1")])


class TestReading:
    def test_typed_fields(self) -> None:
        message = request("Max-Forwards: 70\r\nContent-Type: Application/SDP ;charset=utf-8\r\n")
        validate(message)
        assert message.via.host == "198.51.100.1"
        assert message.branch == "z9hG4bK2"
        assert message.from_.tag == "caller"
        assert message.to.uri.user == "+14155550100"
        assert message.cseq == CSeq(1, "INVITE")
        assert message.call_id == "1@198.51.100.1"
        assert message.contact is None
        assert message.max_forwards == 70
        assert message.content_type == "application/sdp"
        assert message.request_uri.host == "192.0.2.1"

    def test_a_changed_header_is_seen(self) -> None:
        message = request()
        message.headers.prepend("via", "SIP/2.0/TCP 203.0.113.1;branch=z9hG4bK3")
        assert message.branch == "z9hG4bK3"

    def test_vias_are_one_to_a_line(self) -> None:
        """So that the topmost can be marked or taken off without care for how it was sent."""
        message = request(head=REQUEST.replace("bK2\r\nVia: ", "bK2 , "))
        assert len(message.headers.get_all("via")) == 2
        message.headers.replace_first("via", str(message.via.with_param("received", "192.0.2.9")))
        assert message.headers.get_all("via")[1] == "SIP/2.0/UDP 198.51.100.2;branch=z9hG4bK1"

    def test_star_is_no_contact(self) -> None:
        assert request("Contact: *\r\n").contact is None

    def test_the_first_of_several_contacts(self) -> None:
        contact = request('m: "A, B" <sip:a@192.0.2.5>;q=1, <sip:b@192.0.2.6>\r\n').contact
        assert contact is not None
        assert (contact.display_name, contact.uri.user) == ("A, B", "a")

    def test_folded_lines_are_joined(self) -> None:
        """RFC 3261 7.3.1."""
        message = request("Subject: I know\r\n\t you're there,\r\n  pick up\r\n")
        assert message.headers.get("subject") == "I know you're there, pick up"

    def test_empty_lines_before_the_message_are_skipped(self) -> None:
        """RFC 3261 7.5."""
        assert isinstance(parse_message(f"\r\n\r\n{REQUEST}\r\n".encode()), Request)

    def test_names_in_latin_1_are_read_and_sent_as_utf_8(self) -> None:
        data = REQUEST.replace("From: <", 'From: "José" <').encode("latin-1") + b"\r\n"
        message = parse_message(data)
        assert message.from_.display_name == "José"
        assert 'From: "José" <'.encode() in message.to_bytes()

    def test_content_length_rules_over_the_datagram(self) -> None:
        assert request("l: 3\r\n", b"abcdef").body == b"abc"
        assert request("", b"abcdef").body == b"abcdef"

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            ("INVITE sip:a@b SIP/3.0", 505),
            ("INVITE sip:a@b SIP/2", 400),
            ("INVITE sip:a@b HTTP/1.1", 400),
            ("INVITE sip:a@b", 400),
            ("INVITE  SIP/2.0", 400),
            ("INV(TE sip:a@b SIP/2.0", 400),
            ("INVITE", 400),
            (" INVITE sip:a@b SIP/2.0", 400),
        ],
    )
    def test_malformed_request_lines_can_be_answered(self, line: str, status: int) -> None:
        error = refusal(f"{line}\r\n{REQUEST.partition(CRLF)[2]}\r\n".encode())
        assert error.status == status
        assert error.request is not None
        assert make_response(error.request, status).headers.get("call-id") == "1@198.51.100.1"

    @pytest.mark.parametrize(
        "line", ["SIP/2.0", "SIP/2.0 20 OK", "SIP/2.0 700 OK", "SIP/3.0 200 OK", "SIP/2.0 2000 OK"]
    )
    def test_malformed_responses_are_only_dropped(self, line: str) -> None:
        error = refusal(f"{line}\r\n{REQUEST.partition(CRLF)[2]}\r\n".encode())
        assert error.request is None

    @pytest.mark.parametrize(
        "extra",
        ["nocolon\r\n", ": 1\r\n", "A B: 1\r\n", "é: 1\r\n"],
    )
    def test_malformed_header_lines_can_be_answered(self, extra: str) -> None:
        error = refusal(f"{REQUEST}{extra}\r\n".encode())
        assert error.status == 400
        assert error.request is not None

    @pytest.mark.parametrize("extra", ["X: a\nb\r\n", "X: a\rb\r\n", "X: a\n\r\n"])
    def test_stray_line_breaks(self, extra: str) -> None:
        """Nobody knows what the lines of such a message are, so it is dropped."""
        error = refusal(f"{REQUEST}{extra}\r\n".encode())
        assert (error.status, error.request) == (400, None)

    def test_an_ack_is_never_answered(self) -> None:
        error = refusal(f"{REQUEST}l: 9\r\n\r\n".replace("INVITE", "ACK").encode())
        assert error.request is None


class TestLimits:
    """A peer cannot make us work or keep more than this."""

    def test_head(self) -> None:
        padding = "X: " + "a" * (MAX_HEAD - len(REQUEST) - 3)
        assert request(f"{padding}\r\n").headers.get("x") is not None
        assert refusal(f"{REQUEST}{padding}aaa\r\n\r\n".encode()).status == 513

    def test_a_head_that_does_not_end(self) -> None:
        assert refusal(REQUEST.encode()).reason == "Incomplete Message"
        assert refusal(b"a" * (MAX_HEAD + 1)).status == 513

    def test_header_lines(self) -> None:
        own = REQUEST.count("\r\n") - 1
        assert request("X: 1\r\n" * (100 - own)).headers.get_all("x") == ["1"] * (100 - own)
        assert refusal(f"{REQUEST}{('X: 1' + CRLF) * (101 - own)}\r\n".encode()).status == 400

    def test_body(self) -> None:
        assert len(request("", b"a" * MAX_BODY).body) == MAX_BODY
        assert refusal(f"{REQUEST}\r\n".encode() + b"a" * (MAX_BODY + 1)).status == 413
        assert refusal(f"{REQUEST}l: {MAX_BODY + 1}\r\n\r\n".encode()).status == 413


class TestValidating:
    @pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
    def test_required_fields(self, name: str) -> None:
        """RFC 3261 8.1.1. Without Via nobody knows whom to tell; else the refusal copies the rest
        (RFC 4475 3.3.1)."""
        lines = [line for line in REQUEST.split("\r\n") if not line.startswith(f"{name}:")]
        error = refusal("\r\n".join([*lines, ""]).encode())
        assert (error.reason, error.request is None) == (f"Missing {name}", name == "Via")
        if error.request is not None:
            response = make_response(error.request, 400, to_tag="us")
            assert name not in response.headers
            assert {"via", "from", "to", "call-id", "cseq"} - {name.lower()} == {
                shown.lower() for shown, _ in response.headers
            }

    @pytest.mark.parametrize(
        "extra",
        [
            "From: <sip:b@example.com>",
            "Call-ID: 2",
            "Max-Forwards: 256",
            "Max-Forwards: -1",
            "Max-Forwards: 1\r\nMax-Forwards: 1",
            "Content-Length: 0\r\nContent-Length: 0",
            "Record-Route: <>",
            "Record-Route: <sip:a@b;lr>\r\nRecord-Route: <oops>",
        ],
    )
    def test_fields_that_must_be_sound(self, extra: str) -> None:
        error = refusal(f"{REQUEST}{extra}\r\n\r\n".encode())
        assert error.status == 400
        assert error.request is not None

    @pytest.mark.parametrize(
        "extra",
        [
            "Contact: <sip:a@b>, <sip:c@d>\r\nContact: *",
            "Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>",
            "Date: Sat, 13 Nov 2010 23:29:00 GMT",
            "Expires: 4294967295",
            "Supported:",
            "P-Asserted-Identity: not, one <we read",
            "Content-Type: sdp",
            "Content-Type: a/b\r\nContent-Type: a/b",
            "Expires: soon",
            "Date: Fri, 01 Jan 2010 16:00:00 EST\r\nDate: today",
            "Contact: <oops",
            "Route: <sip:a@b>, nowhere>",
        ],
    )
    def test_what_is_let_through(self, extra: str) -> None:
        """From P-Asserted-Identity on: a field that is not used, or not yet, refuses nothing."""
        validate(request(f"{extra}\r\n"))

    @pytest.mark.parametrize(
        "line",
        [
            "Contact: nowhere",
            "Record-Route: <>",
            "Date: today\r\nDate: tomorrow",
            'To: "Bob <sip:bob@example.com>;tag=theirs',
            "From: nobody",
            "Max-Forwards: many",
            "Content-Length: none",
            "Expires: soon\r\nContent-Type: sdp",
            "no field at all",
            "not a name: 1",
        ],
    )
    def test_a_response_counts_once_it_finds_its_request(self, line: str) -> None:
        name = line.partition(":")[0]
        kept = [old for old in REQUEST.split(CRLF)[1:] if not old.startswith(f"{name}:")]
        data = CRLF.join(["SIP/2.0 200 OK", *kept[:-1], line, "", "body"])
        response = parse_message(data.encode())
        validate(response)
        assert isinstance(response, Response)
        assert (response.branch, response.cseq) == ("z9hG4bK2", CSeq(1, "INVITE"))
        assert response.body == b"body"
        assert response.to_tag == ("theirs" if name == "To" else None)

    @pytest.mark.parametrize("line", ["CSeq: one INVITE", "Via: SIP/2.0/UDP a;branch=z9hG4bK"])
    def test_a_response_that_finds_none_is_refused(self, line: str) -> None:
        """RFC 4475 3.1.2.5: discarded."""
        name = line.partition(":")[0]
        kept = [old for old in REQUEST.split(CRLF)[1:] if not old.startswith(f"{name}:")]
        error = refusal(CRLF.join(["SIP/2.0 200 OK", line, *kept, ""]).encode())
        assert error.request is None

    @pytest.mark.parametrize(
        ("uri", "status"),
        [("sip:a@b?Subject=x", 400), ("nowhere", 400), ("http://a.b/", 416), ("im:a@b", 416)],
    )
    def test_request_uris(self, uri: str, status: int) -> None:
        data = f"{REQUEST}\r\n".replace("sip:+14155550100@192.0.2.1 ", f"{uri} ")
        assert refusal(data.encode()).status == status

    def test_a_response_needs_no_request_uri(self) -> None:
        response = parse_message(f"SIP/2.0 200 OK\r\n{REQUEST.partition(CRLF)[2]}\r\n".encode())
        validate(response)
        assert isinstance(response, Response)
        assert response.cseq.method == "INVITE"


class TestAnswering:
    def test_what_is_copied(self) -> None:
        """RFC 3261 8.2.6.2, and 12.1.1 for Record-Route."""
        asked = request()
        response = make_response(asked, 180, to_tag="us")
        assert (response.status, response.reason) == (180, "Ringing")
        assert list(response.headers) == [
            ("Via", "SIP/2.0/UDP 198.51.100.1;branch=z9hG4bK2"),
            ("Via", "SIP/2.0/UDP 198.51.100.2;branch=z9hG4bK1"),
            ("From", "<sip:+14155550101@198.51.100.1>;tag=caller"),
            ("To", "<sip:+14155550100@192.0.2.1>;tag=us"),
            ("Call-ID", "1@198.51.100.1"),
            ("CSeq", "1 INVITE"),
            ("Record-Route", "<sip:198.51.100.1;lr>"),
        ]
        assert asked.to.tag is None

    def test_a_100_has_the_timestamp_and_no_route(self) -> None:
        """RFC 3261 8.2.6.1."""
        headers = make_response(request(), 100).headers
        assert headers.get("timestamp") == "54.1"
        assert "record-route" not in headers

    @pytest.mark.parametrize(("method", "status"), [("INVITE", 404), ("BYE", 200)])
    def test_no_route_where_there_is_no_dialog_to_make(self, method: str, status: int) -> None:
        asked = request(head=REQUEST.replace("INVITE", method))
        assert "record-route" not in make_response(asked, status).headers

    def test_a_tag_that_is_there_stays(self) -> None:
        asked = request(head=REQUEST.replace("192.0.2.1>\r\nCall", "192.0.2.1>;tag=old\r\nCall"))
        assert make_response(asked, 200, to_tag="new").to.tag == "old"

    def test_a_to_that_cannot_be_read_is_sent_back_as_it_came(self) -> None:
        asked = request(head=REQUEST.replace("To: <", 'To: "<'))
        assert make_response(asked, 400, to_tag="new").headers.get("to") == asked.headers.get("to")

    def test_what_is_added(self) -> None:
        response = make_response(
            request(),
            200,
            "Fine",
            headers=[("Contact", "<sip:us@192.0.2.1>"), ("Allow", "INVITE")],
            body=b"v=0\r\n",
            content_type="application/sdp",
        )
        data = response.to_bytes()
        assert data.startswith(b"SIP/2.0 200 Fine\r\nVia: ")
        assert data.endswith(
            b"\r\nContact: <sip:us@192.0.2.1>\r\nAllow: INVITE\r\n"
            b"Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        )

    @pytest.mark.parametrize(
        ("status", "phrase"),
        [(200, "OK"), (487, "Request Terminated"), (499, "Client Error"), (699, "Failure")],
    )
    def test_phrases(self, status: int, phrase: str) -> None:
        assert make_response(request(), status).reason == phrase
        assert REASONS.get(status, phrase) == phrase

    def test_best_effort(self) -> None:
        """What a stream whose framing is lost still says of its last request."""
        found = best_effort(REQUEST.encode().rstrip())
        assert found is not None
        assert found.call_id == "1@198.51.100.1"
        assert best_effort(b"GET / HTTP/1.1") is None


class TestWriting:
    def test_content_length_is_ours(self) -> None:
        message = Request("MESSAGE", "sip:a@b", Headers([("Content-Length", "99")]), b"hi")
        assert message.to_bytes() == b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 2\r\n\r\nhi"

    def test_what_came_goes_out_the_same(self) -> None:
        data = f"{REQUEST}Content-Length: 2\r\n\r\n".encode() + b"hi"
        assert parse_message(data).to_bytes() == data

    @pytest.mark.parametrize(
        ("method", "uri"), [("IN VITE", "sip:a"), ("INVITE\r\n", "sip:a"), ("INVITE", "sip:a b")]
    )
    def test_a_start_line_cannot_be_split(self, method: str, uri: str) -> None:
        with pytest.raises(ValueError, match="white space"):
            Request(method, uri).to_bytes()

    def test_nor_by_a_reason(self) -> None:
        with pytest.raises(ValueError, match="line break"):
            Response(200, "OK\r\nX: 1").to_bytes()


def test_a_response_of_ours_is_read_again_however_long_it_is() -> None:
    """It copies a request that was just short enough, and has headers of its own."""
    asked = request("".join(f"Record-Route: <sip:192.0.2.{n};lr>\r\n" for n in range(91)))
    own = [("X-Own", "long " * 4000), ("Server", "us")]
    sent = make_response(asked, 200, to_tag="us", headers=own, body=b"v=0\r\n\r\n").to_bytes()
    with pytest.raises(ParseError):
        parse_message(sent)
    again = reread_response(sent)
    assert (again.status, again.reason, again.call_id) == (200, "OK", asked.call_id)
    assert again.via == asked.via
    assert len(again.headers.get_all("record-route")) == 92


def test_a_request_of_ours_is_read_again() -> None:
    asked = request("Route: <sip:192.0.2.7;lr>\r\n")
    again = reread_request(asked.to_bytes())
    assert (again.method, again.uri, list(again.headers)) == (
        asked.method,
        asked.uri,
        [*asked.headers, ("Content-Length", "0")],
    )
