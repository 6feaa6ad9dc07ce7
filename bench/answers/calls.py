"""Answered calls with their labels: what each one is, where its speech ends, where it beeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.answers import texts
from bench.answers.line import Line, heard
from bench.answers.maker import Draft, Maker, room_of
from bench.answers.sound import RATE_HZ, Samples, chords, noise, silence, tones
from bench.answers.voices import music

#: By which the set is drawn that the tests and the benchmark hear.
SEED: Final = 20270305
#: Seconds of a call that are made after all that it holds.
_AFTER_S: Final = 3.0
#: The share of people who speak on a mobile telephone, and of lines that send nothing, or comfort
#: noise of so many dB of full scale, while it is quiet.
_MOBILE: Final = 0.3
_PAUSES: Final = 0.12
_COMFORT: Final = (-66, -52)
#: The shares of lines with noise: where a recording brings its own, the line seldom has any.
_NOISY: Final = 0.5
_NOISY_WITH_ROOM: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredCall:
    """One call: `label` is human, machine, fax or no-speech; `kind`, what sort of it.

    Times are milliseconds of the audio: where its first speech ends (without what is behind it),
    and of its beep, where it has them.
    """

    number: int
    kept: bool
    label: str
    kind: str
    pcm: bytes
    speech_ended_ms: int | None = None
    beep_ms: tuple[int, int] | None = None


#: How a kind of call is made.
_How = Callable[[Maker], Draft]

#: Of each label its kinds: how they are made, and how many there are of each in a hundred calls.
KINDS: Final[dict[str, tuple[tuple[str, _How, int], ...]]] = {
    "human": (
        ("hello", Maker.hello, 32),
        ("name", Maker.name, 12),
        ("twice", Maker.twice, 4),
        ("company", Maker.company, 8),
    ),
    "machine": (
        ("greeting", Maker.greeting, 12),
        ("middling", Maker.middling, 2),
        ("pausing", Maker.pausing, 5),
        ("short", Maker.short, 7),
        ("only beep", Maker.only_beep, 1),
        ("music first", Maker.music_first, 2),
        ("menu", Maker.menu, 2),
        ("announcement", Maker.announcement, 2),
        ("on hold", Maker.on_hold, 1),
    ),
    "fax": (
        ("calling", Maker.fax_calls, 2),
        ("answering", Maker.fax_answers, 2),
        ("bits", Maker.fax_bits, 1),
    ),
    "no-speech": (("nothing", Maker.nothing, 5),),
}


def answered_calls(count: int, *, seed: int) -> Iterator[AnsweredCall]:
    """So many calls; of three, the third is of the kept part. The kinds keep their shares."""
    rows = [
        (label, kind, how)
        for label, kinds in KINDS.items()
        for kind, how, share in kinds
        for _ in range(share)
    ]
    order = np.random.default_rng(seed)
    shuffled = [rows[at] for at in order.permutation(len(rows))]
    for number in range(count):
        label, kind, how = shuffled[number % len(shuffled)]
        yield _made(number, label, kind, how, seed=seed, kept=number % 3 == 2)


def _made(number: int, label: str, kind: str, how: _How, *, seed: int, kept: bool) -> AnsweredCall:
    dice = np.random.default_rng((seed, number, kept))
    maker = Maker(dice, kept=kept)
    draft = how(maker)
    if label == "human":
        draft.speech_ended = draft.length
        ring = dice.random() < 0.1
        if ring:
            draft.parts.insert(0, tones([[425.0], [440.0, 480.0]][dice.integers(2)], 0.5, -26))
            draft.speech_ended += len(draft.parts[0])
        draft.add(silence(1.5))
    draft.add(silence(_AFTER_S))
    said = np.concatenate(draft.parts)
    if draft.room is not None:
        said = said + room_of(draft, dice)
    noisy = _NOISY if draft.room is None else _NOISY_WITH_ROOM
    line = _line(dice, len(said) / RATE_HZ, label, noisy=noisy, kept=kept)
    return AnsweredCall(
        number=number,
        kept=kept,
        label=label,
        kind=kind,
        pcm=heard(said, line, dice),
        speech_ended_ms=None if draft.speech_ended is None else _ms(draft.speech_ended),
        beep_ms=draft.beep,
    )


def _line(
    dice: np.random.Generator, seconds: float, label: str, *, noisy: float, kept: bool
) -> Line:
    """A line as they are: quiet, noisy, with music or a television behind the speaker."""
    drawn = dice.random()
    behind: Samples | None = None
    below = 99.0
    if drawn < noisy:
        behind = noise(str(dice.choice(["white", "room", "street"])), seconds, dice)
        below = dice.uniform(10, 30)
    elif drawn < noisy + 0.15 and label == "human":
        made = dice.random()
        if made < 0.4:
            behind = chords(seconds, dice)
        elif made < 0.8:
            behind = music(dice, seconds, kept=kept)
        else:
            behind = _television(dice, seconds, kept=kept)
        below = dice.uniform(14, 25)
    return Line(
        level=dice.uniform(-35, -8),
        behind=behind,
        behind_db=below,
        gain_db=8.0 if dice.random() < 0.08 else 0.0,
        loss=0.03 if dice.random() < 0.4 else 0.0,
        law=str(dice.choice(["mu", "a"])),
        pauses=dice.random() < _PAUSES,
        comfort=dice.uniform(*_COMFORT) if dice.random() < 0.5 else None,
        mobile=label == "human" and dice.random() < _MOBILE,
    )


def _television(dice: np.random.Generator, seconds: float, *, kept: bool) -> Samples:
    maker = Maker(dice, kept=kept)
    made = maker.spoken(maker.text(texts.MENUS))
    return np.resize(made, round(seconds * RATE_HZ))


def _ms(samples: int) -> int:
    return round(1000 * samples / RATE_HZ)
