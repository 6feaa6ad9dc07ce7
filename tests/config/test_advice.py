"""What a configuration alone shows to be doubtful: each finding by its code, key and line."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.advice.all import advice
from config.findings import Level
from config.problems import Problem, key_text
from config.settings import SANDBOX_FILE, load, read

ROOT = Path(__file__).parents[2]
Keys = dict[str, Any]

SOUND: Keys = {
    "sip": {"listen": ["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"], "advertise": "8.8.4.4"},
    "retell": {"login": {"username": "retell", "password": "p"}},
    "trunks": [
        {"name": "carrier", "gateways": ["sip:sip.carrier.net"], "identify": ["8.8.8.0/28"]},
        {"name": "pbx", "kind": "pbx", "gateways": ["sip:10.0.0.9"], "identify": ["10.0.0.9"]},
    ],
    "outbound": {"routes": [{"prefix": "", "trunks": ["carrier"]}]},
}
CARRIER, PBX = SOUND["trunks"]


def findings(tmp_path: Path, keys: Keys) -> list[tuple[str, str, str]]:
    """Level, code and key of everything found."""
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(SOUND | keys))
    found = advice(load(file, {}))
    return [(one.level.value, one.code, key_text(one.path)) for one in found]


def trunks(*entries: Keys) -> Keys:
    return {"trunks": [CARRIER, *entries]}


def carrier(**keys: Any) -> Keys:
    return {"trunks": [CARRIER | keys, PBX]}


def sip(**keys: Any) -> Keys:
    return {"sip": SOUND["sip"] | keys}


def retell(**keys: Any) -> Keys:
    return {"retell": SOUND["retell"] | keys}


def listed(to: str, **keys: Any) -> Keys:
    """An entry of the directory: one phone by the carrier."""
    return {"targets": [{"trunk": "carrier", "to": to, **keys}]}


FORGED = {"name": "two", "gateways": ["sip:sip.two.net"]}
CASES: list[tuple[str, Keys, tuple[str, str, str]]] = [
    (
        "keys to a gateway by UDP",
        carrier(media={"srtp": "optional"}),
        ("warning", "keys-in-the-clear", "trunks[0].media.srtp"),
    ),
    (
        "keys from a peer, and no listener is TLS",
        trunks({"name": "desk", "identify": ["8.8.9.0/28"], "media": {"srtp": "required"}}),
        ("warning", "keys-in-the-clear", "trunks[1].media.srtp"),
    ),
    (
        "keys to Retell by TCP",
        {"retell": {**SOUND["retell"], "srtp": "required"}},
        ("warning", "keys-in-the-clear", "retell.srtp"),
    ),
    (
        "keys to Retell for one number",
        {"numbers": {"*": {"srtp": "required"}}},
        ("warning", "keys-in-the-clear", "numbers.*.srtp"),
    ),
    (
        "HTTP on the port of SIP over TCP",
        {"http": {"listen": "127.0.0.1:5060"}},
        ("error", "http-on-sip-port", "http.listen"),
    ),
    (
        "HTTP on the port of SIP over UDP",
        {"http": {"listen": "0.0.0.0:5060"}, **sip(listen=["udp:0.0.0.0:5060"])},
        ("warning", "http-on-sip-port", "http.listen"),
    ),
    (
        "loopback told to a carrier",
        sip(advertise="127.0.0.1"),
        ("error", "advertise-loopback", "sip.advertise"),
    ),
    (
        "a private address told to a carrier",
        sip(advertise="10.0.0.5"),
        ("warning", "advertise-private", "sip.advertise"),
    ),
    (
        "a listener's own private address",
        sip(listen=[{"address": "udp:0.0.0.0:5060", "advertise": "192.168.1.5"}]),
        ("warning", "advertise-private", "sip.listen[0].advertise"),
    ),
    (
        "a carrier's own private address of ours",
        carrier(advertise="10.1.1.1"),
        ("warning", "advertise-private", "trunks[0].advertise"),
    ),
    (
        "everybody is the carrier",
        {"trunks": [CARRIER | {"identify": ["0.0.0.0/0"]}]},
        ("error", "identify-everyone", "trunks[0].identify[0]"),
    ),
    (
        "everybody of IPv6, with a password",
        carrier(identify=["::/0"], login={"username": "u", "password": "p"}),
        ("warning", "identify-everyone", "trunks[0].identify[0]"),
    ),
    (
        "half the world is the carrier",
        carrier(identify=["8.0.0.0/8"]),
        ("warning", "identify-wide", "trunks[0].identify[0]"),
    ),
    (
        "Retell's network on a carrier",
        carrier(identify=["8.8.8.8", "18.98.16.120/30"]),
        ("error", "identify-retell", "trunks[0].identify[1]"),
    ),
    (
        "one of Retell's hosts on a carrier that proves itself",
        carrier(identify=["18.98.16.121"], login={"username": "u", "password": "p"}),
        ("warning", "identify-retell", "trunks[0].identify[0]"),
    ),
    (
        "ports for fewer calls than are let in",
        {"media": {"ports": "20000-20099"}},
        ("warning", "media-ports-few", "media.ports"),
    ),
    (
        "ports over a listener",
        sip(listen=["udp:0.0.0.0:20060"]),
        ("error", "media-ports-over-listener", "media.ports"),
    ),
    (
        "a fallback to an extension of a carrier",
        retell(fallback={"trunk": "carrier", "to": "200"}),
        ("warning", "fallback-extension", "retell.fallback.to"),
    ),
    (
        "a fallback to a number that comes back",
        {"numbers": {"+12125557000": {"fallback": {"trunk": "carrier", "to": "+12125557000"}}}},
        ("error", "fallback-loops", "numbers.+12125557000.fallback.to"),
    ),
    (
        "a fax that comes back",
        {"numbers": {"+12125557000": {"fax": {"trunk": "carrier", "to": "+12125557000"}}}},
        ("error", "fallback-loops", "numbers.+12125557000.fax.to"),
    ),
    (
        "a phone of the directory that comes back",
        {
            "numbers": {"+12125557000": {}},
            "directory": {"Sales": listed("+12125557000")},
        },
        ("error", "fallback-loops", "directory.Sales.targets[0].to"),
    ),
    (
        "a phone for the night that a carrier does not know",
        {
            "numbers": {"*": {"schedule": "s", "closed": {"trunk": "carrier", "to": "200"}}},
            "schedules": {"s": {"time_zone": "UTC", "hours": {}}},
        },
        ("warning", "fallback-extension", "numbers.*.closed.to"),
    ),
    (
        "a key that nobody asks for",
        {"directory": {"Mobile": listed("+12125557001", confirm=True)}},
        ("warning", "confirm-unsaid", "directory.Mobile.targets[0].confirm"),
    ),
    (
        "a gateway that is ours",
        carrier(gateways=["sip:8.8.4.4:5060;transport=tcp"]),
        ("error", "leads-to-us", "trunks[0].gateways[0]"),
    ),
    (
        "a Retell that anybody may be",
        {"retell": {}},
        ("warning", "retell-by-address", "retell"),
    ),
    (
        "no way out for Retell's calls",
        {"outbound": {"routes": []}},
        ("note", "no-route", "outbound"),
    ),
    (
        "a trunk that nothing identifies",
        trunks(PBX, FORGED),
        ("warning", "trunk-unidentified", "trunks[2]"),
    ),
    (
        "a wider network behind a narrower one",
        trunks(PBX, FORGED | {"identify": ["8.8.8.0/24"]}),
        ("warning", "identities-overlap", "trunks[2].identify[0]"),
    ),
    (
        "two trunks with one secret header",
        trunks(
            FORGED | {"identify_headers": {"X-Token": "t"}},
            FORGED | {"name": "three", "identify_headers": {"X-Token": "t"}},
        ),
        ("warning", "identities-overlap", "trunks[2]"),
    ),
    (
        "a jambonz that needs no password",
        sip(listen=[]),
        ("warning", "jambonz-open", "sip.listen"),
    ),
    (
        "servers that are not verified",
        sip(tls={"verify": False}),
        ("warning", "tls-unverified", "sip.tls.verify"),
    ),
    (
        "the example's address",
        sip(advertise="203.0.113.10"),
        ("error", "example-value", "sip.advertise"),
    ),
    (
        "the example's realm",
        sip(realm="gateway.example.com"),
        ("warning", "example-value", "sip.realm"),
    ),
    (
        "the example's gateway",
        carrier(gateways=["sip:example.pstn.twilio.com;transport=tcp"]),
        ("error", "example-value", "trunks[0].gateways[0]"),
    ),
    (
        "the example's carrier's network",
        carrier(identify=["192.0.2.0/28"]),
        ("warning", "example-value", "trunks[0].identify[0]"),
    ),
    (
        "the example's number",
        {"numbers": {"+14155550100": {}}},
        ("warning", "example-value", "numbers.+14155550100"),
    ),
    (
        "the example's agent",
        retell(agent="agent_1"),
        ("warning", "example-value", "retell.agent"),
    ),
]


@pytest.mark.parametrize(("keys", "wanted"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_each_is_found_once_and_nothing_else(
    keys: Keys, wanted: tuple[str, str, str], tmp_path: Path
) -> None:
    assert findings(tmp_path, keys) == [wanted]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        # all trunks are within: a private address is right
        {
            **sip(advertise="10.0.0.5"),
            **retell(sip_uri="sip:10.0.0.7"),
            "trunks": [PBX | {"name": "carrier"}],
        },
        # told apart by their logins, or by a port of their own
        trunks(
            FORGED | {"identify": ["8.8.8.0/24"], "login": {"username": "u", "password": "p"}},
        ),
        # keys within TLS
        carrier(media={"srtp": "required"}, gateways=["sip:sip.carrier.net;transport=tls"]),
        # an extension is right at a PBX
        retell(fallback={"trunk": "pbx", "to": "200"}),
        # a secret is as good as a password
        {"retell": {"evidence": {"header": "X-Token", "value": "secret"}}},
        # a jambonz that proves itself
        {**sip(listen=[]), "application": {"username": "u", "password": "p"}},
    ],
)
def test_what_is_right_is_not_found_fault_with(keys: Keys, tmp_path: Path) -> None:
    assert findings(tmp_path, keys) == []


def test_the_sandbox_is_fine() -> None:
    assert list(advice(load(SANDBOX_FILE, {}))) == []


def test_every_key_of_the_example_that_must_be_replaced_is_named() -> None:
    """With its line: an operator who filled in the secrets alone is led through the rest."""
    example = ROOT / "config" / "gateway.example.yaml"
    secrets = re.findall(r"\$\{([A-Z_]+)\}", example.read_text())
    settings, source = read(example, dict.fromkeys(secrets, "x"))
    lines = example.read_text().splitlines()
    found = [one for one in advice(settings) if one.code == "example-value"]
    assert {key_text(one.path) for one in found} == {
        "sip.advertise",
        "sip.realm",
        "trunks[0].gateways[0]",
        "trunks[3].gateways[0]",
        "trunks[3].identify[0]",
        "numbers.+14155550100",
        "numbers.+14155550100.agent",
        "numbers.+14155550101",
    }
    assert {one.level for one in found} == {Level.ERROR, Level.WARNING}
    for one in found:
        place = source.place(Problem(one.path, one.text, between=True))
        value = one.text.partition(" ")[0]
        assert place.file == str(example)
        assert value in lines[place.line - 1], one
