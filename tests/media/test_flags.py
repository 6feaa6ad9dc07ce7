"""What an engine is told with a description."""

from sip.media.ng import flags

ODD = (
    "v=0\r\no=Front Desk 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\na=rtpmap:97\r\n\0"
)


def test_rtpengine_gets_no_line_that_we_do_not_read() -> None:
    """It would refuse the whole description; our relay reads such by itself."""
    told = flags.sdp_keys(ODD, None, None)["sdp"]
    assert told == (
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        "m=audio 4000 RTP/AVP 0\r\n"
    )
    assert flags.sdp_keys(ODD, None, None, {})["sdp"] == ODD
