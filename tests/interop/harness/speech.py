"""Speech that is made to be recognised, and the proof that a recording holds it.

A recording is compared by the energies of ten frequency bands in steps of 20 ms: that survives
G.711, a lost packet and a shifted clock, and no other sentence has the same pattern.
"""

import subprocess
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.interop.harness.programs import program

RATE_HZ = 8000
_STEP = RATE_HZ // 50
_WINDOW = 2 * _STEP
_PIECE = 40  # steps
_BANDS_HZ = (150, 300, 450, 600, 800, 1050, 1350, 1750, 2250, 2800, 3400)
_SILENCE = 1e-3

Samples = npt.NDArray[np.float64]


def speak(text: str, wav: Path, *, voice: str = "en", repeat: int = 1) -> Path:
    """`text` spoken into a WAV file of 8 kHz, mono, 16 bits, over again with a pause between."""
    raw = wav.with_suffix(".22k.wav")
    subprocess.run([program("espeak-ng"), "-v", voice, "-w", str(raw), text], check=True)
    target = ["-r", str(RATE_HZ), "-c", "1", "-b", "16", str(wav)]
    effects = ["gain", "-n", "-6", "pad", "0", "0.3", "repeat", str(repeat - 1)]
    subprocess.run([program("sox"), str(raw), *target, *effects], check=True)
    return wav


def read(wav: Path) -> Samples:
    """The samples of a WAV file, from -1 to 1."""
    with wave.open(str(wav)) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE_HZ, 1), file.getparams()
        frames = file.readframes(file.getnframes())
    return np.frombuffer(frames, dtype="<i2").astype(np.float64) / 32768


def likeness(recording: Samples, words: Samples) -> float:
    """How well `words` is found in `recording`, at the best place: 1 is the same, 0 nothing.

    The correlation of the two patterns over the whole length of `words`. The recording may begin
    late or end early by a quarter of it.
    """
    wanted, found = _pattern(words), _pattern(recording)
    steps = len(wanted)
    margin = steps // 4
    found = np.pad(found, ((margin, margin), (0, 0)), constant_values=np.log10(_SILENCE))
    best = 0.0
    for start in range(max(1, len(found) - steps + 1)):
        piece = found[start : start + steps]
        if len(piece) == steps:
            best = max(best, _correlation(wanted, piece))
    return best


def pieces(recording: Samples, words: Samples) -> list[float]:
    """As `likeness`, of each 0.8 s of `words` at a place of its own.

    A jitter buffer that stumbles on a busy machine leaves a hole or cuts one, after which all the
    rest is at another place: that costs the piece that it falls into, and no more.
    """
    wanted, found = _pattern(words), _pattern(recording)
    places = range(len(found) - _PIECE + 1)
    return [
        max(
            (_correlation(wanted[at : at + _PIECE], found[to : to + _PIECE]) for to in places),
            default=0.0,
        )
        for at in range(0, len(wanted) - _PIECE + 1, _PIECE)
    ]


def _pattern(samples: Samples) -> Samples:
    """Energies: one row a step of 20 ms, one column a band, compressed as an ear does."""
    count = max(0, (len(samples) - _WINDOW) // _STEP + 1)
    if count == 0:
        return np.zeros((0, len(_BANDS_HZ) - 1))
    frames = np.stack([samples[i * _STEP : i * _STEP + _WINDOW] for i in range(count)])
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW), axis=1)) ** 2
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / RATE_HZ)
    bands = [
        spectrum[:, (frequencies >= low) & (frequencies < high)].sum(axis=1)
        for low, high in pairwise(_BANDS_HZ)
    ]
    return np.asarray(np.log10(np.stack(bands, axis=1) + _SILENCE), dtype=np.float64)


def _correlation(one: Samples, other: Samples) -> float:
    a, b = one - one.mean(axis=0), other - other.mean(axis=0)
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm else 0.0
