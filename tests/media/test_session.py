"""A call's media session: what each side is told, and what the plane is asked."""

import pytest

from sip.core.sdp import Media, SessionDescription
from sip.errors import ParseError
from sip.media.events import Digit, Lost, MediaEvent
from sip.media.plane import Capability, MediaError
from sip.media.session import A_TAG, MediaSession
from sip.media.terms import PASSED_HOLD, HoldTerms, MediaSide, MediaTerms, Signalling
from tests.fakes.media import FakeMedia

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n"
)
OURS = MediaSide("203.0.113.10", Signalling("192.0.2.1"))


def audio_of(sdp: str) -> Media:
    audio = SessionDescription.parse(sdp).audio
    assert audio is not None
    return audio


@pytest.mark.parametrize(
    ("offered", "told"),
    [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
async def test_a_caller_answered_alone_is_told_a_place_in_the_directions_that_it_offered(
    offered: str, told: str
) -> None:
    """RFC 3264 6.1. Its keys are heard and it can be played to, with no other side yet."""
    session = MediaSession(FakeMedia(), "c")
    sdp = await session.hold_a(SDP.replace("sendrecv", offered), side=OURS)
    assert f"c=IN IP4 {OURS.address}\r\n" in sdp
    assert audio_of(sdp).direction == told
    assert audio_of(sdp).formats == ("0", "101"), "the first codec, and keys"


async def test_a_caller_that_waits_for_our_offer_is_offered_both_ways() -> None:
    session = MediaSession(FakeMedia(), "c")
    sdp = await session.hold_a(None, side=OURS)
    assert f"c=IN IP4 {OURS.address}\r\n" in sdp
    assert audio_of(sdp).direction == "sendrecv"


async def test_events_reach_who_asked_for_them_until_the_call_is_closed() -> None:
    plane, told = FakeMedia(), list[MediaEvent]()
    session = MediaSession(plane, "c", on_event=told.append)
    digit = Digit(party=A_TAG, digit="5", duration_ms=100, at=1.0)
    plane.tell("c", digit)
    assert told == [], "there is no media yet"
    await session.offer_to_b(SDP, sender=OURS, reader=OURS)
    plane.tell("c", digit)
    plane.tell("another", Lost(at=2.0))
    await session.close()
    plane.tell("c", Lost(at=3.0))
    assert told == [digit]


async def test_each_play_has_a_number_of_its_own() -> None:
    plane = FakeMedia()
    session = MediaSession(plane, "c")
    await session.hold_a(SDP, side=OURS)
    assert [await session.play(A_TAG, b"wav"), await session.play(A_TAG, b"wav")] == [1, 2]
    await session.stop_play(A_TAG)
    assert plane.asked[-3:] == [
        ("play", "c", "a", "1"),
        ("play", "c", "a", "2"),
        ("stop", "c", "a"),
    ]


async def test_what_the_engine_cannot_do_is_not_even_asked() -> None:
    plane = FakeMedia(capabilities=frozenset({Capability.DIGITS}))
    session = MediaSession(plane, "c")
    assert session.capabilities == {Capability.DIGITS}
    with pytest.raises(MediaError, match="cannot play") as unsupported:
        await session.play(A_TAG, b"wav")
    assert unsupported.value.slug == "unsupported"
    assert plane.asked == []


async def test_what_the_engine_says_and_we_cannot_read_is_a_bad_description(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plane = FakeMedia()
    session = MediaSession(plane, "c")

    async def strange(*_: object, **__: object) -> str:
        return "strange\r\n"

    monkeypatch.setattr(plane, "offer", strange)
    with pytest.raises(MediaError) as bad:
        await session.hold_a(SDP, side=OURS)
    assert bad.value.slug == "bad-sdp"
    assert not isinstance(bad.value, ParseError)


@pytest.mark.parametrize("hold", ["a=sendonly", "a=inactive", "c=IN IP4 0.0.0.0"])
@pytest.mark.parametrize("terms", [HoldTerms(passed=False), PASSED_HOLD])
async def test_a_hold_is_one_in_which_something_is_heard_where_the_terms_say_so(
    hold: str, terms: HoldTerms
) -> None:
    """A phone that holds and sends nothing would leave a dead line, which peers give up."""
    session = MediaSession(FakeMedia(), "c")
    b_tag, _ = await session.offer_to_b(SDP, sender=OURS, reader=OURS)
    await session.answer_to_a(b_tag, SDP, sender=OURS, reader=OURS)
    theirs = OURS._replace(terms=MediaTerms(hold=terms))
    held = (
        SDP.replace("a=sendrecv", hold)
        if hold[0] == "a"
        else SDP.replace("c=IN IP4 192.0.2.1", hold)
    )
    told = await session.reoffer(A_TAG, b_tag, held, sender=OURS, reader=theirs)
    answer = await session.reanswer(
        A_TAG, b_tag, SDP.replace("sendrecv", "recvonly"), sender=theirs, reader=OURS
    )
    if terms.passed:
        assert hold in told
    else:
        assert audio_of(told).direction == "sendonly"
        assert "0.0.0.0" not in told
    expected = "inactive" if hold == "a=inactive" else "recvonly"
    assert audio_of(answer).direction == expected, "RFC 3264 6.1"


async def test_a_hold_that_is_over_is_passed_on_as_such() -> None:
    session = MediaSession(FakeMedia(), "c")
    b_tag, _ = await session.offer_to_b(SDP, sender=OURS, reader=OURS)
    theirs = OURS._replace(terms=MediaTerms(hold=HoldTerms(passed=False)))
    told = await session.reoffer(A_TAG, b_tag, SDP, sender=OURS, reader=theirs)
    assert audio_of(told).direction == "sendrecv"
