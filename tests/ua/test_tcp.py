"""SIP over TCP: framing, connections used both ways, and what happens when they break."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sip.core.message import Headers, Request, Response, make_response
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.ladder import DID, PCMU, Ladder, dial, make_ladder
from tests.ports import bound_tcp
from tests.virtual import virtual_time


class TcpPeer:
    """A connection to or from the gateway, read message by message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.port = writer.get_extra_info("sockname")[1]

    async def next(self) -> Request | Response:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 40)
        message = parse_message(head.replace(b"Content-Length: ", b"X-Length: "))
        body = await self.reader.readexactly(int(message.headers.get("x-length") or 0))
        return parse_message(head + body)

    async def expect(self, what: str | int) -> Request | Response:
        message = await self.next()
        found = message.method if isinstance(message, Request) else message.status
        assert found == what, message
        return message

    def send(self, message: Request | Response) -> None:
        self.writer.write(message.to_bytes())

    def request(self, method: str, cseq: int = 1, *, to_tag: str = "", sdp: str = "") -> Request:
        headers = Headers()
        headers.add("via", f"SIP/2.0/TCP 127.0.0.1:{self.port};branch=z9hG4bK{method}{cseq}")
        headers.add("max-forwards", "70")
        headers.add("from", "<sip:+12125550101@127.0.0.1>;tag=tcp")
        headers.add("to", f"<sip:{DID}@127.0.0.1>" + (f";tag={to_tag}" if to_tag else ""))
        headers.add("call-id", "over-tcp")
        headers.add("cseq", f"{cseq} {method}")
        headers.add("contact", f"<sip:127.0.0.1:{self.port};transport=tcp>")
        if sdp:
            headers.add("content-type", "application/sdp")
        return Request(method, f"sip:{DID}@127.0.0.1", headers, sdp.encode())


@asynccontextmanager
async def connected(ladder: Ladder, *, known: bool = True) -> AsyncIterator[TcpPeer]:
    """A TCP listener of the switch, and a connection to it from the carrier's own port or not."""
    endpoint = await ladder.switch.ua.listen(Endpoint("tcp", "127.0.0.1", 0))
    source = bound_tcp(ladder.peer("carrier").port if known else 0)
    await asyncio.get_running_loop().sock_connect(source, ("127.0.0.1", endpoint.port))
    reader, writer = await asyncio.open_connection(sock=source)
    try:
        yield TcpPeer(reader, writer)
    finally:
        writer.close()


@virtual_time
async def test_a_call_over_one_connection_in_single_bytes() -> None:
    """RFC 3261 18.3: framing by Content-Length, however the bytes arrive."""
    async with make_ladder() as ladder, connected(ladder) as peer:
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        agent = ladder.peer("agent")
        for byte in peer.request("INVITE", sdp=PCMU).to_bytes():
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        await peer.expect(100)
        await agent.answer_call()
        await peer.expect(180)
        answer = await peer.expect(200)
        peer.send(peer.request("ACK", to_tag=answer.to.tag or ""))
        await agent.hang_up()
        bye = await peer.expect("BYE")  # over the connection that the call came by
        assert isinstance(bye, Request)
        assert bye.via.transport == "TCP"
        peer.send(make_response(bye, 200))
        await ladder.app.until(lambda: ladder.app.close_codes)


@virtual_time
async def test_two_messages_and_a_keepalive_in_one_segment() -> None:
    """RFC 5626 3.5.1: a double CRLF is answered by one."""
    async with make_ladder() as ladder, connected(ladder) as peer:
        two = [peer.request("OPTIONS", number).to_bytes() for number in (1, 2)]
        peer.writer.write(b"\r\n\r\n" + two[0] + two[1])
        assert await peer.reader.readexactly(2) == b"\r\n"
        assert [(await peer.next()).cseq.number for _ in two] == [1, 2]


@virtual_time
async def test_a_stream_without_believable_length_is_refused_and_closed() -> None:
    async with make_ladder() as ladder, connected(ladder) as peer:
        text = peer.request("OPTIONS").to_bytes().replace(b"Length: 0", b"Length: -5")
        peer.writer.write(text)
        await peer.expect(400)
        assert await peer.reader.read() == b""


@virtual_time
async def test_a_stranger_may_not_even_connect() -> None:
    async with make_ladder() as ladder, connected(ladder, known=False) as peer:
        peer.writer.write(peer.request("OPTIONS").to_bytes())
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(peer.reader.read(), 5) == b""
        assert ladder.switch.gauges["connections"] == 0


def tcp_trunk(port: int) -> Trunk:
    return Trunk(name="tcp", gateways=(Uri.parse(f"sip:127.0.0.1:{port};transport=tcp"),))


@virtual_time
async def test_a_leg_over_tcp_that_loses_its_connection_and_its_peer_while_ringing() -> None:
    """RFC 3261 17.1.4: a transport error is told at once, not after timer B."""
    connections: asyncio.Queue[TcpPeer] = asyncio.Queue()
    server = await asyncio.start_server(
        lambda reader, writer: connections.put_nowait(TcpPeer(reader, writer)), "127.0.0.1", 0
    )
    trunk = tcp_trunk(server.sockets[0].getsockname()[1])
    async with server, make_ladder(trunks=[trunk]) as ladder:
        await ladder.switch.ua.listen(Endpoint("tcp", "127.0.0.1", 0))
        ladder.app.verbs = lambda _: [dial("tcp"), {"verb": "sip:decline", "status": 480}]
        carrier = ladder.peer("carrier")
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        callee = await connections.get()
        invite = await callee.expect("INVITE")
        assert isinstance(invite, Request)
        callee.send(make_response(invite, 180, to_tag="x"))
        await carrier.expect(180)
        server.close()
        callee.writer.close()
        await carrier.expect(480, within_s=2)
        await carrier.send("ACK")
        [hook] = ladder.app.told("/dial-action")
        assert hook["data"]["dial_sip_status"] == 503


@virtual_time
async def test_a_tcp_peer_that_refuses_is_known_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        trunk = tcp_trunk(unused.getsockname()[1])
        async with make_ladder(trunks=[trunk]) as ladder:
            await ladder.switch.ua.listen(Endpoint("tcp", "127.0.0.1", 0))
            ladder.app.verbs = lambda _: [dial("tcp"), {"verb": "sip:decline", "status": 480}]
            carrier = ladder.peer("carrier")
            await carrier.send("INVITE", sdp=PCMU)
            await carrier.expect(100)
            await carrier.expect(480, within_s=1)
            await carrier.send("ACK")
