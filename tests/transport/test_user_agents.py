"""Two user agents over every transport, both families and both event loops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sip.clock import LoopClock
from sip.core.message import Headers, Request, Response
from sip.core.uri import Uri
from sip.ids import Ids
from sip.transport.endpoint import Endpoint, Flow
from sip.transport.tls.contexts import ClientTls, ServerTls
from sip.ua.server_transaction import ServerTransaction
from sip.ua.transaction import Failure
from sip.ua.user_agent import UserAgent
from tests.transport.loops import on_each_loop
from tests.transport.tls.authority import Authority


@dataclass
class Pair:
    """Who asks and who answers; `asked` are the requests and their ways at the answering side."""

    asking: UserAgent
    answering: UserAgent
    asked: list[tuple[Request, Flow]]
    uri: Uri

    async def ask(self, to: Uri | None = None) -> tuple[Request, Response | Failure]:
        """OPTIONS, as it arrived, and what came of it."""
        flow = await self.asking.flow_to(to or self.uri)
        headers = Headers()
        ids = self.asking.ids
        headers.add("max-forwards", "70")
        headers.add("from", f"<sip:a@example.com>;tag={ids.tag()}")
        headers.add("to", f"<{self.uri}>")
        headers.add("call-id", ids.sip_call_id())
        headers.add("cseq", "1 OPTIONS")
        headers.add("contact", self.asking.contact(flow))
        request = Request("OPTIONS", str(self.uri), headers)
        ended: asyncio.Future[Response | Failure] = asyncio.get_running_loop().create_future()
        self.asking.send(request, flow, ended.set_result, ended.set_result)
        async with asyncio.timeout(10):
            outcome = await ended
        return (self.asked[-1][0] if self.asked else request), outcome


@asynccontextmanager
async def pair(transport: str, host: str, directory: Path) -> AsyncIterator[Pair]:
    root = Authority(directory)
    ours = ServerTls(
        root.issue("pbx.example.com", host),
        client_ca=root.bundle,
        client_certificates="required",
    )
    theirs = root.issue("gateway.example.com", host)
    clock, asked = LoopClock(), list[tuple[Request, Flow]]()

    def answer(transaction: ServerTransaction) -> None:
        asked.append((transaction.request, transaction.flow))
        transaction.respond(answering.response(transaction.request, 200, to_tag="x"))

    answering = UserAgent(clock=clock, ids=Ids(), on_request=answer)
    asking = UserAgent(
        clock=clock,
        ids=Ids(),
        on_request=lambda _: None,
        tls=ClientTls(ca=root.bundle, certificate=theirs),
    )
    secure = transport == "tls"
    try:
        at = await answering.listen(Endpoint(transport, host, 0), tls=ours if secure else None)
        await asking.listen(Endpoint(transport, host, 0), tls=ServerTls(theirs) if secure else None)
        uri = Uri.parse(f"sip:{at.hostport};transport={transport}")
        yield Pair(asking, answering, asked, uri)
    finally:
        await asking.close()
        await answering.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@on_each_loop
async def test_options_there_and_back(transport: str, host: str, tmp_path: Path) -> None:
    """RFC 3581, RFC 5118 4.5: the marks that the other side leaves in our Via."""
    async with pair(transport, host, tmp_path) as two:
        [local] = two.asking.listening
        request, response = await two.ask()
        assert isinstance(response, Response)
        assert response.status == 200
        assert (request.via.transport, request.via.host) == (transport.upper(), host)
        assert request.via.port == local.port
        assert request.via.received == host
        assert request.via.rport == str(two.asked[0][1].remote.port)
        assert request.contact is not None
        assert request.contact.uri.hostport == local.hostport
        assert ("[::1]" in (request.headers.get("contact") or "")) == (host == "::1")
        names = two.asked[0][1].peer_names
        assert names == (("gateway.example.com", host, "somebody") if transport == "tls" else ())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@on_each_loop
async def test_a_refused_certificate_is_a_failure_at_once(host: str, tmp_path: Path) -> None:
    """No timer has to run out, and the flow says why."""
    async with pair("tls", host, tmp_path) as two:
        stranger = UserAgent(
            clock=two.asking.clock,
            ids=Ids(),
            on_request=lambda _: None,
            tls=ClientTls(ca=Authority(tmp_path, "Another Root").bundle),
        )
        await stranger.listen(Endpoint("udp", host, 0))
        flow = await stranger.flow_to(two.uri)
        _, outcome = await Pair(stranger, two.answering, two.asked, two.uri).ask()
        assert outcome is Failure.UNREACHABLE
        assert "comes from an authority that we do not know 'Test Root'" in str(flow.error)
        assert two.asked == []
        await stranger.close()


@on_each_loop
async def test_two_hundred_requests_over_tls_at_once(tmp_path: Path) -> None:
    """Over one connection, as a carrier's calls come."""
    async with pair("tls", "127.0.0.1", tmp_path) as two:
        outcomes = await asyncio.gather(*(two.ask() for _ in range(200)))
        assert {response.status for _, response in outcomes if isinstance(response, Response)} == {
            200
        }
        assert len(two.asked) == 200
        assert two.answering.gauges["connections"] == 1
