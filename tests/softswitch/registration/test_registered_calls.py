"""Calls through a trunk that we registered with: in by our Contact, out by its Service-Route."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sip.core.digest_client import Credentials
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.ladder import DID, PCMU, Ladder, dial, make_ladder
from tests.softswitch.registration.registering import PASSWORD, USER, RegistrarPeer
from tests.virtual import virtual_time


@asynccontextmanager
async def registered() -> AsyncIterator[tuple[Ladder, RegistrarPeer, Uri]]:
    """The switch, a carrier that knows it by its registration alone, and the Contact there."""
    line = RegistrarPeer("line", Endpoint("udp", "127.0.0.1", 1))
    trunk = Trunk(
        name="line",
        gateways=(Uri.parse(f"sip:127.0.0.1:{line.port}"),),
        credentials=Credentials(USER, PASSWORD),
        registers=True,
    )
    async with make_ladder(trunks=[trunk]) as ladder:
        [line.gateway] = ladder.switch.ua.listening
        ladder.switch.registrations.start()
        register = await line.asked()
        await line.grant(3600, headers=(("Service-Route", f"<sip:127.0.0.1:{line.port};lr>"),))
        await asyncio.sleep(0.1)
        assert register.contact is not None
        yield ladder, line, register.contact.uri
        await ladder.settled()
        closing = asyncio.create_task(ladder.switch.registrations.close())
        await line.asked()
        await line.grant(0)
        await closing
        await line.close()


@virtual_time
async def test_a_call_to_our_contact_is_the_trunks() -> None:
    """Carriers put the called number in To, and our Contact in the Request-URI."""
    async with registered() as (ladder, line, contact):
        agent = ladder.peer("agent")
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        invite = line._request("INVITE", DID, (), PCMU, again=False)
        invite.uri = str(contact)
        await line.transmit(invite.to_bytes())
        await line.expect(100)
        await agent.answer_call()
        await line.expect(180)
        await line.expect(200)
        await line.send("ACK")
        await line.hang_up()
        await agent.is_hung_up()
        data = ladder.app.frames[0]["data"]
        assert data["originating_sip_trunk_name"] == "line"
        assert data["to"] == DID


@virtual_time
async def test_the_registrar_may_call_any_number() -> None:
    """Others put the number in the Request-URI: the server that has our binding is believed."""
    async with registered() as (ladder, line, _):
        ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
        await line.send("INVITE", sdp=PCMU)
        await line.expect(100)
        await line.expect(486)
        await line.send("ACK")
        assert ladder.app.frames[0]["data"]["originating_sip_trunk_name"] == "line"


@virtual_time
async def test_its_neighbour_may_not() -> None:
    """Another program on the registrar's host is a stranger, unless it calls our Contact."""
    async with registered() as (ladder, _, contact):
        stranger = ladder.peer("stranger")
        ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
        await stranger.send("INVITE", sdp=PCMU)
        await stranger.silence(5)
        invite = stranger._request("INVITE", DID, (), PCMU, again=False)
        invite.uri = str(contact)
        await stranger.transmit(invite.to_bytes())
        await stranger.expect(100)
        await stranger.expect(486)
        await stranger.send("ACK")
        assert ladder.app.frames[0]["data"]["originating_sip_trunk_name"] == "line"


@virtual_time
async def test_calls_out_take_the_service_route() -> None:
    """RFC 3608 6.1: it is the Route of every request outside a dialog."""
    async with registered() as (ladder, line, _):
        carrier = ladder.peer("carrier")
        refused = {"verb": "sip:decline", "status": 486}
        ladder.app.verbs = lambda _: [dial("line", number="+12125550110"), refused]
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        invite = await line.expect("INVITE")
        assert invite.headers.values("route") == [f"<sip:127.0.0.1:{line.port};lr>"]
        await line.send(486)
        await line.expect("ACK")
        await carrier.expect(486)
        await carrier.send("ACK")
