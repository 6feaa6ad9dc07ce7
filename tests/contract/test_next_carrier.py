"""Our softswitch with our application: Retell places a call, and the first carrier fails in every
way that there is. What follows at the second, and what Retell and the record are told."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sip.core.message import Request
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from tests.contract.links import InMemory
from tests.gateway.conftest import Gateway, Start, retell, start
from tests.ladder import PCMU, Ladder, Peer, make_ladder
from tests.softswitch.admission.test_gatekeeper import proof

__all__ = ["retell", "start"]  # fixtures

CALLEE = "+13125550177"


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    trunks = [{"name": name, "gateways": ["sip:192.0.2.10"]} for name in ("a", "b")]
    routes = [{"trunks": ["a", "b"]}]
    return await start(trunks=trunks, numbers={}, outbound={"routes": routes})


def carriers(peers: Mapping[str, Peer]) -> list[Trunk]:
    """Those of the routes, at two peers of the ladder; quick to give up."""
    return [
        Trunk(
            name=name,
            gateways=(Uri.parse(f"sip:127.0.0.1:{peers[peer].port}"),),
            no_response_s=0.3,
            post_dial_s=0.3,
        )
        for name, peer in (("a", "carrier"), ("b", "second"))
    ]


@asynccontextmanager
async def placing(gateway: Gateway) -> AsyncIterator[tuple[Ladder, Peer, Peer, Request, Peer]]:
    """Retell's call is at the first carrier: ladder, Retell, the carrier, its INVITE, the other."""
    async with make_ladder(trunks_to=carriers) as ladder:
        ladder.switch._link = InMemory(gateway).link
        retell, a, b = (ladder.peer(name) for name in ("retell", "carrier", "second"))
        await retell.send("INVITE", sdp=PCMU, to=CALLEE)
        challenge = await retell.expect(407)
        await retell.send("ACK")
        await retell.send(
            "INVITE", sdp=PCMU, to=CALLEE, headers=proof(challenge, "s3cret", to=CALLEE)
        )
        await retell.expect(100)
        invite = await a.expect("INVITE")
        yield ladder, retell, a, invite, b


async def goes_to(b: Peer, retell: Peer, before: Request) -> None:
    """The next carrier has the call, in a dialog of its own, and takes it."""
    invite = await b.answer_call()
    assert invite.uri.startswith(f"sip:{CALLEE}@")
    assert invite.call_id != before.call_id
    assert invite.from_.param("tag") != before.from_.param("tag")
    assert invite.branch != before.branch
    assert invite.headers.get("cseq") != before.headers.get("cseq")
    assert invite.to.param("tag") is None
    assert not invite.headers.get_all("proxy-authorization")  # Retell's proof is ours alone
    while (response := await retell.next()).status != 200:  # type: ignore[union-attr]
        assert response.status == 180  # type: ignore[union-attr]
    retell._answer = response  # type: ignore[assignment]
    await retell.send("ACK")
    await retell.hang_up()
    await b.is_hung_up()


async def tried(gateway: Gateway) -> list[tuple[str, int]]:
    return [(each["trunk"], each["code"]) for each in (await gateway.record()).attempts]


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504, 580])
async def test_the_next_carrier_after_its_own_failure(gateway: Gateway, code: int) -> None:
    async with placing(gateway) as (_, retell, a, invite, b):
        await a.send(code)
        await a.expect("ACK")
        await goes_to(b, retell, invite)
        assert await tried(gateway) == [("a", code), ("b", 200)]


async def test_a_phone_that_rang_without_a_sound_of_its_own(gateway: Gateway) -> None:
    async with placing(gateway) as (_, retell, a, invite, b):
        await a.send(180)
        await retell.expect(180)
        await a.send(503)
        await a.expect("ACK")
        await goes_to(b, retell, invite)


async def test_no_answer_to_the_first_transaction(gateway: Gateway) -> None:
    async with placing(gateway) as (_, retell, a, invite, b):
        await goes_to(b, retell, invite)
        await a.silence(0.1)  # no CANCEL: nobody said a word
        assert await tried(gateway) == [("a", 408), ("b", 200)]


async def test_100_and_then_nothing(gateway: Gateway) -> None:
    async with placing(gateway) as (_, retell, a, invite, b):
        await a.send(100)
        await a.expect("CANCEL")
        await a.send(200, answering="CANCEL")
        await a.send(487)
        await a.expect("ACK")
        await goes_to(b, retell, invite)
        record = await gateway.record()
    first = record.attempts[0]
    assert (first["trunk"], first["code"]) == ("a", 408)
    assert first["detail"] == "100 and nothing more for 0.3 s (post_dial_s)"


async def test_100_and_an_answer_that_comes_too_late(gateway: Gateway) -> None:
    """It crosses our CANCEL: it is acknowledged and hung up, and one call goes on."""
    async with placing(gateway) as (_, retell, a, invite, b):
        await a.send(100)
        await a.expect("CANCEL")
        await a.send(200, answering="CANCEL")
        await a.send(200, sdp=PCMU)
        await a.expect("ACK")
        await a.is_hung_up()
        await goes_to(b, retell, invite)
        assert await tried(gateway) == [("a", 408), ("b", 200)]


async def test_a_carrier_that_cannot_be_reached(gateway: Gateway) -> None:
    """Nothing listens at its port: ICMP says so, or nobody does."""
    async with make_ladder(trunks_to=carriers) as ladder:
        ladder.switch._link = InMemory(gateway).link
        retell, b = ladder.peer("retell"), ladder.peer("second")
        await ladder.peer("carrier").close()
        await retell.send("INVITE", sdp=PCMU, to=CALLEE)
        challenge = await retell.expect(407)
        await retell.send("ACK")
        await retell.send(
            "INVITE", sdp=PCMU, to=CALLEE, headers=proof(challenge, "s3cret", to=CALLEE)
        )
        await retell.expect(100)
        await b.answer_call()
        await retell.expect(180)
        await retell.expect(200)
        await retell.send("ACK")
        await retell.hang_up()
        await b.is_hung_up()
        assert [trunk for trunk, _ in await tried(gateway)] == ["a", "b"]


@pytest.mark.parametrize(
    ("code", "back"),
    [
        *((code, code) for code in (403, 404, 410, 480, 484, 486, 488)),
        *((code, code) for code in (600, 603, 604, 607, 608)),
        *((code, 403) for code in (401, 407)),  # a challenge means nothing without its header
    ],
)
async def test_no_other_carrier_after(gateway: Gateway, code: int, back: int) -> None:
    async with placing(gateway) as (_, retell, a, _, b):
        await a.send(code, reason="In Its Own Words")
        await a.expect("ACK")
        refusal = await retell.expect(back)
        await retell.send("ACK")
        if code == back:
            assert refusal.reason == "In Its Own Words"
        await b.silence(0.1)
        assert await tried(gateway) == [("a", code)]


async def test_no_other_carrier_once_somebody_was_heard(gateway: Gateway) -> None:
    async with placing(gateway) as (_, retell, a, _, b):
        await a.send(183, sdp=PCMU)
        await retell.expect(183)
        await a.send(503)
        await a.expect("ACK")
        await retell.expect(503)
        await retell.send("ACK")
        await b.silence(0.1)
        assert await tried(gateway) == [("a", 503)]


WORDS: tuple[tuple[str, str], ...] = (
    ("Reason", 'Q.850;cause=21;text="Call Rejected"'),
    ("Warning", '399 carrier.example.com "caller ID is not verified"'),
    ("Error-Info", "<https://carrier.example.com/errors/13225>"),
    ("Call-Info", "<https://analytics.example.com/card>;purpose=jwscard"),
    ("X-Twilio-Error", "13225"),
    ("X-Telnyx-Reason", "D35"),
    ("Server", "nobody's business"),
)


@pytest.mark.parametrize("code", [603, 607, 608])
async def test_what_the_carrier_says_of_it_is_kept_and_goes_back(
    gateway: Gateway, code: int
) -> None:
    """RFC 3326, RFC 8197, RFC 8688: why a call was blocked, and by whom."""
    async with placing(gateway) as (_, retell, a, _, _):
        await a.send(code, headers=WORDS)
        await a.expect("ACK")
        refusal = await retell.expect(code)
        await retell.send("ACK")
        record = await gateway.record()
    kept = record.attempts[0]["words"]
    assert kept == {name.lower(): value for name, value in WORDS if name != "Server"}
    assert refusal.headers.get("reason") == WORDS[0][1]
    assert refusal.headers.get("call-info") == (WORDS[3][1] if code > 603 else None)
    for name in ("x-twilio-error", "x-telnyx-reason", "warning", "error-info"):
        assert name not in refusal.headers


async def test_the_last_carriers_word_is_the_one_that_counts(gateway: Gateway) -> None:
    async with placing(gateway) as (_, retell, a, _, b):
        await a.send(503, headers=(("Reason", "Q.850;cause=34"),))
        await a.expect("ACK")
        await b.expect("INVITE")
        await b.send(486, reason="Line Busy", headers=(("Reason", "Q.850;cause=17"),))
        await b.expect("ACK")
        busy: Any = await retell.expect(486)
        await retell.send("ACK")
        assert (busy.reason, busy.headers.get("reason")) == ("Line Busy", "Q.850;cause=17")
        assert await tried(gateway) == [("a", 503), ("b", 486)]
        words = [each["words"] for each in (await gateway.record()).attempts]
    assert [each["reason"] for each in words] == ["Q.850;cause=34", "Q.850;cause=17"]
