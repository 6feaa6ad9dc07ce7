"""`a=crypto` lines: which can be used, which is chosen, what an answer says (RFC 4568)."""

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.sdp import SessionDescription, parse
from sip.core.sdp_crypto import (
    PREFERENCE,
    Crypto,
    Encryption,
    Suite,
    choose_audio,
    chosen,
    is_encrypted,
    lines_of,
    offered_keys,
    read_line,
    taken_up,
    why_not,
)

DATA = Path(__file__).parents[1] / "data" / "sdp"
KEY = bytes(range(30))
B64 = base64.b64encode(KEY).decode()
CM_80 = "AES_CM_128_HMAC_SHA1_80"
OFF, OPTIONAL, REQUIRED = Encryption.OFF, Encryption.OPTIONAL, Encryption.REQUIRED


def of_size(size: int) -> str:
    return base64.b64encode(bytes(range(size))).decode()


@pytest.mark.parametrize(
    "value",
    [
        f"1 {CM_80} inline:{B64}",
        f"1 {CM_80} inline:{B64}|2^20",
        f"1 {CM_80} inline:{B64}|1048576",
        f"1  {CM_80}  inline:{B64} ",
        f"1 {CM_80} inline:{B64} WSH=128",
        f"1 {CM_80} inline:{B64} -x-unknown=3 -KDR=2",
    ],
)
def test_a_usable_line(value: str) -> None:
    assert read_line(value) == Crypto(1, Suite.AES_CM_128_HMAC_SHA1_80, KEY)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("AES_CM_128_HMAC_SHA1_32", 30),
        ("AES_256_CM_HMAC_SHA1_80", 46),
        ("AES_CM_256_HMAC_SHA1_80", 46),  # as some write RFC 6188's
        ("AES_256_CM_HMAC_SHA1_32", 46),
        ("AEAD_AES_128_GCM", 28),
        ("AEAD_AES_256_GCM", 44),
    ],
)
@pytest.mark.parametrize("padded", [True, False])
def test_other_suites(name: str, size: int, padded: bool) -> None:
    """An answer calls the suite as the offer did."""
    text = of_size(size) if padded else of_size(size).rstrip("=")
    line = read_line(f"7 {name} inline:{text}")
    assert line is not None
    assert (line.tag, line.key) == (7, bytes(range(size)))
    assert (
        line.answered(bytes(size)).value
        == f"7 {name} inline:{base64.b64encode(bytes(size)).decode()}"
    )


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"1 {CM_80}",
        f"1 {CM_80} {B64}",
        f"x {CM_80} inline:{B64}",
        f"-1 {CM_80} inline:{B64}",
        f"1 F8_128_HMAC_SHA1_80 inline:{B64}",
        f"1 {CM_80} inline:{of_size(29)}",
        f"1 {CM_80} inline:{of_size(31)}",
        f"1 {CM_80} inline:{B64[:-1]}*",
        f"1 {CM_80} inline:{B64}|2^49",
        f"1 {CM_80} inline:{B64}|0",
        f"1 {CM_80} inline:{B64}|1:4",  # an MKI: packets would carry it
        f"1 {CM_80} inline:{B64}|2^20|1:4",
        f"1 {CM_80} inline:{B64}|2^20|1:4;inline:{B64}|2^20|2:4",
        f"1 {CM_80} inline:{B64};inline:{B64}",
        f"1 {CM_80} inline:{B64} KDR=1",
        f"1 {CM_80} inline:{B64} UNENCRYPTED_SRTP",
        f"1 {CM_80} inline:{B64} UNENCRYPTED_SRTCP",
        f"1 {CM_80} inline:{B64} UNAUTHENTICATED_SRTP",
        f"1 {CM_80} inline:{B64} FEC_ORDER=FEC_SRTP",
        f"1 {CM_80} inline:{B64} X-SOMETHING",
        f"1 {CM_80} inline:" + "A" * 10_000,
    ],
)
def test_an_unusable_line(value: str) -> None:
    assert read_line(value) is None


@given(st.text(max_size=200) | st.from_regex(r"1 AES_CM_128_HMAC_SHA1_80 inline:.{0,90}"))
def test_no_text_is_too_odd(value: str) -> None:
    line = read_line(value)
    assert line is None or len(line.key) == line.suite.key_size


@given(st.sampled_from(Suite), st.integers(1, 999_999_999), st.binary(min_size=46, max_size=46))
def test_what_is_written_is_read(suite: Suite, tag: int, octets: bytes) -> None:
    written = Crypto(tag, suite, octets[: suite.key_size])
    assert read_line(written.value) == written


def test_a_key_is_not_shown() -> None:
    """Whoever prints a line, or an error that holds one, prints no key."""
    assert B64 not in repr(read_line(f"1 {CM_80} inline:{B64}"))
    assert "key" not in repr(Crypto(1, Suite.AEAD_AES_128_GCM, bytes(28)))


def test_our_order_decides() -> None:
    offered = offered_keys(reversed(PREFERENCE), bytes)
    first = chosen(offered, PREFERENCE)
    assert first is not None
    assert (first.suite, first.tag) == (Suite.AES_CM_128_HMAC_SHA1_80, len(PREFERENCE))
    only = chosen(offered, [Suite.AEAD_AES_256_GCM])
    assert only is not None
    assert only.suite is Suite.AEAD_AES_256_GCM
    assert chosen(offered, []) is None


def test_an_answer_takes_up_one_of_our_lines() -> None:
    ours = offered_keys(PREFERENCE[:2], bytes)
    theirs = Crypto(2, ours[1].suite, bytes(range(44)))
    assert taken_up(ours, [theirs]) == (ours[1], theirs)
    assert taken_up(ours, [Crypto(3, ours[1].suite, theirs.key)]) is None, "no such tag"
    assert taken_up(ours, [Crypto(1, ours[1].suite, theirs.key)]) is None, "another's suite"
    assert taken_up(ours, []) is None


def sdp(*media: str) -> SessionDescription:
    return parse(
        "\r\n".join(
            ["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0", *media]
        )
    )


LINE = f"a=crypto:1 {CM_80} inline:{B64}"
CLEAR = ("m=audio 4000 RTP/AVP 0",)
BESIDE = (*CLEAR, LINE)  # RFC 8643
SAVP = ("m=audio 4002 RTP/SAVP 0", LINE)
SAVPF = ("m=audio 4004 RTP/SAVPF 0", LINE)
BARE = ("m=audio 4006 RTP/SAVP 0",)
MKI = ("m=audio 4008 RTP/SAVP 0", f"{LINE}|2^31|1:1")
DTLS = ("m=audio 4010 UDP/TLS/RTP/SAVPF 0", "a=fingerprint:sha-256 AA")
REFUSED = ("m=audio 0 RTP/SAVP 0", LINE)


@pytest.mark.parametrize(
    ("media", "off", "optional", "required"),
    [
        (CLEAR, 4000, 4000, None),
        (BESIDE, 4000, -4000, -4000),
        (SAVP, None, -4002, -4002),
        (SAVPF, None, -4004, -4004),
        (BARE, None, None, None),
        (MKI, None, None, None),
        (DTLS, None, None, None),
        (CLEAR + SAVP, 4000, -4002, -4002),
        (SAVP + CLEAR, 4000, -4002, -4002),
        (MKI + CLEAR, 4000, 4000, None),
        (DTLS + SAVP, None, -4002, -4002),
        (REFUSED + CLEAR, 4000, 4000, None),
    ],
)
def test_which_audio_is_used(
    media: tuple[str, ...], off: int | None, optional: int | None, required: int | None
) -> None:
    """The port of the medium, below zero where it is encrypted; None for none."""
    offer = sdp(*media)
    for encryption, port in ((OFF, off), (OPTIONAL, optional), (REQUIRED, required)):
        found = choose_audio(offer, encryption)
        used = None if found is None else found.media.port * (-1 if found.lines else 1)
        assert used == port, encryption


@pytest.mark.parametrize(
    ("media", "encryption", "words"),
    [
        (SAVP, OFF, (302, "only RTP/AVP")),
        (CLEAR, REQUIRED, (302, "Encrypted audio is required")),
        (BARE, OPTIONAL, (302, "without a=crypto")),
        (MKI, OPTIONAL, (302, "without MKI")),
        (DTLS, OPTIONAL, (302, "UDP/TLS/RTP/SAVPF")),
        (("m=image 4000 udptl t38",), OPTIONAL, (304, "only audio")),
    ],
)
def test_why_none_is_used(
    media: tuple[str, ...], encryption: Encryption, words: tuple[int, str]
) -> None:
    code, text = why_not(sdp(*media), encryption)
    assert (code, words[1] in text) == (words[0], True), text


def test_teams_offers_a_key_with_an_mki_and_one_without() -> None:
    offer = parse((DATA / "teams.sdp").read_text())
    assert offer.audio is not None
    assert [line.tag for line in lines_of(offer.audio)] == [2]


def test_whether_a_text_is_encrypted() -> None:
    encrypted = sdp(*SAVP).to_string()
    assert is_encrypted(encrypted)
    assert not is_encrypted(encrypted, OFF)
    assert is_encrypted(sdp(*CLEAR).to_string()) is False
    assert is_encrypted(sdp(*REFUSED).to_string()) is None, "it has no audio"
    assert is_encrypted("crypto: no description") is None
