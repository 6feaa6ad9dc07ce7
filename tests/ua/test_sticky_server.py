"""A dialog stays with its server, although the name in its Contact has several."""

from unittest.mock import patch

from sip.core.uri import Uri
from sip.transport.endpoint import Endpoint, Target
from tests.b2bua.test_call_stories import bridged
from tests.ladder import PCMU, Ladder, ladder_test


@ladder_test
async def test_requests_in_a_dialog_go_to_the_server_that_has_it(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    servers = tuple(
        Target(Endpoint("udp", "127.0.0.1", port), "sip.example.com")
        for port in (second.port, agent.port)
    )

    def known(uri: Uri) -> tuple[Target, ...] | None:
        return servers if uri.host == "sip.example.com" else usual(uri)

    resolver = ladder.switch.ua.resolver
    usual = resolver.known
    with patch.object(resolver, "known", known):
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        await agent.expect("INVITE")
        answer = agent._response(200, None, "INVITE", (), PCMU).to_bytes()
        address = f"<sip:127.0.0.1:{agent.port}>".encode()
        assert address in answer
        await agent.transmit(answer.replace(address, b"<sip:sip.example.com>"))
        await agent.expect("ACK")
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await carrier.hang_up()
        await agent.is_hung_up()
        assert await second.drain(1) == []
