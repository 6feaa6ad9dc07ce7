"""Peers behind NAT: requests in the dialog go to where theirs came from, not to their Contact."""

from sip.b2bua.legs.options import LegOptions
from sip.media.plane import Signalling
from tests.b2bua.test_call_stories import bridged
from tests.ladder import PCMU, Ladder, Peer, ladder_test, ladder_with


async def call_with_contact_of(ladder: Ladder, other: Peer) -> None:
    """The carrier's INVITE names a Contact that is not where it sends from; the agent hangs up."""
    bridged(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    port, carrier.port = carrier.port, other.port  # what it believes of itself
    await carrier.send("INVITE", sdp=PCMU)
    carrier.port = port
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.hang_up()


@ladder_with(legs={"carrier": LegOptions(symmetric=True)})
async def test_a_registered_peer_is_answered_where_it_is(ladder: Ladder) -> None:
    await call_with_contact_of(ladder, ladder.peer("second"))
    await ladder.peer("carrier").is_hung_up()
    assert await ladder.peer("second").drain(1) == []


@ladder_test
async def test_any_other_peer_is_reached_at_its_contact(ladder: Ladder) -> None:
    """RFC 3261 12.2.1.1: it may want its dialogs elsewhere, at another of its servers."""
    await call_with_contact_of(ladder, ladder.peer("second"))
    await ladder.peer("second").is_hung_up()


@ladder_test
async def test_the_media_plane_is_told_that_a_contact_is_where_its_peer_is(ladder: Ladder) -> None:
    """Then no NAT rewrites ports, and its audio will come from the port of its SDP."""
    await ladder.call_up()
    await ladder.hung_up_by("carrier")
    direct = Signalling("127.0.0.1", direct=True)
    assert ladder.media.signalling == {"a": direct, "b1": direct}


@ladder_test
async def test_the_media_plane_is_told_of_no_more_than_the_host_of_other_peers(
    ladder: Ladder,
) -> None:
    await call_with_contact_of(ladder, ladder.peer("second"))
    await ladder.peer("second").is_hung_up()
    assert ladder.media.signalling["a"] == Signalling("127.0.0.1")
    assert ladder.media.signalling["b1"] == Signalling("127.0.0.1", direct=True)
