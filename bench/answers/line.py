"""What a line makes of a sound: its band, its noise, G.711, packets that are lost or not sent."""

from __future__ import annotations

import audioop
import subprocess
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.answers.sound import RATE_HZ, Samples, at_level, to_pcm

_FRAME: Final = RATE_HZ // 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line: levels are dB of full scale.

    `behind` is what sounds behind the speaker, `behind_db` how far below the loud part of what is
    said; `gain_db` raises all of it, over full scale where there is little room. `mobile` has it
    pass through a mobile telephone's codec first. Of the packets `loss` is lost. With `pauses`
    none is sent while it is quiet; `comfort` is the level of the noise that is heard instead.
    """

    level: float
    behind: Samples | None = None
    behind_db: float = 99.0
    gain_db: float = 0.0
    loss: float = 0.0
    law: str = "mu"
    pauses: bool = False
    comfort: float | None = None
    mobile: bool = False


def heard(said: Samples, line: Line, dice: np.random.Generator) -> bytes:
    """What the other end hears of it: PCM16, silence where a packet is missing."""
    sound = at_level(said, line.level) if said.any() else said.copy()
    if line.behind is not None:
        behind = np.resize(line.behind, len(sound))
        sound += at_level(behind, line.level - line.behind_db)
    sound = _band(sound) * 10 ** (line.gain_db / 20)
    pcm = to_pcm(sound)
    if line.mobile:
        pcm = _by_mobile(pcm)
    if line.law == "mu":
        pcm = audioop.ulaw2lin(audioop.lin2ulaw(pcm, 2), 2)
    else:
        pcm = audioop.alaw2lin(audioop.lin2alaw(pcm, 2), 2)
    frames = [pcm[at : at + 2 * _FRAME] for at in range(0, len(pcm), 2 * _FRAME)]
    quiet_for = 0
    for index, frame in enumerate(frames):
        quiet_for = quiet_for + 1 if audioop.rms(frame, 2) < 120 else 0
        if dice.random() < line.loss:
            frames[index] = bytes(len(frame))
        elif line.pauses and quiet_for > 10:
            frames[index] = _comfort(len(frame) // 2, line.comfort, dice)
    return b"".join(frames)


def _comfort(count: int, level: float | None, dice: np.random.Generator) -> bytes:
    """What is heard while nothing is sent."""
    if level is None:
        return bytes(2 * count)
    return to_pcm(dice.standard_normal(count) * float(10 ** (level / 20)))


def _by_mobile(pcm: bytes) -> bytes:
    """What GSM's full-rate codec (GSM 06.10) makes of it."""
    raw = ["-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", "-"]
    coded = subprocess.run(
        ["sox", "-V1", *raw, "-t", "gsm", "-"], input=pcm, check=True, capture_output=True
    ).stdout
    made = subprocess.run(
        ["sox", "-V1", "-t", "gsm", "-", *raw], input=coded, check=True, capture_output=True
    ).stdout
    return made[: len(pcm)].ljust(len(pcm), b"\0")


def _band(sound: Samples) -> Samples:
    """The telephone's band: from 250 Hz on, down to 180 ever less, and to 3.5 kHz."""
    spectrum = np.fft.rfft(sound)
    hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)
    spectrum *= np.clip((hz - 180) / 70, 0, 1) * np.clip((3700 - hz) / 200, 0, 1)
    return np.fft.irfft(spectrum, len(sound))
