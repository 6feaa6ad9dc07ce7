"""PBXs and phones that register over a connection: it is the way to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sip.core.message import Request, Response, make_response
from sip.core.parser import parse_message
from sip.transport.endpoint import Endpoint
from tests.ladder import PCMU, dial
from tests.softswitch.phone import USER, Phone
from tests.softswitch.registration.test_registrar import Office, make_office
from tests.virtual import virtual_time


class TcpPhone:
    """A phone on one connection that it made; the messages are a `Phone`'s."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, phone: Phone
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.phone = phone
        self.port = writer.get_extra_info("sockname")[1]

    async def next(self) -> Request | Response:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 40)
        if not head.strip(b"\r\n"):
            return await self.next()
        message = parse_message(head.replace(b"Content-Length: ", b"X-Length: "))
        body = await self.reader.readexactly(int(message.headers.get("x-length") or 0))
        return parse_message(head + body)

    async def register(self, contact: str) -> Response:
        proof = None
        while True:
            request = self.phone.request(contact, expires=600, proof=proof)
            request.headers.set("via", f"{request.via}".replace("/UDP", "/TCP"))
            self.writer.write(request.to_bytes())
            response = await self.next()
            assert isinstance(response, Response)
            if proof is not None:
                return response
            proof = self.phone.proof(response)


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Office, TcpPhone, Endpoint]]:
    async with make_office() as office:
        gateway = await office.ladder.switch.ua.listen(Endpoint("tcp", "127.0.0.1", 0))
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        try:
            yield office, TcpPhone(reader, writer, office.pbx), gateway
        finally:
            writer.transport.abort()
            await asyncio.sleep(0.1)


@virtual_time
async def test_it_is_called_over_its_connection() -> None:
    """RFC 5626 5.3: behind NAT there is no other way."""
    async with connected() as (office, phone, _):
        contact = "<sip:pbx@10.1.2.3:49152;transport=tcp;rinstance=9>"
        assert (await phone.register(contact)).status == 200
        [location] = office.locations()
        assert location.flow is not None
        assert location.flow.remote == Endpoint("tcp", "127.0.0.1", phone.port)
        carrier = office.ladder.peer("carrier")
        refused = {"verb": "sip:decline", "status": 486}
        office.ladder.app.verbs = lambda _: [dial("pbx", number="200"), refused]
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        invite = await phone.next()
        assert isinstance(invite, Request)
        assert invite.uri == contact.strip("<>")
        phone.writer.write(make_response(invite, 486, to_tag="tcp").to_bytes())
        await carrier.expect(486)
        await carrier.send("ACK")


@virtual_time
async def test_behind_nat_it_is_gone_with_its_connection() -> None:
    async with connected() as (office, phone, _):
        await phone.register("<sip:pbx@10.1.2.3:49152;transport=tcp>")
        assert len(office.locations()) == 1
        phone.writer.transport.abort()
        await asyncio.sleep(0.1)
        assert office.locations() == []


@virtual_time
async def test_without_nat_it_is_connected_to() -> None:
    """At the address that its Contact names: it listens there."""
    async with connected() as (office, phone, _):
        await phone.register(f"<sip:{USER}@127.0.0.1:5070;transport=tcp>")
        phone.writer.transport.abort()
        await asyncio.sleep(0.1)
        [location] = office.locations()
        assert location.flow is None
        assert location.endpoint == Endpoint("tcp", "127.0.0.1", 5070)
