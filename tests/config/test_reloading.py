"""Which keys a reload changes at once, and which it names as waiting for a restart."""

from pathlib import Path
from typing import Any

import pytest

from config.reloading import reload
from config.settings import Settings

NOW: dict[str, Any] = {
    "http": {"admin_token": "one"},
    "sip": {"listen": ["udp:127.0.0.1:5060"], "tls": {}},
    "trunks": [{"name": "a", "gateways": ["sip:192.0.2.1"]}, {"name": "b", "max_calls": 3}],
    "numbers": {"+14155550100": {}, "+14155550101": {"agent": "one"}},
}
CA = str(Path(__file__).parents[2] / "pyproject.toml")  # any file that can be read


@pytest.mark.parametrize(
    ("keys", "changed", "restart"),
    [
        ({}, (), ()),
        ({"http": {"admin_token": "two"}}, ("http.admin_token",), ()),
        (
            {"http": {"admin_token": "two", "listen": "127.0.0.1:8081"}},
            ("http.admin_token",),
            ("http.listen",),
        ),
        (
            {"http": {**NOW["http"], "tokens": [{"name": "t", "token": "t", "role": "read"}]}},
            ("http.tokens.t",),
            (),
        ),
        ({"trunks": [NOW["trunks"][0], {"name": "c"}]}, ("trunks.b", "trunks.c"), ()),
        (
            {"trunks": [{**NOW["trunks"][0], "media": {"srtp": "off"}}, {"name": "b"}]},
            ("trunks.b",),
            (),
        ),
        (
            {"numbers": {"+14155550101": {"agent": "two"}, "+14155550102": {}}},
            ("numbers.+14155550100", "numbers.+14155550101", "numbers.+14155550102"),
            (),
        ),
        ({"limits": {"calls": 7, "drain_s": 5}}, ("limits.calls", "limits.drain_s"), ()),
        ({"retell": {"api_key": "k", "agent": "a"}}, ("retell.api_key", "retell.agent"), ()),
        ({"log": {"level": "debug"}}, ("log.level",), ()),
        (
            {"outbound": {"routes": [{"prefix": "", "trunks": ["a"]}]}},
            ("outbound.routes",),
            (),
        ),
        (
            {
                "transfer": {"ring_s": 20},
                "directory": {"Sales": {"targets": [{"trunk": "a", "to": "200"}]}},
                "schedules": {"office": {"time_zone": "UTC", "hours": {}}},
                "outbound": {"guard": {"countries": ["US"]}},
            },
            (
                "outbound.guard.countries",
                "transfer.ring_s",
                "directory.Sales",
                "schedules.office",
            ),
            (),
        ),
        ({"media": {"ports": "30000-30999"}}, (), ("media.ports",)),
        (
            {"media": {"processes": "auto", "advertise": "gw.example.com"}},
            (),
            ("media.processes", "media.advertise"),
        ),
        ({"storage": {"url": "sqlite:///other.db"}}, (), ("storage.url",)),
        ({"application": {"url": "wss://app.example.com"}}, (), ("application.url",)),
        (
            {"sip": {"listen": ["udp:127.0.0.1:5060"], "tls": {"ca": CA}, "realm": "other"}},
            ("sip.tls.ca",),
            ("sip.realm",),
        ),
        ({"sip": {"listen": ["udp:127.0.0.1:5062"]}}, (), ("sip.listen",)),
        (
            {"sip": {"listen": [{"address": "udp:127.0.0.1:5060", "certificate": CA}]}},
            ("sip.listen",),
            (),
        ),
    ],
)
def test_what_changes_at_once_and_what_waits(
    keys: dict[str, Any], changed: tuple[str, ...], restart: tuple[str, ...]
) -> None:
    now, wanted = Settings.model_validate(NOW), Settings.model_validate({**NOW, **keys})
    told = reload(now, wanted)
    assert (told.changed, told.restart) == (changed, restart)
    assert (told.settings == wanted) == (not restart), "what waits is not in force"
    assert reload(told.settings, wanted).changed == (), "a second time there is nothing to do"
