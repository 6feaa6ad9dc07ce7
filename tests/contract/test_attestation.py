"""Our softswitch with our application: how far the caller is vouched for, from Retell to a carrier
and from a carrier to the record."""

import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from config.settings import RETELL_TRUNK, PassHeaderSettings
from config.values import Source
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from tests.contract.links import InMemory
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, retell, start
from tests.ladder import CALLER, PCMU, Ladder, Peer, make_ladder
from tests.softswitch.admission.test_gatekeeper import proof

__all__ = ["retell", "start"]  # fixtures

CALLEE = "+13125550177"


def passport(caller: str, callee: str) -> str:
    """RFC 8225; nobody here verifies the signature."""
    parts: list[dict[str, Any]] = [
        {"alg": "ES256", "ppt": "shaken", "typ": "passport"},
        {"attest": "A", "dest": {"tn": [callee[1:]]}, "orig": {"tn": caller[1:]}, "iat": 1},
    ]
    token = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return f"{'.'.join(token)}.c2ln;info=<https://cert.example.com/a.pem>;alg=ES256;ppt=shaken"


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    trunks = [{"name": name, "gateways": ["sip:192.0.2.10"]} for name in ("a", "b")]
    return await start(
        trunks=trunks,
        numbers={TRUNK_DID: {}},
        outbound={"routes": [{"trunks": ["a", "b"]}]},
    )


def trunks(peers: dict[str, Peer]) -> list[Trunk]:
    """Carrier `a` takes signatures; Retell's trunk is as its profile says."""
    plain, other = Trunk(name="a"), Trunk(name="b")
    takes = PassHeaderSettings(outbound=("X-*", "Identity"))
    there = [
        (replace(plain, pass_headers=takes), peers["carrier"]),
        (other, peers["second"]),
    ]
    made = [
        replace(trunk, gateways=(Uri.parse(f"sip:127.0.0.1:{peer.port}"),)) for trunk, peer in there
    ]
    port = peers["retell"].port
    ours = Trunk(
        name="retell",
        gateways=(Uri.parse(f"sip:127.0.0.1:{port}"),),
        sources=(Source.parse(f"127.0.0.1:{port}"),),
        login=("retell", "s3cret"),
        pass_headers=PassHeaderSettings(inbound=tuple(RETELL_TRUNK["pass_headers"]["inbound"])),
    )
    return [*made, ours]


@asynccontextmanager
async def switch(gateway: Gateway) -> AsyncIterator[Ladder]:
    async with make_ladder(trunks_to=trunks) as ladder:
        ladder.switch._link = InMemory(gateway).link
        yield ladder


@pytest.mark.parametrize(("signed_for", "passes"), [(CALLER, True), ("+12125550999", False)])
async def test_a_signature_goes_untouched_to_the_carrier_that_takes_it(
    gateway: Gateway, signed_for: str, passes: bool
) -> None:
    """RFC 8224; one that was made for another caller is false there."""
    signature = passport(signed_for, CALLEE)
    async with switch(gateway) as ladder:
        agent, a, b = (ladder.peer(name) for name in ("retell", "carrier", "second"))
        await agent.send("INVITE", sdp=PCMU, to=CALLEE)
        challenge = await agent.expect(407)
        await agent.send("ACK")
        headers = (*proof(challenge, "s3cret", to=CALLEE), ("Identity", signature))
        await agent.send("INVITE", sdp=PCMU, to=CALLEE, headers=headers)
        await agent.expect(100)
        invite = await a.expect("INVITE")
        assert invite.headers.get("identity") == (signature if passes else None)
        await a.send(503)
        await a.expect("ACK")
        invite = await b.expect("INVITE")
        assert "identity" not in invite.headers
        await b.send(486)
        await b.expect("ACK")
        await agent.expect(486)
        await agent.send("ACK")
        await gateway.record()


async def test_what_a_carrier_knows_of_the_caller_is_on_record(gateway: Gateway) -> None:
    vouched = (
        ("P-Attestation-Indicator", "B"),
        ("P-Origination-ID", "b1b4a3e2-0000-4000-8000-000000000001"),
        ("P-Asserted-Identity", f"<sip:{CALLER};verstat=TN-Validation-Passed@127.0.0.1>"),
        ("X-Twilio-VerStat", "TN-Validation-Passed-B"),
    )
    async with switch(gateway) as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("retell")
        await carrier.send("INVITE", sdp=PCMU, to=TRUNK_DID, headers=vouched)
        await carrier.expect(100)
        invite = await agent.expect("INVITE")
        assert "p-attestation-indicator" not in invite.headers  # Retell drops it
        assert invite.headers.get("x-twilio-verstat") == "TN-Validation-Passed-B"
        await agent.send(486)
        await agent.expect("ACK")
        await carrier.expect(486)
        await carrier.send("ACK")
        record = await gateway.record()
    assert record.headers == {
        "p-attestation-indicator": "B",
        "p-origination-id": "b1b4a3e2-0000-4000-8000-000000000001",
        "verstat": "TN-Validation-Passed",
        "x-twilio-verstat": "TN-Validation-Passed-B",
    }
