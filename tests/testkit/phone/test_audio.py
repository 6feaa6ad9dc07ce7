"""Sound in files, and how like two recordings are."""

import audioop
import math
import random
import shutil
import struct
import subprocess
import wave
from pathlib import Path

import pytest

from testkit.melody import CALLER, FRAME_SAMPLES, synthesise
from testkit.phone.audio import AudioError, level_dbfs, read_wav, similarity, sound_ms, write_wav


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Sentences of a speech synthesiser, in two voices."""
    espeak = shutil.which("espeak-ng")
    if espeak is None:
        pytest.skip("espeak-ng is not installed")
    folder = tmp_path_factory.mktemp("speech")
    texts = {
        "greeting": ("en-us", "Good afternoon, thank you for calling. How may I help you today?"),
        "question": ("en-us", "Could you tell me when the next train to the coast leaves, please?"),
        "numbers": ("en-gb", "Seven, three, nine, one. That is the number on the card in my hand."),
        "greeting, other voice": (
            "en-us+f3",
            "Good afternoon, thank you for calling. How may I help you today?",
        ),
    }
    sounds: dict[str, bytes] = {}
    for name, (voice, text) in texts.items():
        path: Path = folder / f"{name}.wav"
        subprocess.run([espeak, "-v", voice, "-w", str(path), text], check=True, timeout=30)
        sounds[name] = read_wav(path)
    return sounds


def through_telephony(pcm: bytes, *, gain: float, loss: float, delay_ms: int) -> bytes:
    pcm = audioop.mul(pcm, 2, gain)
    pcm = audioop.ulaw2lin(audioop.lin2ulaw(pcm, 2), 2)
    rng, size = random.Random(3), 2 * FRAME_SAMPLES
    frames = [pcm[at : at + size] for at in range(0, len(pcm), size)]
    return bytes(16 * delay_ms) + b"".join(
        bytes(size) if rng.random() < loss else frame for frame in frames
    )


@pytest.mark.parametrize("delay_ms", [0, 15, 1234])
def test_speech_is_known_again_after_a_call(spoken: dict[str, bytes], delay_ms: int) -> None:
    heard = through_telephony(spoken["greeting"], gain=0.4, loss=0.03, delay_ms=delay_ms)
    assert similarity(spoken["greeting"], heard).score > 0.8


def test_the_place_of_speech_is_told(spoken: dict[str, bytes]) -> None:
    before = spoken["question"]
    found = similarity(spoken["numbers"], before + spoken["numbers"])
    lead_in_ms = 300  # silence that the synthesiser puts first, which is not compared
    assert 0 <= found.at_ms - len(before) // 16 <= lead_in_ms


@pytest.mark.parametrize("other", ["question", "numbers"])
def test_other_speech_is_told_apart(spoken: dict[str, bytes], other: str) -> None:
    assert similarity(spoken["greeting"], spoken[other]).score < 0.55


def test_silence_noise_and_tones_are_not_speech(spoken: dict[str, bytes]) -> None:
    wanted = spoken["greeting"]
    rng = random.Random(5)
    noise = struct.pack("<32000h", *(round(rng.gauss(0, 3000)) for _ in range(32000)))
    assert similarity(wanted, bytes(64000)).score < 0.1
    assert similarity(wanted, noise).score < 0.45
    assert similarity(wanted, synthesise(CALLER) * 4).score < 0.4
    assert similarity(wanted, b"").score < 0.1


def test_speech_backwards_is_not_the_speech(spoken: dict[str, bytes]) -> None:
    wanted = spoken["greeting"]
    assert similarity(wanted, audioop.reverse(wanted, 2)).score < 0.55


def test_a_reference_of_silence_is_found_nowhere(spoken: dict[str, bytes]) -> None:
    assert similarity(bytes(16000), spoken["greeting"]).score == 0.0


@pytest.mark.parametrize(
    ("rate", "channels", "width"),
    [(8000, 1, 2), (44100, 2, 2), (16000, 1, 1), (48000, 2, 4), (8000, 1, 3)],
)
def test_any_pcm_wav_becomes_8_khz_mono(
    tmp_path: Path, rate: int, channels: int, width: int
) -> None:
    path = tmp_path / "tone.wav"
    tone = b"".join(
        struct.pack("<h", round(12000 * math.sin(2 * math.pi * 800 * n / rate)))
        for n in range(rate)
    )
    sound = audioop.lin2lin(tone, 2, width)
    if width == 1:
        sound = audioop.bias(sound, 1, 128)
    if channels == 2:
        sound = audioop.tostereo(sound, width, 1, 1)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(sound)
    pcm = read_wav(path)
    assert abs(len(pcm) - 16000) <= 4
    assert abs(level_dbfs(pcm) - 20 * math.log10(12000 / math.sqrt(2) / 32768)) < 1
    assert sound_ms(pcm) >= 980


def test_a_wav_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    write_wav(path, synthesise(CALLER))
    assert read_wav(path) == synthesise(CALLER)


def test_unusable_files_are_named_with_their_reason(tmp_path: Path) -> None:
    missing, text, silent = (tmp_path / name for name in ("none.wav", "text.wav", "silent.wav"))
    text.write_text("not a sound")
    write_wav(silent, bytes(16000))
    with pytest.raises(AudioError, match=r"none\.wav: No such file or directory"):
        read_wav(missing)
    with pytest.raises(AudioError, match=r"text\.wav: not a PCM WAV"):
        read_wav(text)
    with pytest.raises(AudioError, match=r"silent\.wav: nothing but silence"):
        read_wav(silent)
    with pytest.raises(AudioError, match="No such file or directory"):
        write_wav(tmp_path / "nowhere" / "out.wav", b"")


def test_levels() -> None:
    assert level_dbfs(bytes(320)) == -math.inf
    assert level_dbfs(struct.pack("<160h", *[32767] * 160)) == pytest.approx(0.0, abs=0.01)
    assert sound_ms(bytes(16000)) == 0
