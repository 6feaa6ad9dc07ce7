"""Messages out of a byte stream (RFC 3261 18.3, RFC 5626 4.4.1)."""

import pytest

from sip.core.framing import PING, StreamFramer
from sip.core.message import MessageError

HEAD = (
    b"OPTIONS sip:192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/TCP 198.51.100.1;branch=z9hG4bK1\r\n"
    b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
)
EMPTY = HEAD + b"Content-Length: 0\r\n\r\n"
FULL = HEAD + b"l : 8\r\n\r\n\r\n\r\nbody"


def test_messages_one_after_the_other() -> None:
    assert StreamFramer().feed(EMPTY + FULL + EMPTY) == [EMPTY, FULL, EMPTY]


def drip(framer: StreamFramer, data: bytes, size: int) -> list[bytes]:
    """What comes out when `data` arrives in pieces."""
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [message for piece in pieces for message in framer.feed(piece)]


def test_octet_by_octet() -> None:
    assert drip(StreamFramer(), EMPTY + FULL, 1) == [EMPTY, FULL]


def test_pings_and_empty_lines() -> None:
    """A double CRLF asks for an answer; a single one is an answer, or stands before a message."""
    framer = StreamFramer()
    found = framer.feed(b"\r\n\r\n" + b"\r\n" + EMPTY + b"\r\n\r\n\r\n\r\n")
    assert found == [PING, EMPTY, PING, PING]
    assert [message is PING for message in found] == [True, False, True, True]
    assert framer.feed(b"\r") == []
    assert framer.feed(b"\n") == []
    assert framer.feed(b"\r\n") == [PING]


@pytest.mark.parametrize(
    "length",
    [
        b"",
        b"Content-Length:\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1 2\r\n",
        b"Content-Length: 1\r\nl: 2\r\n",
        b"Content-Length: 1\r\n 2\r\n",
        b"Content-Length: " + b"1" * 5000 + b"\r\n",
    ],
)
def test_no_believable_length(length: bytes) -> None:
    """RFC 3261 20.14 makes it mandatory here; the sender can still be told."""
    framer = StreamFramer()
    with pytest.raises(MessageError) as caught:
        framer.feed(HEAD + length + b"\r\n")
    assert caught.value.status == 400
    assert caught.value.request is not None
    assert caught.value.request.call_id == "1"


def test_too_long_a_body() -> None:
    framer = StreamFramer(max_body=8)
    assert framer.feed(FULL) == [FULL]
    with pytest.raises(MessageError) as caught:
        framer.feed(HEAD + b"l: 9\r\n\r\n")
    assert (caught.value.status, caught.value.request is not None) == (413, True)


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_too_long_a_head(size: int) -> None:
    """The limit holds while the head still arrives, in whatever pieces: nothing is hoarded."""
    exact = len(EMPTY) - 4
    assert StreamFramer(max_head=exact).feed(EMPTY) == [EMPTY]
    framer = StreamFramer(max_head=exact - 1)
    with pytest.raises(MessageError) as caught:
        drip(framer, EMPTY, size)
    assert caught.value.status == 513


def test_what_was_complete_before_the_fault_is_not_lost() -> None:
    framer = StreamFramer()
    assert framer.feed(EMPTY + HEAD + b"\r\n") == [EMPTY]
    fault = framer.error
    assert fault is not None
    for _ in range(2):
        with pytest.raises(MessageError) as caught:
            framer.feed(EMPTY)
        assert caught.value is fault
