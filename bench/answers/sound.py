"""Sounds as arrays of floats at 8 kHz, full scale 1: made, measured, mixed."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

RATE_HZ: Final = 8000
Samples = npt.NDArray[np.float64]


def from_file(file: wave.Wave_read, count: int | None = None) -> Samples:
    """The samples of a file of 16 bits and one channel, from where it is."""
    data = file.readframes(file.getnframes() if count is None else count)
    return np.frombuffer(data, dtype="<i2").astype(np.float64) / 32768


def to_pcm(samples: Samples) -> bytes:
    """PCM16; what is too loud is clipped."""
    return np.clip(np.round(samples * 32768), -32768, 32767).astype("<i2").tobytes()


def resampled(samples: Samples, rate_hz: int, to_hz: int) -> Samples:
    """At another rate: what the new one cannot hold is left out."""
    if rate_hz == to_hz or not len(samples):
        return samples
    count = round(len(samples) * to_hz / rate_hz)
    spectrum = np.fft.rfft(samples)
    kept = np.zeros(count // 2 + 1, dtype=complex)
    size = min(len(spectrum), round(len(kept) * 0.93))
    kept[:size] = spectrum[:size]
    return np.fft.irfft(kept, count) * (count / len(samples))


def trimmed(samples: Samples) -> Samples:
    """Without what is quiet at both ends: 40 dB below the loudest 10 ms, or more."""
    size = RATE_HZ // 100
    whole = samples[: len(samples) // size * size].reshape(-1, size)
    levels = np.sqrt((whole**2).mean(axis=1))
    loud = np.nonzero(levels > levels.max() * 10 ** (-40 / 20))[0]
    return samples[loud[0] * size : (loud[-1] + 1) * size]


def silence(seconds: float) -> Samples:
    """Nothing."""
    return np.zeros(round(seconds * RATE_HZ))


def loudness(samples: Samples) -> float:
    """The level of what is loud in it, in dB of full scale: of its louder half of 20 ms."""
    size = RATE_HZ // 50
    whole = samples[: len(samples) // size * size].reshape(-1, size)
    powers = np.sort((whole**2).mean(axis=1))
    return float(10 * np.log10(powers[len(powers) // 2 :].mean() + 1e-12))


def at_level(samples: Samples, level: float) -> Samples:
    """The same with that loudness, in dB of full scale."""
    return samples * 10 ** ((level - loudness(samples)) / 20)


def tones(
    frequencies_hz: Sequence[float], seconds: float, level: float, *, overtones: float = 0.0
) -> Samples:
    """Tones at once, with edges of 4 ms; `overtones` is what of a third harmonic is added."""
    at = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    made = np.zeros(len(at))
    for hz in frequencies_hz:
        made += np.sin(2 * np.pi * hz * at)
        if 3 * hz < RATE_HZ / 2:
            made += overtones * np.sin(6 * np.pi * hz * at)
    edge = min(32, len(made) // 2)
    made[:edge] *= np.linspace(0, 1, edge)
    made[len(made) - edge :] *= np.linspace(1, 0, edge)
    return made * float(10 ** (level / 20) * (2 / len(frequencies_hz)) ** 0.5)


def keyed(bits: npt.NDArray[np.int64], level: float, *, hz: tuple[float, float]) -> Samples:
    """Bits at 300 a second, as V.21 sends them: one frequency for 0, the other for 1."""
    each = np.repeat(np.where(bits, hz[1], hz[0]), 27)
    turns = np.cumsum(each.astype(np.float64)) / RATE_HZ
    return np.sin(2 * np.pi * turns) * float(10 ** (level / 20) * 2**0.5)


def noise(kind: str, seconds: float, dice: np.random.Generator) -> Samples:
    """Noise of a line (white), a room (pink, with a hum), or a street (brown, swelling)."""
    count = round(seconds * RATE_HZ)
    spectrum = np.fft.rfft(dice.standard_normal(count))
    hz = np.maximum(np.fft.rfftfreq(count, 1 / RATE_HZ), 30)
    if kind == "room":
        spectrum /= np.sqrt(hz)
    elif kind == "street":
        spectrum /= hz
    made = np.fft.irfft(spectrum, count)
    made /= np.sqrt((made**2).mean())
    at = np.arange(count) / RATE_HZ
    if kind == "room":
        made += 0.5 * np.sin(2 * np.pi * 100 * at)
    elif kind == "street":
        made *= 1 + 0.4 * np.sin(2 * np.pi * dice.uniform(0.1, 0.5) * at)
    return made


def chords(seconds: float, dice: np.random.Generator) -> Samples:
    """Music that is made: chords of a few overtones, of half a second or so."""
    made: list[Samples] = []
    roots = (196.0, 220.0, 261.6, 293.7, 329.6, 349.2)
    while sum(map(len, made)) < seconds * RATE_HZ:
        root = roots[dice.integers(len(roots))]
        at = np.arange(round(dice.uniform(0.25, 0.7) * RATE_HZ)) / RATE_HZ
        chord = np.zeros(len(at))
        for ratio in (1, 1.26, 1.498):
            for harmonic in (1, 2, 3, 4):
                chord += np.sin(2 * np.pi * root * ratio * harmonic * at) / harmonic**1.5
        made.append(chord * np.exp(-at * dice.uniform(0.5, 4)) * np.minimum(at * 100, 1))
    return np.concatenate(made)[: round(seconds * RATE_HZ)]
