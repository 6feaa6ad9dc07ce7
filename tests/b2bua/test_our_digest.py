"""Our digest through a whole call: RFC 3261 22.2 and 22.3, RFC 7616 3.4, RFC 4028 7.3."""

import asyncio
import re

import pytest

from sip.core.digest_client import Credentials
from sip.core.message import Request
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_with, make_ladder
from tests.virtual import virtual_time

PROXY, SERVER = "Proxy-Authorization", "Authorization"


def challenge(status: int, nonce: str, **more: str) -> tuple[tuple[str, str], ...]:
    name = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
    realm = "pbx.test" if status == 401 else "proxy.test"
    rest = "".join(f", {key}={value}" for key, value in more.items())
    return ((name, f'Digest realm="{realm}", nonce="{nonce}", algorithm=MD5, qop="auth"{rest}'),)


def proof(request: Request, name: str) -> tuple[str, str] | None:
    """Nonce and count of one answer in a request of ours."""
    values = request.headers.get_all(name)
    assert len(values) < 2
    if not values:
        return None
    found = re.search(r'nonce="(\w+)".* nc=([0-9a-f]{8})$', values[0])
    assert found is not None, values
    return found[1], found[2]


def billed(peers: dict[str, Peer]) -> tuple[Trunk, ...]:
    gateway = Uri.parse(f"sip:127.0.0.1:{peers['second'].port}")
    return (Trunk(name="billed", gateways=(gateway,), credentials=Credentials("us", "pw")),)


async def called(ladder: Ladder) -> tuple[Peer, Peer, Request]:
    """A call to the trunk that asks for a digest: both peers, and its first INVITE."""
    ladder.app.verbs = lambda _: [dial("billed"), {"verb": "hangup"}]
    carrier, second = ladder.peer("carrier"), ladder.peer("second")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    return carrier, second, await second.expect("INVITE")


async def refuse(peer: Peer, status: int, *headers: tuple[str, str]) -> Request:
    """Refuse the INVITE; answers the next one."""
    await peer.send(status, headers=headers)
    await peer.expect("ACK")
    invite: Request = await peer.expect("INVITE")
    return invite


async def refused_to_the_end(carrier: Peer, peer: Peer) -> None:
    await peer.send(403)
    await peer.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")


@ladder_with(trunks_to=billed)
async def test_a_proxy_and_the_server_behind_it_both_get_their_proof(ladder: Ladder) -> None:
    """RFC 3261 22.3: and the second question does not forget the first."""
    carrier, second, first = await called(ladder)
    assert proof(first, PROXY) is proof(first, SERVER) is None
    invite = await refuse(second, 407, *challenge(407, "p1"))
    assert (proof(invite, PROXY), proof(invite, SERVER)) == (("p1", "00000001"), None)
    invite = await refuse(second, 401, *challenge(401, "s1"))
    assert proof(invite, PROXY) == ("p1", "00000002")
    assert proof(invite, SERVER) == ("s1", "00000001")
    assert [first.call_id, first.from_.tag] == [invite.call_id, invite.from_.tag]
    assert invite.cseq.number == first.cseq.number + 2
    await refused_to_the_end(carrier, second)


@ladder_with(trunks_to=billed)
async def test_who_wants_a_longer_interval_still_gets_the_proof(ladder: Ladder) -> None:
    """RFC 4028 7.3: the INVITE after 422 is challenged like any other, if it says nothing."""
    carrier, second, _ = await called(ladder)
    await refuse(second, 407, *challenge(407, "p1"))
    invite = await refuse(second, 422, ("Min-SE", "3600"))
    assert invite.headers.get("session-expires") == "3600"
    assert proof(invite, PROXY) == ("p1", "00000002")
    # a server whose nonces are good for one request only
    invite = await refuse(second, 407, *challenge(407, "p2"))
    assert invite.headers.get("session-expires") == "3600"
    assert proof(invite, PROXY) == ("p2", "00000001")
    await refused_to_the_end(carrier, second)


@ladder_with(trunks_to=billed)
async def test_requests_in_the_dialog_bring_their_proof_along(ladder: Ladder) -> None:
    """RFC 3261 22.3: in all subsequent requests of that Call-ID, each with a count of its own."""
    carrier, second, _ = await called(ladder)
    invite = await refuse(second, 407, *challenge(407, "p1"))
    await second.send(200, sdp=PCMU)
    ack = await second.expect("ACK")
    assert ack.headers.get(PROXY) == invite.headers.get(PROXY)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.send("INVITE", sdp=PCMU.replace("40000", "40010") + "a=sendonly\r\n")
    await carrier.expect(100)
    hold = await second.expect("INVITE")
    assert proof(hold, PROXY) == ("p1", "00000002")
    # a nonce that is good no more is a new question, whether it says stale or not
    for nonce, more in (("p2", {}), ("p3", {"stale": "TRUE"})):
        hold = await refuse(second, 407, *challenge(407, nonce, **more))
        assert proof(hold, PROXY) == (nonce, "00000001")
    await second.send(200, sdp=PCMU)
    await second.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await carrier.hang_up()
    bye = await second.expect("BYE")
    assert proof(bye, PROXY) == ("p3", "00000002")
    await second.send(200, answering="BYE")


@pytest.mark.parametrize("nonces", [("n1", "n1"), ("n1", "n2", "n3")])
@virtual_time
async def test_a_wrong_password_is_not_tried_for_ever(nonces: tuple[str, ...]) -> None:
    """RFC 3261 22.2: the same credentials that have just been rejected. A new nonce may be that of
    another server of a cluster, once."""
    async with make_ladder(trunks_to=billed) as ladder:
        await rejected_at_last(ladder, nonces)
        await ladder.settled()


async def rejected_at_last(ladder: Ladder, nonces: tuple[str, ...]) -> None:
    carrier, second, _ = await called(ladder)
    for nonce in nonces[:-1]:
        invite = await refuse(second, 407, *challenge(407, nonce))
        assert proof(invite, PROXY) == (nonce, "00000001")
    await second.send(407, headers=challenge(407, nonces[-1]))
    await second.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    await second.silence(5)


def of_realm(realm: str, nonce: str) -> tuple[str, str]:
    return "Proxy-Authenticate", f'Digest realm="{realm}", nonce="{nonce}", algorithm=MD5'


def realms(request: Request) -> dict[str, str]:
    """The nonce that each proxy gets back."""
    values = request.headers.get_all(PROXY)
    return dict(re.findall(r'realm="(\w+)", nonce="(\w+)"', " ".join(values)))


@ladder_with(trunks_to=billed)
async def test_each_proxy_on_the_way_gets_its_own_proof(ladder: Ladder) -> None:
    """RFC 3261 22.3: one after the other, in one response, and all of them later on."""
    carrier, second, _ = await called(ladder)
    invite = await refuse(second, 407, of_realm("one", "a1"))
    assert realms(invite) == {"one": "a1"}
    invite = await refuse(second, 407, of_realm("two", "b1"))
    assert realms(invite) == {"one": "a1", "two": "b1"}
    # forked: both say more, of which one cannot be answered
    foreign = ("Proxy-Authenticate", 'Digest realm="four", nonce="d1", algorithm=UNHEARD-OF')
    invite = await refuse(second, 407, of_realm("two", "b2"), of_realm("three", "c1"), foreign)
    assert realms(invite) == {"one": "a1", "two": "b2", "three": "c1"}
    await refused_to_the_end(carrier, second)


@ladder_with(trunks_to=billed)
async def test_a_refer_is_challenged(ladder: Ladder) -> None:
    """RFC 3515 2.4.6: its NOTIFYs are named after the REFER that was let in."""
    carrier, second, _ = await called(ladder)
    await second.send(200, sdp=PCMU)
    await second.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    [driver] = ladder.switch._calls.values()
    refer = driver.call.refer("sip:200@pbx.test", leg="b1", wait_s=15, bye_s=5)
    referring = asyncio.create_task(refer)
    asked: Request = await second.expect("REFER")
    assert proof(asked, PROXY) is None
    await second.send(407, answering="REFER", headers=challenge(407, "n1"))
    proven: Request = await second.expect("REFER")
    assert proof(proven, PROXY) == ("n1", "00000001")
    assert proven.headers.get("refer-to") == asked.headers.get("refer-to")
    await second.send(202, answering="REFER")
    headers = (
        ("Event", f"refer;id={proven.cseq.number}"),
        ("Subscription-State", "terminated;reason=noresource"),
        ("Content-Type", "message/sipfrag"),
    )
    await second.send("NOTIFY", headers=headers, sdp="SIP/2.0 486 Busy Here\r\n")
    await second.expect(200, of="NOTIFY")
    assert (await referring).status == 486
    await carrier.hang_up()
    bye: Request = await second.expect("BYE")
    assert proof(bye, PROXY) == ("n1", "00000002")
    await second.send(200, answering="BYE")
