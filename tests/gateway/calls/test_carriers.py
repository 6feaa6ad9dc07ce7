"""Which carriers a number is called by: prefix, caller ID, shares and cost."""

from collections import Counter
from typing import Any

import pytest

from config.settings import Settings
from gateway.calls.carriers import carriers_for, pick_of
from gateway.calls.no_way import NoWay

BERLIN = "+493012345678"


def settings(*routes: dict[str, Any], **outbound: Any) -> Settings:
    return Settings.model_validate({"outbound": {"routes": routes, **outbound}})


def way(given: Settings, number: str, from_number: str = "", pick: float = 0.0) -> tuple[str, ...]:
    found = carriers_for(given, number, from_number, pick=pick)
    assert not isinstance(found, NoWay), found
    return found


def test_the_longest_prefix_wins_wherever_it_stands() -> None:
    given = settings(
        {"prefix": "", "trunks": ["rest"]},
        {"prefix": "+49", "trunks": ["germany"]},
        {"prefix": "+4", "trunks": ["europe"]},
    )
    assert way(given, BERLIN) == ("germany",)
    assert way(given, "+441632960100") == ("europe",)
    assert way(given, "+14155550100") == ("rest",)


@pytest.mark.parametrize(
    ("caller", "carrier"),
    [
        ("+14155550100", "owner"),
        ("+14155550199", "block"),
        ("+13125550100", "any"),
        ("", "any"),
        ("anonymous", "any"),
    ],
)
def test_of_one_prefix_the_carrier_that_owns_the_caller_id(caller: str, carrier: str) -> None:
    given = settings(
        {"trunks": ["any"]},
        {"from": ["+141555"], "trunks": ["block"]},
        {"from": ["+14155550100", "+14155550101"], "trunks": ["owner"]},
    )
    assert way(given, "+13125550177", caller) == (carrier,)


def test_a_longer_prefix_is_more_than_a_caller_id() -> None:
    given = settings(
        {"prefix": "+49", "trunks": ["germany"]},
        {"prefix": "", "from": ["+14155550100"], "trunks": ["owner"]},
    )
    assert way(given, BERLIN, "+14155550100") == ("germany",)


def test_a_route_for_other_callers_leaves_the_shorter_prefix() -> None:
    given = settings(
        {"prefix": "+49", "from": ["+1415"], "trunks": ["germany"]},
        {"prefix": "", "trunks": ["rest"]},
    )
    assert way(given, BERLIN, "+14155550100") == ("germany",)
    assert way(given, BERLIN, "+13125550100") == ("rest",)


def test_nobody_s_number_says_which_key_is_missing() -> None:
    given = settings({"prefix": "+49", "trunks": ["germany"]})
    found = carriers_for(given, "+14155550100", "", pick=0.0)
    assert isinstance(found, NoWay)
    assert found.words == "no outbound.routes has a prefix for +14155550100"
    given = settings({"from": ["+1415"], "trunks": ["owner"]})
    found = carriers_for(given, BERLIN, "+13125550100", pick=0.0)
    assert isinstance(found, NoWay)
    assert found.refusal.cause == "no-route"
    assert "none of these routes is from +13125550100" in found.words


def test_shares_and_then_the_heaviest_of_the_rest() -> None:
    shared = [{"trunk": "a", "weight": 1}, {"trunk": "b", "weight": 3}, {"trunk": "c", "weight": 6}]
    given = settings({"trunks": ["backup", *shared]})
    assert way(given, BERLIN, pick=0.0) == ("c", "b", "a", "backup")
    assert way(given, BERLIN, pick=0.7) == ("b", "c", "a", "backup")
    assert way(given, BERLIN, pick=0.95) == ("a", "c", "b", "backup")
    first = Counter(way(given, BERLIN, pick=pick_of(f"call_{n}"))[0] for n in range(4000))
    assert first["a"] == pytest.approx(400, abs=80)
    assert first["b"] == pytest.approx(1200, abs=120)
    assert first["c"] == pytest.approx(2400, abs=120)


RATES = [
    {"trunk": "dear", "prefix": "+49", "per_minute": 0.02},
    {"trunk": "cheap", "prefix": "+49", "per_minute": 0.01},
    {"trunk": "cheap", "prefix": "+1", "per_minute": 0.03},
]


def test_the_cheapest_first_where_that_is_asked_for() -> None:
    route = {"trunks": ["unrated", "dear", "cheap"], "order": "cost"}
    given = settings(route, rates=RATES)
    assert way(given, BERLIN) == ("cheap", "dear", "unrated")
    assert way(given, "+14155550100") == ("cheap", "unrated", "dear")
    even = [{"trunk": name, "weight": 5} for name in ("dear", "cheap")]
    shared = {"trunks": [*even, {"trunk": "heavy", "weight": 9}], "order": "cost"}
    assert way(settings(shared, rates=RATES), BERLIN)[1:] == ("cheap", "dear")
    listed = settings({"trunks": ["dear", "cheap"]}, rates=RATES)
    assert way(listed, BERLIN) == ("dear", "cheap")


def test_a_call_goes_the_same_way_however_often_it_is_asked() -> None:
    assert pick_of("call_1") == pick_of("call_1")
    assert min(pick_of(f"call_{n}") for n in range(1000)) >= 0
    assert max(pick_of(f"call_{n}") for n in range(1000)) < 1
