"""Edits of session descriptions (RFC 3264): text in, text out."""

import pytest

from sip.core.sdp import parse
from sip.core.sdp_edits import (
    UNKNOWN,
    answer_to,
    off_hold,
    on_hold,
    same_session,
    sent_to,
    silent_answer,
    still_holds,
)
from sip.errors import ParseError

HEAD = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
AUDIO = (
    "m=audio 4000 RTP/AVP 8 0 101 102\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-15\r\na=rtpmap:102 telephone-event/48000\r\n"
)
VIDEO = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
OFFER = HEAD + AUDIO + "a=sendrecv\r\n"


def test_sent_to_changes_every_place_and_nothing_else() -> None:
    zeroes = "IN IP4 0.0.0.0"
    held = OFFER.replace("c=IN IP4 192.0.2.1", "c=" + zeroes) + f"c={zeroes}\r\n"
    told = sent_to(held, "203.0.113.10")
    assert told.count("c=IN IP4 203.0.113.10\r\n") == 2
    assert zeroes not in told
    assert "o=- 1 1 IN IP4 192.0.2.1\r\n" in told
    assert "c=IN IP6 2001:db8::1\r\n" in sent_to(OFFER, "2001:db8::1")


@pytest.mark.parametrize(
    ("sdp", "held"),
    [
        (OFFER, False),
        (OFFER.replace("sendrecv", "recvonly"), False),
        (OFFER.replace("sendrecv", "sendonly"), True),
        (OFFER.replace("sendrecv", "inactive"), True),
        (OFFER.replace("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"), True),
        (HEAD + "a=sendonly\r\n" + AUDIO, True),
        (OFFER.replace("m=audio 4000", "m=audio 0"), False),
    ],
)
def test_on_hold_is_who_does_not_want_to_hear(sdp: str, held: bool) -> None:
    assert on_hold(sdp) is held


@pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive"])
def test_off_hold_goes_both_ways_wherever_it_was_said(direction: str) -> None:
    for sdp in (OFFER.replace("sendrecv", direction), HEAD + f"a={direction}\r\n" + AUDIO):
        free = off_hold(sdp)
        assert not on_hold(free)
        audio = parse(free).audio
        assert audio is not None
        assert audio.direction == "sendrecv"
        assert direction not in free


def test_a_silent_answer_takes_the_first_codec_and_its_keys_at_no_address() -> None:
    """Keys of the codec's clock rate: with another they would be no part of its stream."""
    answer = parse(silent_answer(OFFER))
    audio = answer.audio
    assert audio is not None
    assert audio.formats == ("8", "101")
    assert audio.rtpmap()[101].name == "telephone-event"
    assert audio.fmtp(101) == "0-15"
    connection = answer.connection_of(audio)
    assert connection is not None
    assert connection.unspecified


@pytest.mark.parametrize(
    ("media", "formats"),
    [
        ("m=audio 4000 RTP/AVP 0 8\r\n", ("0",)),
        ("m=audio 4000 RTP/AVP 111 101\r\na=rtpmap:111 opus/48000/2\r\n"
         "a=rtpmap:101 telephone-event/8000\r\n", ("111",)),
        ("m=audio 4000 RTP/AVP 97\r\n", ("97",)),
        (VIDEO, ("0",)),
    ],
)  # fmt: skip
def test_a_silent_answer_to_other_offers(media: str, formats: tuple[str, ...]) -> None:
    audio = parse(silent_answer(HEAD + media)).audio
    assert audio is not None
    assert audio.formats == formats


def test_an_answer_fits_its_offer() -> None:
    answer = answer_to(OFFER.replace("sendrecv", "sendonly") + VIDEO, OFFER)
    audio, video = parse(answer).media
    assert audio.direction == "recvonly"
    assert not video.active


def test_sessions_are_the_same_but_for_their_origin() -> None:
    assert same_session(OFFER, OFFER.replace("o=- 1 1", "o=- 1 2"))
    assert not same_session(OFFER, OFFER.replace("4000", "4002"))
    assert same_session(None, None)
    assert not same_session(OFFER, None)


def test_a_party_that_said_nothing_is_taken_to_know_g711_and_keys() -> None:
    audio = parse(UNKNOWN).audio
    assert audio is not None
    assert [codec.name for codec in audio.rtpmap().values()] == ["PCMU", "PCMA", "telephone-event"]
    assert on_hold(UNKNOWN)


def test_what_is_no_description_is_said_to_be_none() -> None:
    for edit in (off_hold, on_hold, silent_answer):
        with pytest.raises(ParseError):
            edit("hello")


def told(formats: str = "0 8 101", port: int = 30000, **lines: str) -> str:
    """What we say to a peer of its audio, at our port."""
    more = "".join(f"a={line}\r\n" for line in lines.values())
    return (
        f"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n{more}"
    )


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (told("8 101"), True),
        (told("8 101", ptime="ptime:20"), True),
        (told("8 101", events="fmtp:101 0-15"), True),
        (told("101 8"), True),
        (told("8"), False),  # it took keys, too
        (told("0 101"), False),  # it took another codec
        (told("8 9 101"), False),  # it was not offered that
        (told("8 101", port=30002), False),
        (told("8 101", hold="inactive"), False),
        (told("8 101").replace("192.0.2.1", "192.0.2.2"), False),
        (told("8 101", key="crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x"), False),
        (told("8 101", codec="rtpmap:8 G726-32/8000"), False),
        (told("8 101", codec="fmtp:8 mode=1"), False),
    ],
)
def test_a_peer_that_chose_of_our_offer_need_not_hear_of_what_it_chose(
    wanted: str, holds: bool
) -> None:
    """RFC 3264 8: no new offer where nothing changes."""
    assert still_holds(told(), told("8 101", port=40000), wanted) is holds


def test_a_peer_that_refused_its_audio_is_to_hear_of_any() -> None:
    assert not still_holds(told(), told("8", port=0), told("8"))
