"""What a call costs, by the rates of a configuration."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.money_settings import RateSettings
from config.rates_file import read_rates
from gateway.calls.rates import Rate, Rates, amount, micros

MINUTE = Rate(prefix="", per_minute=micros(0.06))
BY_SIX = Rate(prefix="", per_minute=micros(0.06), per_call=micros(0.01), first_s=30, step_s=6)


@pytest.mark.parametrize(
    ("rate", "talked_s", "cost"),
    [
        (MINUTE, 0, 0.06),
        (MINUTE, 60, 0.06),
        (MINUTE, 60.2, 0.12),
        (BY_SIX, 0, 0.04),
        (BY_SIX, 30, 0.04),
        (BY_SIX, 30.5, 0.046),
        (BY_SIX, 36, 0.046),
        (BY_SIX, 37, 0.052),
    ],
)
def test_a_step_that_has_begun_is_billed(rate: Rate, talked_s: float, cost: float) -> None:
    assert amount(rate.cost(talked_s)) == cost


def test_an_odd_rate_is_rounded_up() -> None:
    """Never is less reserved than a carrier might bill."""
    assert Rate(prefix="", per_minute=1, first_s=1, step_s=1).cost(1) == 1


@given(
    per_minute=st.integers(1, 3_000_000),
    per_call=st.integers(0, 500_000),
    first_s=st.integers(1, 90),
    step_s=st.integers(1, 90),
    limit=st.integers(0, 20_000_000),
)
def test_what_lasts_is_paid_for_and_one_step_more_is_not(
    per_minute: int, per_call: int, first_s: int, step_s: int, limit: int
) -> None:
    rate = Rate(prefix="", per_minute=per_minute, per_call=per_call, first_s=first_s, step_s=step_s)
    lasts = rate.lasts_s(limit)
    assert lasts is not None
    if lasts == 0:
        assert rate.cost(0) > limit
    else:
        assert rate.cost(lasts) <= limit < rate.cost(lasts + step_s) + 1


def test_what_is_free_lasts_for_ever() -> None:
    assert Rate(prefix="", per_minute=0).lasts_s(0) is None
    assert Rate(prefix="", per_minute=0, per_call=2).lasts_s(1) == 0


RATES = Rates(
    [
        RateSettings(prefix="", per_minute=0.9),
        RateSettings(prefix="+1", per_minute=0.01),
        RateSettings(prefix="+1212", per_minute=0.02),
        RateSettings(prefix="+1", trunk="second", per_minute=0.03),
    ]
)


@pytest.mark.parametrize(
    ("number", "trunk", "per_minute"),
    [
        ("+14155550100", "carrier", 0.01),
        ("+12125550100", "carrier", 0.02),
        ("+442079460000", "carrier", 0.9),
        ("+12125550100", "second", 0.03),  # a trunk's own rates count before those for any
        ("+442079460000", "second", 0.9),
        ("12345", "carrier", 0.9),
    ],
)
def test_the_longest_prefix_decides(number: str, trunk: str, per_minute: float) -> None:
    rate = RATES.of(number, trunk)
    assert rate is not None
    assert rate.per_minute == micros(per_minute)


def test_what_has_no_rate_may_be_taken_for_something() -> None:
    rates = [RateSettings(prefix="+1", per_minute=0.01)]
    assert Rates(rates).of("+442079460000", "carrier") is None
    assumed = Rates(rates, 0.5).of("+442079460000", "carrier")
    assert assumed is not None
    assert assumed.per_minute == micros(0.5)


def test_a_carriers_file(tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(
        "\ufeffprefix,per_minute,first_s,step_s,trunk\n1,0.0085,6,6,\n\n+49,0.02,,,second\n"
    )
    found = Rates(read_rates(file))
    german = found.of("+4930901820", "second")
    assert german is not None
    assert (german.prefix, german.first_s, german.step_s) == ("+49", 60, 60)
    assert found.of("+4930901820", "carrier") is None
    assert found.of("+14155550100", "carrier") == Rate(
        prefix="+1", per_minute=8500, first_s=6, step_s=6
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prefix,cost\n", "rates.csv:1: there is no column per_minute; columns are prefix,"),
        ("prefix,per_minute,colour\n", "rates.csv:1: there is a column 'colour' too many"),
        ("prefix,per_minute\n1,free\n", "rates.csv:2: per_minute: 'free' is not an amount"),
        ("prefix,per_minute\n1,-2\n", "rates.csv:2: per_minute: '-2' is not an amount"),
        ("prefix,per_minute\nx1,2\n", "rates.csv:2: 'x1' is not the start of an E.164 number"),
        ("prefix,per_minute\n1,2,3\n", "rates.csv:2: 3 columns, and the first line names 2"),
        ("prefix,per_minute\n1,2\n+1,3\n", 'rates.csv:3: prefix "+1" has a rate in line 2'),
        ("prefix,per_minute,step_s\n1,2,0\n", "rates.csv:2: step_s: '0' is not a number of"),
    ],
)
def test_what_is_wrong_in_it_is_told_by_its_line(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"rates\.csv") as raised:
        read_rates(file)
    assert str(raised.value).startswith(told)
