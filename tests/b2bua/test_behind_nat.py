"""Peers behind NAT: requests in the dialog go to where theirs came from, not to their Contact, and
so do responses to those that do not ask for it."""

from collections.abc import Callable

import pytest

from config.values import Source
from sip.b2bua.legs.options import LegOptions
from sip.media.terms import Signalling
from sip.softswitch.trunks.trunk import Trunk
from tests.b2bua.test_call_stories import bridged
from tests.ladder import DID, PCMU, Ladder, Peer, ladder_test, ladder_with


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


def without_rport(peer: Peer, via: Peer) -> bytes:
    """An INVITE whose Via names `via`'s port and asks for no other."""
    invite = peer._request("INVITE", DID, (), PCMU, again=False)
    invite.headers.set("via", f"SIP/2.0/UDP 127.0.0.1:{via.port};branch={invite.branch}")
    return invite.to_bytes()


def trunk_of(force_rport: bool) -> Callable[[dict[str, Peer]], list[Trunk]]:
    def trunks(peers: dict[str, Peer]) -> list[Trunk]:
        source = Source.parse(f"127.0.0.1:{peers['stranger'].port}")
        return [Trunk(name="pbx", sources=(source,), force_rport=force_rport)]

    return trunks


@pytest.mark.parametrize("force_rport", [True, False])
def test_a_trunks_switch_says_where_answers_go(force_rport: bool) -> None:
    """RFC 3261 18.2.2 names the port of the Via, which a NAT in between did not open."""

    @ladder_with(trunks_to=trunk_of(force_rport))
    async def story(ladder: Ladder) -> None:
        bridged(ladder)
        pbx, named, agent = (ladder.peer(name) for name in ("stranger", "second", "agent"))
        await pbx.transmit(without_rport(pbx, named))
        hears, other = (pbx, named) if force_rport else (named, pbx)
        await hears.expect(100)
        await agent.expect("INVITE")
        await agent.send(486)
        await agent.expect("ACK")
        refusal = await hears.expect(603)
        assert (refusal.via.rport, refusal.via.port) == (None, named.port)
        await other.silence(1)
        hears._invite = pbx._invite
        await pbx.send("ACK")

    story()


@pytest.mark.parametrize("force_rport", [True, False])
def test_so_does_that_of_who_is_known_by_its_login_alone(force_rport: bool) -> None:
    """The challenge must reach it before anything is proven. A trunk with an address of its own is
    none of those."""
    login = Trunk(name="pbx", login=("pbx", "secret"), registrar=True, force_rport=force_rport)

    @ladder_with(trunks=(login,))
    async def story(ladder: Ladder) -> None:
        phone, named = ladder.peer("stranger"), ladder.peer("second")
        register = phone._request("REGISTER", "pbx", (), None, again=False)
        register.headers.set("from", "<sip:pbx@gateway.test>;tag=1")
        register.headers.set("via", f"SIP/2.0/UDP 127.0.0.1:{named.port};branch={register.branch}")
        await phone.transmit(register.to_bytes())
        await (phone if force_rport else named).expect(401)
        carrier = ladder.peer("carrier")
        await carrier.transmit(without_rport(carrier, named))
        await named.expect(100)

    story()


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
