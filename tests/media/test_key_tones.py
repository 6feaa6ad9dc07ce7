"""DTMF in audio, by ITU-T Q.24: what must be a key, and what must not."""

import audioop
import random
from itertools import product

import pytest

from sip.media.key_tones import FREQUENCIES_HZ, Change, KeyToneReader, key_tone
from sip.media.tones import pcm16, rms_of, tone
from testkit import melody

KEYS = "0123456789*#ABCD"


def quiet(ms: float) -> bytes:
    return bytes(2 * round(8 * ms))


def noise(ms: int, level_dbm0: float, seed: int = 3) -> bytes:
    rng, rms = random.Random(seed), rms_of(level_dbm0)
    return pcm16([max(-32768, min(32767, round(rng.gauss(0, rms)))) for _ in range(8 * ms)])


def changes(pcm: bytes, frame: int = 160) -> list[Change]:
    """What a reader tells of audio that went through G.711, in frames of so many samples."""
    heard = audioop.ulaw2lin(audioop.lin2ulaw(pcm, 2), 2)
    reader = KeyToneReader()
    told: list[Change] = []
    for at in range(0, len(heard), 2 * frame):
        told += reader.take(heard[at : at + 2 * frame])
    return told + reader.end()


def keys(pcm: bytes) -> str:
    told = changes(pcm)
    went_down = "".join(change.key for change in told if change.held_s is None)
    came_up = "".join(change.key for change in told if change.held_s is not None)
    assert went_down == came_up, "each goes down and comes up"
    return went_down


def uneven(key: str, row_dbm0: float, column_dbm0: float, ms: float = 40) -> bytes:
    row, column = FREQUENCIES_HZ[key]
    return audioop.add(
        tone([row], ms, level_dbm0=row_dbm0), tone([column], ms, level_dbm0=column_dbm0), 2
    )


def test_all_keys_in_order_with_40_ms_of_tone_and_of_pause() -> None:
    assert keys(b"".join(key_tone(key, 40) + quiet(40) for key in KEYS)) == KEYS


@pytest.mark.parametrize("phase", range(0, 160, 7))
def test_40_ms_are_a_key_wherever_the_frames_begin(phase: int) -> None:
    assert keys(bytes(2 * phase) + key_tone("5", 40) + quiet(60)) == "5"


@pytest.mark.parametrize("phase", range(0, 160, 7))
def test_23_ms_are_none(phase: int) -> None:
    assert keys(bytes(2 * phase) + key_tone("5", 23) + quiet(60)) == ""


@pytest.mark.parametrize("phase", range(0, 160, 13))
@pytest.mark.parametrize(("gap", "told"), [(10, "5"), (20, "5"), (40, "55")])
def test_a_break_of_20_ms_is_none_and_one_of_40_ms_is_one(gap: int, told: str, phase: int) -> None:
    pcm = bytes(2 * phase) + key_tone("5", 80) + quiet(gap) + key_tone("5", 80) + quiet(60)
    assert keys(pcm) == told


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("ms", [60, 100, 500])
def test_it_tells_how_long_a_key_was_held(key: str, ms: int) -> None:
    down, up = changes(quiet(33) + key_tone(key, ms) + quiet(60))
    assert down == Change(key)
    assert up.key == key
    assert up.held_s == pytest.approx(ms / 1000, abs=0.01)


@pytest.mark.parametrize("frame", [80, 160, 240, 480, 37])
def test_frames_may_have_any_length(frame: int) -> None:
    pcm = quiet(21) + key_tone("*", 50) + quiet(50) + key_tone("8", 50) + quiet(50)
    told = [change.key for change in changes(pcm, frame) if change.held_s is None]
    assert told == ["*", "8"]


def test_a_key_that_never_ends_is_up_with_the_audio() -> None:
    assert keys(key_tone("1", 100)) == "1"


@pytest.mark.parametrize("key", KEYS)
def test_frequencies_may_be_off_by_one_and_a_half_per_cent_and_2_hz(key: str) -> None:
    row, column = FREQUENCIES_HZ[key]
    for one, other in product((-1, 1), repeat=2):
        off = (row + one * (0.015 * row + 2), column + other * (0.015 * column + 2))
        assert keys(tone(off, 40) + quiet(60)) == key


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("off", [-0.035, 0.035])
def test_frequencies_that_are_off_by_three_and_a_half_per_cent_are_none(
    key: str, off: float
) -> None:
    row, column = FREQUENCIES_HZ[key]
    assert keys(tone([row * (1 + off), column * (1 + off)], 100) + quiet(60)) == ""


@pytest.mark.parametrize("key", KEYS)
def test_a_column_may_be_4_db_above_its_row_and_8_db_below(key: str) -> None:
    assert keys(uneven(key, -14, -10) + quiet(60)) == key
    assert keys(uneven(key, -8, -16) + quiet(60)) == key
    assert keys(uneven(key, -8, -20, 100) + quiet(60)) == ""
    assert keys(uneven(key, -20, -8, 100) + quiet(60)) == ""


@pytest.mark.parametrize(("level", "told"), [(0, KEYS), (-25, KEYS), (-36, "")])
def test_levels(level: float, told: str) -> None:
    """Q.24: 0 to -25 dBm0 are taken."""
    pcm = b"".join(key_tone(key, 50, level_dbm0=level) + quiet(50) for key in KEYS)
    assert keys(pcm) == told


def test_with_noise_15_db_below() -> None:
    pcm = b"".join(key_tone(key, 50, level_dbm0=-10) + quiet(50) for key in KEYS)
    assert keys(audioop.add(pcm, noise(len(pcm) // 16, -22), 2)) == KEYS


def vowel(pitch_hz: float, ms: int) -> bytes:
    """A voice: a pitch and its overtones, each a little weaker."""
    pcm = bytes(16 * ms)
    for number in range(1, int(3400 / pitch_hz)):
        level = -12 - 4 * number**0.5
        pcm = audioop.add(pcm, tone([number * pitch_hz], ms, level_dbm0=level), 2)
    return pcm


def test_what_is_no_key() -> None:
    """Noise, a voice gliding over every pitch, tones of the network, fax and modems, melodies."""
    assert keys(noise(5000, -12)) == ""
    assert keys(b"".join(vowel(pitch, 60) for pitch in range(80, 500, 7))) == ""
    for tones in ([440, 480], [350, 440], [480, 620], [425], [1100], [2100], [941], [1633]):
        assert keys(tone(tones, 300)) == "", tones
    assert keys(tone([697, 770], 200)) == "", "two rows"
    assert keys(tone([1209, 1477], 200)) == "", "two columns"
    assert keys(tone([697, 1209, 1477], 200)) == "", "a third tone"
    for sung in (melody.AGENT, melody.CALLER):
        assert keys(melody.synthesise(sung)) == ""


def test_a_key_sounds_from_its_first_windows_to_its_end() -> None:
    """What is kept from other ears: all but the first 20 ms at most."""
    reader = KeyToneReader()
    frames = quiet(40) + key_tone("7", 100) + quiet(100)
    sounding = []
    for at in range(0, len(frames), 320):
        reader.take(frames[at : at + 320])
        sounding.append(reader.sounding)
    assert sounding[:2] == [False, False]
    assert all(sounding[3:7])
    assert not any(sounding[-2:])
