"""Who has answered: what speech-like sound, tones and quiet are taken for, on audio's own time."""

import audioop
import math
import random

import pytest

from sip.media.detection.detector import Detector
from sip.media.detection.found import DECISIONS, Found, Verdict
from sip.media.detection.terms import DetectionTerms
from sip.media.key_tones import key_tone
from sip.media.tones import pcm16, tone


def quiet(duration_ms: int) -> bytes:
    return bytes(16 * duration_ms)


def babble(duration_ms: int, *, level: float = 3000.0, seed: int = 1) -> bytes:
    """Noise whose loudness changes as that of syllables does."""
    dice = random.Random(seed)
    samples: list[int] = []
    while len(samples) < 8 * duration_ms:
        loud = level * dice.uniform(0.4, 1.0)
        samples += [round(dice.gauss(0, loud)) for _ in range(8 * dice.randrange(60, 140))]
        samples += [round(dice.gauss(0, level / 20)) for _ in range(8 * dice.randrange(20, 60))]
    return pcm16([max(-32768, min(32767, each)) for each in samples[: 8 * duration_ms]])


def hiss(pcm: bytes, level: float, seed: int = 2) -> bytes:
    """The same on a line that hisses."""
    dice = random.Random(seed)
    samples = [
        int.from_bytes(pcm[at : at + 2], "little", signed=True) for at in range(0, len(pcm), 2)
    ]
    noisy = [round(each + dice.gauss(0, level)) for each in samples]
    return pcm16([max(-32768, min(32767, each)) for each in noisy])


def heard(pcm: bytes, *, piece: int = 320, terms: DetectionTerms | None = None) -> list[Found]:
    detector = Detector(terms)
    found: list[Found] = []
    for at in range(0, len(pcm), piece):
        found += detector.take(pcm[at : at + piece])
    return [*found, *detector.end()]


def words(found: list[Found]) -> list[str]:
    return [each.what.value for each in found]


GREETING = quiet(300) + babble(6000)
HELLO = quiet(400) + babble(500)


def test_a_few_words_and_a_wait_are_a_person() -> None:
    (found,) = heard(HELLO + quiet(2000))
    assert found.what is Verdict.HUMAN
    assert 900 + 550 <= found.at_ms <= 900 + 700
    assert 350 <= (found.began_ms or 0) <= 560
    assert 0.9 <= found.confidence <= 1


def test_a_sentence_is_waited_after_for_longer() -> None:
    (found,) = heard(quiet(400) + babble(1500) + quiet(2000))
    assert found.what is Verdict.HUMAN
    assert 1900 + 1150 <= found.at_ms <= 1900 + 1300


def test_the_waits_keep_their_parts_of_another_quiet() -> None:
    terms = DetectionTerms(person_quiet_ms=2000)
    (word,) = heard(HELLO + quiet(3000), terms=terms)
    (sentence,) = heard(quiet(400) + babble(1500) + quiet(3000), terms=terms)
    assert 900 + 1150 <= word.at_ms <= 900 + 1350
    assert 1900 + 2300 <= sentence.at_ms <= 1900 + 2500


def test_words_in_parts_are_waited_after_for_less_than_a_sentence() -> None:
    (found,) = heard(HELLO + quiet(400) + babble(600) + quiet(2000))
    assert found.what is Verdict.HUMAN
    assert 1900 + 950 <= found.at_ms <= 1900 + 1100


def test_sentences_of_a_person_are_waited_after_for_longest() -> None:
    (found,) = heard(quiet(400) + babble(3000) + quiet(3000))
    assert found.what is Verdict.HUMAN
    assert 3400 + 1350 <= found.at_ms <= 3400 + 1500


def test_one_who_speaks_on_after_a_sentence_is_a_machine() -> None:
    found = heard(quiet(300) + babble(1300) + quiet(500) + babble(2000) + quiet(500))
    assert (found[0].what, found[0].reason) == (Verdict.MACHINE, "speaks on")
    assert 2100 + 120 <= found[0].at_ms <= 2100 + 300


@pytest.mark.parametrize(
    ("first_ms", "pause_ms"),
    [(1300, 200), (1300, 800), (600, 500)],
    ids=["a short pause", "a pause in which an answer was waited for", "after a word"],
)
def test_a_person_who_says_more_is_one(first_ms: int, pause_ms: int) -> None:
    said = quiet(300) + babble(first_ms) + quiet(pause_ms) + babble(600, seed=3)
    (found,) = heard(said + quiet(3000))
    assert found.what is Verdict.HUMAN


def test_a_room_that_stops_after_the_words_is_waited_after_for_a_beep() -> None:
    """A recording brings the noise of its room with it, and no mailbox plays more of it."""
    said = quiet(300) + hiss(quiet(200) + babble(900) + quiet(300), 60)
    (live,) = heard(said + hiss(quiet(3000), 60, seed=5))
    assert live.what is Verdict.HUMAN
    found = heard(said + quiet(live.at_ms - 1700 + 100) + tone([1000], 300) + quiet(1000))
    assert words(found) == ["machine", "beep"]


def test_one_who_talks_on_is_a_machine_and_its_greeting_ends() -> None:
    found = heard(GREETING + quiet(4000))
    assert words(found) == ["machine", "machine-stopped"]
    assert 4200 <= found[0].at_ms <= 4800
    assert 8000 <= found[1].at_ms <= 8600
    assert found[1].silence_ms >= 2000


@pytest.mark.parametrize("hz", [400, 440, 620, 853, 1000, 1400, 1750, 2000])
@pytest.mark.parametrize("length_ms", [100, 250, 800])
def test_a_beep_is_told_with_its_times(hz: int, length_ms: int) -> None:
    start = len(GREETING) // 16 + 500
    call = GREETING + quiet(500) + tone([hz], length_ms) + quiet(2000)
    for pcm in (call, hiss(call, 200)):
        found = heard(pcm)
        assert words(found) == ["machine", "beep"]
        beep = found[1]
        assert abs((beep.began_ms or 0) - start) <= 50
        assert abs((beep.ended_ms or 0) - start - length_ms) <= 50
        assert abs((beep.frequency_hz or 0) - hz) <= 15


def test_a_beep_of_two_frequencies() -> None:
    found = heard(GREETING + tone([800, 1250], 300, level_dbm0=-16) + quiet(2000))
    assert words(found) == ["machine", "beep"]


def test_a_beep_makes_a_short_greeting_a_machine() -> None:
    found = heard(quiet(300) + babble(1200) + quiet(900) + tone([1000], 300) + quiet(2000))
    assert words(found) == ["machine", "beep"]
    assert found[0].reason == "beep"


def test_a_beep_after_words_is_told_before_it_is_over() -> None:
    found = heard(quiet(300) + babble(1200) + quiet(600) + tone([1000], 1000) + quiet(2000))
    assert words(found) == ["machine", "beep"]
    assert 2100 + 160 <= found[0].at_ms <= 2100 + 260
    assert found[1].at_ms > 3100


def trembling(hz: int, duration_ms: int, *, by: float) -> bytes:
    """A tone whose loudness trembles, as a mobile telephone's codec makes it do."""
    return pcm16(
        [
            round(
                4000
                * (1 + by * math.sin(math.tau * 11 * at / 8000))
                * math.sin(math.tau * hz * at / 8000)
            )
            for at in range(8 * duration_ms)
        ]
    )


def test_a_beep_through_a_mobile_codec_is_one() -> None:
    found = heard(GREETING + quiet(500) + trembling(1000, 500, by=0.1) + quiet(1000))
    assert words(found) == ["machine", "beep"]


def test_a_voice_that_trembles_is_no_beep() -> None:
    found = heard(GREETING + quiet(500) + trembling(600, 500, by=0.3) + quiet(1000))
    assert words(found) == ["machine"]


def test_a_note_of_music_before_a_person_speaks_is_no_beep() -> None:
    note = tone([786], 80, level_dbm0=-25)
    found = heard(quiet(200) + note + quiet(600) + babble(500, level=8000) + quiet(2000))
    assert words(found) == ["human"]


def test_a_beep_that_lost_a_packet_is_one_beep() -> None:
    pcm = bytearray(quiet(1000) + tone([1000], 400) + quiet(1000))
    pcm[16 * 1200 : 16 * 1220] = quiet(20)
    found = heard(bytes(pcm))
    assert words(found) == ["machine", "beep"]
    assert abs((found[1].ended_ms or 0) - 1400) <= 50


def test_a_melody_is_no_beep() -> None:
    melody = b"".join(tone([hz], 300) for hz in (523, 659, 784, 1047, 784, 659) * 3)
    found = heard(quiet(300) + babble(600) + melody)
    assert words(found)[0] == "machine"
    assert "beep" not in words(found)


def melody(duration_ms: int, level_dbm0: float) -> bytes:
    """Music: chords of three notes, one after the other, that tremble and fade."""
    dice = random.Random(4)
    loudest = 10 ** (level_dbm0 / 20) * 10_000
    samples: list[float] = []
    while len(samples) < 8 * duration_ms:
        notes = [dice.uniform(400, 1600) for _ in range(3)]
        for at in range(8 * 400):
            loud = loudest * (1 - at / 8000) * (1 + 0.4 * math.sin(2 * math.pi * 7 * at / 8000))
            samples.append(loud * sum(math.sin(2 * math.pi * hz * at / 8000) for hz in notes))
    return pcm16([round(each) for each in samples[: 8 * duration_ms]])


def mixed(one: bytes, other: bytes) -> bytes:
    return audioop.add(one, other, 2)


def test_music_that_becomes_softer_is_no_person_who_waits() -> None:
    found = heard(melody(1600, -10) + melody(6000, -19))
    assert (found[0].what, found[0].reason) == (Verdict.MACHINE, "music")


def test_a_person_in_front_of_music_is_one() -> None:
    said = quiet(800) + babble(900, level=8000) + quiet(4000)
    (found,) = heard(mixed(said, melody(len(said) // 16, -26)))
    assert found.what is Verdict.HUMAN
    assert found.at_ms <= 3200


def test_a_key_is_no_beep() -> None:
    found = heard(HELLO + quiet(200) + key_tone("5", 200) + quiet(2000))
    assert words(found) == ["human"]


@pytest.mark.parametrize("tones", [[425], [440, 480]])
def test_ringback_that_is_left_over_is_neither_speech_nor_beep(tones: list[int]) -> None:
    found = heard(tone(tones, 600, level_dbm0=-19) + quiet(600) + babble(500) + quiet(2000))
    assert words(found) == ["human"]
    assert (found[0].began_ms or 0) >= 1000


@pytest.mark.parametrize(("hz", "who"), [(425, "no-speech"), (475, "machine")])
def test_a_second_of_a_tone_is_ringback_only_at_its_frequencies(hz: int, who: str) -> None:
    """E.180: 400 to 450 Hz, if it is one."""
    found = heard(quiet(1000) + tone([hz], 1000, level_dbm0=-19) + quiet(4000))
    assert words(found)[0] == who


def test_an_announcement_of_the_network_is_a_machine() -> None:
    sit = tone([950], 330) + tone([1400], 330) + tone([1800], 330)
    found = heard(quiet(200) + sit + babble(3000) + quiet(3000))
    assert words(found)[0] == "machine"
    assert found[0].at_ms <= 1400
    assert "beep" not in words(found)


@pytest.mark.parametrize(
    ("pcm", "hz"),
    [
        (quiet(500) + tone([1100], 500) + quiet(3000), 1100),
        (quiet(500) + tone([2100], 3000), 2100),
    ],
)
def test_a_fax(pcm: bytes, hz: int) -> None:
    for line in (pcm, hiss(pcm, 100)):
        (found,) = heard(line)
        assert (found.what, found.frequency_hz) == (Verdict.FAX, hz)


def test_a_fax_that_sends_bits() -> None:
    """V.21, as its high channel has it: 1650 and 1850 Hz at 300 bit/s."""
    dice = random.Random(3)
    phase = 0.0
    samples = []
    for at in range(16_000):
        if at % 80 in (0, 27, 53):
            hz = dice.choice([1650, 1850])
        phase += 2 * math.pi * hz / 8000
        samples.append(round(4000 * math.sin(phase)))
    (found,) = heard(quiet(300) + pcm16(samples))
    assert found.what is Verdict.FAX


@pytest.mark.parametrize("level", [0, 30, 600])
def test_a_line_on_which_nobody_speaks(level: int) -> None:
    (found,) = heard(hiss(quiet(6000), level))
    assert (found.what, found.at_ms) == (Verdict.NO_SPEECH, 5000)


def test_what_ends_undecided_is_unknown() -> None:
    (found,) = heard(HELLO)
    assert (found.what, found.confidence) == (Verdict.UNKNOWN, 0.0)


@pytest.mark.parametrize("piece", [1, 2, 31, 160, 320, 960, 100_000])
def test_pieces_may_have_any_length(piece: int) -> None:
    call = GREETING[: 16 * 5000] + quiet(300) + tone([900], 200) + quiet(500)
    assert heard(call, piece=piece) == heard(call)


def test_terms_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="tone_ms is 0"):
        DetectionTerms(tone_ms=0)
    with pytest.raises(ValueError, match="silence could never be told"):
        DetectionTerms(decision_ms=3000)


def test_each_call_gets_one_decision() -> None:
    for seed in range(20):
        dice = random.Random(seed)
        parts = [
            dice.choice([quiet, babble])(dice.randrange(100, 3000)) + tone([900], 150)
            for _ in range(6)
        ]
        found = heard(b"".join(parts))
        assert sum(each.what in DECISIONS for each in found) == 1
        assert [each.at_ms for each in found] == sorted(each.at_ms for each in found)
