"""The E-model against what ITU-T publishes: G.107's default and annex B, G.113's codecs."""

import pytest

from sip.media import emodel
from sip.media.emodel import CODECS, G711, G711_BARE, Codec, mos, mos_of, rating


def test_a_call_with_nothing_amiss_has_the_rating_that_g_107_states() -> None:
    """7.7: with every value at its default R is 93.2."""
    assert rating() == pytest.approx(93.2, abs=0.05)
    assert mos_of() == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "expected", "good", "poor"),
    [
        (90, 4.34, 97, 0),
        (80, 4.03, 89, 1),
        (70, 3.60, 73, 6),
        (60, 3.10, 50, 17),
        (50, 2.58, 27, 38),
    ],
)
def test_mos_and_opinions_of_annex_b(r: float, expected: float, good: float, poor: float) -> None:
    """Table B.1, which rounds."""
    assert mos(r) == pytest.approx(expected, abs=0.01)
    assert emodel.good_or_better(r) == pytest.approx(good, abs=0.6)
    assert emodel.poor_or_worse(r) == pytest.approx(poor, abs=0.6)


def test_mos_stays_on_its_scale() -> None:
    assert [mos(r) for r in (-20, 0, 3, 100, 110)] == [1.0, 1.0, 1.0, 4.5, 4.5]
    values = [mos(r) for r in range(101)]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("codec", "loss", "burst", "impairment"),
    [
        (Codec(0, 4.3), 0.01, 1.0, 17.925),  # 95 / 5.3
        (Codec(0, 25.1), 0.01, 1.0, 3.640),  # 95 / 26.1
        (Codec(0, 25.1), 0.05, 1.0, 15.781),  # 475 / 30.1
        (Codec(11, 19.0), 0.0, 1.0, 11.0),
        (Codec(11, 19.0), 0.02, 1.0, 19.0),  # 11 + 84 * 2 / 21
        (Codec(0, 25.1), 0.05, 2.0, 17.210),  # 475 / 27.6
    ],
)
def test_the_effective_equipment_impairment(
    codec: Codec, loss: float, burst: float, impairment: float
) -> None:
    """Equation 29, computed by hand."""
    assert emodel.loss_impairment(codec, loss, burst) == pytest.approx(impairment, abs=0.001)


def test_codecs_have_the_values_of_g_113() -> None:
    assert (CODECS["PCMU"], CODECS["PCMA"]) == (G711, G711) == (Codec(0, 25.1),) * 2
    assert Codec(0, 4.3) == G711_BARE
    assert CODECS["G729"] == Codec(11, 19)
    assert mos_of(codec=CODECS["G729"]) == pytest.approx(4.11, abs=0.02)


def test_delay_counts_from_a_tenth_of_a_second_on() -> None:
    """G.107 7.4: Idd is 0 up to 100 ms, 25 (2^(1/6) - 3 (1 + 3^-6)^(1/6) + 2) at 200 ms."""
    idd = 25 * (2 ** (1 / 6) - 3 * (1 + 3**-6) ** (1 / 6) + 2)
    echo_alone = rating(delay_ms=100) - (rating(delay_ms=200) + idd)
    assert 0 < echo_alone < 2.5
    assert rating(delay_ms=100) > 90


def test_g_114s_curve_of_delay() -> None:
    """G.114 figure 1: most users are satisfied to 150 ms and more, some not at 300 ms, and at
    400 ms a call is below what G.109 calls medium."""
    assert rating(delay_ms=150) > 80
    assert 70 < rating(delay_ms=300) < 80
    assert 60 < rating(delay_ms=400) < 70


def test_more_of_anything_bad_is_no_better() -> None:
    by_loss = [mos_of(loss=percent / 100) for percent in range(101)]
    by_delay = [mos_of(delay_ms=delay) for delay in range(50, 3000, 50)]
    by_burst = [mos_of(loss=0.05, burst=1 + length / 4) for length in range(20)]
    for values in (by_loss, by_delay, by_burst):
        assert values == sorted(values, reverse=True)


def test_what_cannot_be_is_taken_as_the_nearest_that_can() -> None:
    assert mos_of(loss=-1.0, delay_ms=-5.0, burst=0.0) == mos_of()
    assert mos_of(loss=7.0) == mos_of(loss=1.0)
    assert mos_of(delay_ms=1e9) == mos_of(delay_ms=emodel.MAX_DELAY_MS)
