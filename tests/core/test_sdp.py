"""Session descriptions (RFC 8866, RFC 3264), by the offers that carriers and PBXs send."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core import sdp
from sip.core.sdp import Media, Origin, SessionDescription
from sip.core.sdp_lines import MAX_REMEMBERED, Codec, Connection, remembered
from sip.errors import ParseError

OFFERS = {
    path.stem: path for path in sorted((Path(__file__).parents[1] / "data/sdp").glob("*.sdp"))
}
PLAIN = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)


def offer(name: str) -> SessionDescription:
    return sdp.parse(OFFERS[name].read_bytes())


def audio_of(description: SessionDescription) -> Media:
    audio = description.audio
    assert audio is not None
    return audio


# port, address, protocol, direction, ptime, payload types with a codec
AUDIO: dict[str, tuple[int, str, str, str, int | None, list[int]]] = {
    "asterisk": (14022, "192.0.2.40", "RTP/AVP", "sendrecv", 20, [107, 9, 0, 8, 101]),
    "avaya-hold": (2060, "0.0.0.0", "RTP/AVP", "sendonly", None, [0, 127]),
    "cisco": (24580, "192.0.2.51", "RTP/AVP", "sendrecv", None, [0, 8, 18, 101]),
    "fax-and-video": (30000, "2001:db8::91", "RTP/AVP", "recvonly", None, [8]),
    "retell": (52114, "203.0.113.70", "RTP/AVP", "sendrecv", 20, [9, 0, 8, 101]),
    "teams": (
        51062, "198.51.100.60", "RTP/SAVP", "sendrecv", 20,
        [104, 9, 103, 111, 18, 0, 8, 97, 101, 13, 118],
    ),
    "telnyx": (23010, "198.51.100.30", "RTP/AVP", "sendrecv", 20, [9, 0, 8, 18, 101, 13]),
    "twilio": (17540, "203.0.113.10", "RTP/AVP", "sendrecv", 20, [0, 8, 101]),
    "twilio-secure": (11382, "203.0.113.11", "RTP/SAVP", "sendrecv", 20, [0, 8, 101]),
}  # fmt: skip


@pytest.mark.parametrize("name", OFFERS)
def test_the_audio_offered(name: str) -> None:
    description = offer(name)
    audio = audio_of(description)
    connection = description.connection_of(audio)
    assert connection is not None
    assert (
        audio.port,
        connection.address,
        audio.protocol,
        audio.direction,
        audio.ptime,
        list(audio.rtpmap()),
    ) == AUDIO[name]


@pytest.mark.parametrize("name", OFFERS)
def test_what_came_goes_out_the_same(name: str) -> None:
    raw = OFFERS[name].read_bytes()
    assert offer(name).to_string().encode() == raw
    assert sdp.parse(raw.decode()) == SessionDescription.parse(raw)


class TestReading:
    def test_codecs(self) -> None:
        audio = audio_of(offer("asterisk"))
        assert audio.rtpmap()[107] == Codec("opus", 48000, 2)
        assert str(audio.rtpmap()[107]) == "opus/48000/2"
        assert str(audio.rtpmap()[101]) == "telephone-event/8000"
        assert audio.fmtp(101) == "0-16"
        assert audio.fmtp(0) is None

    def test_static_payload_types_need_no_rtpmap(self) -> None:
        """RFC 3551 6; what is neither static nor mapped is left out."""
        audio = audio_of(sdp.parse(PLAIN.replace("0 101", "18 0 96 8 101")))
        assert [codec.name for codec in audio.rtpmap().values()] == [
            "G729", "PCMU", "PCMA", "telephone-event",
        ]  # fmt: skip

    def test_origin(self) -> None:
        assert offer("cisco").origin == Origin(
            "CiscoSystemsCCM-SIP", "50110", 1, "IP4", "192.0.2.50"
        )
        assert offer("telnyx").name == "FreeSWITCH"

    def test_crypto_and_candidates_are_kept_as_they_are(self) -> None:
        audio = audio_of(offer("teams"))
        assert [value.split()[0] for value in audio.values("crypto")] == ["2", "3"]
        assert len(audio.values("candidate")) == 3
        assert audio.attribute("ice-ufrag") == "lPq7"
        assert audio.attribute("rtcp-mux") == ""
        assert audio.attribute("setup") is None

    def test_refused_media_are_not_the_audio(self) -> None:
        description = offer("fax-and-video")
        assert [(m.kind, m.active) for m in description.media] == [
            ("video", False),
            ("audio", True),
            ("image", True),
        ]
        assert audio_of(description).port_count == 2
        assert description.media[2].formats == ("t38",)
        assert sdp.parse(PLAIN.replace("4000", "0")).audio is None

    def test_the_older_way_of_holding(self) -> None:
        connection = offer("avaya-hold").connection
        assert connection is not None
        assert connection.unspecified
        assert not Connection("IP4", "192.0.2.1").unspecified

    @pytest.mark.parametrize(
        ("session", "media", "direction"),
        [
            ("", "", "sendrecv"),
            ("a=inactive\r\n", "", "inactive"),
            ("a=inactive\r\n", "a=recvonly\r\n", "recvonly"),
            ("", "a=sendonly\r\n", "sendonly"),
        ],
    )
    def test_direction(self, session: str, media: str, direction: str) -> None:
        """RFC 8866 6.7: the media's own, else the session's, else both ways."""
        description = sdp.parse(PLAIN.replace("m=audio", f"{session}m=audio") + media)
        assert audio_of(description).direction == direction

    @pytest.mark.parametrize(
        ("value", "ptime"), [("20", 20), ("", None), ("20.5", None), ("x", None)]
    )
    def test_ptime(self, value: str, ptime: int | None) -> None:
        assert audio_of(sdp.parse(f"{PLAIN}a=ptime:{value}\r\n")).ptime == ptime

    def test_lines_may_end_in_lf_and_with_empty_lines_after(self) -> None:
        """RFC 8866 5; and RFC 4475 3.3.8 has the empty line."""
        expected = sdp.parse(PLAIN)
        assert sdp.parse(PLAIN.replace("\r\n", "\n")) == expected
        assert sdp.parse(f"{PLAIN}\r\n") == expected
        assert sdp.parse(PLAIN.rstrip()) == expected

    def test_lines_out_of_order_are_put_right(self) -> None:
        mixed = PLAIN.replace("t=0 0\r\n", "b=AS:64\r\ni=about\r\nt=0 0\r\n")
        description = sdp.parse(mixed)
        assert "s=-\r\ni=about\r\nc=IN IP4 192.0.2.1\r\nb=AS:64\r\nt=0 0\r\n" in str(description)
        assert sdp.parse(str(description)) == description

    def test_missing_name_and_time_are_let_pass(self) -> None:
        short = PLAIN.replace("s=-\r\n", "").replace("t=0 0\r\n", "")
        assert sdp.parse(short).to_string() == PLAIN


ODD = {
    "a NUL at the end": ("8000\r\n", "8000\r\n\0"),
    "no origin": ("o=- 1 1 IN IP4 192.0.2.1\r\n", ""),
    "an origin behind the name": ("o=- 1 1 IN IP4 192.0.2.1\r\ns=-", "s=-\r\no=- 1 1 IN IP4 x"),
    "a space in the user name": ("o=- 1", "o=Front Desk 1"),
    "two spaces": ("o=- 1", "o=-  1"),
    "no user name": ("o=- 1", "o= 1"),
    "a version below zero": ("o=- 1 1", "o=- -1 -1"),
    "a time with a fraction": ("o=- 1 1", "o=- 1714.5 1714.5"),
    "a version with a word": ("o=- 1 1", "o=- 1 one"),
    "an origin of another network": ("IN IP4 192.0.2.1\r\ns", "ATM NSAP 47\r\ns"),
    "space behind the version": ("v=0", "v=0 "),
    "spaces and small letters in c=": ("c=IN IP4 ", "c=in  ip4  "),
    "an empty line in between": ("t=0 0", "\r\nt=0 0"),
    "a line without a letter": ("t=0 0", "=x\r\nt=0 0"),
    "a line that is no line": ("t=0 0", "hello world\r\nt=0 0"),
    "an escape in a line": ("t=0 0", "i=\x1b[31m\r\nt=0 0"),
    "a NUL in a line": ("t=0 0", "i=a\0b\r\nt=0 0"),
    "spaces in m=": ("audio 4000 RTP/AVP 0 101", "audio  4000 RTP/AVP  0  101 "),
    "a space behind the colon": ("rtpmap:101", "rtpmap: 101"),
    "an rtpmap without clock rate": ("event/8000", "event"),
    "an rtpmap with a slash behind": ("event/8000", "event/8000/"),
    "an rtpmap that says nothing": ("a=rtpmap", "a=rtpmap:97\r\na=rtpmap"),
    "an rtpmap of a word": ("a=rtpmap", "a=rtpmap:x opus/48000\r\na=rtpmap"),
    "an attribute without a name": ("a=rtpmap", "a=:x\r\na=rtpmap"),
}
ODD_MEDIA = {
    "an rtpmap that says nothing": "video 0 RTP/AVP 96\r\na=rtpmap:96",
    "payload type 255": "video 0 RTP/AVP 255\r\nc=IN IP4 x y",
    "an unreadable address": "image 5000 udptl t38\r\nc=IN IP4 (none)",
    "no format": "video 5000 RTP/AVP",
    "a port too high": "video 70000 RTP/AVP 96",
    "a port below zero": "application -1 - -",
    "a name alone": "video",
    "nothing": "",
    "a second audio": "audio x RTP/AVP 0",
}


class TestOdd:
    """What a call does not need refuses none, and does not go on to a peer that may be strict."""

    @pytest.mark.parametrize("what", ODD)
    def test_a_line_that_nobody_needs(self, what: str) -> None:
        was, odd = ODD[what]
        text = PLAIN.replace(was, odd, 1)
        assert text != PLAIN
        out = sdp.parse(text)
        assert out.replace(origin=sdp.parse(PLAIN).origin).to_string() == PLAIN
        assert sdp.parse(out.to_string()) == out

    @pytest.mark.parametrize("what", ODD_MEDIA)
    def test_media_that_nobody_uses(self, what: str) -> None:
        """RFC 3264 6: they keep their place, so that they can be refused in it."""
        out = sdp.parse(f"{PLAIN}m={ODD_MEDIA[what]}\r\n")
        assert (len(out.media), out.audio) == (2, sdp.parse(PLAIN).audio)
        assert sdp.parse(out.to_string()) == out

    @pytest.mark.parametrize("line", ["a=sendonly ", "a= sendonly", "a=sendonly"])
    def test_spaces_round_a_direction(self, line: str) -> None:
        assert audio_of(sdp.parse(f"{PLAIN}{line}\r\n")).direction == "sendonly"

    def test_the_usual_clock_rate(self) -> None:
        text = PLAIN.replace("101 telephone-event/8000", "101 opus")
        assert audio_of(sdp.parse(text)).rtpmap()[101] == Codec("opus", 48000)


class TestRefusing:
    @pytest.mark.parametrize(
        ("was", "broken", "reason", "status"),
        [
            ("v=0", "v=1", "Malformed SDP Start", 400),
            ("v=0\r\n", "", "Malformed SDP Start", 400),
            ("c=IN IP4", "c=IN IP5", "SDP Without Connection Address", 488),
            ("c=IN IP4 192.0.2.1", "c=IN IP4 ", "SDP Without Connection Address", 488),
            ("c=IN IP4 192.0.2.1\r\n", "", "SDP Without Connection Address", 488),
            ("audio 4000", "audio 65536", "Malformed SDP Media", 400),
            ("audio 4000", "audio -1", "Malformed SDP Media", 400),
            ("audio 4000", "audio", "Malformed SDP Media", 400),
            (" 0 101", "", "Malformed SDP Media", 400),
            ("s=-\r\n", "s=-\r", "Malformed SDP Line", 400),
        ],
    )
    def test_broken_twins(self, was: str, broken: str, reason: str, status: int) -> None:
        """Each a description that is sound but for one place."""
        with pytest.raises(ParseError) as caught:
            sdp.parse(PLAIN.replace(was, broken, 1))
        assert (caught.value.reason, caught.value.status) == (reason, status)

    def test_refused_media_need_no_address_and_no_format(self) -> None:
        """RFC 3264 6: nothing will be sent there."""
        text = PLAIN.replace("c=IN IP4 192.0.2.1\r\n", "").replace(
            "4000 RTP/AVP 0 101", "0 RTP/AVP"
        )
        assert sdp.parse(text).media[0].formats == ()

    def test_limits(self) -> None:
        with pytest.raises(ParseError) as caught:
            sdp.parse(PLAIN + "a=x\r\n" * 4000)
        assert caught.value.status == 413
        with pytest.raises(ParseError) as caught:
            sdp.parse(PLAIN + "m=audio 0 RTP/AVP 0\r\n" * 32)
        assert caught.value.status == 488


class TestChanging:
    def test_an_answer_made_from_an_offer(self) -> None:
        """Refuse the video, move the audio, keep everything else."""
        description = offer("telnyx")
        audio = audio_of(description).replace(port=40000, formats=("0", "101"))
        changed = description.replace(
            connection=Connection("IP4", "203.0.113.1"),
            media=(audio, Media("video", 0, "RTP/AVP", ("96",))),
        )
        text = changed.to_string()
        assert "c=IN IP4 203.0.113.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 101\r\n" in text
        assert text.endswith("m=video 0 RTP/AVP 96\r\n")
        assert offer("telnyx") == description

    def test_a_line_cannot_be_smuggled_in(self) -> None:
        description = sdp.parse(PLAIN).replace(name="x\r\na=inactive")
        with pytest.raises(ValueError, match="line break"):
            description.to_string()

    def test_made_from_nothing(self) -> None:
        made = SessionDescription(
            Origin("-", "1", 1, "IP4", "192.0.2.1"),
            connection=Connection("IP4", "192.0.2.1"),
            media=(
                Media(
                    "audio",
                    4000,
                    "RTP/AVP",
                    ("0", "101"),
                    attributes=(("rtpmap", "101 telephone-event/8000"),),
                ),
            ),
        )
        assert str(made) == PLAIN
        assert sdp.parse(PLAIN) == made


WORDS = st.text("abcXYZ019-._", min_size=1, max_size=8)
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
CONNECTIONS = st.builds(Connection, st.sampled_from(["IP4", "IP6"]), WORDS)
ATTRIBUTES = st.lists(st.tuples(WORDS, st.none() | LINES), max_size=4).map(tuple)
OTHER = st.lists(st.tuples(st.sampled_from("bkxz"), LINES), max_size=2).map(tuple)
MEDIA = st.builds(
    Media,
    st.sampled_from(["audio", "video", "image", "message"]),
    st.integers(0, 65535),
    st.sampled_from(["RTP/AVP", "RTP/SAVPF", "udptl", "TCP/MSRP"]),
    st.lists(WORDS, min_size=1, max_size=4).map(tuple),
    st.integers(1, 9),
    CONNECTIONS,
    ATTRIBUTES,
    OTHER,
)
DESCRIPTIONS = st.builds(
    SessionDescription,
    st.builds(Origin, WORDS, WORDS, st.integers(0, 2**64), st.sampled_from(["IP4", "IP6"]), WORDS),
    LINES,
    st.none() | CONNECTIONS,
    ATTRIBUTES,
    st.lists(MEDIA, max_size=3).map(tuple),
    OTHER.map(lambda lines: (("i", "about"), *lines, ("t", "0 0"))),
)


@given(DESCRIPTIONS)
def test_reading_undoes_writing(description: SessionDescription) -> None:
    assert sdp.parse(description.to_string()) == description


BODY = "c=IN IP4 192.0.2.1\na=rtpmap:0 PCMU/8000\na=sendonly\n"


def described(body: str, origin: str = "- 1 1 IN IP4 192.0.2.1") -> SessionDescription:
    return sdp.parse(f"v=0\no={origin}\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 0\n{body}")


def test_lines_seen_before_are_read_as_at_first() -> None:
    """What is remembered of one description changes nothing of another."""
    first, again = described(BODY), described(BODY, "- 2 7 IN IP4 192.0.2.2")
    assert again.media == first.media
    assert again.origin != first.origin
    other = described(BODY.replace("sendonly", "inactive")).media[0]
    assert (first.media[0].direction, other.direction) == ("sendonly", "inactive")


@pytest.mark.parametrize(
    "line", ["a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0", "a=x:" + "y" * MAX_REMEMBERED]
)
def test_keys_and_long_descriptions_are_not_remembered(line: str) -> None:
    remembered.cache_clear()
    described(BODY)
    known = remembered.cache_info().currsize
    described(f"{BODY}{line}\n")
    assert remembered.cache_info().currsize == known
    described(f"{BODY}a=x:1\n")
    assert remembered.cache_info().currsize == known + 1
