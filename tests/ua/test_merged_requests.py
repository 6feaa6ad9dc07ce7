"""Requests with the identifiers of one before, in a transaction of their own (RFC 3261 8.2.2.2)."""

from sip.core.message import Request
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_test


async def sent_anew(peer: Peer, invite: Request, branch: str) -> None:
    """The same request by another way: only its branch is another."""
    copy = Request(invite.method, invite.uri, invite.headers.copy(), invite.body)
    via = f"SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bK-{branch};rport"
    copy.headers.replace_first("via", via)
    await peer.transmit(copy.to_bytes())


async def acknowledged(peer: Peer, invite: Request, branch: str) -> None:
    ack = Request("ACK", invite.uri, invite.headers.copy())
    via = f"SIP/2.0/UDP 127.0.0.1:{peer.port};branch=z9hG4bK-{branch};rport"
    ack.headers.replace_first("via", via)
    ack.headers.set("cseq", f"{invite.cseq.number} ACK")
    await peer.transmit(ack.to_bytes())


@ladder_test
async def test_a_refused_request_may_come_again_and_a_served_one_not(ladder: Ladder) -> None:
    """Proxies go through their routes with one CSeq, and two of these may lead to us."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    invite = carrier._request("INVITE", DID, (), PCMU, again=False)
    for branch in ("one", "two"):
        await sent_anew(carrier, invite, branch)
        await carrier.expect(100)
        await agent.expect("INVITE")
        # while it is served, and by whichever way, it is the same request
        for more in ("merged", "more"):
            await sent_anew(carrier, invite, f"{branch}-{more}")
            await carrier.expect(482)
            await acknowledged(carrier, invite, f"{branch}-{more}")
        await agent.send(486)
        await agent.expect("ACK")
        await carrier.expect(603)
        await acknowledged(carrier, invite, branch)


@ladder_test
async def test_an_answered_call_is_not_begun_twice(ladder: Ladder) -> None:
    carrier = ladder.peer("carrier")
    await ladder.call_up()
    assert carrier._invite is not None
    await sent_anew(carrier, carrier._invite, "late")
    await carrier.expect(482)
    await acknowledged(carrier, carrier._invite, "late")
    await ladder.hung_up_by("agent")


@ladder_test
async def test_a_proof_may_come_under_the_same_cseq(ladder: Ladder) -> None:
    retell = ladder.peer("retell")
    invite = retell._request("INVITE", DID, (), PCMU, again=False)
    for branch in ("bare", "again"):
        await sent_anew(retell, invite, branch)
        await retell.expect(407)
        await acknowledged(retell, invite, branch)
