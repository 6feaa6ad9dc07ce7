"""Voices: of synthesisers, and of people who recorded prompts for telephone systems.

Synthesised speech is kept in a folder of the machine's temporary ones, so that only the first run
waits for it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from bench.answers.sound import RATE_HZ, Samples, from_file, resampled, trimmed

_SOUNDS: Final = Path("/usr/share/asterisk/sounds")
_MUSIC: Final = Path("/usr/share/asterisk/moh")
#: What the set needs of the system: a program or a folder, and the Debian package that brings it.
NEEDED: Final = {
    "espeak-ng": "espeak-ng",
    "flite": "flite",
    "text2wave": "festival",
    "/usr/share/festival/voices/italian/lp_diphone": "festvox-italp16k",
    "/usr/share/festival/voices/italian/pc_diphone": "festvox-itapc16k",
    "/usr/share/festival/voices/english/ked_diphone": "festvox-kdlpc16k",
    "/usr/share/festival/voices/english/kal_diphone": "festvox-kallpc16k",
    "/usr/share/festival/voices/us/cmu_us_slt_arctic_hts": "festvox-us-slt-hts",
    "/usr/share/asterisk/sounds/en_US_f_Allison": "asterisk-core-sounds-en-wav",
    "/usr/share/asterisk/sounds/es_MX_f_Allison": "asterisk-core-sounds-es-wav",
    "/usr/share/asterisk/sounds/fr_CA_f_June": "asterisk-core-sounds-fr-wav",
    "/usr/share/asterisk/sounds/it_IT_m_Carlo": "asterisk-core-sounds-it-wav",
    "/usr/share/asterisk/sounds/it_IT_f_Menardi": "asterisk-prompt-it-menardi-wav",
    "/usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU": "asterisk-core-sounds-ru-wav",
    "/usr/share/asterisk/sounds/fr": "asterisk-prompt-fr-armelle",
    "/usr/share/asterisk/sounds/es": "asterisk-prompt-es-co",
    "sox": "sox",
    "/usr/share/asterisk/moh/reno_project-system.wav": "asterisk-moh-opsound-wav",
}


def missing() -> list[str]:
    """The Debian packages that the set needs and this machine has not."""
    return [
        package
        for thing, package in NEEDED.items()
        if not (Path(thing).exists() if thing.startswith("/") else shutil.which(thing))
    ]


@dataclass(frozen=True, slots=True)
class Voice:
    """A synthesiser's voice: `speed` in words a minute and `pitch` (0 to 99) are espeak-ng's."""

    program: str
    name: str
    speed: int = 0
    pitch: int = 0


#: espeak-ng's kinds of voices, and its names of the languages that have several.
_KINDS: Final = (
    *("", "+m1", "+m2", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4"),
    *("+klatt2", "+klatt4", "+Annie", "+Mario"),
    *("+Diogo", "+Gene", "+Hugo", "+Jacky", "+Lee", "+Marco", "+Michael"),
    *("+aunty", "+belinda", "+edward", "+grandma", "+pablo", "+robert", "+victor"),
)
_KEPT_KINDS: Final = (
    *("+Alex", "+Andrea", "+antonio", "+boris", "+Denis", "+Gustave", "+john", "+klatt3"),
    *("+linda", "+m6", "+Max", "+michel", "+Nguyen", "+quincy", "+steph", "+travis", "+Zac"),
)
_ESPEAK: Final = {
    "en": ("en", "en-us", "en-gb-scotland"),
    "fr": ("fr", "fr-be"),
    "es": ("es", "es-419"),
    "pt": ("pt", "pt-br"),
}
#: Other voices of a language. espeak-ng speaks each time that none of them is drawn.
_OTHERS: Final = {
    "en": (
        *(Voice("flite", name) for name in ("kal", "slt", "awb", "rms")),
        Voice("text2wave", "voice_cmu_us_slt_arctic_hts"),
        Voice("text2wave", "voice_ked_diphone"),
    ),
    "it": (Voice("text2wave", "voice_lp_diphone"), Voice("text2wave", "voice_pc_diphone")),
}
_KEPT_OTHERS: Final = {"en": (Voice("text2wave", "voice_kal_diphone"),)}


def voice_of(language: str, dice: np.random.Generator, *, kept: bool) -> Voice:
    """A voice for a language: one of the kept part's, or one of the others'."""
    others = (_KEPT_OTHERS if kept else _OTHERS).get(language, ())
    if others and dice.random() < 0.4:
        return others[dice.integers(len(others))]
    names = _ESPEAK.get(language, (language,))
    kinds = _KEPT_KINDS if kept else _KINDS
    name = names[dice.integers(len(names))] + kinds[dice.integers(len(kinds))]
    return Voice("espeak-ng", name, int(dice.integers(130, 200)), int(dice.integers(20, 80)))


def say(text: str, voice: Voice) -> Samples:
    """The words, spoken: no silence before or after them."""
    return _spoken(_kept(repr((text, voice)), lambda made: _speak(text, voice, made)))


def _kept(what: str, make: Callable[[str], None]) -> Path:
    """The file of something that is made at most once on a machine."""
    folder = Path(tempfile.gettempdir()) / "answered-calls"
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(what.encode()).hexdigest()[:24]}.wav"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=folder) as beside:
            made = Path(beside) / path.name
            make(str(made))
            made.rename(path)
    return path


def _speak(text: str, voice: Voice, path: str) -> None:
    plain = text.encode("latin-1", "ignore").decode("latin-1")
    match voice.program:
        case "espeak-ng":
            settings = ["-v", voice.name, "-s", str(voice.speed), "-p", str(voice.pitch)]
            subprocess.run(["espeak-ng", *settings, "-w", path, text], check=True)
        case "flite":
            subprocess.run(["flite", "-voice", voice.name, "-t", plain, "-o", path], check=True)
        case _:
            subprocess.run(
                ["text2wave", "-eval", f"({voice.name})", "-o", path],
                input=plain.encode("latin-1"),
                check=True,
                capture_output=True,
            )


def _spoken(path: Path) -> Samples:
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        samples = from_file(file)
    return trimmed(resampled(samples, rate, RATE_HZ))


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who has recorded prompts: a folder of them."""

    folder: str


SPEAKERS: Final = tuple(
    Speaker(name)
    for name in (
        *("en_US_f_Allison", "es_MX_f_Allison", "fr_CA_f_June"),
        *("it_IT_f_Menardi", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU", "fr", "es"),
    )
)
#: Of three prompts one is kept, and played by so much slower or faster: no voice that was heard.
_KEPT_SPEEDS: Final = (0.92, 1.09)
#: Prompts of which a greeting is put together, one of each row after the other.
_GREETING: Final = (
    ("vm-theperson", "vm-nobodyavail", "vm-isunavail", "vm-whichbox"),
    ("vm-intro", "vm-msginstruct", "vm-leavemsg", "vm-review", "vm-options"),
)
#: The longest one, in seconds.
_LONGEST_PROMPT_S: Final = 9.0


def prompt(dice: np.random.Generator, *, least_s: float, most_s: float, kept: bool) -> Samples:
    """What somebody has said that lasts so long, pauses before and after it left out."""
    speaker = SPEAKERS[dice.integers(len(SPEAKERS))]
    paths = [
        path
        for path, length_s in _lengths(speaker)
        if least_s <= length_s <= most_s and _is_kept(path) == kept
    ]
    return _as_part(recorded(paths[dice.integers(len(paths))]), dice, kept=kept)


def greeting_prompts(dice: np.random.Generator, *, kept: bool) -> list[Samples]:
    """What a speaker has said that makes a greeting."""
    speaker = SPEAKERS[dice.integers(len(SPEAKERS))]
    by_name = {path.stem: path for path in _files(speaker)}
    speed = _KEPT_SPEEDS[dice.integers(2)] if kept else 1.0
    chosen = []
    for row in _GREETING:
        there = [by_name[name] for name in row if name in by_name]
        paths = [path for path in there if _about_s(path) < _LONGEST_PROMPT_S]
        chosen.append(_played(recorded(paths[dice.integers(len(paths))]), speed))
    return chosen


def _is_kept(path: Path) -> bool:
    return hashlib.sha256(path.name.encode()).digest()[0] % 3 == 0


def _as_part(samples: Samples, dice: np.random.Generator, *, kept: bool) -> Samples:
    return _played(samples, _KEPT_SPEEDS[dice.integers(2)]) if kept else samples


def _played(samples: Samples, speed: float) -> Samples:
    """The same, faster and higher."""
    return samples if speed == 1.0 else resampled(samples, round(RATE_HZ * speed), RATE_HZ)


@cache
def _lengths(speaker: Speaker) -> tuple[tuple[Path, float], ...]:
    # What is shorter is a letter's sound, or nothing.
    paths = [path for path in _files(speaker) if _about_s(path) > 0.12]
    return tuple((path, len(recorded(path)) / RATE_HZ) for path in paths)


@cache
def _files(speaker: Speaker) -> tuple[Path, ...]:
    files = sorted((_SOUNDS / speaker.folder).iterdir())
    return tuple(
        path for path in files if path.suffix in (".wav", ".gsm") and "beep" not in path.name
    )


def _about_s(path: Path) -> float:
    """How long a file lasts: 16 bits a sample, or GSM's 33 bytes each 20 ms."""
    return path.stat().st_size / (16_000 if path.suffix == ".wav" else 1650)


@cache
def recorded(path: Path) -> Samples:
    """What a file of 8 kHz holds, without the silence around it."""
    if path.suffix == ".gsm":
        path = _kept(repr(path), lambda made: _decode(path, made))
    with wave.open(str(path)) as file:
        return trimmed(from_file(file))


def _decode(path: Path, made: str) -> None:
    subprocess.run(["sox", str(path), "-e", "signed", "-b", "16", made], check=True)


def music(dice: np.random.Generator, seconds: float, *, kept: bool) -> Samples:
    """A part of a piece that is played to who waits."""
    pieces = sorted(_MUSIC.glob("*.wav"))
    some = pieces[-2:] if kept else pieces[:-2]
    count = round(seconds * RATE_HZ)
    with wave.open(str(some[dice.integers(len(some))])) as file:
        start = int(dice.integers(RATE_HZ, file.getnframes() - count - RATE_HZ))
        file.setpos(start)
        return from_file(file, count)
