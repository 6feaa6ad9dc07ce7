"""With two UDP listeners a peer hears us from the one it spoke to: firewalls know no other."""

from sip.transport.endpoint import Endpoint
from tests.b2bua.test_call_stories import bridged
from tests.ladder import PCMU, Ladder, Peer, ladder_test


async def only_through(ladder: Ladder, *peers: Peer) -> None:
    """A further listener; the kernel lets through to these peers nothing that is not from it."""
    listener = await ladder.switch.ua.listen(Endpoint("udp", "127.0.0.1", 0))
    for peer in peers:
        peer.gateway = listener
        peer.socket.connect((listener.host, listener.port))


@ladder_test
async def test_a_dialog_stays_on_its_listener(ladder: Ladder) -> None:
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await only_through(ladder, carrier)
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    answer = await carrier.expect(200, of="INVITE")
    assert answer.contact.uri.port == carrier.gateway.port
    await carrier.send("ACK")
    await agent.hang_up()
    bye = await carrier.is_hung_up()
    assert bye.via.port == carrier.gateway.port


@ladder_test
async def test_a_response_to_another_port_leaves_by_the_same_listener(ladder: Ladder) -> None:
    """RFC 3261 18.2.2: without rport it goes to the port in the Via, wherever it came from."""
    carrier, second = ladder.peer("carrier"), ladder.peer("second")
    await only_through(ladder, carrier, second)
    options = await carrier.send("OPTIONS")
    await carrier.expect(200)
    options.headers.set("via", f"SIP/2.0/UDP 127.0.0.1:{second.port};branch=z9hG4bK-other")
    options.headers.set("call-id", "other@test")
    await carrier.transmit(options.to_bytes())
    await second.expect(200)
