"""telephone-event put into a description, and taken out of it."""

import pytest

from sip.core.sdp import parse
from sip.core.sdp_edits import UNKNOWN
from sip.core.sdp_keys import has_keys, with_keys, without_keys


def sdp(formats: str = "0", *lines: str) -> str:
    attributes = "".join(f"a={line}\r\n" for line in lines)
    return (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        f"m=audio 4000 RTP/AVP {formats}\r\n{attributes}a=sendrecv\r\n"
    )


KEYS = sdp("0 97", "rtpmap:97 telephone-event/8000", "fmtp:97 0-16")


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (sdp(), False),
        (KEYS, True),
        (UNKNOWN, True),
        (sdp("0", "rtpmap:97 telephone-event/8000"), False),
        (sdp("0 97", "rtpmap:97 TELEPHONE-EVENT/8000"), True),
    ],
)
def test_whether_it_has_them(text: str, has: bool) -> None:
    assert has_keys(text) is has


def test_put_in_behind_the_codecs() -> None:
    told = with_keys(sdp("0 8", "rtpmap:0 PCMU/8000", "ptime:20"))
    assert told == sdp(
        "0 8 101", "rtpmap:0 PCMU/8000", "rtpmap:101 telephone-event/8000", "fmtp:101 0-15",
        "ptime:20",
    )  # fmt: skip
    assert with_keys(sdp()) == sdp("0 101", "rtpmap:101 telephone-event/8000", "fmtp:101 0-15")


def test_the_number_is_one_that_is_free() -> None:
    told = with_keys(sdp("101 96", "rtpmap:101 opus/48000/2", "rtpmap:96 SPEEX/8000"))
    assert parse(told).media[0].formats == ("101", "96", "97")
    assert "a=rtpmap:97 telephone-event/48000" in told
    full = sdp(" ".join(map(str, range(96, 128))))
    assert with_keys(full) == full


def test_the_numbers_and_events_are_those_of_who_is_told() -> None:
    assert with_keys(sdp(), KEYS) == KEYS
    told = with_keys(sdp("0 97", "rtpmap:97 SPEEX/8000"), KEYS)
    assert parse(told).media[0].formats == ("0", "97", "101")
    assert with_keys(sdp(), sdp()) == with_keys(sdp())


def test_what_has_them_stays_and_what_has_no_audio() -> None:
    assert with_keys(KEYS) == KEYS
    video = sdp().replace("m=audio 4000", "m=video 4000")
    assert with_keys(video) == without_keys(video) == video


def test_taken_out() -> None:
    assert without_keys(KEYS) == sdp()
    assert without_keys(sdp()) == sdp()
    only = sdp("97", "rtpmap:97 telephone-event/8000")
    assert without_keys(only) == only, "a medium has one format at least"
