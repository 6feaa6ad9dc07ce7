"""A softswitch with one caller and one agent, both on UDP or both on TCP, on virtual time.

The agent is dialled through a trunk that waits longer for a first response than 64*T1, so that
the transaction's own timers can be seen to their end.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from config.values import Source
from sip.core.message import Headers, Request, Response
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, Ladder, Peer, dial, make_ladder
from tests.ports import bound_tcp, free_port
from tests.virtual import virtual_time

#: When a message came, in seconds since one began to watch, and its method or status.
Arrival = tuple[float, str]


class TcpPeer(Peer):
    """A ladder peer on one connection, which it makes or accepts; further ones it never reads."""

    def __init__(self, name: str) -> None:
        super().__init__(name, Endpoint("tcp", "127.0.0.1", 0), free_port())
        self._streams: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue(1)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._unread: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def connect(self) -> None:
        """Connect to the gateway from the port that its trunk knows."""
        sock = bound_tcp(self.port)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(sock, (self.gateway.host, self.gateway.port))
        self._reader, self._writer = await asyncio.open_connection(sock=sock)

    async def listen(self) -> None:
        """Wait for the gateway to connect."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self._writer is not None:
                self._unread.append(writer)
                return
            self._writer = writer
            self._streams.put_nowait(reader)

        self._server = await asyncio.start_server(accept, "127.0.0.1", self.port)

    async def close(self) -> None:
        for writer in (self._writer, *self._unread):
            if writer is not None:
                writer.close()
        if self._server is not None:
            self._server.close()
        await super().close()

    async def transmit(self, data: bytes) -> None:
        assert self._writer is not None, "not connected"
        self._writer.write(data)
        await self._writer.drain()

    async def _read(self) -> bytes:
        if self._reader is None:
            self._reader = await self._streams.get()
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            line.partition(b":")[2]
            for line in head.lower().splitlines()
            if line.startswith(b"content-length")
        )
        return head + await self._reader.readexactly(int(length))

    def _request(self, *args: Any) -> Request:
        request = super()._request(*args)
        via = request.headers.get("via") or ""
        request.headers.set("via", via.replace("SIP/2.0/UDP", "SIP/2.0/TCP"))
        _over_tcp(request.headers)
        return request

    def _response(self, *args: Any) -> Response:
        response = super()._response(*args)
        _over_tcp(response.headers)
        return response


def _over_tcp(headers: Headers) -> None:
    contact = headers.get("contact")
    if contact is not None and "transport=" not in contact:
        headers.set("contact", contact.replace(">", ";transport=tcp>"))


@dataclass
class Stage:
    """`caller` calls, `agent` is dialled; `reliable` says that both are on TCP."""

    ladder: Ladder
    caller: Peer
    agent: Peer
    reliable: bool

    def dials(self, **more: Any) -> None:
        """The application dials the agent, and declines with 480 if nobody answers."""
        verbs = [dial("patient", **more), {"verb": "sip:decline", "status": 480}]
        self.ladder.app.verbs = lambda _: verbs

    def declines(self, status: int) -> None:
        """The application refuses every call."""
        self.ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": status}]

    async def invite(self) -> Request:
        """The caller calls; answers the INVITE that the agent gets."""
        await self.caller.send("INVITE", sdp=PCMU)
        await self.caller.expect(100)
        invite: Request = await self.agent.expect("INVITE")
        return invite

    async def talk(self) -> None:
        """A call, answered and acknowledged on both legs."""
        await self.invite()
        await self.agent.send(200, sdp=PCMU)
        await self.agent.expect("ACK")
        await self.caller.expect(200, of="INVITE")
        await self.caller.send("ACK")

    async def leave(self) -> None:
        """Both parties are gone, and so are their connections."""
        await self.caller.close()
        await self.agent.close()

    @property
    def transactions(self) -> int:
        return self.ladder.switch.gauges["transactions"]

    @property
    def dialogs(self) -> int:
        return self.ladder.switch.gauges["dialogs"]


class Watch:
    """What a peer gets, with the time, from the moment this is made."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._since = asyncio.get_running_loop().time()

    async def until(self, seconds: float) -> list[Arrival]:
        """All that comes until so many seconds after the beginning, answered by nothing."""
        loop = asyncio.get_running_loop()
        found: list[Arrival] = []
        try:
            async with asyncio.timeout_at(self._since + seconds):
                while True:
                    message = parse_message(await self._peer._read())
                    title = message.method if isinstance(message, Request) else str(message.status)
                    found.append((round(loop.time() - self._since, 3), title))
        except TimeoutError:
            return found


def at(title: str, *seconds: float) -> list[Arrival]:
    """The same message at each of these times."""
    return [(second, title) for second in seconds]


def on_udp_and_tcp(test: Callable[[Stage], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a story on virtual time over either transport, and check that nothing stays open."""

    async def run(wire: str) -> None:
        async with _stage(wire) as stage:
            await test(stage)
            await stage.leave()
            await stage.ladder.settled()

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    story: Callable[..., None] = pytest.mark.parametrize("wire", ["udp", "tcp"])(virtual_time(run))
    return story


@asynccontextmanager
async def _stage(wire: str) -> AsyncIterator[Stage]:
    nowhere = Endpoint(wire, "127.0.0.1", 0)
    caller: Peer
    agent: Peer
    if wire == "udp":
        caller, agent = Peer("caller", nowhere), Peer("agent", nowhere)
    else:
        caller, agent = TcpPeer("caller"), TcpPeer("agent")
    trunks = [
        Trunk(name="caller", gateways=(), sources=(Source.parse(f"127.0.0.1:{caller.port}"),)),
        Trunk(
            name="patient",
            gateways=(Uri.parse(f"sip:127.0.0.1:{agent.port};transport={wire}"),),
            no_response_s=70.0,
            post_dial_s=200.0,
        ),
    ]
    async with make_ladder(trunks=trunks) as ladder:
        udp = ladder.peer("carrier").gateway
        caller.gateway = agent.gateway = Endpoint(wire, udp.host, udp.port)
        if isinstance(caller, TcpPeer) and isinstance(agent, TcpPeer):
            await ladder.switch.listen([caller.gateway])
            await agent.listen()
            await caller.connect()
        try:
            yield Stage(ladder, caller, agent, wire == "tcp")
        finally:
            await caller.close()
            await agent.close()
