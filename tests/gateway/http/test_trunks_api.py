"""/api/v1/trunks, /api/v1/bans and their metrics, over a softswitch that does as it is told."""

from typing import Any

import pytest

from gateway.http import trunks_api
from sip.errors import Fault
from sip.softswitch.admission.bans import Offence
from tests.gateway.conftest import TOKEN, Gateway, Json, Start
from tests.softswitch.invites import invite
from tests.softswitch.test_operator_view import BEHIND_NAT, Edge
from tests.softswitch.test_operator_view import Binding as Contact

NETWORK = "2001:db8::/64"


def trunk(name: str, **more: Any) -> Json:
    """A trunk as the softswitch reports one."""
    return {
        "name": name,
        "kind": "carrier",
        "profile": None,
        "up": True,
        "gateways": [
            {
                "uri": "sip:192.0.2.10",
                "state": "up",
                "since": "2026-11-21T05:00:00.000Z",
                "watched_by": "options",
                "last_status": 200,
                "last_error": None,
                "round_trip_ms": 12.5,
            }
        ],
        "registration": None,
        "bindings": None,
        "calls": {"now": 2, "limit": 10},
        "identify": {
            "addresses": ["192.0.2.0/24"],
            "login": None,
            "certificates": [],
            "headers": [],
            "registration": False,
        },
        **more,
    }


REGISTRATION: Json = {
    "state": "registered",
    "registrar": "sip:sip.example.com",
    "aor": "sip:gateway@sip.example.com",
    "since": "2026-11-21T05:00:00.000Z",
    "expires_in_s": 1800,
    "last_status": 200,
    "last_error": None,
}
REFUSED: Json = {
    "source": "192.0.2.10:5060",
    "trunk": "carrier",
    "to": "+14155550100",
    "reason": "limits.calls",
    "detail": "limits.calls",
    "fix": None,
    "from": "+12125550101",
    "fault": "operator",
    "sip_status": 503,
    "count": 3,
    "first_at": "2026-11-21T05:00:00.000Z",
    "last_at": "2026-11-21T05:40:12.000Z",
}
DOWN = {
    "uri": "sip:192.0.2.11",
    "state": "down",
    "since": "2026-11-21T05:00:00.000Z",
    "watched_by": "options",
    "last_status": 503,
    "last_error": None,
    "round_trip_ms": None,
}
CONTACT = {
    "contact": "sip:pbx@192.0.2.12",
    "aor": "sip:pbx@gateway.example.com",
    "source": "udp:192.0.2.12:5060",
    "expires_in_s": 3000,
    "user_agent": None,
}
SINCE = {"since": "2026-11-21T05:00:00.000Z", "until": "2026-11-21T05:05:00.000Z", "strikes": 3}


class Switch:
    """Operations with four trunks and two bans."""

    def __init__(self) -> None:
        self.listed = [
            trunk("carrier", registration=dict(REGISTRATION)),
            trunk("second", up=False, gateways=[DOWN, DOWN]),
            trunk("pbx", bindings=[CONTACT]),
            trunk("phone", up=None, gateways=[]),
        ]
        self.banned = ["198.51.100.7", NETWORK]
        self.asked: list[str] = []
        self.bans_total = 5
        self.turned_away = {"dropped_messages": {"malformed": 4}}
        self.certificate_ends = {"tls:0.0.0.0:5061": 1_800_000_000.0}
        self.refused_total = {"limits.calls": 3, "unknown-source": 1}

    def trunks(self) -> list[Json]:
        return self.listed

    async def register_now(self, trunk: str) -> Json | None:
        self.asked.append(trunk)
        registration: Json | None = next(t for t in self.listed if t["name"] == trunk)[
            "registration"
        ]
        if registration is not None:
            registration["expires_in_s"] = 3600
        return registration

    async def media(self, call_sid: str) -> Json | None:
        return None

    def bans(self) -> list[Json]:
        reason = {"reason": "wrong passwords", **SINCE}
        return [{"address": address, **reason} for address in self.banned]

    def refused(self) -> list[Json]:
        return [REFUSED]

    def unban(self, address: str) -> bool:
        if address not in self.banned:
            return False
        self.banned.remove(address)
        return True


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture
async def gateway(start: Start, switch: Switch) -> Gateway:
    return await start(make={"find_operations": lambda: switch})


async def send(gateway: Gateway, method: str, path: str, token: str | None = TOKEN) -> Any:
    """Status and, where there is one, body."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with gateway.http.request(method, gateway.url + path, headers=headers) as response:
        return response.status, await response.json() if await response.read() else None


async def test_trunks_are_listed(gateway: Gateway, switch: Switch) -> None:
    assert await gateway.get("/api/v1/trunks") == (200, {"items": switch.listed, "next": None})
    assert await gateway.get("/api/v1/trunks/pbx") == (200, switch.listed[2])


async def test_calls_that_were_refused_at_the_door(gateway: Gateway) -> None:
    assert await gateway.get("/api/v1/refused") == (200, {"items": [REFUSED], "next": None})
    page = await gateway.page()
    assert 'gateway_refused_calls_total{reason="limits.calls"} 3.0' in page
    assert 'gateway_refused_calls_total{reason="unknown-source"} 1.0' in page
    assert 'gateway_dropped_messages_total{reason="malformed"} 4.0' in page
    ends = 'gateway_certificate_expiry_timestamp_seconds{listener="tls:0.0.0.0:5061"} 1.8e+09'
    assert ends in page


async def test_the_softswitch_tells_what_the_document_says() -> None:
    """It is passed on as it is."""
    edge = Edge()
    edge.bindings.bound = [Contact(160.0)]
    edge.refused.note(invite(), BEHIND_NAT, None, "unknown-source", "why", Fault.OPERATOR, None)
    for _ in range(2):
        edge.bans.strike("198.51.100.7", 40.0, Offence.STRANGER)
    for shape, told in (
        (trunks_api.Trunk, edge.report.trunks()),
        (trunks_api.Ban, edge.report.bans()),
        (trunks_api.RefusedCalls, edge.report.refused()),
    ):
        assert told
        for each in told:
            assert shape.model_validate(each).model_dump(by_alias=True) == each


async def test_lists_of_the_softswitch_come_in_pages(gateway: Gateway) -> None:
    seen: list[str] = []
    query = "?limit=3"
    for _ in range(2):
        _, body = await gateway.get(f"/api/v1/trunks{query}")
        seen += [trunk["name"] for trunk in body["items"]]
        query = f"?limit=3&cursor={body['next']}"
    assert (seen, body["next"]) == (["carrier", "second", "pbx", "phone"], None)
    status, body = await gateway.get("/api/v1/bans?cursor=192.0.2.77")
    assert (status, body["code"]) == (400, "bad-parameter")
    assert "begin anew" in body["detail"]


async def test_a_trunk_that_is_none(gateway: Gateway) -> None:
    for method, path in (("GET", "/api/v1/trunks/no"), ("POST", "/api/v1/trunks/no/register")):
        status, body = await send(gateway, method, path)
        assert (status, body["code"]) == (404, "no-such-trunk")
        assert body["detail"] == "there is no trunk no"


async def test_registering_now_answers_with_the_trunk_as_it_is_then(
    gateway: Gateway, switch: Switch
) -> None:
    status, body = await send(gateway, "POST", "/api/v1/trunks/carrier/register")
    assert (status, body["registration"]["expires_in_s"]) == (200, 3600)
    assert switch.asked == ["carrier"]


async def test_a_trunk_without_a_registration_cannot_be_registered(gateway: Gateway) -> None:
    status, body = await send(gateway, "POST", "/api/v1/trunks/second/register")
    assert (status, body["code"]) == (409, "does-not-register")
    assert "do not register with trunk second" in body["detail"]


async def test_bans_are_listed_and_lifted(gateway: Gateway, switch: Switch) -> None:
    status, body = await gateway.get("/api/v1/bans")
    assert status == 200
    assert [ban["address"] for ban in body["items"]] == ["198.51.100.7", NETWORK]
    assert await send(gateway, "DELETE", "/api/v1/bans/198.51.100.7") == (204, None)
    status, body = await send(gateway, "DELETE", "/api/v1/bans/198.51.100.7")
    assert (status, body["detail"]) == (404, "198.51.100.7 is not banned")
    assert switch.banned == [NETWORK]


@pytest.mark.parametrize("written", [NETWORK, "2001:db8::%2F64"])
async def test_the_ban_of_a_network_is_lifted_by_its_name(
    gateway: Gateway, switch: Switch, written: str
) -> None:
    assert await send(gateway, "DELETE", f"/api/v1/bans/{written}") == (204, None)
    assert switch.banned == ["198.51.100.7"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/trunks"),
        ("GET", "/api/v1/trunks/carrier"),
        ("POST", "/api/v1/trunks/carrier/register"),
        ("GET", "/api/v1/bans"),
        ("DELETE", "/api/v1/bans/198.51.100.7"),
    ],
)
async def test_the_token_is_demanded(
    gateway: Gateway, switch: Switch, method: str, path: str
) -> None:
    for token in (None, "wrong"):
        status, body = await send(gateway, method, path, token)
        assert (status, body["code"]) == (401, "unauthorized")
    assert switch.asked == []
    assert len(switch.banned) == 2


async def test_without_a_softswitch_it_says_so(start: Start) -> None:
    gateway = await start(sip={"listen": []})
    for method, path in (("GET", "/api/v1/trunks"), ("DELETE", "/api/v1/bans/192.0.2.1")):
        status, body = await send(gateway, method, path)
        assert (status, body["code"]) == (409, "no-softswitch")
        assert "sip.listen is empty" in body["detail"]


async def test_while_the_softswitch_starts(start: Start) -> None:
    gateway = await start()
    status, body = await gateway.get("/api/v1/bans")
    assert (status, body["code"]) == (503, "starting")


async def test_metrics_by_trunk(gateway: Gateway) -> None:
    async with gateway.http.get(f"{gateway.url}/metrics") as response:
        page = (await response.text()).splitlines()
    for line in (
        'gateway_trunk_up{trunk="carrier"} 1.0',
        'gateway_trunk_up{trunk="second"} 0.0',
        'gateway_trunk_gateways{state="down",trunk="second"} 2.0',
        'gateway_trunk_gateways{state="up",trunk="pbx"} 1.0',
        'gateway_trunk_calls{trunk="carrier"} 2.0',
        'gateway_trunk_registered{trunk="carrier"} 1.0',
        'gateway_trunk_bindings{trunk="pbx"} 1.0',
        "gateway_bans 2.0",
        "gateway_bans_total 5.0",
    ):
        assert line in page
    assert not any('gateway_trunk_registered{trunk="pbx"}' in line for line in page)
    assert not any('gateway_trunk_up{trunk="phone"}' in line for line in page)


async def test_metrics_without_a_softswitch(start: Start) -> None:
    gateway = await start(sip={"listen": []})
    async with gateway.http.get(f"{gateway.url}/metrics") as response:
        assert response.status == 200
        page = await response.text()
    assert "gateway_calls_live" in page
    assert "gateway_trunk_up" not in page
