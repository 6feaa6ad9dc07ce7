"""Requests too long for UDP go over TCP, and over UDP after all where nobody takes TCP.

RFC 3261 18.1.1.
"""

import asyncio

from sip.core.framing import StreamFramer
from sip.core.parser import parse_message
from sip.transport.endpoint import Endpoint
from tests.b2bua.test_call_stories import bridged
from tests.b2bua.test_reliable import hang_up
from tests.ladder import PCMU, Ladder, ladder_test, make_ladder

PADDING = {"X-Padding-1": "a" * 600, "X-Padding-2": "b" * 600}


async def call(ladder: Ladder) -> None:
    bridged(ladder, headers=PADDING)
    await ladder.switch.listen([Endpoint("tcp", "127.0.0.1", 0)])
    await ladder.peer("carrier").send("INVITE", sdp=PCMU)
    await ladder.peer("carrier").expect(100)


@ladder_test
async def test_a_peer_without_tcp_gets_a_long_datagram(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await call(ladder)
    invite = await agent.answer_call()
    assert len(invite.to_bytes()) > 1300
    assert invite.via.transport == "UDP"
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await hang_up(ladder)


def test_a_long_invite_goes_over_tcp() -> None:
    """Its Via says so, its Contact does not: what follows in the dialog is short again."""

    async def run() -> None:
        arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            framer = StreamFramer()
            while data := await reader.read(65535):
                for message in framer.feed(data):
                    arrived.set_result(message)
            writer.close()

        async with make_ladder() as ladder:
            port = ladder.peer("agent").port
            server = await asyncio.start_server(take, "127.0.0.1", port)
            async with server, asyncio.timeout(10):
                await call(ladder)
                invite = parse_message(await arrived)
            assert invite.via.transport == "TCP"
            assert "transport=tcp" not in str(invite.contact)
            assert await ladder.peer("agent").drain(0.2) == []

    asyncio.run(run())
