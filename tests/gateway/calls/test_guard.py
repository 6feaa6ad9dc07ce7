"""What is never dialled, what is by rule, and how the counts of a day work."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings, load
from gateway.calls.call_counts import CallCounts
from gateway.calls.guard import (
    COUNTRY,
    DAY_FULL,
    DENIED,
    EMERGENCY,
    KIND,
    NO_NUMBER,
    OWN_NUMBER,
    TOO_MANY,
    Chooser,
    Guard,
)
from gateway.calls.no_way import NoWay
from gateway.calls.number_kinds import country_of, kind_of
from gateway.storage.day_counts import DayCount

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
OPERATOR, RETELL, AGENT = Chooser.OPERATOR, Chooser.RETELL, Chooser.AGENT
HOME, ABROAD, PREMIUM = "+14155550144", "+493023125000", "+19005550100"


def guard(tmp_path: Path, rules: dict[str, Any] | None = None, **outbound: Any) -> Guard:
    return Guard(settings(tmp_path, rules, **outbound))


def settings(tmp_path: Path, rules: dict[str, Any] | None = None, **outbound: Any) -> Settings:
    keys = {
        "trunks": [
            {"name": "carrier", "gateways": ["sip:sip.example.com"]},
            {"name": "other", "gateways": ["sip:sip.example.net"]},
            {"name": "pbx", "kind": "pbx", "gateways": ["sip:192.0.2.7"]},
        ],
        "numbers": {"+14155550100": {}, "*": {}},
        "outbound": {"default_country": "US", "guard": rules or {}, **outbound},
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(keys))
    return load(file, {})


def judged(
    guard: Guard, to: str, chooser: Chooser = RETELL, trunk: str = "carrier"
) -> NoWay | None:
    return guard.judge(to, trunk, chooser, CallCounts(), NOON)


def cause(guard: Guard, to: str, chooser: Chooser = RETELL, trunk: str = "carrier") -> str | None:
    no_way = judged(guard, to, chooser, trunk)
    return None if no_way is None else no_way.refusal.cause


# kinds and countries


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+14155550144", None),
        ("+442012345678", None),
        ("+18005550100", None),  # free
        ("+19005550100", "premium"),
        ("+449098790000", "premium"),
        ("+33899123456", "premium"),
        ("+979912345678", "premium"),
        ("+4990012345678", "premium"),  # a digit too many
        ("+490900123", "premium"),  # digits too few, and a 0 too many
        ("+499", None),  # no number at all
        ("+4918012345678", "shared-cost"),
        ("+80812345678", "shared-cost"),
        ("+870773123456", "satellite"),
        ("+8816123456789", "satellite"),
        ("+88213123456", "satellite"),
        ("+8821612345678", "satellite"),
        ("+88299123456", "revenue-share"),
        ("+8835100123456", "revenue-share"),
        ("+878101234567890", "revenue-share"),
        ("+888123456789", "revenue-share"),
        ("+447012345678", "revenue-share"),  # British personal numbers
    ],
)
def test_kind_of_a_number(number: str, kind: str | None) -> None:
    assert kind_of(number) == kind


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+14155550144", "US"),
        ("+18095550100", "DO"),
        ("+18765550100", "JM"),
        ("+16045550100", "CA"),
        ("+493023125000", "DE"),
        ("+37312345678", "MD"),  # of no known range: the country of its code
        ("+80012345678", None),
        ("+8816123456789", None),
        ("+9991234567", None),
    ],
)
def test_country_of_a_number(number: str, country: str | None) -> None:
    assert country_of(number) == country


@given(st.text("+0123456789*#;@", max_size=20))
def test_nothing_that_is_dialled_is_beyond_judgement(to: str) -> None:
    rules = Guard(Settings())
    for chooser in Chooser:
        verdict = rules.judge(to, "carrier", chooser, CallCounts(), NOON)
        assert verdict is None or 400 <= verdict.refusal.status < 700


@pytest.mark.parametrize(
    ("dialled", "country", "kind"),
    [
        ("0019005550100", None, "premium"),  # nobody told us what 00 is
        ("01119005550100", None, "premium"),
        ("01119005550100", "DE", "premium"),
        ("19005550100", "DE", "premium"),  # no German number: what will the carrier make of it?
        ("008816123456789", None, "satellite"),
        ("0049 900 1234567", "US", "premium"),
        ("8812345678", "FR", "satellite"),
        ("03023125000", "DE", None),
        ("1900", None, None),
        ("bob", None, None),
    ],
)
def test_a_kind_hides_behind_no_prefix(
    dialled: str, country: str | None, kind: str | None, tmp_path: Path
) -> None:
    keys = {} if country is None else {"default_country": country}
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump({"trunks": [{"name": "carrier"}], "outbound": keys}))
    no_way = judged(Guard(load(file, {})), dialled)
    assert (None if no_way is None else no_way.refusal) == (KIND if kind else None)
    assert kind is None or (no_way is not None and f"is {kind}," in no_way.words)


# by default


@pytest.mark.parametrize("chooser", Chooser)
@pytest.mark.parametrize(
    "to",
    [PREMIUM, "+8816123456789", "+8835100123456", "+447012345678", "+4918012345678",
     "sip:+19005550100@sip.example.com", "900-555-0100", "tel:+1-900-555-0100"],
)  # fmt: skip
def test_dear_numbers_are_blocked_whoever_chose_them(
    chooser: Chooser, to: str, tmp_path: Path
) -> None:
    no_way = judged(guard(tmp_path), to, chooser)
    assert no_way is not None
    assert no_way.refusal == KIND
    assert no_way.refusal.status == 403
    assert "outbound.guard.block" in no_way.words


def test_countries_are_open_but_to_an_agent(tmp_path: Path) -> None:
    rules = guard(tmp_path)
    assert cause(rules, ABROAD, RETELL) is None
    assert cause(rules, ABROAD, OPERATOR) is None
    assert cause(rules, HOME, AGENT) is None
    no_way = judged(rules, ABROAD, AGENT)
    assert no_way is not None
    assert no_way.refusal == COUNTRY
    assert "DE" in no_way.words
    assert "outbound.guard.countries" in no_way.words


def test_without_any_country_an_agent_reaches_none(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text('numbers: {"*": {}}\ntrunks: [{name: carrier}]\n')
    rules = Guard(load(file, {}))
    assert cause(rules, HOME, AGENT) == "guard-country"
    assert cause(rules, HOME, RETELL) is None


def test_our_own_numbers_are_a_loop_but_for_calls_that_retell_places(tmp_path: Path) -> None:
    rules = guard(tmp_path)
    for chooser in (AGENT, OPERATOR):
        no_way = judged(rules, "415-555-0100", chooser)
        assert no_way is not None
        assert (no_way.refusal, no_way.refusal.status) == (OWN_NUMBER, 482)
    assert cause(rules, "+14155550100", RETELL) is None
    # a PBX may send it to a queue when it comes from us
    assert cause(rules, "+14155550100", OPERATOR, "pbx") is None
    assert cause(rules, "+14155550100", AGENT, "pbx") == "guard-loop"


def test_extensions_of_a_pbx_and_agents_are_not_judged(tmp_path: Path) -> None:
    rules = guard(tmp_path, {"caps": {"all": {"calls": 1}}})
    counts = CallCounts()
    counts.begin("carrier", HOME, NOON)
    assert rules.judge("200", "pbx", AGENT, counts, NOON) is None
    assert rules.judge("sip:bob@192.0.2.7", "pbx", OPERATOR, counts, NOON) is None
    assert rules.judge(PREMIUM, "retell", RETELL, counts, NOON) is None
    assert rules.counted("200", "pbx") is None
    assert rules.counted(HOME, "retell") is None


def test_a_number_that_a_pbx_is_to_dial_is_judged(tmp_path: Path) -> None:
    rules = guard(tmp_path)
    assert cause(rules, PREMIUM, AGENT, "pbx") == "guard-kind"
    assert rules.counted("(415) 555-0144", "pbx") == HOME


@pytest.mark.parametrize("to", ["9011442012345678", "1234#19005550100", "19005550100%3Bx", "200@x"])
def test_what_an_agent_has_a_pbx_dial_is_an_extension_or_a_number(to: str, tmp_path: Path) -> None:
    """Behind a prefix of the PBX's own, any number may hide."""
    rules = guard(tmp_path)
    assert cause(rules, to, AGENT, "pbx") == "guard-no-number"
    assert cause(rules, to, OPERATOR, "pbx") is None


def test_short_codes_are_none_of_an_agents_business(tmp_path: Path) -> None:
    rules = guard(tmp_path)
    no_way = judged(rules, "411", AGENT)
    assert no_way is not None
    assert no_way.refusal == NO_NUMBER
    assert cause(rules, "411", RETELL) is None
    assert rules.counted("411", "carrier") == "411"


def test_a_dear_short_code_is_blocked(tmp_path: Path) -> None:
    """In France those that begin with 3 or 8 may cost 0.80 EUR a minute."""
    rules = guard(tmp_path, default_country="FR")
    assert cause(rules, "3201") == "guard-kind"
    assert cause(guard(tmp_path, {"block": []}, default_country="FR"), "3201") is None


# emergency numbers


@pytest.mark.parametrize("to", ["911", "112", "sip:911@sip.example.com", "+911", "tel:911"])
@pytest.mark.parametrize("chooser", Chooser)
def test_emergency_numbers_are_refused(to: str, chooser: Chooser, tmp_path: Path) -> None:
    no_way = judged(guard(tmp_path), to, chooser)
    assert no_way is not None
    assert no_way.refusal == EMERGENCY
    assert "outbound.guard.emergency" in no_way.words


def test_emergency_numbers_are_those_of_our_countries(tmp_path: Path) -> None:
    assert cause(guard(tmp_path), "110") is None
    assert cause(guard(tmp_path, default_country="DE"), "110") == "guard-emergency"


def test_emergency_numbers_go_out_by_their_trunk_alone(tmp_path: Path) -> None:
    rules = guard(tmp_path, {"emergency": {"trunk": "other"}})
    assert cause(rules, "911", AGENT, "other") is None
    assert cause(rules, "911", AGENT, "carrier") == "guard-emergency"
    assert cause(rules, "911", AGENT, "pbx") == "guard-emergency"


def test_an_extension_of_the_configuration_may_look_like_one(tmp_path: Path) -> None:
    rules = guard(tmp_path)
    assert cause(rules, "112", OPERATOR, "pbx") is None
    assert cause(rules, "112", AGENT, "pbx") == "guard-emergency"


# by rule


def test_the_longest_prefix_decides_before_kinds_and_countries(tmp_path: Path) -> None:
    rules = guard(
        tmp_path,
        {
            "countries": ["US"],
            "allow": ["+1900555", "+49302", "+1415555014"],
            "deny": ["+1415555", "+4930231"],
        },
    )
    assert cause(rules, PREMIUM) is None
    assert cause(rules, "+19005560100") == "guard-kind"
    assert cause(rules, "+493020000000", AGENT) is None
    assert judged(rules, ABROAD) == NoWay(
        DENIED, '+493023125000 begins with "+4930231" of outbound.guard.deny'
    )
    assert cause(rules, "+14155550144") is None
    assert cause(rules, "+14155550177") == "guard-denied"


@pytest.mark.parametrize("chooser", Chooser)
def test_listed_countries_hold_for_all(chooser: Chooser, tmp_path: Path) -> None:
    rules = guard(tmp_path, {"countries": ["DE"]})
    assert cause(rules, ABROAD, chooser) is None
    assert cause(rules, HOME, chooser) == "guard-country"
    assert cause(rules, "+80012345678", chooser) == "guard-country"  # of no country
    assert cause(guard(tmp_path, {"countries": []}), HOME, chooser) == "guard-country"


def test_what_is_no_number_hides_from_no_list_of_countries(tmp_path: Path) -> None:
    assert cause(guard(tmp_path), "00-no-such-number") is None
    rules = guard(tmp_path, {"countries": ["US"]})
    assert cause(rules, "00-no-such-number") == "guard-no-number"
    assert cause(rules, "411") is None


def test_kinds_can_be_unblocked(tmp_path: Path) -> None:
    rules = guard(tmp_path, {"block": ["satellite"]})
    assert cause(rules, PREMIUM) is None
    assert cause(rules, "+8816123456789") == "guard-kind"


# caps


CAPS = {
    "all": {"calls_per_day": 4, "calls": 3},
    "trunk": {"calls_per_day": 3, "calls": 2},
    "number": {"calls_per_day": 2, "calls": 1},
}
OTHERS = ("+14155550145", "+14155550146", "+14155550147", "+14155550148")


def test_calls_at_the_same_time_are_capped(tmp_path: Path) -> None:
    rules = guard(tmp_path, {"caps": CAPS})
    counts = rules.counts()

    def refused(to: str, trunk: str) -> str | None:
        no_way = rules.judge(to, trunk, RETELL, counts, NOON)
        if no_way is None:
            return None
        assert no_way.refusal == TOO_MANY
        assert no_way.refusal.status == 503
        return no_way.words.partition("(")[2].rstrip(")")

    assert refused(HOME, "carrier") is None
    counts.begin("carrier", HOME, NOON)
    assert refused("415 555 0144", "other") == "outbound.guard.caps.number.calls"
    counts.begin("carrier", OTHERS[0], NOON)
    assert refused(OTHERS[1], "carrier") == "outbound.guard.caps.trunk.calls"
    assert refused(OTHERS[1], "other") is None
    counts.begin("other", OTHERS[1], NOON)
    assert refused(OTHERS[2], "other") == "outbound.guard.caps.all.calls"
    counts.end("carrier", HOME)
    assert refused(HOME, "carrier") is None


def test_calls_of_a_day_are_capped_until_midnight_of_the_zone(tmp_path: Path) -> None:
    rules = guard(tmp_path, {"caps": CAPS, "time_zone": "America/Los_Angeles"})
    counts = rules.counts()
    evening = datetime(2026, 12, 1, 7, 59, tzinfo=UTC)  # 23:59 there

    def placed(to: str, trunk: str) -> None:
        counts.begin(trunk, to, evening)
        counts.end(trunk, to)

    def refused(to: str, trunk: str, now: datetime = evening) -> str | None:
        no_way = rules.judge(to, trunk, RETELL, counts, now)
        if no_way is None:
            return None
        assert no_way.refusal == DAY_FULL
        return no_way.words.partition("(")[2].rstrip(")")

    placed(HOME, "carrier")
    assert refused(HOME, "carrier") is None
    placed(HOME, "carrier")
    assert refused(HOME, "other") == "outbound.guard.caps.number.calls_per_day"
    placed(OTHERS[0], "carrier")
    assert refused(OTHERS[1], "carrier") == "outbound.guard.caps.trunk.calls_per_day"
    placed(OTHERS[1], "other")
    assert refused(OTHERS[2], "other") == "outbound.guard.caps.all.calls_per_day"
    assert refused(HOME, "carrier", evening + timedelta(minutes=1)) is None


def test_counts_of_the_day_outlast_a_restart() -> None:
    kept: dict[tuple[str, str], DayCount] = {}
    counts = CallCounts(keep=lambda row: kept.update({(row.scope, row.key): row}))
    counts.begin("carrier", HOME, NOON)
    counts.begin("carrier", OTHERS[0], NOON)
    assert {(row.scope, row.key): row.calls for row in kept.values()} == {
        ("all", ""): 2,
        ("trunk", "carrier"): 2,
        ("number", HOME): 1,
        ("number", OTHERS[0]): 1,
    }
    again = CallCounts(kept=kept.values())
    assert again.today("all", "", NOON) == 2
    assert again.up("all", "") == 0
    assert CallCounts(kept=kept.values()).today("all", "", NOON + timedelta(days=1)) == 0


def test_a_clock_that_is_set_back_begins_no_day_anew() -> None:
    counts = CallCounts()
    counts.begin("carrier", HOME, NOON)
    assert counts.today("number", HOME, NOON - timedelta(days=1)) == 1


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(OTHERS)), max_size=30))
def test_what_has_begun_and_ended_leaves_nothing_up(calls: list[tuple[str, str]]) -> None:
    counts = CallCounts()
    for trunk, number in calls:
        counts.begin(trunk, number, NOON)
    assert counts.up("all", "") == len(calls) == counts.today("all", "", NOON)
    assert counts.up("trunk", "a") + counts.up("trunk", "b") == len(calls)
    for trunk, number in calls:
        counts.end(trunk, number)
    assert [counts.up("number", number) for number in OTHERS] == [0] * len(OTHERS)
    assert counts.today("all", "", NOON) == len(calls)
