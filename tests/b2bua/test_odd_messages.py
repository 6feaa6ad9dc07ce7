"""Fields that break the grammar: what is not used does not fail a call (RFC 4475 3.1.2.12)."""

import pytest
from structlog.testing import capture_logs

from sip.core.message import Request, Response, make_response
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_test, make_ladder
from tests.virtual import virtual_time

#: Fields of a message, in place of the peer's own.
ODD_FIELDS = [
    "Date: Tue, 03 Mar 2026 08:26:54 EST",
    "Date: 2026-03-03T08:26:54Z",
    "Expires: soon",
    "Route: <sip:a@b>, nowhere>",
    'Contact: sip:me@127.0.0.1:{port};+sip.instance="<urn:uuid:1>";+g.x="a,b";audio',
    'Contact: <sip:me@127.0.0.1:{port};x-opaque="QUJD==">',
    "Contact: <sip:+12125550101;postd=22,1;tgrp=T-1@127.0.0.1:{port};user=phone>",
    "Contact: <sip:me@127.0.0.1:{port};transport=udp;>",
    "Contact: <sip:me@127.0.0.1:{port}>;",
    'Contact: "<0041 22 555>" <sip:me@127.0.0.1:{port}>;;;expires=',
]
#: What only a response may have: it cannot be asked again.
ODD_IN_RESPONSES = [
    "Contact: <nowhere",
    "Contact: <tel:+12125550101>",
    "Record-Route: <>",
    'To: "Bob <sip:bob@127.0.0.1>;tag=theirs',
    "Max-Forwards: many",
    "no field at all",
]


def with_field(data: bytes, peer: Peer, line: str) -> bytes:
    """A message with `line` in place of what it has of that name."""
    line = line.format(port=peer.port)
    head, _, body = data.partition(b"\r\n\r\n")
    name = line.partition(":")[0].encode() + b":"
    kept = [old for old in head.split(b"\r\n") if not old.startswith(name)]
    return b"\r\n".join([kept[0], line.encode(), *kept[1:], b"", body])


def contact_of(line: str, peer: Peer) -> str:
    """The URI that a request in the dialog has to name; "" where the line has no say in it."""
    if not line.startswith("Contact: ") or line in ODD_IN_RESPONSES:
        return ""
    value = line.format(port=peer.port).removeprefix("Contact: ")
    return (
        value.rpartition("<sip")[2].partition(">")[0]
        if "<sip" in value
        else value[3:].partition(";")[0]
    )


async def answered_with(ladder: Ladder, line: str) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    invite: Request = await agent.expect("INVITE")
    response = make_response(
        invite, 200, to_tag=None if line.startswith("To:") else agent.tag,
        headers=[("Contact", f"<sip:127.0.0.1:{agent.port}>")],
        body=PCMU.encode(), content_type="application/sdp",
    )  # fmt: skip
    await agent.transmit(with_field(response.to_bytes(), agent, line))
    ack: Request = await agent.expect("ACK")
    assert ack.to.tag == ("theirs" if line.startswith("To:") else agent.tag)
    assert ack.uri.endswith(contact_of(line, agent))
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()


@pytest.mark.parametrize("line", ODD_FIELDS + ODD_IN_RESPONSES)
@virtual_time
async def test_an_answer_is_acknowledged_whatever_else_is_in_it(line: str) -> None:
    async with make_ladder() as ladder:
        await answered_with(ladder, line)
        await ladder.settled()


@pytest.mark.parametrize("line", [ODD_FIELDS[0], *ODD_IN_RESPONSES])
@virtual_time
async def test_a_refusal_is_heard_whatever_else_is_in_it(line: str) -> None:
    async with make_ladder() as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        await carrier.send("INVITE", sdp=PCMU)
        await carrier.expect(100)
        busy = make_response(await agent.expect("INVITE"), 486, to_tag=agent.tag)
        await agent.transmit(with_field(busy.to_bytes(), agent, line))
        await agent.expect("ACK", within_s=1)
        await carrier.expect(603)
        await carrier.send("ACK")
        await ladder.settled()


@pytest.mark.parametrize("line", ODD_FIELDS)
@virtual_time
async def test_a_call_is_served_whatever_else_is_in_its_invite(line: str) -> None:
    """And its Contact is used to the letter: our BYE goes there."""
    async with make_ladder() as ladder:
        carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
        ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
        invite = carrier._request("INVITE", DID, (), PCMU, again=False)
        await carrier.transmit(with_field(invite.to_bytes(), carrier, line))
        await carrier.expect(100)
        await agent.answer_call()
        await carrier.expect(180)
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await agent.hang_up()
        bye: Request = await carrier.is_hung_up()
        assert bye.uri.endswith(contact_of(line, carrier))
        await ladder.settled()


@ladder_test
async def test_no_request_in_a_dialog_hangs_on_its_max_forwards(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    for method in ("ACK", "BYE"):
        request = carrier._request(method, DID, (), None, again=False)
        await carrier.transmit(with_field(request.to_bytes(), carrier, "Max-Forwards: 300"))
    await carrier.expect(200, of="BYE")
    await agent.is_hung_up()


@pytest.mark.parametrize("contact", [None, "<tel:+12125550101>", "<nowhere>", "*"])
@virtual_time
async def test_an_invite_that_leads_nowhere_back_is_refused(contact: str | None) -> None:
    """RFC 3261 8.1.1.8: without a SIP URI in Contact no BYE of ours could be sent."""
    async with make_ladder() as ladder:
        carrier = ladder.peer("carrier")
        invite = carrier._request("INVITE", DID, (), PCMU, again=False)
        invite.headers.remove("contact")
        if contact is not None:
            invite.headers.add("contact", contact)
        await carrier.transmit(invite.to_bytes())
        refusal = await carrier.expect(400)
        assert "Contact" in refusal.reason
        await carrier.send("ACK")
        await ladder.settled()


@ladder_test
async def test_a_response_that_cannot_be_used_is_told_once(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    invite = await agent.expect("INVITE")
    broken = with_field(make_response(invite, 180).to_bytes(), agent, "CSeq: one INVITE")
    with capture_logs() as lines:
        await agent.transmit(broken)
        await agent.transmit(broken)
        await agent.send(486)
        await agent.expect("ACK")
    told = [line for line in lines if line["event"] == "message.unusable"]
    assert [line["peer"] for line in told] == [f"udp:127.0.0.1:{agent.port}"]
    assert "Malformed CSeq" in told[0]["reason"]
    await carrier.expect(603)
    await carrier.send("ACK")


@pytest.mark.parametrize("end", [";", " ;", "; "])
@pytest.mark.parametrize("method", ["OPTIONS", "INVITE", "BYE"])
@virtual_time
async def test_our_tag_stands_behind_a_to_that_ends_in_a_semicolon(method: str, end: str) -> None:
    """It was put behind a second one, which nobody could read: we neither, and the answer was the
    request's last sign of life."""
    async with make_ladder() as ladder:
        carrier = ladder.peer("carrier")
        ladder.app.verbs = lambda _: [{"verb": "sip:decline", "status": 486}]
        sdp = PCMU if method == "INVITE" else None
        request = carrier._request(method, DID, (), sdp, again=False)
        request.headers.set("to", f"<sip:{DID}@127.0.0.1>{end}")
        await carrier.transmit(request.to_bytes())
        answer = await carrier.next()
        while isinstance(answer, Response) and answer.status < 200:
            answer = await carrier.next()
        assert answer.to.tag
        await ladder.settled()
