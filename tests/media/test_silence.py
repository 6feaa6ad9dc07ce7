"""When a silence is told, on a time of our choosing."""

import pytest

from sip.media.silence import PAUSE_S, REST_S, Change, Look, Silences, Sound

LIMIT_S = 10.0


class Call:
    """Two parties that are looked at each second."""

    def __init__(self) -> None:
        self.silences = Silences(LIMIT_S)
        self.now = 100.0
        self.may_send = {"a": True, "b": True}
        self.heard_at: dict[str, float | None] = {"a": None, "b": None}

    def look(self) -> list[Change]:
        looks = {tag: Look(may, self.heard_at[tag]) for tag, may in self.may_send.items()}
        return self.silences.look(looks, self.now)

    def passes(self, seconds: int, *speaking: str) -> list[tuple[str, Sound]]:
        """What is told in that time, while these speak."""
        told: list[tuple[str, Sound]] = []
        for _ in range(seconds):
            for tag in speaking:
                self.heard_at[tag] = self.now
            told += [(change.tag, change.sound) for change in self.look()]
            self.now += 1
        return told


def test_who_speaks_is_not_told() -> None:
    assert Call().passes(100, "a", "b") == []


def test_one_that_never_spoke_is_told_once_after_the_limit() -> None:
    call = Call()
    assert call.passes(10, "b") == []
    assert call.passes(1, "b") == [("a", Sound.ONE_WAY)]
    assert call.passes(100, "b") == []


def test_both_are_told_if_none_speaks() -> None:
    assert Call().passes(100) == [("a", Sound.SILENT), ("b", Sound.SILENT)]


def test_silence_becomes_one_way_when_the_other_speaks_again() -> None:
    call = Call()
    call.passes(20)
    assert call.passes(20, "b") == [("a", Sound.ONE_WAY), ("b", Sound.HEARD)]


def test_one_way_stays_when_the_other_falls_silent_too() -> None:
    call = Call()
    assert call.passes(20, "b") == [("a", Sound.ONE_WAY)]
    assert call.passes(20) == [("b", Sound.SILENT)]


def test_sound_that_returns_is_told_and_the_next_silence_again() -> None:
    call = Call()
    call.passes(20, "b")
    assert call.passes(3, "a", "b") == [("a", Sound.HEARD)]
    assert call.passes(30, "b") == [("a", Sound.ONE_WAY)]


def test_on_hold_nothing_is_told_and_the_time_begins_anew_after_it() -> None:
    call = Call()
    call.passes(8, "a", "b")
    call.may_send["a"] = False
    assert call.passes(100, "b") == []
    call.may_send["a"] = True
    assert call.passes(10, "b") == []
    assert call.passes(1, "b") == [("a", Sound.ONE_WAY)]


def test_since_is_the_time_without_sound() -> None:
    call = Call()
    call.passes(5, "a", "b")
    call.now = call.heard_at["a"] or 0.0
    call.now += 12.5
    call.heard_at["b"] = call.now
    assert call.look() == [Change("a", Sound.ONE_WAY, 12.5)]


def test_a_party_that_is_gone_is_forgotten() -> None:
    call = Call()
    call.passes(20, "b")
    del call.may_send["a"]
    assert call.passes(20, "b") == []
    call.may_send["a"] = True
    assert call.passes(10, "b") == []


def test_one_way_time_is_all_of_each_silence_that_was_told() -> None:
    call = Call()
    call.passes(20, "b")
    assert call.silences.one_way_s("a", call.now) == 20
    call.passes(5, "a", "b")
    call.passes(8, "b")  # too short to be told
    call.passes(5, "a", "b")
    assert call.silences.one_way_s("a", call.now) == pytest.approx(20, abs=1)
    call.passes(30, "b")
    call.may_send["a"] = False
    call.passes(100, "b")
    assert call.silences.one_way_s("a", call.now) == pytest.approx(50, abs=2)
    assert call.silences.one_way_s("b", call.now) == 0


class Quick(Call):
    """A limit that is shorter than what those who pause are given."""

    def __init__(self) -> None:
        super().__init__()
        self.silences = Silences(2.0)
        self.rests: set[str] = set()

    def look(self) -> list[Change]:
        looks = {
            tag: Look(may, self.heard_at[tag], tag in self.rests)
            for tag, may in self.may_send.items()
        }
        return self.silences.look(looks, self.now)


def test_who_sent_comfort_noise_may_be_silent_for_long() -> None:
    call = Quick()
    call.passes(5, "a", "b")
    call.rests = {"a"}
    assert call.passes(round(REST_S) - 1, "b") == []
    assert call.passes(3, "b") == [("a", Sound.ONE_WAY)]


def test_who_paused_again_and_again_is_told_later() -> None:
    call = Quick()
    call.passes(5, "b")  # never heard: no pause of its own
    for _ in range(2):
        call.passes(5, "a", "b")
        assert call.passes(5, "b") == [("a", Sound.ONE_WAY)]
    call.passes(5, "a", "b")
    assert call.passes(round(PAUSE_S) - 1, "b") == []
    assert call.passes(3, "b") == [("a", Sound.ONE_WAY)]


def test_the_next_look_is_when_there_may_be_news() -> None:
    call = Quick()
    call.passes(5, "a", "b")
    assert call.silences.next_look(call.now) == (call.heard_at["a"] or 0) + 2.0
    call.passes(5, "b")
    assert call.silences.next_look(call.now) == call.now + 0.5
    call.may_send = {"a": False, "b": False}
    call.look()
    assert call.silences.next_look(call.now) == call.now + 2.0
