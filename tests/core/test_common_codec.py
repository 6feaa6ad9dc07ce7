"""RFC 3264 6.1: at least one format of the offer, in a medium that is not refused."""

import pytest

from sip.core.common_codec import has_common_codec

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
OFFER = (
    f"{HEAD}m=audio 4000 RTP/AVP 0 96 101\r\n"
    "a=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n"
)


@pytest.mark.parametrize(
    ("media", "common"),
    [
        ("m=audio 5000 RTP/AVP 0\r\n", True),
        ("m=audio 5000 RTP/AVP 0 8\r\n", True),
        ("m=audio 5000 RTP/AVP 97\r\na=rtpmap:97 OPUS/48000/2\r\n", True),
        ("m=audio 5000 RTP/AVP 111\r\na=rtpmap:111 pcmu/8000\r\n", True),
        ("m=audio 5000 RTP/AVP 96\r\n", True),  # as we named it
        ("m=audio 5000 RTP/AVP 8\r\n", False),
        ("m=audio 5000 RTP/AVP 0\r\na=rtpmap:0 G729/8000\r\n", False),
        ("m=audio 5000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n", False),
        ("m=audio 0 RTP/AVP 0\r\n", False),
        ("m=video 5000 RTP/AVP 0\r\n", False),
        ("", False),
    ],
)
def test_what_takes_up_an_offer(media: str, common: bool) -> None:
    assert has_common_codec(OFFER, HEAD + media) is common


def test_no_answer_takes_up_nothing() -> None:
    assert not has_common_codec(OFFER, None)
    assert not has_common_codec(OFFER, "no description")


def test_the_audio_may_stand_anywhere() -> None:
    """Some answers leave out what they refuse, and some lines end with LF alone."""
    before = HEAD + "m=video 4002 RTP/AVP 31\r\na=rtpmap:31 H261/90000\r\n"
    offer = before + OFFER.removeprefix(HEAD)
    assert has_common_codec(offer, HEAD + "m=audio 5000 RTP/AVP 0\r\na=sendrecv\r\n")
    assert has_common_codec(offer, offer.replace("\r\n", "\n"))
    assert not has_common_codec(offer, before)
