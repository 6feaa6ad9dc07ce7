"""From one server to the next (RFC 3263 4.3), redirections (RFC 3261 8.1.3.4), circles."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from tests.b2bua.test_reliable import hang_up
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_test, ladder_with


def pair(**more: Any) -> Any:
    """A trunk of two gateways: `agent`, and `second` after it."""

    def make(peers: Mapping[str, Peer]) -> list[Trunk]:
        ports = [peers[name].port for name in ("agent", "second")]
        gateways = tuple(Uri.parse(f"sip:127.0.0.1:{port}") for port in ports)
        return [Trunk(name="pair", gateways=gateways, no_response_s=4.0, **more)]

    return make


async def calling(ladder: Ladder) -> None:
    """A call from the carrier to the pair."""
    ladder.app.verbs = lambda _: [dial("pair"), {"verb": "hangup"}]
    await ladder.peer("carrier").send("INVITE", sdp=PCMU)
    await ladder.peer("carrier").expect(100)


async def answered_by(ladder: Ladder, name: str) -> None:
    carrier, callee = ladder.peer("carrier"), ladder.peer(name)
    await callee.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await callee.is_hung_up()


@ladder_with(trunks_to=pair())
async def test_an_overloaded_server_gives_way_to_the_next(ladder: Ladder) -> None:
    """503 is the server's, any other refusal the trunk's (RFC 3263 4.3)."""
    agent = ladder.peer("agent")
    await calling(ladder)
    await agent.expect("INVITE")
    await agent.send(503, headers=(("Retry-After", "5"),))
    await agent.expect("ACK")
    await answered_by(ladder, "second")


@ladder_with(trunks_to=pair())
async def test_a_silent_server_gives_way_to_the_next(ladder: Ladder) -> None:
    await calling(ladder)
    await ladder.peer("agent").expect("INVITE")
    await answered_by(ladder, "second")


@ladder_with(trunks_to=pair(post_dial_s=6.0))
async def test_a_server_that_gets_nowhere_gives_way_to_the_next(ladder: Ladder) -> None:
    """100 Trying, and then nothing: the post-dial delay has a limit."""
    agent, now = ladder.peer("agent"), asyncio.get_running_loop().time
    await calling(ladder)
    await agent.expect("INVITE")
    await agent.send(100)
    begun = now()
    await agent.expect("CANCEL")
    assert now() - begun == pytest.approx(6, abs=0.1)
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    await answered_by(ladder, "second")
    [failed] = [
        frame["data"] for frame in ladder.app.told("call:status") if "detail" in frame["data"]
    ]
    assert (failed["sip_status"], failed["cause"]) == (408, "no-progress")
    assert "post_dial_s" in failed["detail"]


@ladder_with(trunks_to=pair(post_dial_s=6.0))
async def test_a_phone_may_ring_for_longer_than_the_post_dial_delay(ladder: Ladder) -> None:
    await calling(ladder)
    await ladder.peer("agent").expect("INVITE")
    await ladder.peer("agent").send(100)
    await ladder.peer("agent").send(180)
    await ladder.peer("carrier").expect(180)
    assert await ladder.peer("agent").drain(20) == []
    await ladder.peer("agent").send(486)
    await ladder.peer("agent").expect("ACK")
    await ladder.peer("carrier").expect(603)
    await ladder.peer("carrier").send("ACK")


def after_nobody(peers: Mapping[str, Peer]) -> list[Trunk]:
    """A trunk whose first gateway refuses connections."""
    # a privileged port of an address that no program of this machine listens on
    gateways = ("sip:127.0.0.99:1;transport=tcp", f"sip:127.0.0.1:{peers['second'].port}")
    return [Trunk(name="pair", gateways=tuple(map(Uri.parse, gateways)), no_response_s=4.0)]


@ladder_with(trunks_to=after_nobody)
async def test_why_one_server_failed_is_not_told_of_the_next(ladder: Ladder) -> None:
    await calling(ladder)
    await answered_by(ladder, "second")
    await ladder.app.until(lambda: ("completed", 200) in ladder.app.statuses(child=True))
    told = [frame["data"] for frame in ladder.app.told("call:status")]
    assert ["refused" in data["detail"] for data in told if "detail" in data] == [True]
    assert all("detail" not in data for data in told if data["call_status"] == "completed")
    await ladder.app.until(lambda: ladder.app.told("/dial-action"))
    [result] = ladder.app.told("/dial-action")
    assert "dial_detail" not in result["data"]


@ladder_with(trunks_to=pair())
async def test_a_busy_callee_is_busy_at_every_server(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    await calling(ladder)
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await ladder.peer("carrier").expect(603)
    await ladder.peer("carrier").send("ACK")
    assert await ladder.peer("second").drain(5) == []


@ladder_with(trunks_to=pair(follows_redirects=True))
async def test_a_redirection_is_followed_once_and_only_to_our_own(ladder: Ladder) -> None:
    """The best contact of a host that the trunk knows; a second 302 is the trunk's answer."""
    agent, second, carrier = (ladder.peer(name) for name in ("agent", "second", "carrier"))
    await calling(ladder)
    await agent.expect("INVITE")
    contacts = (
        f"<sip:{DID}@192.0.2.66:5060>;q=1.0, <sip:{DID}@127.0.0.1:{agent.port}>;q=0.1",
        f"<sip:700@127.0.0.1:{second.port}>;q=0.7",
    )
    await agent.send(302, headers=tuple(("Contact", contact) for contact in contacts))
    await agent.expect("ACK")
    invite = await second.expect("INVITE")
    assert invite.request_uri.user == "700"
    await second.send(302, headers=(("Contact", f"<sip:800@127.0.0.1:{agent.port}>"),))
    await second.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    assert await agent.drain(5) == []


@ladder_with(trunks_to=pair())
async def test_a_redirection_is_a_refusal_unless_the_trunk_allows_it(ladder: Ladder) -> None:
    agent, second, carrier = (ladder.peer(name) for name in ("agent", "second", "carrier"))
    await calling(ladder)
    await agent.expect("INVITE")
    await agent.send(302, headers=(("Contact", f"<sip:700@127.0.0.1:{second.port}>"),))
    await agent.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    assert await second.drain(5) == []


@ladder_test
async def test_a_call_that_comes_back_to_us_is_a_loop(ladder: Ladder) -> None:
    """RFC 3261 16.3: our own branch below the top Via says that a proxy returned our request."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    invite = await agent.expect("INVITE")
    returned = invite.to_bytes().replace(
        b"Via: ", b"Via: SIP/2.0/UDP 127.0.0.1:%d;branch=z9hG4bKproxy\r\nVia: " % agent.port, 1
    )
    await agent.transmit(returned)
    await agent.expect(482)
    await agent.transmit(
        returned.replace(b"INVITE", b"ACK").replace(b"Max-Forwards: 69", b"Max-Forwards: 68")
    )
    await agent.send(180)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)
