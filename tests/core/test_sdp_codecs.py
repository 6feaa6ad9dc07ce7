"""Which codecs each party is offered and answered (RFC 3264), and where one is made of another."""

import pytest

from sip.core.sdp import Media, parse
from sip.core.sdp_codecs import (
    AS_IT_CAME,
    Codecs,
    NoCodecError,
    Wanted,
    answered,
    offered,
    packet_ms_of,
    speech_of,
    wanted,
    wanted_of,
)

ANY = Codecs()
RETELL = Codecs(("PCMU", "PCMA", "G722"))
OPUS = "a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
EVENTS = "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n"
WIDE_EVENTS = "a=rtpmap:110 telephone-event/48000\r\n"


def audio(formats: str, lines: str = "") -> Media:
    medium = parse(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        f"m=audio 4000 RTP/AVP {formats}\r\n{lines}a=sendrecv\r\n"
    ).audio
    assert medium is not None
    return medium


def codecs(medium: Media) -> list[str]:
    """Its formats in order, ``number name/clock``."""
    return [f"{number} {codec}" for number, codec in medium.rtpmap().items()]


def test_who_takes_what_comes_is_offered_what_came() -> None:
    offer = audio("18 0 101", EVENTS)
    assert wanted_of(offer) == AS_IT_CAME
    assert offered(offer, AS_IT_CAME) is offer


def test_g729_first_and_pcmu_second_passes_what_the_receiver_takes() -> None:
    offer = audio("18 0 101", EVENTS)
    told = offered(offer, wanted_of(offer, ANY, RETELL))
    assert codecs(told) == ["0 PCMU/8000", "101 telephone-event/8000"]
    assert answered(offer, audio("0 101", EVENTS)) == audio("0 101", EVENTS)


@pytest.mark.parametrize(
    ("formats", "lines", "reason"),
    [
        ("18 101", EVENTS, "only G729 offered; PCMU, PCMA, G722 can be taken"),
        ("97 18", "a=rtpmap:97 iLBC/8000\r\n", "only ILBC, G729 offered"),
        ("101", EVENTS, "only no codec offered"),
    ],
)
def test_what_can_neither_pass_nor_be_converted_is_refused_in_words(
    formats: str, lines: str, reason: str
) -> None:
    with pytest.raises(NoCodecError, match=reason):
        wanted_of(audio(formats, lines), ANY, RETELL)


def test_g729_passes_between_two_who_take_what_comes() -> None:
    assert wanted_of(audio("18")) == AS_IT_CAME


def test_a_shared_codec_is_preferred_over_a_better_one() -> None:
    offer = audio("111 0", OPUS)
    told = offered(offer, wanted_of(offer, ANY, Codecs(("G722", "PCMU", "PCMA"))))
    assert codecs(told) == ["0 PCMU/8000"]  # and neither G722 nor PCMA, which would be converted


def test_shared_codecs_come_in_the_receivers_order() -> None:
    offer = audio("0 8 9 101", EVENTS)
    told = offered(offer, wanted_of(offer, ANY, Codecs(("G722", "PCMA"))))
    assert codecs(told) == ["9 G722/8000", "8 PCMA/8000", "101 telephone-event/8000"]


def test_shared_codecs_keep_the_offerers_order_where_the_receiver_has_none() -> None:
    offer = audio("8 18 0 101", EVENTS)
    told = offered(offer, wanted_of(offer, ANY, Codecs(("PCMU", "PCMA"), ordered=False)))
    assert codecs(told) == ["8 PCMA/8000", "0 PCMU/8000", "101 telephone-event/8000"]


def test_a_text_is_judged_like_what_it_says() -> None:
    text = (
        "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
        "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
        f"m=audio 4000 RTP/AVP 111\r\n{OPUS}a=sendrecv\r\n"
    )
    assert wanted(text, ANY, RETELL) == wanted_of(audio("111", OPUS), ANY, RETELL)
    assert wanted(text.replace("audio 4000", "audio 0"), ANY, RETELL) == AS_IT_CAME
    assert wanted("no description", ANY, RETELL) == AS_IT_CAME


def test_without_a_shared_codec_ours_are_offered_with_keys_of_their_clock() -> None:
    offer = audio("111 110", OPUS + WIDE_EVENTS)
    told = offered(offer, wanted_of(offer, ANY, RETELL))
    assert codecs(told) == [
        "0 PCMU/8000", "8 PCMA/8000", "9 G722/8000", "96 telephone-event/8000",
    ]  # fmt: skip
    assert told.fmtp(96) == "0-16"


def test_opus_that_we_make_is_written_as_its_rfc_wants_it() -> None:
    """RFC 7587 7: two channels and 48 kHz always, whatever is sent."""
    offer = audio("0 101", EVENTS)
    told = offered(offer, wanted_of(offer, ANY, Codecs(("opus",))))
    assert codecs(told) == ["96 opus/48000/2", "97 telephone-event/48000"]
    assert "useinbandfec=1" in (told.fmtp(96) or "")


def test_our_dynamic_numbers_clash_with_none_of_theirs() -> None:
    lines = "".join(f"a=rtpmap:{n} L16/{n}00\r\n" for n in (96, 97))
    offer = audio("96 97 8", lines)
    told = offered(offer, wanted_of(offer, ANY, Codecs(("opus",))))
    assert codecs(told) == ["98 opus/48000/2"]


def test_a_static_number_that_the_offer_uses_otherwise_is_left_to_it() -> None:
    offer = audio("9 96", "a=rtpmap:9 opus/48000/2\r\na=rtpmap:96 telephone-event/48000\r\n")
    told = offered(offer, wanted_of(offer, ANY, Codecs(("G722",))))
    assert codecs(told) == ["97 G722/8000", "98 telephone-event/8000"]


def test_g711_is_offered_to_anyone_where_the_offer_has_none() -> None:
    offer = audio("111", OPUS)
    told = offered(offer, wanted_of(offer))
    assert codecs(told) == ["111 opus/48000/2", "0 PCMU/8000", "8 PCMA/8000"]
    assert told.fmtp(111) == "minptime=10;useinbandfec=1"  # what passes keeps its parameters


def test_a_senders_own_list_takes_out_what_it_may_not_use() -> None:
    offer = audio("111 8 0", OPUS)
    told = offered(offer, wanted_of(offer, Codecs(("PCMU", "PCMA")), ANY))
    assert codecs(told) == ["8 PCMA/8000", "0 PCMU/8000"]


def test_an_answer_of_what_both_have_goes_back_as_it_came() -> None:
    offer = audio("0 8 101", EVENTS)
    answer = audio("8 101", EVENTS + "a=ptime:20\r\n")
    assert answered(offer, answer) is answer


def test_an_answer_loses_what_only_its_sender_has() -> None:
    offer = audio("111", OPUS)
    answer = audio("0 111", OPUS)
    told = answered(offer, answer)
    assert codecs(told) == ["111 opus/48000/2"]


def test_an_answer_without_a_shared_codec_is_in_the_offerers_own() -> None:
    offer = audio("111 110", OPUS + WIDE_EVENTS)
    answer = audio("0 96", "a=rtpmap:96 telephone-event/8000\r\na=ptime:20\r\n")
    told = answered(offer, answer)
    assert codecs(told) == ["111 opus/48000/2", "110 telephone-event/48000"]
    assert told.ptime == 20
    assert "maxplaybackrate=16000" in (told.fmtp(111) or "")


def test_keys_are_not_promised_to_who_sends_them_where_the_other_side_takes_none() -> None:
    told = answered(audio("111 110", OPUS + WIDE_EVENTS), audio("0"))
    assert codecs(told) == ["111 opus/48000/2"]


def test_an_answer_in_g711_offers_both_of_the_offerers_laws() -> None:
    told = answered(audio("0 8 13 101", EVENTS), audio("9 101", EVENTS))
    assert codecs(told) == ["0 PCMU/8000", "8 PCMA/8000", "101 telephone-event/8000", "13 CN/8000"]


def test_an_answer_that_nobody_can_convert_is_refused_in_words() -> None:
    with pytest.raises(NoCodecError, match="only G729 offered; PCMU can be taken"):
        answered(audio("0"), audio("18"))


def test_a_packet_time_of_ours_takes_the_place_of_theirs() -> None:
    offer = audio("0", "a=ptime:20\r\na=maxptime:40\r\n")
    told = offered(offer, AS_IT_CAME, 30)
    assert (told.ptime, told.attribute("maxptime")) == (30, None)


@pytest.mark.parametrize(
    ("lines", "packet_ms"),
    [
        ("", 20),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=maxptime:150\r\n", 20),
        ("a=ptime:200\r\n", 60),
        ("a=ptime:1\r\n", 10),
        ("a=maxptime:x\r\n", 20),
    ],
)
def test_the_packet_time_that_a_party_wants(lines: str, packet_ms: int) -> None:
    assert packet_ms_of(audio("0", lines)) == packet_ms


def test_an_unknown_number_passes_and_is_given_no_name() -> None:
    offer = audio("77 0")
    assert speech_of(offer) == ["TYPE 77", "PCMU"]
    told = offered(offer, Wanted(first=("PCMU",)))
    assert told.formats == ("0", "77")
    assert told.values("rtpmap") == ["0 PCMU/8000"]
