"""Who is reached by which words, at which hours, in which order; and why nobody is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Settings, load
from gateway.calls.directory import LOOP, UNKNOWN, Directory, TransferPlan
from gateway.calls.endings import CLOSED, NO_ROUTE
from gateway.calls.no_way import NoWay

MONDAY = datetime(2026, 11, 30, 18, tzinfo=UTC)  # 10:00 in Los Angeles
NIGHT = datetime(2026, 12, 1, 6, tzinfo=UTC)  # 22:00

BASE = """
sip: {advertise: 203.0.113.10, realm: gw.example.com}
media: {sounds: .}
outbound: {default_country: US, routes: [{prefix: "+1", trunks: [telnyx, twilio]}]}
trunks:
  - {name: pbx, kind: pbx, gateways: ["sip:pbx.example.com:5070"], identify: [192.0.2.7]}
  - {name: telnyx, gateways: ["sip:sip.telnyx.example"]}
  - {name: twilio, gateways: ["sip:twilio.example"]}
numbers: {"+14155550100": {}, "+14155550101": {}}
schedules:
  office: {time_zone: America/Los_Angeles, hours: {mon-fri: ["09:00-17:30"]}}
  nights: {time_zone: America/Los_Angeles, hours: {mon-sun: ["20:00-06:00"]}}
transfer: {ring_s: 25}
directory:
  Sales:
    aliases: ["200", "+14155550101", Verkauf]
    targets:
      - {trunk: pbx, to: "201"}
      - {trunk: pbx, to: "202", ring_s: 10}
      - {trunk: telnyx, to: "+14155550177", confirm: true, whisper: press-1.wav}
  Bob: {targets: [{trunk: telnyx, to: (415) 555-0177}]}
  Desk: {targets: [{trunk: pbx, to: "sip:desk@other.example.net"}]}
"""


def directory(tmp_path: Path, **groups: object) -> Directory:
    """That of BASE, with these groups of keys merged into its own."""
    return Directory(settings(tmp_path, **groups))


def settings(tmp_path: Path, **groups: object) -> Settings:
    keys = yaml.safe_load(BASE)
    for name, group in groups.items():
        keys[name] = {**keys[name], **group} if isinstance(group, dict) else group
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(keys))
    return load(file, {})


def rung(plan: TransferPlan | NoWay) -> list[str]:
    """Who rings, step by step; several at once with `+` between, an announcement in brackets."""
    assert isinstance(plan, TransferPlan), plan
    return [
        "+".join(place.to for place in step.places) or f"[{step.announcement}]"
        for step in plan.steps
    ]


def refused(plan: TransferPlan | NoWay) -> NoWay:
    assert isinstance(plan, NoWay), plan
    return plan


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("Sales", "201"),
        ("  sALES ", "201"),
        ("verkauf", "201"),
        ("200", "201"),
        ("202", "201"),  # one of its phones: the whole entry
        ("sip:200", "201"),
        ("sip:200@203.0.113.10", "201"),
        ("sip:200@gw.example.com:5060;transport=tcp", "201"),
        ("sip:200@sip.retellai.com", "201"),
        ("<sip:200@pbx.example.com;user=phone>", "201"),
        ('"Sales, please" <sips:200:secret@192.0.2.7?Subject=hi>', "201"),
        ("sip:Sales@GW.example.com", "201"),
        ("+14155550101", "201"),  # an alias, though it is a number of ours
        ("tel:+1-415-555-0101", "201"),
        ("sip:%2B14155550101@sip.retellai.com", "201"),
        ("+14155550177", "(415) 555-0177"),  # of two entries: the smaller
        ("415-555-0177", "(415) 555-0177"),
        ("tel:+14155550177;phone-context=example.com", "(415) 555-0177"),
        ("sip:desk@other.example.net;transport=tls", "sip:desk@other.example.net"),
    ],
)
def test_an_entry_is_found_by(asked: str, first: str, tmp_path: Path) -> None:
    assert rung(directory(tmp_path).plan(asked, MONDAY))[0] == first


@pytest.mark.parametrize(
    "asked",
    ["", "sip:", "<>", "300", "Support", "sip:200@elsewhere.example.net", "sip:200@192.0.2.99",
     "desks", "+14155550144", "x" * 100_000, "sip:" + "@" * 300, "tel:"],
)  # fmt: skip
def test_who_is_not_listed_is_refused(asked: str, tmp_path: Path) -> None:
    no_way = refused(directory(tmp_path).plan(asked, MONDAY))
    assert no_way.refusal == UNKNOWN
    assert no_way.refusal.status == 404
    assert "directory" in no_way.words


def test_a_number_of_ours_is_a_loop(tmp_path: Path) -> None:
    no_way = refused(directory(tmp_path).plan("tel:+14155550100", MONDAY))
    assert (no_way.refusal, no_way.refusal.status) == (LOOP, 482)
    assert "+14155550100" in no_way.words


def test_phones_ring_in_turn_each_for_its_time(tmp_path: Path) -> None:
    plan = directory(tmp_path).plan("Sales", MONDAY)
    assert rung(plan) == ["201", "202", "+14155550177"]
    assert isinstance(plan, TransferPlan)
    assert [step.ring_s for step in plan.steps] == [25, 10, 25]
    mobile = plan.steps[2].places[0]
    assert (mobile.trunks, mobile.confirm, mobile.whisper) == (("telnyx",), True, "press-1.wav")
    assert {step.after for step in plan.steps} == {"end"}


def test_phones_ring_all_at_once_for_the_longest_time(tmp_path: Path) -> None:
    targets = [{"trunk": "pbx", "to": "201", "ring_s": 40}, {"trunk": "telnyx", "to": "202"}]
    entry = {"strategy": "all", "targets": targets, "announcement": "hi.wav", "after": "next"}
    plan = directory(tmp_path, directory={"Sales": entry}).plan("sales", MONDAY)
    assert rung(plan) == ["201+202"]
    assert isinstance(plan, TransferPlan)
    step = plan.steps[0]
    assert (step.ring_s, step.announcement, step.after) == (40, "hi.wav", "next")


def phone(to: str, **more: object) -> dict[str, object]:
    return {"targets": [{"trunk": "pbx", "to": to}], **more}


def test_overflow_is_tried_in_order_each_entry_once(tmp_path: Path) -> None:
    entries = {
        "A": phone("1", overflow=["B", "C"]),
        "B": phone("2", overflow=["D", "C"]),
        "C": phone("3", announcement="c.wav"),
        "D": phone("4"),
    }
    sounds = {"announcement": "first.wav", "ringing": "ring.wav"}
    plan = directory(tmp_path, directory=entries, transfer=sounds).plan("a", MONDAY)
    assert rung(plan) == ["1", "2", "4", "3"]
    assert isinstance(plan, TransferPlan)
    assert [step.entry for step in plan.steps] == ["A", "B", "D", "C"]
    assert [step.announcement for step in plan.steps] == ["first.wav", None, None, "c.wav"]
    assert {step.ringing for step in plan.steps} == {"ring.wav"}


def test_out_of_hours_closed_says_where_and_overflow_does_not(tmp_path: Path) -> None:
    entries = {
        "A": phone("1", schedule="office", closed={"entry": "B"}, overflow=["C"]),
        "B": phone("2", schedule="nights"),
        "C": phone("3"),
    }
    listed = directory(tmp_path, directory=entries)
    assert rung(listed.plan("a", MONDAY)) == ["1", "3"]
    assert rung(listed.plan("a", NIGHT)) == ["2"]


def test_closed_with_an_announcement_alone_is_heard(tmp_path: Path) -> None:
    entries = {"A": phone("1", schedule="office", closed={"announcement": "closed.wav"})}
    listed = directory(tmp_path, directory=entries, transfer={"announcement": "moment.wav"})
    assert rung(listed.plan("a", NIGHT)) == ["[closed.wav]"]


def test_closed_announces_before_its_phone_or_entry(tmp_path: Path) -> None:
    entries = {
        "A": phone("1", schedule="office",
                   closed={"announcement": "closed.wav", "trunk": "telnyx", "to": "+14155550199"}),
        "B": phone("2", schedule="office", closed={"announcement": "closed.wav", "entry": "C"}),
        "C": phone("3", announcement="c.wav"),
    }  # fmt: skip
    listed = directory(tmp_path, directory=entries)
    plan = listed.plan("a", NIGHT)
    assert isinstance(plan, TransferPlan)
    assert plan.steps[0].announcement == "closed.wav"
    assert plan.steps[0].places[0].trunks == ("telnyx",)
    assert rung(listed.plan("b", NIGHT)) == ["[closed.wav]", "3"]


@pytest.mark.parametrize("closed", [None, {"entry": "B"}])
def test_closed_and_nobody_there_is_480(closed: dict[str, str] | None, tmp_path: Path) -> None:
    entry = phone("1", schedule="office", overflow=["C"])
    entries = {
        "A": entry if closed is None else {**entry, "closed": closed},
        "B": phone("2", schedule="office"),
        "C": phone("3"),
    }
    no_way = refused(directory(tmp_path, directory=entries).plan("a", NIGHT))
    assert (no_way.refusal, no_way.refusal.status) == (CLOSED, 480)
    assert "schedule office" in no_way.words


def test_an_overflow_entry_that_is_closed_is_passed_over(tmp_path: Path) -> None:
    entries = {
        "A": phone("1", overflow=["B", "C"]),
        "B": phone("2", schedule="office"),
        "C": phone("3"),
    }
    assert rung(directory(tmp_path, directory=entries).plan("a", NIGHT)) == ["1", "3"]


def test_a_number_that_is_not_listed_takes_a_route_where_the_guard_decides(tmp_path: Path) -> None:
    listed = directory(tmp_path, transfer={"targets": "guarded"})
    plan = listed.plan("sip:+14155550144@sip.retellai.com", MONDAY)
    assert rung(plan) == ["+14155550144"]
    assert isinstance(plan, TransferPlan)
    assert plan.steps[0].places[0].trunks == ("telnyx", "twilio")
    assert plan.steps[0].ring_s == 25
    assert refused(listed.plan("+442012345678", MONDAY)).refusal == NO_ROUTE
    assert refused(listed.plan("sip:+14155550144@evil.example.net", MONDAY)).refusal == UNKNOWN
    assert refused(listed.plan("+14155550100", MONDAY)).refusal == LOOP
    assert refused(listed.plan("911", MONDAY)).refusal == UNKNOWN


def test_a_trunks_own_country_reads_its_phones(tmp_path: Path) -> None:
    trunks = [{"name": "de", "gateways": ["sip:de.example.com"], "country": "DE"}]
    keys = {
        "trunks": trunks,
        "outbound": {"routes": []},
        "directory": {"Berlin": {"targets": [{"trunk": "de", "to": "030 23125 000"}]}},
    }
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(keys))
    listed = Directory(load(file, {}))
    assert rung(listed.plan("tel:+493023125000", MONDAY)) == ["030 23125 000"]


NAMES = "ABCDEF"


@st.composite
def houses(draw: st.DrawFn) -> dict[str, dict[str, object]]:
    """Entries that lead to later ones alone, so that there is no circle; some are closed."""
    entries: dict[str, dict[str, object]] = {}
    for index, name in enumerate(NAMES):
        later = list(NAMES[index + 1 :])
        entry = phone(
            name.lower(),
            overflow=draw(st.lists(st.sampled_from(later or [""]), max_size=3 if later else 0)),
        )
        if draw(st.booleans()) and later:
            entry["schedule"] = "never"
            if draw(st.booleans()):
                entry["closed"] = {"entry": draw(st.sampled_from(later))}
        entries[name] = entry
    return entries


@given(houses())
def test_whatever_leads_where_each_open_entry_rings_once_and_no_closed_one(
    entries: dict[str, dict[str, object]],
) -> None:
    keys = {
        "trunks": [{"name": "pbx", "kind": "pbx"}],
        "schedules": {"never": {"time_zone": "UTC", "hours": {}}},
        "directory": entries,
    }
    listed = Directory(Settings.model_validate(keys))
    for name, entry in entries.items():
        plan = listed.plan(name, MONDAY)
        if isinstance(plan, NoWay):
            assert "schedule" in entry
            continue
        phones = [place.to for step in plan.steps for place in step.places]
        assert len(phones) == len(set(phones)) > 0
        assert not any("schedule" in entries[to.upper()] for to in phones)
        if "schedule" not in entry:
            assert phones[0] == name.lower()


# hours of our own numbers


def test_a_number_is_open_by_its_schedule(tmp_path: Path) -> None:
    closed = {"announcement": "closed.wav", "trunk": "pbx", "to": "200"}
    numbers = {"+14155550100": {"schedule": "office", "closed": closed}, "+14155550101": {}}
    told = settings(tmp_path, numbers=numbers)
    listed = Directory(told)
    entry = told.numbers["+14155550100"]
    assert listed.out_of_hours(entry, MONDAY) is None
    plan = listed.out_of_hours(entry, NIGHT)
    assert isinstance(plan, TransferPlan)
    assert rung(plan) == ["200"]
    assert plan.steps[0].announcement == "closed.wav"
    assert listed.out_of_hours(told.numbers["+14155550101"], NIGHT) is None


def test_a_closed_number_without_more_is_480(tmp_path: Path) -> None:
    told = settings(tmp_path, numbers={"+14155550100": {"schedule": "office"}})
    plan = Directory(told).out_of_hours(told.numbers["+14155550100"], NIGHT)
    assert isinstance(plan, NoWay)
    assert plan.refusal == CLOSED
