"""What holds for every message: reading undoes writing, and nothing hostile gets through."""

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sip.core import sdp
from sip.core.auth_header import AuthHeader
from sip.core.digest import DigestServer, answer_challenges
from sip.core.framing import PING, StreamFramer
from sip.core.header_values import (
    CSeq,
    NameAddr,
    Via,
    parse_cseq,
    parse_name_addr,
    parse_via,
    quote,
    split_commas,
    unquote,
)
from sip.core.message import MessageError, Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.core.validation import validate
from sip.errors import ParseError
from tests.core.strategies import NAMES, cseqs, messages, mutated, name_addrs, uris, vias

# Generating takes most of the time, and a busy machine is no fault of a message's.
many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
DATA = Path(__file__).parents[1] / "data"
corpus = st.sampled_from([path.read_bytes() for path in sorted(DATA.glob("rfc4475/*.dat"))])
descriptions = st.sampled_from([path.read_bytes() for path in sorted(DATA.glob("sdp/*.sdp"))])
encoded = messages.map(lambda message: message.to_bytes())


class TestInverse:
    @many
    @given(uris)
    def test_uris(self, uri: Uri) -> None:
        assert Uri.parse(str(uri)) == uri

    @many
    @given(vias)
    def test_vias(self, via: Via) -> None:
        assert parse_via(str(via)) == via

    @many
    @given(name_addrs)
    def test_addresses(self, address: NameAddr) -> None:
        assert parse_name_addr(str(address)) == address

    @many
    @given(cseqs)
    def test_cseqs(self, cseq: CSeq) -> None:
        assert parse_cseq(str(cseq)) == cseq

    @many
    @given(NAMES)
    def test_quoting(self, text: str) -> None:
        assert unquote(quote(text)) == text

    @many
    @given(st.lists(name_addrs, min_size=1, max_size=4))
    def test_lists(self, addresses: list[NameAddr]) -> None:
        """No comma inside an address divides it."""
        items = split_commas(", ".join(map(str, addresses)))
        assert [parse_name_addr(item) for item in items] == addresses

    @many
    @given(messages)
    def test_messages(self, message: Request | Response) -> None:
        data = message.to_bytes()
        found = parse_message(data)
        validate(found)
        assert type(found) is type(message)
        assert found._start_line() == message._start_line()
        assert found.body == message.body
        found.headers.remove("content-length")
        assert list(found.headers) == list(message.headers)
        assert found.to_bytes() == data
        assert (found.via, found.from_, found.to, found.cseq, found.contact) == (
            (message.via, message.from_, message.to, message.cseq, message.contact)
        )


def receive(data: bytes) -> Request | Response | MessageError:
    """What every received datagram goes through, and comes to."""
    try:
        message = parse_message(data)
        validate(message)
    except MessageError as error:
        return error
    return message


class TestHostile:
    """Whatever comes, the answer is a message or a MessageError."""

    @many
    @given(st.binary(max_size=200) | mutated(encoded) | mutated(corpus))
    def test_datagrams(self, data: bytes) -> None:
        message = receive(data)
        if isinstance(message, MessageError):
            assert 400 <= message.status < 600
            if message.request is not None:
                refusal = make_response(message.request, message.status, message.reason, to_tag="x")
                assert refusal.to_bytes()
            return
        # What is let through can be read, answered and sent on.
        assert all(str(part) for part in (message.via, message.cseq))
        if isinstance(message, Request):
            assert all(str(part) for part in (message.from_, message.to))
            with suppress(ParseError):
                assert message.max_forwards is None or message.max_forwards < 256
            assert str(message.request_uri)
            assert make_response(message, 200, to_tag="x").to.tag
        again = parse_message(message.to_bytes())
        validate(again)
        assert again.body == message.body
        assert again.to_bytes() == message.to_bytes()

    @many
    @given(st.text(max_size=60))
    def test_texts(self, text: str) -> None:
        for parse in (Uri.parse, parse_via, parse_name_addr, parse_cseq, split_commas):
            with suppress(ParseError):
                parse(text)
        with suppress(ParseError):
            AuthHeader.parse(f"Digest {text}")
        answer_challenges(
            [text, f"Digest {text}"],
            method="A",
            uri="sip:b",
            username="c",
            password="d",
            cnonce="e",
        )
        server = DigestServer("realm", b"secret")
        server.verify([text, f'Digest realm="realm",{text}'], "A", {"c": "d"}, 1.0, text)

    @many
    @given(st.text(max_size=60).map(lambda text: f"<sip:{text}@{text}>;{text}={text}"))
    def test_nearly_addresses(self, text: str) -> None:
        try:
            address = parse_name_addr(text)
        except ParseError:
            return
        assert parse_name_addr(str(address)) == address

    @many
    @given(st.binary(max_size=100) | mutated(descriptions))
    def test_descriptions(self, data: bytes) -> None:
        try:
            description = sdp.parse(data)
        except ParseError:
            return
        assert sdp.parse(description.to_string()) == description
        for media in description.media:
            assert media.direction in sdp.DIRECTIONS
            assert set(map(str, media.rtpmap())) <= {
                str(int(pt)) for pt in media.formats if pt.isdecimal()
            }
            assert media.ptime is None or media.ptime >= 0


@many
@given(
    st.lists(encoded | st.just(PING) | st.just(b"\r\n") | mutated(encoded), max_size=5).map(
        b"".join
    ),
    st.lists(st.integers(0, 2000), max_size=8),
)
def test_a_stream_may_be_cut_anywhere(data: bytes, cuts: list[int]) -> None:
    """RFC 3261 18.3: the pieces in which TCP delivers say nothing."""
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert framed(pieces) == framed([data])


def framed(pieces: list[bytes]) -> tuple[list[bytes], bool]:
    """The messages in a stream, and whether it could be read to its end."""
    framer = StreamFramer()
    found: list[bytes] = []
    for piece in pieces:
        with suppress(MessageError):
            found += framer.feed(piece)
    return found, framer.error is None
