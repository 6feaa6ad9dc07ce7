"""A way that has failed is not the last: connections that vanish, and peers that are not there."""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from sip.core.message import Request, Response, make_response
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, Ladder, Peer, dial, make_ladder
from tests.ua.test_long_requests import PADDING
from tests.ua.test_tcp import TcpPeer, connected
from tests.virtual import virtual_time


class TcpServer:
    """A callee over TCP: every connection that comes is a `TcpPeer`."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[TcpPeer] = asyncio.Queue()
        self.port = 0
        self._all: list[TcpPeer] = []

    def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._all.append(TcpPeer(reader, writer))
        self.connections.put_nowait(self._all[-1])

    def close(self) -> None:
        for peer in self._all:
            peer.writer.close()

    async def connection(self, within_s: float = 5.0) -> TcpPeer:
        async with asyncio.timeout(within_s):
            return await self.connections.get()

    def respond(self, peer: TcpPeer, invite: Request, status: int) -> None:
        peer.send(
            make_response(
                invite, status, to_tag="callee" if status > 100 else None,
                headers=[("Contact", f"<sip:127.0.0.1:{self.port};transport=tcp>")],
                body=PCMU.encode() if status == 200 else b"",
                content_type="application/sdp" if status == 200 else None,
            )
        )  # fmt: skip


@asynccontextmanager
async def tcp_callee() -> AsyncIterator[tuple[TcpServer, Ladder]]:
    """A ladder whose trunk `tcp` is a server."""
    callee = TcpServer()
    server = await asyncio.start_server(callee.take, "127.0.0.1", 0)
    callee.port = server.sockets[0].getsockname()[1]
    gateway = Uri.parse(f"sip:127.0.0.1:{callee.port};transport=tcp")
    trunk = Trunk(name="tcp", gateways=(gateway,), no_response_s=8.0)
    async with make_ladder(trunks=[trunk]) as ladder:
        await ladder.switch.ua.listen(Endpoint("tcp", "127.0.0.1", 0))
        ladder.app.verbs = lambda _: [dial("tcp"), {"verb": "hangup"}]
        yield callee, ladder
        server.close()
        callee.close()
        await ladder.settled()


async def calling(ladder: Ladder) -> Peer:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    return carrier


async def asked(peer: TcpPeer, method: str) -> Request:
    request = await peer.expect(method)
    assert isinstance(request, Request)
    return request


async def refused_call(callee: TcpServer, ladder: Ladder) -> TcpPeer:
    """A first call, after which the connection is known to work."""
    carrier = await calling(ladder)
    peer = await callee.connection()
    callee.respond(peer, await asked(peer, "INVITE"), 486)
    await peer.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    return peer


def says_nothing(_: TcpPeer) -> None:
    """The connection is no longer there for the peer, and we do not know it."""


def resets(peer: TcpPeer) -> None:
    """The peer was started anew, and knows nothing of the connection."""
    linger = struct.pack("ii", 1, 0)
    peer.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    peer.writer.transport.abort()


@pytest.mark.parametrize("vanish", [says_nothing, resets])
@virtual_time
async def test_an_invite_goes_once_more_over_a_new_connection(
    vanish: Callable[[TcpPeer], None],
) -> None:
    async with tcp_callee() as (callee, ladder):
        old = await refused_call(callee, ladder)
        carrier = await calling(ladder)
        first = await asked(old, "INVITE")
        vanish(old)
        new = await callee.connection()
        again = await asked(new, "INVITE")
        assert again.branch == first.branch  # a peer that had it after all knows it by that
        callee.respond(new, again, 200)
        await new.expect("ACK")
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await carrier.send("BYE")
        await carrier.expect(200, of="BYE")
        new.send(make_response(await asked(new, "BYE"), 200))


@virtual_time
async def test_a_server_that_takes_connections_and_says_nothing_is_tried_once_more_only() -> None:
    async with tcp_callee() as (callee, ladder):
        await refused_call(callee, ladder)
        carrier = await calling(ladder)
        await callee.connection()
        await carrier.expect(603, within_s=9)
        await carrier.send("ACK")
        assert callee.connections.empty()


@virtual_time
async def test_a_peer_that_is_only_slow_keeps_its_connection() -> None:
    """It says other things meanwhile."""
    async with tcp_callee() as (callee, ladder):
        peer = await refused_call(callee, ladder)
        carrier = await calling(ladder)
        invite = await asked(peer, "INVITE")
        late = make_response(invite, 486, to_tag="of another transaction")
        late.headers.replace_first("via", str(invite.via.with_param("branch", "z9hG4bKover")))
        for _ in range(5):
            await asyncio.sleep(1)
            peer.send(late)
        callee.respond(peer, invite, 486)
        await peer.expect("ACK")
        await carrier.expect(603)
        await carrier.send("ACK")
        assert callee.connections.empty()


@virtual_time
async def test_a_ringing_call_goes_on_over_a_new_connection() -> None:
    """The INVITE once more, which the peer knows, so that its answer finds us."""
    async with tcp_callee() as (callee, ladder):
        carrier = await calling(ladder)
        old = await callee.connection()
        invite = await asked(old, "INVITE")
        callee.respond(old, invite, 180)
        await carrier.expect(180)
        old.writer.close()
        new = await callee.connection()
        assert (await asked(new, "INVITE")).branch == invite.branch
        callee.respond(new, invite, 486)
        await new.expect("ACK")
        await carrier.expect(603)
        await carrier.send("ACK")


@virtual_time
async def test_a_bye_finds_another_way_than_a_connection_that_vanished() -> None:
    """The caller's connection is the caller's to make: its Contact says where it is."""
    async with tcp_callee() as (callee, ladder), connected(ladder) as caller:
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        invite = caller.request("INVITE", sdp=PCMU)
        invite.headers.set("contact", f"<sip:127.0.0.1:{callee.port};transport=tcp>")
        caller.send(invite)
        await caller.expect(100)
        agent = ladder.peer("agent")
        await agent.answer_call()
        await caller.expect(180)
        answer = await caller.expect(200)
        assert isinstance(answer, Response)
        caller.send(caller.request("ACK", to_tag=answer.to_tag or ""))
        await agent.hang_up()
        first = await asked(caller, "BYE")  # and that is not answered
        new = await callee.connection()
        again = await asked(new, "BYE")
        assert again.branch == first.branch
        new.send(make_response(again, 200))
        await ladder.app.until(lambda: ladder.app.close_codes)


@contextmanager
def deaf_at(port: int) -> Iterator[None]:
    """Something listens there by TCP, and takes nothing."""
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        give_up_at = time.monotonic() + 5
        while True:
            try:
                deaf.bind(("127.0.0.1", port))
                break
            except OSError:  # a connection of a test beside this one, which ends
                if time.monotonic() > give_up_at:
                    raise
                time.sleep(0.05)
        deaf.listen()
        yield


@virtual_time
async def test_a_long_request_to_a_deaf_tcp_port_goes_by_udp_and_the_next_at_once() -> None:
    async with make_ladder() as ladder:
        ladder.app.verbs = lambda _: [dial("agent", headers=PADDING), {"verb": "hangup"}]
        await ladder.switch.listen([Endpoint("tcp", "127.0.0.1", 0)])
        agent, now = ladder.peer("agent"), asyncio.get_running_loop().time
        with deaf_at(agent.port):
            for most_s in (3.5, 0.5):
                begun = now()
                carrier = await calling(ladder)
                invite = await agent.expect("INVITE", within_s=10)
                assert now() - begun < most_s
                assert invite.via.transport == "UDP"
                await agent.send(180)
                await carrier.expect(180)
                await carrier.send("CANCEL")
                await carrier.expect(200, of="CANCEL")
                await carrier.expect(487)
                await carrier.send("ACK")
                await agent.expect("CANCEL")  # by the way of the INVITE
                await agent.send(200, answering="CANCEL")
                await agent.send(487)
                await agent.expect("ACK")
        await ladder.settled()


@virtual_time
async def test_a_contact_that_leads_nowhere_is_reached_where_its_peer_is() -> None:
    """The Contact of an INVITE, and that of a 200, is a name of the peer's own network."""
    async with make_ladder() as ladder:
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        nowhere = b"sip:sbc.core.operator.invalid:5060"
        invite = carrier._request("INVITE", "+14155550100", (), PCMU, again=False)
        await carrier.transmit(_with_contact(invite, carrier, nowhere))
        await carrier.expect(100)
        await agent.expect("INVITE")
        answer = agent._response(200, None, "INVITE", (), PCMU)
        await agent.transmit(_with_contact(answer, agent, nowhere))
        ack = await agent.expect("ACK")
        assert ack.uri.encode() == nowhere
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        for party in (agent, carrier):
            await party.send("OPTIONS")
            await party.expect(200, of="OPTIONS")
        await agent.hang_up()
        await carrier.is_hung_up()
        await ladder.settled()


def _with_contact(message: Request | Response, peer: Peer, uri: bytes) -> bytes:
    own = f"<sip:127.0.0.1:{peer.port}>".encode()
    assert own in message.to_bytes()
    return message.to_bytes().replace(own, b"<" + uri + b">")


@virtual_time
async def test_a_closed_udp_port_gives_way_to_the_next_server_at_once() -> None:
    """RFC 3261 18.4: the network says that nobody is there (ICMP)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        closed = unused.getsockname()[1]

    def pair(peers: dict[str, Peer]) -> list[Trunk]:
        ports = (closed, peers["second"].port)
        gateways = tuple(Uri.parse(f"sip:127.0.0.1:{port}") for port in ports)
        return [Trunk(name="pair", gateways=gateways)]

    async with make_ladder(trunks_to=pair) as ladder:
        ladder.app.verbs = lambda _: [dial("pair"), {"verb": "hangup"}]
        carrier, second = await calling(ladder), ladder.peer("second")
        await second.expect("INVITE", within_s=0.4)
        await second.send(486)
        await second.expect("ACK")
        await carrier.expect(603)
        await carrier.send("ACK")
        told = [frame["data"].get("detail", "") for frame in ladder.app.told("call:status")]
        assert any("nothing listens there" in detail for detail in told)
        await ladder.settled()


@virtual_time
async def test_a_peer_that_restarts_does_not_lose_its_calls() -> None:
    """In a dialog the request is sent again until somebody is there."""
    async with make_ladder() as ladder:
        await ladder.call_up()
        agent, carrier = ladder.peer("agent"), ladder.peer("carrier")
        port = agent.port
        agent.socket.close()
        await carrier.send("INVITE", sdp=PCMU + "a=sendonly\r\n")
        await carrier.expect(100)
        await asyncio.sleep(1)
        agent.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        agent.socket.bind(("127.0.0.1", port))
        agent.socket.setblocking(False)
        await agent.expect("INVITE")
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await ladder.hung_up_by("agent")
        await ladder.settled()
