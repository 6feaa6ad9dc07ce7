"""Registrations over a connection: its end is the registration's (RFC 5626 4.5)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sip.core.header_values import NameAddr
from sip.core.message import Request, make_response
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.transport.endpoint import Endpoint
from tests.softswitch.registration.registering import Stage, make_stage
from tests.virtual import virtual_time


class TcpRegistrar:
    """Accepts connections; the story answers and breaks them."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        self.connections = asyncio.Queue()
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        await self.connections.put((reader, writer))

    async def register(self, within_s: float = 40) -> tuple[Request, asyncio.StreamWriter]:
        """A new connection, and the REGISTER on it, which is granted."""
        async with asyncio.timeout(within_s):
            reader, writer = await self.connections.get()
            head = await reader.readuntil(b"\r\n\r\n")
        request = parse_message(head)
        assert isinstance(request, Request)
        assert request.contact is not None
        granted = NameAddr(None, request.contact.uri).with_param("expires", "600")
        response = make_response(request, 200, to_tag="r", headers=[("Contact", str(granted))])
        writer.write(response.to_bytes())
        await asyncio.sleep(0.1)
        return request, writer

    async def quiet(self, seconds: float) -> None:
        """Nobody connects for so long."""
        await asyncio.sleep(seconds)
        assert self.connections.empty()


@asynccontextmanager
async def over_tcp() -> AsyncIterator[tuple[Stage, TcpRegistrar]]:
    registrar = TcpRegistrar()
    async with make_stage() as stage:
        await stage.ua.listen(Endpoint("tcp", "127.0.0.1", 0))
        await registrar.start()
        gateway = Uri.parse(f"sip:127.0.0.1:{registrar.port};transport=tcp")
        stage.start(stage.trunk(gateways=(gateway,)))
        try:
            yield stage, registrar
        finally:
            await registrar.stop()
            await asyncio.sleep(0.1)


@virtual_time
async def test_the_contact_names_the_transport() -> None:
    async with over_tcp() as (stage, registrar):
        register, _ = await registrar.register()
        assert register.contact is not None
        assert register.contact.uri.transport == "tcp"
        assert stage.state.state == "registered"


@virtual_time
async def test_a_lost_connection_is_registered_anew_at_once() -> None:
    """Calls to us came over it: half an hour until the next refresh would be too long."""
    async with over_tcp() as (stage, registrar):
        first, writer = await registrar.register()
        await asyncio.sleep(100)
        writer.transport.abort()
        second, _ = await registrar.register(within_s=1)
        assert second.call_id == first.call_id
        assert second.cseq.number > first.cseq.number
        assert stage.state.state == "registered"
        assert stage.state.last_error is None


@virtual_time
async def test_a_connection_that_ends_at_once_is_not_chased() -> None:
    """A registrar that drops every connection would be called as fast as the network can."""
    async with over_tcp() as (stage, registrar):
        for pause in (4.5, 9.0, 18.0):
            _, writer = await registrar.register(within_s=45)
            writer.transport.abort()
            await registrar.quiet(pause)
            assert stage.state.state == "waiting"
            assert "closed" in (stage.state.last_error or "")


@virtual_time
async def test_a_registrar_that_restarts_is_found_again() -> None:
    async with over_tcp() as (stage, registrar):
        await registrar.register()
        await asyncio.sleep(100)
        await registrar.stop()
        await asyncio.sleep(2)
        assert stage.state.state == "waiting"
        assert "refused" in (stage.state.last_error or "")
        await registrar.start(registrar.port)
        await registrar.register(within_s=15)
        assert stage.state.state == "registered"
