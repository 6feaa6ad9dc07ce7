"""A fax's calling tone in audio, by ITU-T T.30: what must be one, and what must not."""

import audioop
from pathlib import Path

import pytest

from sip.media.fax_tone import FaxToneReader
from sip.media.key_tones import key_tone
from sip.media.tones import tone
from testkit import melody
from tests.interop.harness import speech
from tests.media.test_key_tones import noise, quiet, vowel


def cng(
    hz: float = 1100, ms: float = 500, *, level_dbm0: float = -12, before: float = 200
) -> bytes:
    """A period of it, as far as is needed."""
    return quiet(before) + tone([hz], ms, level_dbm0=level_dbm0) + quiet(1500)


def times(pcm: bytes, frame: int = 160, *, a_law: bool = False) -> int:
    """How often a reader tells the tone of audio that went through G.711."""
    if a_law:
        heard = audioop.alaw2lin(audioop.lin2alaw(pcm, 2), 2)
    else:
        heard = audioop.ulaw2lin(audioop.lin2ulaw(pcm, 2), 2)
    reader = FaxToneReader()
    return sum(reader.take(heard[at : at + 2 * frame]) for at in range(0, len(heard), 2 * frame))


@pytest.mark.parametrize("hz", [1062, 1071, 1090, 1100, 1109, 1130, 1138])
@pytest.mark.parametrize("ms", [425, 500, 575])
def test_a_tone_within_the_tolerances_of_the_standard(hz: float, ms: float) -> None:
    assert times(cng(hz, ms)) == 1
    assert times(cng(hz, ms), a_law=True) == 1


@pytest.mark.parametrize("level", [0, -6, -20, -30, -38])
def test_levels(level: float) -> None:
    assert times(cng(level_dbm0=level)) == 1


def test_one_that_is_too_quiet_is_none() -> None:
    assert times(cng(level_dbm0=-46)) == 0


@pytest.mark.parametrize("phase", range(0, 160, 13))
@pytest.mark.parametrize("frame", [80, 160, 480, 37])
def test_wherever_the_frames_begin(phase: int, frame: int) -> None:
    assert times(bytes(2 * phase) + cng(), frame) == 1


@pytest.mark.parametrize("before", [0, 5, 20, 50])
def test_one_that_begins_with_the_call(before: float) -> None:
    assert times(cng(before=before)) == 1


def test_each_period_is_told() -> None:
    period = tone([1100], 500) + quiet(3000)
    assert times(quiet(200) + 3 * period) == 3


@pytest.mark.parametrize("lost_at", range(200, 700, 20))
def test_a_lost_packet_is_none_the_worse(lost_at: int) -> None:
    pcm = bytearray(cng())
    pcm[16 * lost_at : 16 * (lost_at + 20)] = bytes(320)
    assert times(bytes(pcm)) == 1


def test_with_noise_15_db_below() -> None:
    pcm = cng(level_dbm0=-15)
    assert times(audioop.add(pcm, noise(len(pcm) // 16, -30), 2)) == 1


@pytest.mark.parametrize("ms", [30, 120, 350, 650, 1000, 3000])
def test_one_of_another_length_is_none(ms: float) -> None:
    assert times(cng(ms=ms)) == 0


@pytest.mark.parametrize("hz", [400, 941, 1000, 1020, 1180, 1209, 1400, 2100])
def test_one_of_another_frequency_is_none(hz: float) -> None:
    assert times(cng(hz)) == 0


def test_what_is_said_around_it_makes_it_none() -> None:
    """A note in a melody; a whistle that somebody speaks after."""
    assert times(tone([880], 500) + cng(before=0)) == 0
    assert times(quiet(200) + tone([1100], 500) + quiet(400) + vowel(140, 300) + quiet(2000)) == 0


def test_a_whistle_that_slides_or_swells_is_none() -> None:
    slides = b"".join(tone([hz], 50) for hz in range(1060, 1150, 9))
    swells = b"".join(tone([1100], 50, level_dbm0=level) for level in range(-30, -10, 2))
    assert times(quiet(200) + slides + quiet(2000)) == 0
    assert times(quiet(200) + swells + quiet(2000)) == 0


def test_voices_melodies_keys_noise_and_ringing_are_none() -> None:
    assert times(noise(10_000, -12)) == 0
    assert times(b"".join(vowel(pitch, 500) + quiet(1500) for pitch in range(80, 500, 10))) == 0
    for sung in (melody.AGENT, melody.CALLER):
        assert times(3 * (melody.synthesise(sung) + quiet(2000))) == 0
    assert times(b"".join(key_tone(key, 500) + quiet(1500) for key in "0123456789*#ABCD")) == 0
    assert times(quiet(200) + tone([1100, 440], 500) + quiet(2000)) == 0, "a chord"


@pytest.mark.programs
@pytest.mark.parametrize("voice", ["en", "en+f3", "de", "es", "cmn", "it+f4"])
def test_speech_is_none(voice: str, tmp_path: Path) -> None:
    """Words with long vowels, and pauses between them."""
    text = "Hi. Yes. Oooh. Hello, this is a person. Aaah! Eee. One, two, three. No, thank you."
    wav = speech.speak(text, tmp_path / "said.wav", voice=voice)
    samples = (speech.read(wav) * 32767).astype("<i2")
    assert len(samples) > 5 * 8000
    assert times(samples.tobytes() + quiet(2000)) == 0
