"""The SIP edge as an operator is told of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from config.settings import BanSettings, Settings
from sip.core.uri import Uri
from sip.errors import Fault
from sip.media.plane import MediaError, MediaStats, PartyStats
from sip.softswitch.admission.bans import Bans, Offence
from sip.softswitch.admission.refused_calls import Refused
from sip.softswitch.operator_view import OperatorView
from sip.softswitch.registration.registration import RegistrationView
from sip.softswitch.trunks.circuit import CircuitState
from sip.softswitch.trunks.health import GatewayState
from sip.softswitch.trunks.trunk import Trunks
from sip.transport.endpoint import Endpoint
from tests.softswitch.invites import invite

EPOCH = 1_795_000_000.0
BEHIND_NAT = Endpoint("udp", "198.51.100.20", 40312)
SECRETS = ("carrier-password", "pbx-password", "token-of-the-carrier")


class Clock:
    """Stands still, at 100 s after some start."""

    def now(self) -> float:
        return 100.0

    def epoch(self) -> float:
        return EPOCH

    def call_later(self, *_: object) -> Any:
        raise AssertionError("a report starts no timer")


SETTINGS = Settings.model_validate(
    {
        "trunks": [
            {
                "name": "carrier",
                "gateways": ["sip:one.example.com", "sip:two.example.com"],
                "identify": ["192.0.2.0/24"],
                "identify_headers": {"X-Token": SECRETS[2]},
                "identify_certificates": ["sip.example.com"],
                "register": True,
                "credentials": {"username": "us", "password": SECRETS[0]},
                "max_calls": 10,
            },
            {
                "name": "pbx",
                "kind": "pbx",
                "registrar": True,
                "login": {"username": "pbx", "password": SECRETS[1]},
            },
            {"name": "phone", "kind": "pbx", "identify": ["192.0.2.5"]},
        ]
    }
)


def gateway(uri: str, state: CircuitState, *, heard: bool = True, **more: Any) -> GatewayState:
    return GatewayState(
        **{
            "trunk": "carrier",
            "gateway": Uri.parse(uri),
            "state": state,
            "since": EPOCH - 60,
            "heard": heard,
            "by_options": True,
            "last_status": 200,
            "last_error": None,
            "round_trip_s": 0.01234,
            **more,
        }
    )


class Health:
    def __init__(self) -> None:
        self.gateways = [gateway("sip:one.example.com", CircuitState.CLOSED)]

    def states(self) -> list[GatewayState]:
        return self.gateways


class Registrations:
    def __init__(self) -> None:
        self.known = [registration("registered", EPOCH + 1800)]

    def states(self) -> list[RegistrationView]:
        return self.known

    async def refresh(self, trunk: str) -> RegistrationView | None:
        return next((state for state in self.known if state.trunk == trunk), None)


@dataclass(frozen=True)
class Binding:
    """A contact of the PBX behind NAT, for so long."""

    expires_at: float
    trunk: str = "pbx"
    aor: str = "pbx@gateway.example.com"
    contact: str = "sip:pbx@10.0.0.5:5060;rinstance=7f"
    source: Endpoint = BEHIND_NAT
    user_agent: str = ""


class Bindings:
    def __init__(self) -> None:
        self.bound: list[Binding] = []

    def live(self, now: float) -> Iterator[Binding]:
        return (binding for binding in self.bound if binding.expires_at > now)


class Edge:
    """What a report reads, and the report."""

    def __init__(self) -> None:
        self.health = Health()
        self.registrations = Registrations()
        self.bindings = Bindings()
        self.bans = Bans(BanSettings(strangers=2, first_s=300))
        self.refused = Refused(Clock())
        self.report = OperatorView(
            SETTINGS,
            Trunks.of(SETTINGS),
            clock=Clock(),
            health=self.health,
            registrations=self.registrations,
            bindings=self.bindings,
            bans=self.bans,
            refused=self.refused,
            calls=lambda trunk: 3 if trunk == "carrier" else 0,
            media=self.media,
        )

    async def media(self, call_sid: str) -> MediaStats | None:
        if call_sid == "broken":
            raise MediaError("timeout", "no answer")
        parties = {"a": PartyStats(packets_received=5), "b2": PartyStats(packets_received=6)}
        return MediaStats(parties=parties) if call_sid == "known" else None

    def trunk(self, name: str) -> dict[str, Any]:
        return next(trunk for trunk in self.report.trunks() if trunk["name"] == name)


def test_refused_calls() -> None:
    edge = Edge()
    call = invite(uri="sip:+14155550177@192.0.2.2")
    edge.refused.note(call, BEHIND_NAT, None, "unknown-source", "why", Fault.OPERATOR, None)
    [shown] = edge.report.refused()
    assert shown == {
        "source": BEHIND_NAT.hostport,
        "trunk": None,
        "from": shown["from"],
        "to": "+14155550177",
        "reason": "unknown-source",
        "detail": "why",
        "fix": None,
        "fault": "operator",
        "sip_status": None,
        "count": 1,
        "first_at": shown["last_at"],
        "last_at": shown["last_at"],
    }
    assert edge.report.refused_total == {"unknown-source": 1}


def registration(state: str, expires_at: float | None, error: str | None = None) -> Any:
    return RegistrationView(
        trunk="carrier",
        registrar="sip:one.example.com",
        aor="sip:us@one.example.com",
        state=state,
        since=EPOCH - 5,
        expires_at=expires_at,
        last_status=200 if error is None else 403,
        last_error=error,
    )


@pytest.fixture
def edge() -> Edge:
    return Edge()


def test_every_trunk_is_there_and_no_secret(edge: Edge) -> None:
    trunks = edge.report.trunks()
    assert [(t["name"], t["kind"]) for t in trunks] == [
        ("retell", "retell"),
        ("carrier", "carrier"),
        ("pbx", "pbx"),
        ("phone", "pbx"),
    ]
    text = json.dumps(trunks)
    assert not any(secret in text for secret in SECRETS)


def test_a_carrier_in_full(edge: Edge) -> None:
    assert edge.trunk("carrier") == {
        "name": "carrier",
        "kind": "carrier",
        "profile": None,
        "up": True,
        "gateways": [
            {
                "uri": "sip:one.example.com",
                "state": "up",
                "since": "2026-11-18T11:05:40.000Z",
                "watched_by": "options",
                "last_status": 200,
                "last_error": None,
                "round_trip_ms": 12.3,
            }
        ],
        "registration": {
            "state": "registered",
            "registrar": "sip:one.example.com",
            "aor": "sip:us@one.example.com",
            "since": "2026-11-18T11:06:35.000Z",
            "expires_in_s": 1800,
            "last_status": 200,
            "last_error": None,
        },
        "bindings": None,
        "calls": {"now": 3, "limit": 10},
        "identify": {
            "addresses": ["192.0.2.0/24"],
            "login": None,
            "certificates": ["sip.example.com"],
            "headers": ["X-Token"],
            "registration": False,
        },
    }


@pytest.mark.parametrize(
    ("state", "heard", "shown"),
    [
        (CircuitState.CLOSED, True, "up"),
        (CircuitState.CLOSED, False, "unknown"),
        (CircuitState.OPEN, True, "down"),
        (CircuitState.OPEN, False, "down"),
        (CircuitState.HALF_OPEN, True, "trying"),
        (CircuitState.TRYING, True, "trying"),
    ],
)
def test_circuits_in_the_operators_words(
    edge: Edge, state: CircuitState, heard: bool, shown: str
) -> None:
    edge.health.gateways = [gateway("sip:one.example.com", state, heard=heard)]
    assert edge.trunk("carrier")["gateways"][0]["state"] == shown


def test_a_trunk_is_up_while_one_gateway_is(edge: Edge) -> None:
    dead = gateway("sip:one.example.com", CircuitState.OPEN, last_error="no answer in 8 s")
    edge.health.gateways = [dead, gateway("sip:two.example.com", CircuitState.CLOSED)]
    assert edge.trunk("carrier")["up"] is True
    edge.health.gateways = [dead, dead]
    assert edge.trunk("carrier")["up"] is False
    assert edge.trunk("carrier")["gateways"][0]["last_error"] == "no answer in 8 s"


def test_a_pbx_is_up_while_it_is_registered(edge: Edge) -> None:
    pbx = edge.trunk("pbx")
    assert (pbx["up"], pbx["bindings"], pbx["registration"]) == (False, [], None)
    assert pbx["identify"]["login"] == "pbx"
    assert pbx["identify"]["registration"] is True
    edge.bindings.bound = [Binding(160.0), Binding(99.0)]
    pbx = edge.trunk("pbx")
    assert pbx["up"] is True
    assert pbx["bindings"] == [
        {
            "contact": "sip:pbx@10.0.0.5:5060;rinstance=7f",
            "aor": "pbx@gateway.example.com",
            "source": "udp:198.51.100.20:40312",
            "expires_in_s": 60,
            "user_agent": None,
        }
    ]


def test_a_trunk_that_only_calls_us_is_neither_up_nor_down(edge: Edge) -> None:
    assert edge.trunk("phone")["up"] is None


async def test_registering_now(edge: Edge) -> None:
    edge.registrations.known = [registration("rejected", None, "403: the password is wrong")]
    found = await edge.report.register_now("carrier")
    assert found is not None
    assert (found["state"], found["expires_in_s"]) == ("rejected", None)
    assert found["last_error"] == "403: the password is wrong"
    assert await edge.report.register_now("pbx") is None


def test_bans_with_their_wall_clock(edge: Edge) -> None:
    """A ban counts in the clock's seconds; an operator reads the time of day."""
    assert edge.report.bans() == []
    for _ in range(2):
        edge.bans.strike("198.51.100.7", 40.0, Offence.STRANGER)
    assert edge.report.bans() == [
        {
            "address": "198.51.100.7",
            "since": "2026-11-18T11:05:40.000Z",
            "until": "2026-11-18T11:10:40.000Z",
            "reason": "requests that no trunk, login or registration explains",
            "strikes": 2,
        }
    ]
    assert edge.report.bans_total == 1
    assert edge.report.unban("198.51.100.7") is True
    assert edge.report.unban("198.51.100.7") is False
    assert edge.report.bans() == []
    assert edge.report.bans_total == 1


async def test_the_media_counters_of_a_call_by_leg() -> None:
    view = Edge().report
    counters = await view.media("known")
    assert counters is not None
    assert {leg: counted["packets_received"] for leg, counted in counters.items()} == {
        "a": 5,
        "b": 6,
    }
    assert counters["a"]["quality"]["mos_avg"] is None
    assert await view.media("unknown") is None
    assert await view.media("broken") is None
