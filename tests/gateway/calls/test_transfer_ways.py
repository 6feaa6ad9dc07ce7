"""By which way a caller goes: REFER or bridge, in which form, shown as whom; and overrides."""

from typing import Any

import pytest

from config.settings import Settings
from config.trunk_settings import TrunkSettings
from gateway.calls.directory import Place, Step
from gateway.calls.no_way import NoWay
from gateway.calls.overrides import NOT_ALLOWED, Override, override_of
from gateway.calls.transfer_ways import (
    Refer,
    Shown,
    diversion,
    means,
    refer,
    shown,
)

NUMBER = Place(trunks=("telnyx",), to="+14155550144")
EXTENSION = Place(trunks=("pbx",), to="200")
#: Our own softswitch, and a real jambonz in its place.
OURS = Settings()
JAMBONZ = Settings.model_validate({"sip": {"listen": []}, "outbound": {"default_country": "US"}})
CALLER, DID = "+12125550101", "+14155550100"


def trunk(**transfer: Any) -> TrunkSettings:
    keys = {"name": "twilio", "gateways": ["sip:a.pstn.twilio.example;transport=tls"]}
    return TrunkSettings.model_validate({**keys, "transfer": transfer})


def pbx(**transfer: Any) -> TrunkSettings:
    keys = {"name": "pbx", "kind": "pbx", "gateways": ["sip:[2001:db8::7]:5070"]}
    return TrunkSettings.model_validate({**keys, "transfer": transfer})


def step(*places: Place) -> Step:
    return Step(entry=None, places=places, ring_s=30, announcement=None, ringing=None, after="end")


@pytest.mark.parametrize(
    ("policy", "ways"),
    [("bridge", ("bridge",)), ("refer", ("refer",)), ("auto", ("refer", "bridge"))],
)
def test_the_policy_says_which_way(policy: str, ways: tuple[str, ...]) -> None:
    assert means(OURS, trunk(policy=policy), step(NUMBER)) == ways


@pytest.mark.parametrize(
    "rung",
    [
        step(),
        step(NUMBER, EXTENSION),
        step(Place(trunks=("telnyx",), to=NUMBER.to, confirm=True)),
        step(Place(trunks=("telnyx",), to=NUMBER.to, whisper="a.wav")),
        step(EXTENSION),  # of another trunk, which the peer does not know
        step(Place(trunks=("pbx",), to="sip:bob@192.0.2.7")),
    ],
)
@pytest.mark.parametrize("policy", ["refer", "auto"])
def test_what_the_peer_cannot_do_alone_is_bridged(policy: str, rung: Step) -> None:
    assert means(OURS, trunk(policy=policy), rung) == ("bridge",)


def test_a_pbx_is_referred_to_its_own_extensions() -> None:
    assert means(OURS, pbx(policy="auto"), step(EXTENSION)) == ("refer", "bridge")
    uri = Place(trunks=("pbx",), to="sip:bob@192.0.2.7")
    assert means(OURS, pbx(policy="refer"), step(uri)) == ("refer",)
    assert refer(OURS, pbx(), uri) == refer(JAMBONZ, pbx(), uri)
    assert refer(OURS, pbx(), uri).refer_to == "sip:bob@192.0.2.7"


@pytest.mark.parametrize(
    ("peer", "place", "wanted"),
    [
        (trunk(refer_to="tel:{number}"), NUMBER, "tel:+14155550144"),
        (trunk(), NUMBER, "sip:+14155550144@a.pstn.twilio.example"),
        (trunk(refer_to="sip:{number}@{host}:5080;user=phone"), NUMBER,
         "sip:+14155550144@a.pstn.twilio.example:5080;user=phone"),
        (trunk(refer_to="sip:{number}@sip.example.com"), NUMBER,
         "sip:+14155550144@sip.example.com"),
        (trunk(), Place(trunks=("x",), to="+1 (415) 555-0144"),
         "sip:+14155550144@a.pstn.twilio.example"),
        (pbx(), EXTENSION, "sip:200@[2001:db8::7]"),
        (pbx(refer_to="tel:{number}"), EXTENSION, "sip:200@[2001:db8::7]"),  # no number: no tel:
        (pbx(), Place(trunks=("pbx",), to="#9 é"), "sip:%239%20%C3%A9@[2001:db8::7]"),
        (TrunkSettings(name="phone", kind="pbx"), EXTENSION, "200"),  # it registers with us
    ],
)  # fmt: skip
def test_a_jambonz_is_told_what_the_peer_wants(
    peer: TrunkSettings, place: Place, wanted: str
) -> None:
    assert refer(JAMBONZ, peer, place).refer_to == wanted


def test_our_softswitch_knows_it_itself() -> None:
    peer = trunk(refer_to="tel:{number}", headers={"X-Account": "7"})
    assert refer(OURS, peer, NUMBER) == Refer("+14155550144", {})
    assert refer(JAMBONZ, peer, NUMBER) == Refer("tel:+14155550144", {"X-Account": "7"})
    assert refer(OURS, pbx(), EXTENSION) == Refer("200", {})


@pytest.mark.parametrize(
    ("peer", "caller", "number", "wanted"),
    [
        (trunk(), CALLER, DID, Shown(DID, CALLER)),
        (trunk(foreign_caller_id=True), CALLER, DID, Shown(CALLER, DID)),
        (pbx(), CALLER, DID, Shown(CALLER, DID)),
        (trunk(), "", DID, Shown(DID, None)),
        (trunk(), CALLER, "", Shown(CALLER, None)),
        (trunk(), DID, DID, Shown(DID, None)),
        (trunk(), "", "", Shown(None, None)),
    ],
)
def test_who_is_shown(peer: TrunkSettings, caller: str, number: str, wanted: Shown) -> None:
    assert shown(peer, caller, number) == wanted


def test_diversion_names_the_number_at_the_carriers_own_host() -> None:
    """So Telnyx finds the number that the call came in by."""
    told = "<sip:+14155550100@a.pstn.twilio.example>;reason=unconditional"
    assert diversion(trunk(), Shown(CALLER, DID)) == told
    assert diversion(trunk(), Shown(DID, None)) is None
    assert diversion(TrunkSettings(name="phone"), Shown(CALLER, DID)) is None
    assert diversion(trunk(), Shown(DID, 'x">\r\n')) == (
        "<sip:x%22%3E%0D%0A@a.pstn.twilio.example>;reason=unconditional"
    )


# overrides


def overriding(**lists: list[str]) -> Settings:
    keys = {
        "trunks": [{"name": "telnyx"}, {"name": "twilio"}],
        "transfer": {"override": lists},
        "outbound": {"default_country": "US"},
    }
    return Settings.model_validate(keys)


BOTH = {"X-Override-Number": "415 555 0144", "x-override-carrier": "telnyx", "X-Other": "1"}


def test_overrides_are_not_read_unless_they_are_listed() -> None:
    assert override_of(overriding(), BOTH) == Override()
    assert override_of(overriding(carriers=["telnyx"]), BOTH) == Override(None, "telnyx")
    assert override_of(overriding(numbers=["+1415*"]), BOTH) == Override("+14155550144", None)


@pytest.mark.parametrize("pattern", ["+1415*", "+14155550144", "*"])
def test_an_override_that_is_listed_counts(pattern: str) -> None:
    settings = overriding(numbers=[pattern], carriers=["telnyx"])
    assert override_of(settings, BOTH) == Override("+14155550144", "telnyx")
    assert override_of(settings, {}) == Override()
    assert override_of(settings, {"X-Override-Number": ""}) == Override()


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"X-Override-Number": "+19005550100"}, "transfer.override.numbers"),
        ({"X-Override-Number": "+1415555"}, "transfer.override.numbers"),
        ({"X-Override-Number": "7#2001"}, "transfer.override.numbers"),
        ({"X-Override-Carrier": "twilio"}, "transfer.override.carriers"),
        ({"X-Override-Carrier": "TELNYX"}, "transfer.override.carriers"),
    ],
)
def test_an_override_that_is_not_listed_is_refused(headers: dict[str, str], key: str) -> None:
    no_way = override_of(overriding(numbers=["+14155550144"], carriers=["telnyx"]), headers)
    assert isinstance(no_way, NoWay)
    assert (no_way.refusal, no_way.refusal.status) == (NOT_ALLOWED, 403)
    assert key in no_way.words


@pytest.mark.parametrize(
    "number",
    [
        "sip:+14155550144@evil.example.net",
        "tel:+14155550144",
        "+14155550144@evil.example.net",
        "+14155550144;phone-context=x",
        "+14155550144%20",
        "+1415",
        "sales",
        "\uff12\uff10\uff10",
    ],
)
def test_an_override_is_a_number_and_nothing_else(number: str) -> None:
    """Whatever is listed: a URI would be called at its own host."""
    no_way = override_of(overriding(numbers=["*"]), {"X-Override-Number": number})
    assert isinstance(no_way, NoWay)
    assert no_way.refusal == NOT_ALLOWED
    assert "number" in no_way.words


@pytest.mark.parametrize("number", ["200", "7#2001", "1234#14155550144"])
def test_an_override_may_be_what_a_trunk_alone_knows(number: str) -> None:
    settings = overriding(numbers=["*"])
    assert override_of(settings, {"X-Override-Number": number}) == Override(number)


# an agent whose leg dies
