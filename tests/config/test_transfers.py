"""The keys of transfers: what each trunk and entry may say, and what contradicts itself."""

from pathlib import Path

import pytest

from config.reading import profiles
from config.settings import load
from config.transfer_settings import TrunkTransferSettings
from config.trunk_settings import TrunkSettings
from tests.config.test_profiles import complete
from tests.config.test_settings import problems, read

HEAD = """\
trunks: [{name: pbx, kind: pbx, gateways: [sip:192.0.2.1]}, {name: mute}]
media: {sounds: .}
schedules: {office: {time_zone: UTC, hours: {mon-fri: ["09:00-17:00"]}}}
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("policy: both", "trunks[0].transfer.policy: must be 'auto', 'refer' or 'brid"),
        ("refer_to: 'sip:{number}'", "trunks[0].transfer.refer_to: 'sip:{number}' is not a form"),
        ("refer_to: 'tel:{user}'", "trunks[0].transfer.refer_to: 'tel:{user}' is not a form of"),
        ("headers: {From: x}", "trunks[0].transfer.headers.From: 'From' is not a header name that"),
        ("bye: carrier", "trunks[0].transfer.bye: must be 'us' or 'peer'"),
        ("refer_wait_s: 0", "trunks[0].transfer.refer_wait_s: must be greater than 0"),
    ],
)
def test_a_trunks_transfer_is_checked(text: str, line: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"trunks: [{{name: a, transfer: {{{text}}}}}]")
    assert [one.removeprefix("gateway.yaml:1: ")[: len(line)] for one in found] == [line]


@pytest.mark.parametrize(
    "form",
    ["tel:{number}", "tel:{number};phone-context=example.com", "sip:{number}@{host}",
     "sips:{number}@{host}:5061;user=phone", "sip:{number}@sip.example.com",
     "sip:{number}@[2001:db8::1]:5060"],
)  # fmt: skip
def test_forms_of_refer_to(form: str, tmp_path: Path) -> None:
    text = f"trunks: [{{name: a, transfer: {{refer_to: '{form}'}}}}]"
    assert read(tmp_path, text).trunks[0].transfer.refer_to == form


@pytest.mark.parametrize(
    ("form", "target", "uri"),
    [
        ("tel:{number}", "+14155550144", "tel:+14155550144"),
        ("tel:{number}", "200", "sip:200@192.0.2.7"),  # no number: no tel:
        ("sip:{number}@{host};user=phone", "+14155550144", "sip:+14155550144@192.0.2.7;user=phone"),
        ("sip:{number}@sip.example.com", "200", "sip:200@sip.example.com"),
        ("sip:{number}@{host}", "a b>@{host}\r\n", "sip:a%20b%3E%40%7Bhost%7D%0D%0A@192.0.2.7"),
    ],
)
def test_refer_to_is_written_in_its_form(form: str, target: str, uri: str) -> None:
    assert TrunkTransferSettings(refer_to=form).refer_uri(target, "192.0.2.7") == uri


def test_a_pbx_may_refer_and_a_carrier_may_not_unless_it_is_said(tmp_path: Path) -> None:
    text = """
trunks:
  - {name: a}
  - {name: b, kind: pbx}
  - {name: c, transfer: {accept: true, foreign_caller_id: true}}
  - {name: d, kind: pbx, transfer: {accept: false, foreign_caller_id: false}}
"""
    trunks = read(tmp_path, text).trunks
    assert [trunk.transfer.accepts(trunk.kind) for trunk in trunks] == [False, True, True, False]
    foreign = [trunk.transfer.shows_foreign(trunk.kind) for trunk in trunks]
    assert foreign == [False, True, True, False]


def test_retell_may_refer(tmp_path: Path) -> None:
    retell = read(tmp_path, "").retell.own_trunk()
    assert retell.transfer.accepts(retell.kind)


def test_profiles_say_what_carriers_document(tmp_path: Path) -> None:
    """REFER where it is documented; where it is not, a bridge, which works with all."""

    def trunk(name: str) -> TrunkSettings:
        return read(tmp_path, complete(name, profiles.profile(name).trunk)).trunks[0]

    twilio = trunk("twilio").transfer
    assert (twilio.policy, twilio.refer_to, twilio.bye) == ("auto", "tel:{number}", "us")
    assert not twilio.shows_foreign("carrier")
    telnyx = trunk("telnyx").transfer
    assert (telnyx.policy, telnyx.refer_to) == ("auto", "sip:{number}@sip.telnyx.com")
    assert telnyx.shows_foreign("carrier")
    plivo = trunk("plivo").transfer
    assert (plivo.policy, plivo.refer_to, plivo.bye) == ("auto", "sip:{number}@{host}", "peer")
    documented = {"twilio", "telnyx", "plivo", "asterisk", "freepbx"}
    for name in profiles.names():
        policy = trunk(name).transfer.policy
        assert policy == ("auto" if name in documented else "bridge"), name


def test_the_page_says_the_same_as_the_profiles(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/transfers.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `") and "| auto |" in line]
    named = {name: row for row in rows for name in profiles.names() if f"`{name}`" in row}
    for name in profiles.names():
        transfer = read(tmp_path, complete(name, profiles.profile(name).trunk)).trunks[0].transfer
        assert (name in named) == (transfer.policy == "auto"), name
        if name in named:
            assert f"`{transfer.refer_to}`" in named[name]


# directory, schedules


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            "directory: {A: {targets: []}}",
            ["directory.A.targets: must not be empty"],
        ),
        (
            "directory: {A: {targets: [{trunk: pbq, to: '1'}]}}",
            ["directory.A.targets[0].trunk: there is no trunk named pbq; did you mean pbx?"],
        ),
        (
            "directory: {A: {targets: [{trunk: mute, to: '1'}]}}",
            [
                "directory.A.targets[0].trunk: trunk mute cannot be dialled: it has no gateways",
            ],
        ),
        (
            "directory: {A: {targets: [{trunk: pbx, to: '1'}], schedule: ofice}}",
            ["directory.A.schedule: there is no schedule named ofice; did you mean office?"],
        ),
        (
            "numbers: {'*': {closed: {announcement: a.wav}}}",
            ["numbers.*.closed: has no effect: no schedule says when it is closed"],
        ),
        (
            "numbers: {'*': {schedule: office, closed: {entry: Sales}}}",
            ["numbers.*.closed.entry: there is no entry named Sales in directory"],
        ),
        (
            "numbers: {'*': {schedule: office, closed: {}}}",
            ["numbers.*.closed: says nothing: give announcement, entry, or trunk and to"],
        ),
        (
            "numbers: {'*': {schedule: office, closed: {trunk: pbx}}}",
            ["numbers.*.closed: trunk and to belong together"],
        ),
        (
            "transfer: {override: {carriers: [telnix]}}",
            ["transfer.override.carriers[0]: there is no trunk named telnix"],
        ),
        (
            "transfer: {override: {numbers: ['+1*5']}}",
            ["transfer.override.numbers[0]: '+1*5' is neither a number nor the beginning of one "
             "and a *"],
        ),
        (
            "outbound: {guard: {emergency: {trunk: nobody}}}",
            ["outbound.guard.emergency.trunk: there is no trunk named nobody"],
        ),
        (
            "outbound: {guard: {allow: ['+1'], deny: ['+44', '+1']}}",
            ['outbound.guard.deny[1]: "+1" is in outbound.guard.allow, too'],
        ),
        (
            "outbound: {guard: {countries: [UK]}}",
            ["outbound.guard.countries[0]: 'UK' is not a two-letter country code such as US"],
        ),
    ],
)  # fmt: skip
def test_what_names_nothing_or_contradicts_itself(
    text: str, lines: list[str], tmp_path: Path
) -> None:
    assert problems(tmp_path, HEAD + text) == [f"gateway.yaml:4: {line}" for line in lines]


def test_a_name_belongs_to_one_entry(tmp_path: Path) -> None:
    text = """\
directory:
  Sales: {aliases: ["200"], targets: [{trunk: pbx, to: "1"}]}
  Support: {aliases: [SALES, "200", "201"], targets: [{trunk: pbx, to: "2"}]}
"""
    assert problems(tmp_path, HEAD + text) == [
        "gateway.yaml:6: directory.Support.aliases[0]: SALES is a name of Sales already",
        "gateway.yaml:6: directory.Support.aliases[1]: 200 is a name of Sales already",
    ]


def test_names_that_differ_in_case_alone_are_one(tmp_path: Path) -> None:
    text = """\
directory:
  Sales: {targets: [{trunk: pbx, to: "1"}]}
  sales: {targets: [{trunk: pbx, to: "2"}]}
"""
    assert problems(tmp_path, HEAD + text) == [
        "gateway.yaml:6: directory.sales: is a name of Sales already, but for its case",
    ]


def test_circles_are_found_with_their_place(tmp_path: Path) -> None:
    text = """\
directory:
  A: {targets: [{trunk: pbx, to: "1"}], overflow: [B]}
  B: {targets: [{trunk: pbx, to: "2"}], schedule: office, closed: {entry: C}}
  C: {targets: [{trunk: pbx, to: "3"}], overflow: [A]}
  D: {targets: [{trunk: pbx, to: "4"}], overflow: [D]}
  E: {targets: [{trunk: pbx, to: "5"}], overflow: [F, G]}
  F: {targets: [{trunk: pbx, to: "6"}], overflow: [G]}
  G: {targets: [{trunk: pbx, to: "7"}]}
"""
    assert problems(tmp_path, HEAD + text) == [
        "gateway.yaml:7: directory.C.overflow[0]: leads in a circle: A → B → C → A",
        "gateway.yaml:8: directory.D.overflow[0]: leads in a circle: D → D",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("time_zone: Europe/Berln, hours: {}", ".time_zone: 'Europe/Berln' is not a time zone such "
         "as Europe/Berlin; did you mean Europe/Berlin?"),
        ("time_zone: ../etc/passwd, hours: {}", ".time_zone: '../etc/passwd' is not a time zone "
         "such as Europe/Berlin"),
        ("hours: {}", ".time_zone: is required"),
        ("time_zone: UTC, hours: {mo-fri: []}", ".hours.mo-fri: 'mo-fri' names no days: mon, "
         "mon-fri, or sat,sun"),
        ("time_zone: UTC, hours: {mon-fri: [], wed: []}", ": hours names wed twice"),
        ("time_zone: UTC, hours: {mon: ['9-17']}", ".hours.mon[0]: '9-17' is not of the form "
         "HH:MM-HH:MM"),
        ("time_zone: UTC, hours: {mon: ['24:00-25:00']}", ".hours.mon[0]: '24:00-25:00' is not of "
         "the form HH:MM-HH:MM"),
        ("time_zone: UTC, hours: {mon: ['09:00-09:00']}", ".hours.mon[0]: '09:00-09:00' is no time "
         "at all; a whole day is 00:00-24:00"),
        ("time_zone: UTC, hours: {mon: ['09:00-09:60']}", ".hours.mon[0]: '09:00-09:60' is not of "
         "the form HH:MM-HH:MM"),
        ("time_zone: UTC, hours: {}, holidays: [2027-02-29]", ".holidays[0]: '2027-02-29' is no "
         "day of the calendar"),
        ("time_zone: UTC, hours: {}, holidays: ['25.12.']", ".holidays[0]: '25.12.' is not a day "
         "such as 2026-12-25, or 12-25 of every year"),
    ],
)  # fmt: skip
def test_a_schedule_is_checked(text: str, line: str, tmp_path: Path) -> None:
    found = problems(tmp_path, f"schedules: {{office: {{{text}}}}}")
    assert found == [f"gateway.yaml:1: schedules.office{line}"]


def test_days_are_written_as_people_do(tmp_path: Path) -> None:
    hours = "{fri-mon: ['10:00-12:00'], 'tue, Thu': ['08:00-24:00']}"
    text = f"schedules: {{a: {{time_zone: UTC, hours: {hours}}}}}"
    schedule = read(tmp_path, text).schedules["a"]
    assert [str(days) for days in schedule.hours] == ["mon,fri,sat,sun", "tue,thu"]
    leap = "schedules: {a: {time_zone: UTC, hours: {}, holidays: ['02-29', 2028-02-29]}}"
    assert len(read(tmp_path, leap).schedules["a"].holidays) == 2


# sounds


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("transfer: {announcement: a.wav}", "transfer.announcement"),
        ("transfer: {ringing: a.wav}", "transfer.ringing"),
        ("directory: {A: {%s, announcement: a.wav}}", "directory.A.announcement"),
        ("directory: {A: {%s, ringing: a.wav}}", "directory.A.ringing"),
        ("directory: {A: {%s, schedule: office, closed: {announcement: a.wav}}}",
         "directory.A.closed.announcement"),
        ("directory: {A: {targets: [{trunk: pbx, to: '1', whisper: a.wav}]}}",
         "directory.A.targets[0].whisper"),
        ("numbers: {'*': {schedule: office, closed: {announcement: a.wav}}}",
         "numbers.*.closed.announcement"),
        ("numbers: {'*': {announcement: {file: a.wav}}}", "numbers.*.announcement"),
        ("numbers: {'*': {ringing: a.wav}}", "numbers.*.ringing"),
    ],
)  # fmt: skip
def test_a_sound_needs_a_folder(text: str, key: str, tmp_path: Path) -> None:
    text = HEAD + text.replace("%s", "targets: [{trunk: pbx, to: '1'}]")
    read(tmp_path, text)
    assert problems(tmp_path, text.replace("media: {sounds: .}\n", "")) == [
        f"gateway.yaml:3: {key}: is a file of media.sounds, which names no folder"
    ]


def test_the_page_of_transfers_has_examples_that_load(tmp_path: Path) -> None:
    """The first is a whole configuration; the others are laid over it."""
    page = (Path(__file__).parents[2] / "docs/transfers.md").read_text()
    first, *others = page.split("```yaml\n")[1:]
    (tmp_path / "sounds").mkdir()
    for text in ("", *(other.partition("```")[0] for other in others)):
        base = first.partition("```")[0]
        for key in ("numbers", "outbound"):
            if text.startswith(f"{key}:"):
                lines = base.split("\n")
                at = next(n for n, line in enumerate(lines) if line.startswith(f"{key}:"))
                end = at + 1
                while end < len(lines) and lines[end].startswith(" "):
                    end += 1
                base = "\n".join(lines[:at] + lines[end:])
        file = tmp_path / "gateway.yaml"
        file.write_text(base + "\n" + text)
        assert load(file, {}).directory.keys() == {"Sales", "Duty"}
