"""One call, put together by its dice: what people say, machines play, and faxes sound like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.answers import texts
from bench.answers.sound import (
    RATE_HZ,
    Samples,
    at_level,
    keyed,
    loudness,
    noise,
    silence,
    tones,
)
from bench.answers.voices import Voice, greeting_prompts, music, prompt, say, voice_of

_SPOKEN: Final = -20.0
#: A greeting that is neither short nor middling lasts so many seconds, with the time before it.
_GREETING_S: Final = 6.5
#: People speak for so long when they answer.
PERSON_S: Final = (0.25, 4.0)
#: The share of people's own greetings in which one hears the room where they were recorded; how
#: many dB below the voice; and for how many seconds before the first word and after the last one.
_ROOMS: Final = 0.6
_ROOM_BELOW: Final = (15, 35)
_ROOM_BEFORE_S: Final = (0.05, 0.6)
_ROOM_AFTER_S: Final = (0.1, 0.8)


@dataclass(slots=True)
class Draft:
    """A call while it is put together."""

    parts: list[Samples]
    speech_ended: int | None = None
    beep: tuple[int, int] | None = None
    #: The sample with which a greeting begins in which its room is heard.
    room: int | None = None

    def add(self, *parts: Samples) -> None:
        self.parts += parts

    @property
    def length(self) -> int:
        return sum(map(len, self.parts))


class Maker:
    """Makes one call, by its dice."""

    def __init__(self, dice: np.random.Generator, *, kept: bool) -> None:
        self.dice = dice
        self.kept = kept
        self.language = texts.LANGUAGES[dice.integers(len(texts.LANGUAGES))]
        self.voice = voice_of(self.language, dice, kept=kept)

    # -- what is said --

    def one_of(self, some: Sequence[str]) -> str:
        return some[int(self.dice.integers(len(some)))]

    def text(self, table: texts.Texts) -> str:
        return self.one_of(texts.some(table[self.language], kept=self.kept))

    def spoken(self, text: str, *, longest_s: float | None = None) -> Samples:
        """The text; faster, if it would last longer than that."""
        said = say(text, self.voice)
        voice = self.voice
        while longest_s is not None and len(said) > longest_s * RATE_HZ:
            speed = (voice.speed or 150) + 25
            base = voice.name if voice.program == "espeak-ng" else self.language
            voice = Voice("espeak-ng", base, speed, voice.pitch or 50)
            said = say(text, voice)
        return said

    def prompt(self, least_s: float, most_s: float) -> Samples:
        """What somebody recorded."""
        return prompt(self.dice, least_s=least_s, most_s=most_s, kept=self.kept)

    def wait(self, least_s: float, most_s: float) -> Samples:
        return silence(self.dice.uniform(least_s, most_s))

    def start(self) -> Draft:
        """The time until somebody speaks."""
        return Draft([self.wait(0.1, 1.0)])

    def beep(self, draft: Draft, *, gap: Samples) -> None:
        """A beep, and the time that it records; some have two frequencies, or overtones."""
        draft.add(gap)
        dice = self.dice
        first = float(dice.uniform(400, 2000))
        frequencies = [first]
        if dice.random() < 0.12:
            frequencies = [first := float(dice.uniform(400, 1200)), first + dice.uniform(250, 700)]
        made = tones(
            frequencies,
            float(dice.choice([0.1, 0.2, 0.3, 0.5, 0.8, 1.0])),
            _SPOKEN + dice.uniform(-4, 6),
            overtones=0.08 * dice.integers(2),
        )
        began = draft.length
        draft.beep = (_ms(began), _ms(began + len(made)))
        draft.add(made)

    # -- people --

    def hello(self) -> Draft:
        draft = self.start()
        if self.dice.random() < 0.2:
            draft.add(_spoken_at(self.prompt(0.3, 1.2)))
        else:
            draft.add(_spoken_at(self.spoken(self.text(texts.HELLOS))))
        return draft

    def name(self) -> Draft:
        draft = self.start()
        draft.add(_spoken_at(self.spoken(self.text(texts.NAMES), longest_s=PERSON_S[1])))
        return draft

    def twice(self) -> Draft:
        draft = self.start()
        said = _spoken_at(self.spoken(self.text(texts.HELLOS), longest_s=1.3))
        draft.add(said, self.wait(0.4, 0.9), said)
        return draft

    def company(self) -> Draft:
        draft = self.start()
        if self.dice.random() < 0.2:
            draft.add(_spoken_at(self.prompt(2.0, PERSON_S[1])))
        else:
            draft.add(_spoken_at(self.spoken(self.text(texts.COMPANIES), longest_s=PERSON_S[1])))
        return draft

    # -- machines --

    def _sentences(self, text: str, least_s: float, most_s: float) -> Iterator[Samples]:
        for number, sentence in enumerate(text.replace("? ", ". ").split(". ")):
            if number:
                yield self.wait(least_s, most_s)
            yield _spoken_at(self.spoken(sentence))

    def _in_a_room(self, draft: Draft) -> None:
        """What follows was recorded by somebody in a room, which may be heard."""
        if self.dice.random() < _ROOMS:
            draft.room = draft.length

    def greeting(self) -> Draft:
        draft = self.start()
        if self.dice.random() < 0.3:
            for said in greeting_prompts(self.dice, kept=self.kept):
                draft.add(_spoken_at(said), self.wait(0.05, 0.3))
        else:
            self._in_a_room(draft)
            draft.add(_spoken_at(self.spoken(self.text(texts.GREETINGS))))
        self._may_beep(draft)
        return draft

    def pausing(self) -> Draft:
        draft = self.start()
        self._in_a_room(draft)
        draft.add(*self._sentences(self.text(texts.GREETINGS), 0.3, 0.8))
        self._may_beep(draft)
        return draft

    def middling(self) -> Draft:
        """A greeting as long as a company's answer: a beep follows it at once."""
        draft = self.start()
        if self.dice.random() < 0.3:
            draft.add(_spoken_at(self.prompt(2.0, 4.0)))
        else:
            self._in_a_room(draft)
            said = self.spoken(self.text(texts.SHORT_GREETINGS), longest_s=1.9)
            more = self.spoken(self.text(texts.SHORT_GREETINGS), longest_s=1.9)
            draft.add(_spoken_at(said), self.wait(0.2, 0.5), _spoken_at(more))
        draft.speech_ended = draft.length
        self.beep(draft, gap=silence(self.dice.triangular(0.1, 0.5, 1.1)))
        return draft

    def _end(self, draft: Draft, more: texts.Texts) -> None:
        """The end of a greeting: a longer one, if it was as short as a person's answer.

        Nothing but a beep would tell it from one: `short` and `middling` are that.
        """
        if draft.length < _GREETING_S * RATE_HZ:
            draft.add(self.wait(0.2, 0.5), _spoken_at(self.spoken(self.text(more))))
        draft.speech_ended = draft.length

    def _may_beep(self, draft: Draft) -> None:
        self._end(draft, texts.GREETINGS)
        if self.dice.random() < 0.8:
            self.beep(draft, gap=self.wait(0.1, 1.5))

    def short(self) -> Draft:
        draft = self.start()
        if self.dice.random() < 0.25:
            draft.add(_spoken_at(self.prompt(0.6, 1.9)))
        else:
            self._in_a_room(draft)
            text = self.text(texts.SHORT_GREETINGS)
            draft.add(_spoken_at(self.spoken(text, longest_s=1.9)))
        draft.speech_ended = draft.length
        self.beep(draft, gap=silence(self.dice.triangular(0.1, 0.5, 1.1)))
        return draft

    def only_beep(self) -> Draft:
        draft = self.start()
        self.beep(draft, gap=self.wait(0.1, 1.5))
        return draft

    def music_first(self) -> Draft:
        draft = self.start()
        draft.add(at_level(music(self.dice, self.dice.uniform(1, 3), kept=self.kept), _SPOKEN - 4))
        draft.add(_spoken_at(self.spoken(self.text(texts.GREETINGS))))
        self._may_beep(draft)
        return draft

    def menu(self) -> Draft:
        draft = self.start()
        draft.add(*self._sentences(self.text(texts.MENUS), 0.2, 0.7))
        self._end(draft, texts.MENUS)
        return draft

    def announcement(self) -> Draft:
        draft = self.start()
        for hz in (950, 1400, 1800):
            draft.add(tones([hz * self.dice.uniform(0.985, 1.01)], 0.33, _SPOKEN))
        draft.add(self.wait(0.1, 0.6), _spoken_at(self.spoken(self.text(texts.ANNOUNCEMENTS))))
        return draft

    def on_hold(self) -> Draft:
        return Draft([at_level(music(self.dice, 12.0, kept=self.kept), _SPOKEN)])

    # -- the rest --

    def fax_calls(self) -> Draft:
        draft = self.start()
        for _ in range(2):
            draft.add(tones([1100 + self.dice.uniform(-15, 15)], 0.5, _SPOKEN), silence(3.0))
        return draft

    def fax_answers(self) -> Draft:
        draft = self.start()
        bits = self.dice.integers(2, size=500)
        draft.add(tones([2100 + self.dice.uniform(-8, 8)], self.dice.uniform(2.6, 4), _SPOKEN))
        draft.add(silence(0.075), keyed(bits, _SPOKEN, hz=(1850, 1650)))
        return draft

    def fax_bits(self) -> Draft:
        draft = self.start()
        draft.add(keyed(self.dice.integers(2, size=600), _SPOKEN, hz=(1850, 1650)))
        return draft

    def nothing(self) -> Draft:
        return Draft([silence(6.0)])


def _ms(samples: int) -> int:
    return round(1000 * samples / RATE_HZ)


def _spoken_at(samples: Samples) -> Samples:
    return at_level(samples, _SPOKEN) if loudness(samples) > -100 else samples


def room_of(draft: Draft, dice: np.random.Generator) -> Samples:
    """The room of a recorded greeting: it begins with the recording, and ends with it.

    A mailbox plays what was recorded, and nothing before it or between it and the beep.
    """
    assert draft.room is not None
    assert draft.speech_ended is not None
    heard = silence(draft.length / RATE_HZ)
    first = max(draft.room - round(dice.uniform(*_ROOM_BEFORE_S) * RATE_HZ), 0)
    last = draft.speech_ended + round(dice.uniform(*_ROOM_AFTER_S) * RATE_HZ)
    if draft.beep is not None:
        last = min(last, draft.beep[0] * RATE_HZ // 1000)
    made = noise(str(dice.choice(["white", "room", "street"])), len(heard) / RATE_HZ, dice)
    level = _SPOKEN - dice.uniform(*_ROOM_BELOW)
    heard[first:last] = at_level(made, level)[first:last]
    return heard
