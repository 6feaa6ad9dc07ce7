"""What each number does now, and who is registered with whom."""

import pytest

from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Start
from tests.gateway.http.test_trunks_api import CONTACT, REGISTRATION, Switch

ALWAYS, NEVER = {"mon-sun": ["00:00-24:00"]}, {"mon": ["00:00-00:01"]}
#: A Tuesday.
NOW = 1_796_119_200.0


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    switch = Switch()
    return await start(
        make={"find_operations": lambda: switch, "now": lambda: NOW},
        schedules={
            "day": {"time_zone": "Europe/Berlin", "hours": ALWAYS},
            "night": {"time_zone": "Europe/Berlin", "hours": NEVER},
        },
        numbers={
            TRUNK_DID: {"agent": "agent_1", "schedule": "day", "closed": {"announcement": "a.wav"}},
            DIAL_DID: {
                "method": "dial",
                "agents": [
                    {"trunk": "retell", "agent": "agent_2", "weight": 3},
                    {"trunk": "pbx", "to": "200"},
                ],
                "schedule": "night",
                "closed": {"trunk": "pbx", "to": "201"},
                "fallback": {"trunk": "pbx", "to": "202"},
            },
            "pbx/300": {"agent": "agent_3"},
        },
    )


async def test_numbers(gateway: Gateway) -> None:
    _, body = await gateway.get("/api/v1/numbers")
    first, second, third = body["items"]
    assert (first["number"], first["does"]) == (TRUNK_DID, "agents")
    assert first["schedule"] == {"name": "day", "time_zone": "Europe/Berlin", "open": True}
    assert first["agents"] == [
        {"trunk": "retell", "to": TRUNK_DID, "agent": "agent_1", "method": "trunk", "weight": 1}
    ]
    assert (second["does"], second["closed"]["to"]) == ("closed", "201")
    assert second["fallback"] == {"trunk": "pbx", "to": "202"}
    assert [one["weight"] for one in second["agents"]] == [3, 1]
    assert [one["method"] for one in second["agents"]] == ["dial", None]
    assert (third["schedule"], third["recorded"]) == (None, False)


async def test_one_number(gateway: Gateway) -> None:
    assert (await gateway.get("/api/v1/numbers/pbx/300"))[1]["number"] == "pbx/300"
    assert (await gateway.get("/api/v1/numbers/%2B14155550100"))[1]["number"] == TRUNK_DID
    status, body = await gateway.get("/api/v1/numbers/200")
    assert (status, body["code"]) == (404, "no-such-number")


async def test_registrations(gateway: Gateway) -> None:
    _, body = await gateway.get("/api/v1/registrations")
    ours, theirs = body["items"]
    assert (ours["trunk"], ours["whose"], ours["peer"]) == (
        "carrier",
        "ours",
        REGISTRATION["registrar"],
    )
    assert (theirs["trunk"], theirs["whose"]) == ("pbx", "theirs")
    assert theirs["contact"] == CONTACT["contact"]
    _, first = await gateway.get("/api/v1/registrations?limit=1")
    assert first["items"] == [ours]
    _, rest = await gateway.get(f"/api/v1/registrations?cursor={first['next']}")
    assert rest["items"] == [theirs]
