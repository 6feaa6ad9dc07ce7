"""Whose call it is: extensions of a trunk before numbers, and a fair die among agents."""

from collections import Counter
from random import Random

import pytest

from config.choices import Choice
from config.settings import Settings
from gateway.calls.entries import chosen, entry_of
from tests.gateway.conftest import TRUNK_DID, settings_data


def settings() -> Settings:
    data = settings_data()
    data["trunks"] += [
        {
            "name": "desk",
            "kind": "pbx",
            "gateways": ["sip:192.0.2.20"],
            "register": True,
            "credentials": {"username": "200", "password": "secret"},
            "registration": {"contact_user": "gateway"},
        },
        {
            "name": "told",
            "kind": "pbx",
            "gateways": ["sip:192.0.2.20"],
            "register": True,
            "credentials": {"username": "secret-login", "password": "secret"},
            "registration": {"aor": "sip:201@pbx.example.com", "contact_user": "gateway"},
        },
    ]
    data["numbers"] |= {
        "desk/200": {"agent": "of the desk"},
        "told/201": {"agent": "of the one told"},
        f"pbx/{TRUNK_DID}": {"agent": "of the PBX alone"},
        "*": {"agent": "of all others"},
    }
    return Settings.model_validate(data)


@pytest.mark.parametrize(
    ("dialled", "trunk", "number", "agent"),
    [
        ("200", "desk", "200", "of the desk"),
        # the PBX calls the Contact that we registered, and says nothing else
        ("gateway", "desk", "200", "of the desk"),
        ("gateway", "told", "201", "of the one told"),
        # or the group that somebody dialled there
        ("600", "told", "201", "of the one told"),
        ("", "desk", "200", "of the desk"),
        (TRUNK_DID, "desk", TRUNK_DID, "agent_1"),
        ("200", "carrier", "200", "of all others"),
        (TRUNK_DID, "carrier", TRUNK_DID, "agent_1"),
        (TRUNK_DID, "pbx", TRUNK_DID, "of the PBX alone"),
        ("4155550100", "pbx", TRUNK_DID, "of the PBX alone"),
        (TRUNK_DID, "", TRUNK_DID, "agent_1"),
    ],
)
def test_the_extension_of_a_trunk_counts_first(
    dialled: str, trunk: str, number: str, agent: str
) -> None:
    found, entry = entry_of(settings(), dialled, trunk)
    assert entry is not None
    assert (found, entry.agent) == (number, agent)


def agents(*weights: int) -> list[Choice]:
    return [
        Choice(trunk=f"t{index}", to="1", agent=None, method=None, weight=weight)
        for index, weight in enumerate(weights)
    ]


def test_agents_get_their_shares() -> None:
    random = Random(1)
    calls = [f"{random.getrandbits(128):032x}" for _ in range(5000)]
    found = Counter(chosen(agents(70, 30), call).trunk for call in calls)
    assert found["t0"] / len(calls) == pytest.approx(0.7, abs=0.03)


def test_a_call_meets_the_same_agent_however_often_it_is_asked() -> None:
    both = agents(1, 1)
    assert {chosen(both, "sid-1").trunk for _ in range(50)} == {chosen(both, "sid-1").trunk}
    assert len({chosen(both, f"sid-{call}").trunk for call in range(50)}) == 2
