"""Connections: how they are found again, kept alive, and ended when nothing comes of them."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.stream import MAX_QUEUED
from sip.transport.stream_limits import StreamLimits
from tests.transport.loops import on_each_loop
from tests.transport.node import Node, request, running
from tests.virtual import virtual_time

TCP = Endpoint("tcp", "127.0.0.1", 0)
PING, PONG = b"\r\n\r\n", b"\r\n"


class Peer:
    """A bare TCP connection of somebody else's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def is_closed(self, within_s: float = 600) -> None:
        """The other side ends the connection."""
        async with asyncio.timeout(within_s):
            try:
                while await self.reader.read(1000):
                    pass
            except ConnectionError:
                pass

    async def is_open(self, for_s: float) -> None:
        with pytest.raises(TimeoutError):
            await self.is_closed(for_s)


@asynccontextmanager
async def connecting(port: int, count: int = 1) -> AsyncIterator[list[Peer]]:
    peers = [Peer(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    try:
        yield peers
    finally:
        for peer in peers:
            peer.writer.close()


@asynccontextmanager
async def answering() -> AsyncIterator[tuple[Endpoint, "asyncio.Queue[Peer]"]]:
    """A bare TCP server, and whoever connects to it."""
    peers: asyncio.Queue[Peer] = asyncio.Queue()
    seen: list[Peer] = []

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        seen.append(peer)
        peers.put_nowait(peer)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    try:
        yield Endpoint("tcp", "127.0.0.1", server.sockets[0].getsockname()[1]), peers
    finally:
        server.close()
        for peer in seen:
            peer.writer.close()


# reuse


@on_each_loop
async def test_one_connection_both_ways() -> None:
    one, other = Node(), Node()
    async with running(one, other):
        await one.layer.listen(TCP)
        at = await other.layer.listen(TCP)
        flow = one.layer.flow_to(at)
        assert one.layer.flow_to(Target(at, "sip.example.com")) is flow
        flow.send(request(1))
        data, back = await other.take()
        assert data == request(1)
        assert other.layer.flow_to(back.remote) is back
        back.send(request(2))
        assert await one.take() == (request(2), flow)
        assert back.local == at


@on_each_loop
async def test_a_connection_that_ended_is_made_anew() -> None:
    one, other = Node(), Node()
    async with running(one, other):
        await one.layer.listen(TCP)
        at = await other.layer.listen(TCP)
        flow = one.layer.flow_to(at)
        flow.send(request(1))
        _, back = await other.take()
        back.abort()
        assert await one.loses() is flow
        assert flow.error == f"TCP to {at.hostport}: the peer closed the connection"
        again = one.layer.flow_to(at)
        assert again is not flow
        again.send(request(2))
        assert (await other.take())[0] == request(2)


@virtual_time
async def test_who_may_not_connect_is_not_even_read() -> None:
    node = Node(admit=lambda flow: flow.remote.host != "127.0.0.1")
    async with running(node):
        at = await node.layer.listen(TCP)
        async with connecting(at.port) as [peer]:
            peer.writer.write(request())
            await peer.is_closed(5)
        assert node.inbox.empty()


async def test_a_connection_without_a_listener_comes_from_where_the_others_are() -> None:
    """TLS or TCP out, UDP in: the port that peers are told is the connection's own."""
    node = Node()
    async with running(node), answering() as (at, peers):
        await node.layer.listen(Endpoint("udp", "127.0.0.3", 0))
        with pytest.raises(OSError, match="no tcp listener is configured"):
            node.layer.flow_to(at)
        flow = node.layer.flow_to(Target(at, "sip.example.com"))
        flow.send(request())
        peer = await peers.get()
        assert peer.writer.get_extra_info("peername") == ("127.0.0.3", flow.local.port)


async def test_a_family_that_nobody_configured_is_out_of_reach() -> None:
    node = Node()
    async with running(node):
        await node.layer.listen(Endpoint("udp", "127.0.0.1", 0))
        assert node.layer.reaches("tls", 4)
        assert not node.layer.reaches("tls", 6)
        for transport in ("tcp", "tls"):
            with pytest.raises(OSError, match="no listener over IPv6"):
                node.layer.flow_to(Target(Endpoint(transport, "2001:db8::1", 5060), "x"))
        with pytest.raises(OSError, match="no udp listener over IPv6"):
            node.layer.flow_to(Endpoint("udp", "2001:db8::1", 5060))
        with pytest.raises(OSError, match="there is no transport ws"):
            node.layer.flow_to(Endpoint("ws", "192.0.2.1", 80))


async def test_of_two_listeners_the_one_on_the_route_is_used() -> None:
    node = Node()
    async with running(node):
        other = await node.layer.listen(Endpoint("udp", "127.0.0.9", 0))
        on_route = await node.layer.listen(Endpoint("udp", "127.0.0.1", 0))
        assert node.layer.flow_to(Endpoint("udp", "127.0.0.1", 5060)).local == on_route
        assert node.layer.flow_to(Endpoint("udp", "127.0.0.77", 5060)).local == on_route
        assert other in node.layer.listening


# keepalives


@virtual_time
async def test_a_ping_is_answered_and_ours_go_out_in_silence() -> None:
    node = Node(keepalive_s=30)
    async with running(node), answering() as (at, peers):
        listening = await node.layer.listen(TCP)
        async with connecting(listening.port) as [stranger]:
            stranger.writer.write(PING)
            assert await stranger.reader.readexactly(2) == PONG
        await node.loses()
        flow = node.layer.flow_to(at)
        flow.send(request())
        peer = await peers.get()
        assert await peer.reader.readexactly(len(request())) == request()
        began = asyncio.get_running_loop().time()
        for beat in (1, 2, 3):  # and a pong is never taken for a ping
            assert await peer.reader.readexactly(4) == PING
            assert 0 <= asyncio.get_running_loop().time() - began - 30 * beat < 6
            peer.writer.write(PONG)
        assert await peer.reader.readexactly(4) == PING
        assert await node.loses() is flow  # no pong this time
        assert str(flow.error).endswith("it answered no keepalive within 10 s")


@virtual_time
async def test_a_peer_that_knows_no_keepalives_is_left_alone() -> None:
    node = Node(keepalive_s=30)
    async with running(node), answering() as (at, peers):
        await node.layer.listen(TCP)
        flow = node.layer.flow_to(at)
        peer = await peers.get()
        for _ in range(10):
            assert await peer.reader.readexactly(4) == PING
        peer.writer.write(request())
        assert await node.take() == (request(), flow)


# limits


@virtual_time
async def test_strangers_that_hold_connections_open() -> None:
    """Said nothing, a byte every few seconds, one message and then nothing more."""
    node = Node()
    async with running(node):
        at = await node.layer.listen(TCP)
        loop = asyncio.get_running_loop()
        with capture_logs() as lines:
            async with connecting(at.port, 3) as [silent, slow, idle]:
                began = loop.time()

                async def drip() -> None:
                    for byte in request(body=b"x" * 500):
                        slow.writer.write(bytes([byte]))
                        await asyncio.sleep(3)

                dripping = loop.create_task(drip())
                idle.writer.write(request())
                await slow.is_closed()
                assert 20 < loop.time() - began < 25
                await silent.is_closed()
                assert 30 < loop.time() - began < 35
                await idle.is_closed()
                assert 300 < loop.time() - began < 310
                dripping.cancel()
        assert node.layer.refused == {"slow": 1, "silent": 1, "idle": 1}
        assert node.inbox.qsize() == 1
        reasons = [re.sub(r"127.*: ", "", line["reason"]) for line in lines]
        assert reasons == [
            "TCP from a message was not complete after 20 s",
            "TCP from no message within 30 s",
            "TCP from no message for 300 s",
        ]


@virtual_time
async def test_a_connection_that_carries_a_dialog_stays() -> None:
    node = Node()
    async with running(node):
        at = await node.layer.listen(TCP)
        async with connecting(at.port) as [peer]:
            peer.writer.write(request())
            _, flow = await node.take()
            flow.keep()
            await peer.is_open(3 * 3600)
            flow.send(request(2))
            assert await peer.reader.readexactly(len(request(2))) == request(2)


@virtual_time
async def test_connections_of_one_stranger_are_limited_but_not_of_those_we_know() -> None:
    node = Node(limits=StreamLimits(per_source=3))
    async with running(node):
        at = await node.layer.listen(TCP)
        async with connecting(at.port, 3) as peers:
            for peer in peers:
                peer.writer.write(request())
            flows = [(await node.take())[1] for _ in peers]
            async with connecting(at.port) as [fourth]:
                await fourth.is_closed(1)
            assert node.layer.refused == {"too many": 1}
            flows[0].keep()
            async with connecting(at.port) as [fifth]:
                fifth.writer.write(request(5))
                assert (await node.take())[0] == request(5)
        await asyncio.sleep(1)
        flows[0].keep()  # late, and no harm
        async with connecting(at.port, 3) as peers:
            peers[2].writer.write(request(6))
            assert (await node.take())[0] == request(6)


@on_each_loop
async def test_a_peer_that_does_not_read_loses_its_connection() -> None:
    node = Node()
    async with running(node):
        at = await node.layer.listen(TCP)
        with socket.create_connection(("127.0.0.1", at.port)) as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.sendall(request())
            _, flow = await node.take()
            for _ in range(200):
                flow.send(b"x" * 65536)
                await asyncio.sleep(0)
            assert flow.closed
            assert await node.loses() is flow
            assert str(flow.error).endswith("it does not read what it is sent")


async def test_what_waits_for_a_connection_is_limited() -> None:
    node = Node()
    async with running(node), answering() as (at, _):
        await node.layer.listen(TCP)
        flow = node.layer.flow_to(at)
        for _ in range(MAX_QUEUED // 65536 + 2):
            flow.send(b"x" * 65536)
        assert flow.closed


@on_each_loop
async def test_a_stream_that_cannot_be_read_is_ended() -> None:
    node = Node()
    async with running(node):
        at = await node.layer.listen(TCP)
        async with connecting(at.port) as [peer]:
            peer.writer.write(request(1) + b"OPTIONS sip:x SIP/2.0\r\nContent-Length: x\r\n\r\n")
            await peer.is_closed(5)
        assert (await node.take())[0] == request(1)
        assert [error.status for error in node.broken] == [400]


@on_each_loop
async def test_nothing_more_is_read_of_a_connection_that_was_dropped() -> None:
    node = Node()
    take = node.layer._connections._on_message

    def drop(data: bytes, flow: Flow) -> None:
        take(data, flow)
        flow.abort()

    node.layer._connections._on_message = drop
    async with running(node):
        at = await node.layer.listen(TCP)
        async with connecting(at.port) as [peer]:
            peer.writer.write(request(1) + request(2))
            await peer.is_closed(5)
        assert node.inbox.qsize() == 1


@on_each_loop
async def test_split_at_every_byte() -> None:
    """RFC 3261 18.3: framing does not depend on how the bytes were cut."""
    node = Node()
    whole = request(1, b"body\r\n\r\n") + PING + request(2)
    async with running(node):
        at = await node.layer.listen(TCP)
        async with connecting(at.port) as [peer]:
            for cut in range(1, len(whole)):
                peer.writer.write(whole[:cut])
                await asyncio.sleep(0)
                peer.writer.write(whole[cut:])
                assert (await node.take())[0] == request(1, b"body\r\n\r\n")
                assert (await node.take())[0] == request(2)
