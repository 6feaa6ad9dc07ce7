"""The melodies are found where they are, through what telephony does to them, and nowhere else."""

import audioop
import math
import random
import shutil
import subprocess
import wave
from pathlib import Path

import pytest

from testkit import melody
from testkit.melody import AGENT, CALLER, FRAME_SAMPLES, Melody, find, from_samples, synthesise

BOTH = pytest.mark.parametrize("melody", [AGENT, CALLER], ids=["agent", "caller"])
OTHER = {AGENT: CALLER, CALLER: AGENT}


def silence(ms: int) -> bytes:
    return bytes(16 * ms)


def noise(ms: int, *, rms: float, seed: int = 1) -> bytes:
    rng = random.Random(seed)
    return from_samples(
        [max(-32768, min(32767, round(rng.gauss(0, rms)))) for _ in range(8 * ms)],
    )


def mixed(first: bytes, second: bytes) -> bytes:
    return audioop.add(first, second[: len(first)].ljust(len(first), b"\0"), 2)


def packets(pcm: bytes) -> list[bytes]:
    size = 2 * FRAME_SAMPLES
    return [pcm[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm), size)]


def lossy(pcm: bytes, share: float, *, seed: int, concealed: bool) -> bytes:
    """Drops packets; concealed leaves silence in their place, otherwise what follows moves up."""
    rng = random.Random(seed)
    gap = bytes(2 * FRAME_SAMPLES) if concealed else b""
    return b"".join(gap if rng.random() < share else packet for packet in packets(pcm))


def vowels(ms: int) -> bytes:
    """Speech-like sound: a gliding voice pitch with strong harmonics, as in sung vowels."""
    samples: list[int] = []
    phase = 0.0
    for n in range(8 * ms):
        pitch_hz = 110 + 60 * math.sin(2 * math.pi * n / 8000 * 0.7)
        phase += 2 * math.pi * pitch_hz / 8000
        formant = 500 + 300 * math.sin(2 * math.pi * n / 8000 * 1.3)
        value = sum(
            math.sin(phase * h) * math.exp(-(((pitch_hz * h - formant) / 250) ** 2))
            for h in range(1, 14)
        )
        samples.append(round(6000 * max(-4.0, min(4.0, value))))
    return from_samples(samples)


@BOTH
def test_a_melody_is_found_in_its_own_sound(melody: Melody) -> None:
    found = find(melody, synthesise(melody))
    assert found.score > 0.99
    assert found.at_ms == 0
    assert found.heard


@BOTH
@pytest.mark.parametrize("delay_ms", [7, 10, 133, 2501])
def test_the_place_of_a_melody_is_told_within_two_frames(melody: Melody, delay_ms: int) -> None:
    found = find(melody, silence(delay_ms) + synthesise(melody) + silence(300))
    assert found.score > 0.99
    assert abs(found.at_ms - delay_ms) <= 40


@BOTH
@pytest.mark.parametrize("law", ["ulaw", "alaw"])
@pytest.mark.parametrize("level_dbfs", [-3.0, -20.0, -40.0])
def test_a_melody_survives_g711_at_any_usual_level(
    melody: Melody, law: str, level_dbfs: float
) -> None:
    pcm = silence(210) + synthesise(melody, level_dbfs=level_dbfs)
    if law == "ulaw":
        heard = audioop.ulaw2lin(audioop.lin2ulaw(pcm, 2), 2)
    else:
        heard = audioop.alaw2lin(audioop.lin2alaw(pcm, 2), 2)
    assert find(melody, heard).score > 0.95


@BOTH
@pytest.mark.parametrize("concealed", [True, False], ids=["gaps", "moved-up"])
@pytest.mark.parametrize("seed", range(5))
def test_a_melody_survives_lost_packets(melody: Melody, concealed: bool, seed: int) -> None:
    """5 % of the packets lost, whether the listener keeps time through a loss or not."""
    heard = lossy(silence(90) + synthesise(melody), 0.05, seed=seed, concealed=concealed)
    assert find(melody, heard).heard


@BOTH
def test_a_melody_survives_line_noise(melody: Melody) -> None:
    pcm = synthesise(melody)
    assert find(melody, mixed(pcm, noise(len(pcm) // 16, rms=800))).heard


@BOTH
def test_silence_is_not_a_melody(melody: Melody) -> None:
    assert find(melody, silence(3000)).score == 0.0


@BOTH
def test_nothing_is_not_a_melody(melody: Melody) -> None:
    assert find(melody, b"").score == 0.0
    assert find(melody, b"\x01").score == 0.0


@BOTH
def test_the_quantising_noise_of_a_silent_line_is_not_a_melody(melody: Melody) -> None:
    assert find(melody, noise(3000, rms=8)).score == 0.0


@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_a_melody(melody: Melody, seed: int) -> None:
    assert find(melody, noise(5000, rms=4000, seed=seed)).score < 0.2


@BOTH
def test_the_other_melody_is_not_this_one(melody: Melody) -> None:
    assert find(melody, synthesise(OTHER[melody])).score < 0.1


@BOTH
def test_the_same_notes_backwards_are_not_the_melody(melody: Melody) -> None:
    assert find(melody, synthesise(melody[::-1])).score < 0.4


@BOTH
def test_a_melody_played_backwards_sample_by_sample_is_not_the_melody(melody: Melody) -> None:
    backwards = audioop.reverse(synthesise(melody), 2)
    assert not find(melody, backwards).heard


@BOTH
def test_one_steady_note_is_not_the_melody(melody: Melody) -> None:
    note_hz = melody[0][0]
    assert find(melody, synthesise(((note_hz, 3000),))).score < 0.3


@BOTH
def test_half_a_melody_is_not_heard(melody: Melody) -> None:
    half = synthesise(melody[: len(melody) // 2])
    assert not find(melody, silence(500) + half + silence(500)).heard


@BOTH
def test_sung_vowels_are_not_a_melody(melody: Melody) -> None:
    assert find(melody, vowels(6000)).score < 0.4


@BOTH
def test_speech_is_not_a_melody(melody: Melody, speech: bytes) -> None:
    assert find(melody, speech).score < 0.4


@BOTH
def test_a_melody_is_found_between_speech_and_the_other_melody(
    melody: Melody, speech: bytes
) -> None:
    before = speech + synthesise(OTHER[melody])
    found = find(melody, before + synthesise(melody) + speech)
    assert found.score > 0.99
    assert abs(found.at_ms - len(before) // 16) <= 40


def test_the_melodies_keep_what_makes_them_measurable() -> None:
    for tune in (AGENT, CALLER):
        for hz, note_ms in tune:
            assert hz % 50 == 0
            assert 300 < hz < 3400
            assert note_ms % 20 == 0
            assert note_ms >= 80
    notes = [hz for tune in (AGENT, CALLER) for hz, _ in tune]
    assert len(set(notes)) == len(notes)


def test_samples_and_bytes_convert_both_ways() -> None:
    pcm = b"\x01\x00\xff\x7f\x00\x80"
    assert list(melody.to_samples(pcm + b"\x05")) == [1, 32767, -32768]
    assert melody.from_samples([1, 32767, -32768]) == pcm


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A few seconds of a speech synthesiser, at 8 kHz."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        pytest.skip("espeak-ng is not installed")
    path: Path = tmp_path_factory.mktemp("speech") / "speech.wav"
    text = "Good afternoon, you are speaking to the agent. How may I help you today?"
    subprocess.run([espeak, "-w", str(path), text], check=True, timeout=30)
    with wave.open(str(path)) as recording:
        frames = recording.readframes(recording.getnframes())
        assert recording.getsampwidth() == 2
        pcm, _ = audioop.ratecv(frames, 2, 1, recording.getframerate(), 8000, None)
    return pcm
