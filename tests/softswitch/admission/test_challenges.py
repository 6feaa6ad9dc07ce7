"""Our own passwords: shown to the trunk that they are for, and to nobody who merely asks."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from config.values import Source
from sip.core.digest_client import Credentials
from sip.core.message import Request, make_response
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, Ladder, Peer, dial, make_ladder
from tests.virtual import virtual_time

CHALLENGE = ("Proxy-Authenticate", 'Digest realm="carrier", nonce="n0nce", qop="auth"')


def peer_at(host: str, name: str) -> Peer:
    """A peer on another loopback address; where the gateway is, it learns later."""
    peer = Peer(name, Endpoint("udp", "127.0.0.1", 0))
    peer.socket.close()
    peer.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.socket.bind((host, 0))
    peer.socket.setblocking(False)
    peer.port = peer.socket.getsockname()[1]
    return peer


@asynccontextmanager
async def stage() -> AsyncIterator[tuple[Ladder, Peer, Peer]]:
    """A ladder, a peer that asks for our digest, and a thief on a foreign address."""
    billed, thief = peer_at("127.0.0.1", "billed"), peer_at("127.0.0.9", "thief")
    trunk = Trunk(
        name="billed",
        gateways=(Uri.parse(f"sip:127.0.0.1:{billed.port}"),),
        sources=(Source.parse(f"127.0.0.1:{billed.port}"),),
        credentials=Credentials("us", "our-password"),
    )
    try:
        async with make_ladder(trunks=[trunk]) as ladder:
            billed.gateway = thief.gateway = ladder.peer("carrier").gateway
            yield ladder, billed, thief
            await ladder.settled()
    finally:
        billed.socket.close()
        thief.socket.close()


@virtual_time
async def test_a_challenge_from_another_source_than_we_asked_is_no_answer() -> None:
    """Even one that knows our branch, as only somebody on the way can."""
    async with stage() as (ladder, billed, thief):
        ladder.app.verbs = lambda _: [dial("billed"), {"verb": "hangup"}]
        carrier = ladder.peer("carrier")
        await carrier.send("INVITE", sdp=PCMU)
        invite: Request = await billed.expect("INVITE")
        for status in (401, 407):
            forged = make_response(invite, status, to_tag="thief", headers=[CHALLENGE])
            await thief.transmit(forged.to_bytes())
        await thief.silence(0.3)
        await billed.send(180)
        await billed.send(200, sdp=PCMU)
        await billed.expect("ACK")
        assert ladder.switch.ua.dropped["foreign challenge"] == 2
        await carrier.expect(100)
        await carrier.expect(180)
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await carrier.hang_up()
        await billed.is_hung_up()


@virtual_time
async def test_a_challenge_of_the_trunk_itself_is_answered_within_its_dialog() -> None:
    async with stage() as (ladder, billed, _):
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        agent = ladder.peer("agent")
        await billed.send("INVITE", sdp=PCMU)
        await billed.expect(100)
        await agent.answer_call()
        await billed.expect(180)
        await billed.expect(200, of="INVITE")
        await billed.send("ACK")
        await agent.hang_up()
        await billed.expect("BYE")
        await billed.send(407, answering="BYE", headers=(CHALLENGE,))
        proven: Request = await billed.expect("BYE")
        assert 'username="us"' in (proven.headers.get("proxy-authorization") or "")
        await billed.send(200, answering="BYE")


@virtual_time
async def test_a_contact_that_leads_elsewhere_does_not_get_our_digest() -> None:
    """The digest leak: a call whose Contact is the thief's, a hang-up, a challenge to our BYE."""
    async with stage() as (ladder, billed, thief):
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        agent = ladder.peer("agent")
        thiefs = f"<sip:thief@127.0.0.9:{thief.port}>"
        invite = billed._request("INVITE", "+14155550100", (), PCMU, False)
        invite.headers.set("contact", thiefs)
        await billed.transmit(invite.to_bytes())
        await billed.expect(100)
        await agent.answer_call()
        await billed.expect(180)
        await billed.expect(200, of="INVITE")
        await billed.send("ACK")
        await agent.hang_up()
        await thief.expect("BYE")
        await thief.send(407, answering="BYE", headers=(CHALLENGE,))
        await thief.silence(40)
        await billed.silence(1)
