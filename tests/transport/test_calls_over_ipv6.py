"""Whole calls between IPv6 peers through the softswitch, over each transport."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from config.values import Source
from sip.clock import LoopClock
from sip.core.message import Headers, Request, Response
from sip.core.sdp import parse
from sip.core.uri import Uri
from sip.ids import Ids
from sip.softswitch.trunks.trunk import Trunk
from sip.transport.endpoint import Endpoint, Flow, Target
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent
from tests.ladder import DID, dial, make_ladder
from tests.transport.tls.authority import Authority
from tests.virtual import virtual_time

SDP = (
    "v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


@dataclass
class Phone:
    """A user agent on ::1 that calls or answers, by hand."""

    tls: ClientTls | None = None
    invites: list[Request] = field(default_factory=list)
    acks: list[Request] = field(default_factory=list)
    byes: "asyncio.Queue[Request]" = field(default_factory=asyncio.Queue)

    def __post_init__(self) -> None:
        self.ua = UserAgent(clock=LoopClock(), ids=Ids(), on_request=self._invited, tls=self.tls)

    async def listen(self, transport: str) -> Endpoint:
        return await self.ua.listen(Endpoint(transport, "::1", 0))

    def request(self, method: str, flow: Flow, to: Uri, answer: Response | None = None) -> Request:
        headers = Headers()
        headers.add("max-forwards", "70")
        headers.add("from", "<sip:+12125550101@[::1]>;tag=six")
        headers.add("to", str(answer.to) if answer else f"<sip:{DID}@[::1]>")
        headers.add("call-id", "over-six")
        headers.add("cseq", f"{2 if method == 'BYE' else 1} {method}")
        headers.add("contact", self.ua.contact(flow))
        body = SDP.encode() if method == "INVITE" else b""
        if body:
            headers.add("content-type", "application/sdp")
        return Request(method, str(to), headers, body)

    async def send(self, request: Request, flow: Flow) -> Response:
        """The final response."""
        ended: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def on_response(response: Response) -> None:
            if response.status >= 200:
                ended.set_result(response)

        self.ua.send(request, flow, on_response)
        async with asyncio.timeout(40):
            return await ended

    # as callee, and as the user of the dialog that came up

    def _invited(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        self.invites.append(request)
        self.ua.open_dialog(request.call_id, "callee", self)
        contact = ("Contact", self.ua.contact(transaction.flow))
        transaction.respond(
            self.ua.response(request, 200, to_tag="callee", headers=[contact], sdp=SDP)
        )

    def on_request(self, transaction: ServerTransaction) -> None:
        request = transaction.request
        transaction.respond(self.ua.response(request, 200))
        self.byes.put_nowait(request)

    def on_ack(self, ack: Request) -> None:
        self.acks.append(ack)

    def drop(self) -> None:
        return None


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_call_there_and_on(transport: str, tmp_path: Path) -> None:
    """RFC 5118: addresses in brackets in every URI, bare in the marks of a Via and in SDP."""

    @virtual_time
    async def story() -> None:
        root = Authority(tmp_path)
        tls = ServerTls(root.issue("::1")) if transport == "tls" else None
        caller, agent = Phone(tls=ClientTls(ca=root.bundle)), Phone()
        here = await caller.listen("udp" if tls else transport)
        there = await agent.listen("tcp" if tls else transport)
        trunks = [
            Trunk(name="six", sources=(Source.parse("::1"),)),
            Trunk(
                name="on",
                gateways=(Uri.parse(f"sip:{there.hostport};transport={there.transport}"),),
            ),
        ]
        async with make_ladder(trunks=trunks) as ladder:
            ladder.app.verbs = lambda _: [dial("on"), {"verb": "hangup"}]
            ours = [await ladder.switch.ua.listen(Endpoint(transport, "::1", 0), tls=tls)]
            if there.transport != transport:
                ours.append(await ladder.switch.ua.listen(Endpoint(there.transport, "::1", 0)))
            flow = caller.ua._transport.flow_to(Target(ours[0], "::1"))
            uri = Uri.parse(f"sip:{DID}@{ours[0].hostport};transport={transport}")
            answer = await caller.send(caller.request("INVITE", flow, uri), flow)
            assert answer.status == 200
            assert parse(answer.body).connection.address == "::1"  # type: ignore[union-attr]
            assert answer.via.received == "::1"
            [invite] = agent.invites
            assert invite.via.host == "::1"
            assert invite.uri.startswith(f"sip:{DID}@[::1]:{there.port}")
            assert answer.contact is not None
            remote = answer.contact.uri
            assert remote.hostport == f"[::1]:{ours[0].port}"
            caller.ua.send_ack(caller.request("ACK", flow, remote, answer), flow)
            bye = await caller.send(caller.request("BYE", flow, remote, answer), flow)
            assert bye.status == 200
            await asyncio.wait_for(agent.byes.get(), 40)
            assert len(agent.acks) == 1
            assert here.version == 6
            await ladder.app.until(lambda: ladder.app.close_codes)
        await caller.ua.close()
        await agent.ua.close()

    story()
