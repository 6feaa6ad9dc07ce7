"""Profiles: each is a valid trunk, lies under the trunk's own keys, and is blamed for itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from config.reading import profiles
from config.settings import ConfigError, Settings, TrunkSettings
from config.values import Source
from sip.softswitch.trunks.trunk import Trunk
from tests.config.test_settings import problem, problems, read

WANTED = {
    *("twilio", "telnyx", "vonage", "bandwidth", "plivo", "signalwire", "didww", "voipms"),
    *("sipgate", "flowroute", "voip-innovations", "generic-carrier"),
    *("asterisk", "freepbx", "3cx", "cucm", "avaya", "teams", "freeswitch", "fusionpbx"),
    *("yeastar", "grandstream", "generic-pbx"),
    *("elevenlabs", "vapi"),
}
TITLES = profiles.titles()
PROVEN = "{username: u, password: p}"


def complete(name: str, keys: Mapping[str, Any]) -> str:
    """A configuration whose one trunk has the profile and what only the operator can know."""
    own = [f"name: a, profile: {name}"]
    if "credentials" in keys or keys.get("register") == "true":
        own.append(f"credentials: {PROVEN}")
    if keys.get("registrar") == "true":
        own.append(f"login: {PROVEN}")
    if "gateways" not in keys:
        own.append('gateways: ["sip:192.0.2.1"]')
    return f"trunks: [{{{', '.join(own)}}}]"


def test_there_is_one_for_every_carrier_and_pbx_that_we_know() -> None:
    assert set(TITLES) == WANTED
    assert list(TITLES) == sorted(TITLES)


@pytest.mark.parametrize("name", TITLES)
def test_profile_is_a_valid_trunk(name: str, tmp_path: Path) -> None:
    profile = TITLES[name]
    trunk = read(tmp_path, complete(name, profile.trunk)).trunks[0]
    assert trunk.kind == profile.kind
    assert trunk.profile == name
    assert trunk != TrunkSettings(name="a", profile=name, gateways=trunk.gateways)


@pytest.mark.parametrize("name", TITLES)
def test_softswitch_understands_the_profile(name: str, tmp_path: Path) -> None:
    settings = read(tmp_path, complete(name, TITLES[name].trunk)).trunks[0]
    trunk = Trunk.of(settings, default_country="US")
    assert [str(gateway) for gateway in trunk.gateways] == list(settings.gateways)
    assert trunk.no_response_s == settings.no_response_s
    assert trunk.post_dial_s == settings.post_dial_s
    assert trunk.leg.reliable.value == settings.reliable
    assert trunk.leg.session_timer.min_se_s == settings.session_timer.min_se_s
    assert trunk.country == settings.country or trunk.country == "US"


@pytest.mark.parametrize("name", TITLES)
def test_profile_tells_its_sources_and_what_to_do(name: str) -> None:
    profile = TITLES[name]
    assert profile.sources
    assert all(source.startswith("https://") for source in profile.sources)
    assert profile.notes
    assert all(note.endswith(".") for note in profile.notes)
    assert profile.title


@pytest.mark.parametrize("name", TITLES)
def test_profile_names_no_trunk_and_holds_no_secret(name: str) -> None:
    keys = TITLES[name].trunk
    assert not {"name", "profile", "kind", "login", "identify_headers"} & set(keys)
    assert set(keys.get("credentials", {})) <= {"realm"}


def test_quirks_of_the_fact_sheet(tmp_path: Path) -> None:
    """Those that would break a call if they went missing."""

    def trunk(name: str) -> TrunkSettings:
        return read(tmp_path, complete(name, TITLES[name].trunk)).trunks[0]

    assert trunk("twilio").no_response_s == 4
    assert Source.parse("54.172.60.0/30") in trunk("twilio").identify
    assert trunk("vonage").caller_id.format == trunk("vonage").called_number.format == "e164"
    assert trunk("telnyx").caller_id.send == ("from", "pai")
    assert trunk("plivo").reliable == "off"
    credentials = trunk("didww").credentials
    assert credentials is not None
    assert credentials.realm == "out.didww.com"
    sipgate = trunk("sipgate")
    assert (sipgate.caller_id.send, sipgate.caller_id.format) == (("ppi",), "e164")
    assert sipgate.caller_id.from_domain == "sipconnect.sipgate.de"
    voipms = trunk("voipms")
    assert voipms.registers
    assert voipms.registration.expires_s == 120
    assert not voipms.health.options
    assert trunk("3cx").registrar
    assert trunk("yeastar").registrar
    assert trunk("cucm").session_timer.min_se_s == 1800
    assert trunk("cucm").reliable == "offer"
    teams = trunk("teams")
    assert len(teams.gateways) == 3
    assert teams.health.options
    assert (teams.session_timer.expires_s, teams.session_timer.min_se_s) == (3600, 300)
    assert teams.caller_id.user_phone
    assert trunk("grandstream").called_number.accept == "to"


def test_retells_profile_is_that_of_its_own_trunk_and_of_no_other(tmp_path: Path) -> None:
    known = profiles.retell()
    assert known.sources
    assert known.notes
    assert known.kind == "retell"
    settings = Settings().retell
    assert settings.sip_uri == known.trunk["gateways"][0]
    assert [str(source) for source in settings.identify] == known.trunk["identify"]
    own = settings.own_trunk()
    assert list(own.pass_headers.outbound) == known.trunk["pass_headers"]["outbound"]
    line = problem(tmp_path, "trunks: [{name: a, profile: retell}]")
    assert line.endswith("trunks[0].profile: there is no profile named retell")
    line = problem(tmp_path, "trunks: [{name: a, kind: retell}]")
    assert line.endswith("trunks[0].kind: must be 'carrier' or 'pbx'")


def test_own_keys_are_laid_over_retells_profile(tmp_path: Path) -> None:
    text = """
retell:
  trunk: Agents
  sip_uri: sip:127.0.0.1:5070
  identify: [127.0.0.0/8]
  login: {username: r, password: s3cret}
trunks: [{name: a, gateways: [sip:192.0.2.1]}]
"""
    own, other = read(tmp_path, text).every_trunk()
    assert (own.name, own.kind, own.gateways) == ("Agents", "retell", ("sip:127.0.0.1:5070",))
    assert own.identify == (Source.parse("127.0.0.0/8"),)
    assert own.login is not None
    assert own.login.password.get_secret_value() == "s3cret"
    assert other.name == "a"


# how it lies under a trunk


def test_own_keys_win_mappings_are_merged_lists_are_replaced(tmp_path: Path) -> None:
    text = """
trunks:
  - name: a
    profile: twilio
    no_response_s: 6
    identify: [192.0.2.0/24]
    caller_id: {format: e164}
"""
    trunk = read(tmp_path, text).trunks[0]
    assert trunk.no_response_s == 6
    assert trunk.identify == (Source.parse("192.0.2.0/24"),)
    assert trunk.caller_id.format == "e164"
    assert trunk.caller_id.send == ("from", "pai")
    assert trunk.calls_per_second == 1


def test_key_that_an_unset_variable_leaves_out_is_the_profiles(tmp_path: Path) -> None:
    text = "trunks: [{name: a, profile: twilio, no_response_s: '${PATIENCE:-}'}]"
    assert read(tmp_path, text).trunks[0].no_response_s == 4
    assert read(tmp_path, text, PATIENCE="7").trunks[0].no_response_s == 7


def test_realm_completes_credentials_but_makes_none(tmp_path: Path) -> None:
    text = "trunks: [{name: a, profile: didww%s}]"
    assert read(tmp_path, text % "").trunks[0].credentials is None
    given = read(tmp_path, text % f", credentials: {PROVEN}").trunks[0].credentials
    assert given is not None
    assert (given.username, given.realm) == ("u", "out.didww.com")
    own = "{username: u, password: p, realm: other.example.com}"
    given = read(tmp_path, text % f", credentials: {own}").trunks[0].credentials
    assert given is not None
    assert given.realm == "other.example.com"


def test_one_profile_serves_several_trunks(tmp_path: Path) -> None:
    text = """
trunks:
  - {name: a, profile: plivo, calls_per_second: 9, login: {username: u, password: p}}
  - {name: b, profile: plivo}
"""
    first, second = read(tmp_path, text).trunks
    assert (first.calls_per_second, second.calls_per_second) == (9, 2)


def test_profile_of_a_pbx_makes_the_trunk_a_pbx(tmp_path: Path) -> None:
    text = "trunks: [{name: a, profile: asterisk}, {name: b, profile: asterisk, kind: carrier}]"
    assert [trunk.kind for trunk in read(tmp_path, text).trunks] == ["pbx", "carrier"]


# errors


def test_unknown_profile_gets_a_suggestion(tmp_path: Path) -> None:
    line = problem(tmp_path, "trunks:\n  - name: a\n    profile: twillio\n")
    assert line == (
        "gateway.yaml:3: trunks[0].profile: there is no profile named twillio; did you mean twilio?"
    )
    line = problem(tmp_path, "trunks: [{name: a, profile: ../../etc/passwd}]")
    assert line.endswith("there is no profile named ../../etc/passwd")
    assert problem(tmp_path, "trunks: [{name: a, profile: [b]}]").endswith("must be a string")


def test_what_an_unknown_profile_might_have_is_not_missed(tmp_path: Path) -> None:
    """One mistake, one line: the gateways of the trunk may be the profile's."""
    text = """\
trunks:
  - {name: a, profile: sipgat, credentials: {username: u, password: p}, register: true}
numbers:
  "+12125550100": {fallback: {trunk: a, to: "+12125550101"}}
outbound: {routes: [{prefix: "", trunks: [a]}]}
"""
    assert problem(tmp_path, text) == (
        "gateway.yaml:2: trunks[0].profile: there is no profile named sipgat; did you mean sipgate?"
    )


def test_error_in_the_trunk_points_to_the_trunk(tmp_path: Path) -> None:
    text = """\
trunks:
  - name: a
    profile: cucm
    session_timer:
      min_se_s: 90s
    caller_id: {sende: [from]}
"""
    assert problems(tmp_path, text) == [
        "gateway.yaml:5: trunks[0].session_timer.min_se_s: must be a valid integer, unable to "
        "parse string as an integer",
        "gateway.yaml:6: trunks[0].caller_id.sende: unknown key; did you mean send?",
    ]


def test_what_the_trunk_makes_of_the_profile_is_the_trunks_error(tmp_path: Path) -> None:
    text = "trunks:\n  - name: a\n    profile: cucm\n    session_timer: {expires_s: 900}\n"
    assert problem(tmp_path, text) == (
        "gateway.yaml:4: trunks[0].session_timer: min_se_s (1800) must not be above expires_s (900)"
    )
    text = "trunks:\n  - name: a\n    profile: 3cx\n"
    assert problem(tmp_path, text) == (
        "gateway.yaml:2: trunks[0].login: is required: who registers with us must prove who it is "
        "(registrar: true)"
    )


def test_two_trunks_of_one_carrier_are_told_where_they_meet(tmp_path: Path) -> None:
    """The addresses are the profile's, the mistake is not."""
    text = "trunks:\n  - {name: a, profile: telnyx}\n  - {name: b, profile: telnyx}\n"
    lines = problems(tmp_path, text)
    assert lines[0] == (
        "gateway.yaml:3: trunks[1].identify[0]: 192.76.120.10/32 already identifies trunk a; "
        "identify_headers, identify_certificates or login can tell them apart "
        "(from profile telnyx)"
    )
    token = ", identify_headers: {X-Token: t}}\n"
    assert len(read(tmp_path, text.removesuffix("}\n") + token).trunks) == 2


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of profiles of the test's own."""
    directory = tmp_path / "profiles"
    directory.mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(profiles, "DIRECTORY", directory)
        forget()
        yield directory
    forget()


def forget() -> None:
    profiles.names.cache_clear()
    profiles.profile.cache_clear()


HEAD = "title: A\nkind: carrier\nsources: [https://example.com/]\n"


def test_error_inside_a_profile_names_the_profiles_file(shelf: Path, tmp_path: Path) -> None:
    (shelf / "own.yaml").write_text(
        HEAD + "trunk:\n  no_response_s: soon\n  caller_id:\n    sned: [from]\n"
    )
    assert problems(tmp_path, "trunks: [{name: a, profile: own}]") == [
        "profiles/own.yaml:5: trunk.no_response_s: must be a valid number, unable to parse string "
        "as a number",
        "profiles/own.yaml:7: trunk.caller_id.sned: unknown key; did you mean send?",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("kind: carrier\nsources: [https://example.com/]\ntrunk: {}\n", "1: title: is required"),
        (HEAD, "1: trunk: is required"),
        (HEAD + "trunk: []\n", "4: trunk: must be a mapping of keys to values"),
        (HEAD + "trunk: {}\nnote: x\n", "5: note: unknown key; did you mean notes?"),
        (HEAD.replace("https:", "ftp:") + "trunk: {}\n", "3: sources[0]: 'ftp://example.com/' is "
         "not an http:// or https:// URL"),
        (HEAD + "trunk:\n  credentials:\n    password: p\n", "6: trunk.credentials.password: "
         "a profile holds no secret: write this into the trunk itself"),
        (HEAD + "trunk: {login: {username: u}}\n", "4: trunk.login: "
         "a profile holds no secret: write this into the trunk itself"),
        (HEAD + "trunk: {a: '${SECRET}'}\n", "4: trunk.a: environment variable SECRET is not set"),
    ],
)  # fmt: skip
def test_broken_profile_is_reported_whole(
    shelf: Path, tmp_path: Path, text: str, line: str
) -> None:
    (shelf / "own.yaml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, "trunks: [{name: a, profile: own}]", SECRET="s")
    assert refused.value.problems[0] == f"{shelf}/own.yaml:{line}"


def test_profiles_are_listed_by_name(shelf: Path) -> None:
    (shelf / "b.yaml").write_text(HEAD + "trunk: {}\n")
    (shelf / "a.yaml").write_text(HEAD.replace("A", "B") + "trunk: {}\nnotes: [Do this.]\n")
    listed = profiles.titles()
    assert [(name, p.title, p.notes) for name, p in listed.items()] == [
        ("a", "B", ("Do this.",)),
        ("b", "A", ()),
    ]
    with pytest.raises(KeyError):
        profiles.profile("c")
