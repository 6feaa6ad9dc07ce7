"""Dials for which no INVITE goes out: the application hears why, in a word."""

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import pytest

from config.settings import TrunkSettings
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.servers.resolver import ResolveError
from tests.ladder import DID, PCMU, Ladder, dial, make_ladder
from tests.virtual import virtual_time

GATEWAY = "sip:gone.example.com"
TRUNKS = [
    {
        "name": "phones",
        "kind": "pbx",
        "registrar": True,
        "login": {"username": "u", "password": "p"},
    },
    {"name": "silent", "identify": ["192.0.2.9"]},
    {"name": "unnamed", "gateways": [GATEWAY]},
    {"name": "secure", "gateways": ["sip:[2001:db8::1]:5060"]},
    {"name": "down", "gateways": ["sip:192.0.2.77"]},
    {"name": "slow", "gateways": ["sip:192.0.2.78"], "calls_per_second": 1},
]


async def hook(ladder: Ladder, trunk: str, number: str) -> dict[str, Any]:
    """What the dial's hook says of a call to `number` by `trunk`."""
    ladder.app.verbs = lambda _: [dial(trunk, number), {"verb": "hangup"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(603)
    await carrier.send("ACK")
    data: dict[str, Any] = ladder.app.told("verb:hook")[-1]["data"]
    return data


@pytest.mark.parametrize(
    ("trunk", "number", "status", "cause"),
    [
        ("phones", "200", 503, "not-registered"),
        ("silent", DID, 503, "no-gateway"),
        ("unnamed", DID, 503, "name-not-resolved"),
        ("secure", DID, 503, "no-listener"),
        ("down", DID, 503, "gateways-down"),
        ("slow", DID, 503, "over-limit"),
        ("unheard-of", DID, 404, "no-such-trunk"),
        ("carrier", "+123456789012345678", 484, "bad-number"),
    ],
)
@virtual_time
async def test_why(trunk: str, number: str, status: int, cause: str) -> None:
    made = [Trunk.of(TrunkSettings.model_validate(entry)) for entry in TRUNKS]

    async def resolve(uri: Any) -> Any:
        raise ResolveError(f"no DNS server knows {uri.host}")

    async with make_ladder(trunks=made) as ladder:
        dialler = ladder.switch.dialler
        if trunk == "slow":
            slow = dialler.trunks.named("slow")
            assert slow is not None
            dialler.limits.place(slow, dialler.ua.clock.now())
        with ExitStack() as patches:
            if trunk == "down":
                patches.enter_context(patch.object(dialler.health, "usable", lambda *_: False))
            elif trunk == "unnamed":
                patches.enter_context(patch.object(dialler.ua.resolver, "resolve", resolve))
            told = await hook(ladder, trunk, number)
        assert (told["dial_sip_status"], told["dial_cause"]) == (status, cause)
        await ladder.settled()
