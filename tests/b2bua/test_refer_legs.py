"""REFER in the dialog of a leg, both ways, and the NOTIFYs that follow (RFC 3515)."""

import asyncio

import pytest

from sip.b2bua.call import Call
from sip.b2bua.call_events import Event, ReferNews, Referral, Referred, Stage
from sip.b2bua.hub import Hub
from sip.b2bua.legs.leg import Leg
from sip.b2bua.legs.options import LegOptions
from sip.b2bua.legs.referral import ANSWER_S, LASTS_S
from sip.core.message import Request, Response
from sip.core.sipfrag import read
from tests.b2bua.stage import Stage as Story
from tests.b2bua.stage import sdp_at, staged
from tests.ladder import Peer

CARRIER, AGENT = 41000, 42000
TARGET = ("Refer-To", "<sip:+14155550100@pbx.test>")
FRAG = ("Content-Type", "message/sipfrag;version=2.0")


class Listener:
    """Takes what legs tell of REFERs, and does nothing of its own accord."""

    name = "listener"
    legs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.referrals: list[Referral] = []
        self.news: list[ReferNews] = []

    def start(self, call: Hub) -> None:
        self.call = call

    def on(self, leg: Leg, event: Event) -> bool:
        match event:
            case Referred():
                self.referrals.append(event.referral)
                return True
            case ReferNews():
                self.news.append(event)
                return True
        return False

    def stop(self) -> None:
        return None

    @property
    def told(self) -> list[tuple[Stage, int]]:
        """What became of our REFER so far."""
        return [(one.stage, one.status) for one in self.news]


async def talk(story: Story) -> tuple[Call, Listener]:
    """The carrier calls, the agent answers and may refer us to others."""
    story.legs["agent"] = LegOptions(takes_refer=True)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = story.calls
    story.dial(call, "agent")
    await agent.answer_call(sdp=sdp_at(AGENT))
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    listener = Listener()
    call.begin(listener)
    return call, listener


async def hung_up(story: Story) -> None:
    """The carrier hangs up, and the agent is."""
    await story.peer("carrier").hang_up()
    await story.peer("agent").is_hung_up()


async def notified(peer: Peer, answer: int = 200) -> tuple[str, str, str]:
    """The next NOTIFY: what it says of the call, of the subscription, and its Event."""
    notify: Request = await peer.expect("NOTIFY")
    await peer.send(answer, answering="NOTIFY")
    assert notify.headers.get("content-type") == FRAG[1]
    assert notify.contact is not None
    status = read(notify.body)
    state, event = notify.headers.get("subscription-state"), notify.headers.get("event")
    assert state is not None
    assert event is not None
    return f"{status.status} {status.reason}", state, event


async def notifies(peer: Peer, frag: str, state: str, *more: tuple[str, str]) -> None:
    """The peer sends a NOTIFY of our REFER, which is taken."""
    headers = ("Event", "refer"), ("Subscription-State", state), FRAG
    await peer.send("NOTIFY", headers=(*headers, *more), sdp=f"{frag}\r\n")
    await peer.expect(200, of="NOTIFY")


# the peer's REFER


@staged
async def test_a_transfer_from_beginning_to_end(story: Story) -> None:
    """RFC 5589 6.1: 202, NOTIFY 100, 180, 200, and the peer hangs up."""
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send(
        "REFER",
        headers=(
            TARGET,
            ("Referred-By", "<sip:agent@pbx.test>"),
            ("X-Queue", "sales"),
            ("User-Agent", "Desk/1.0"),
        ),
    )
    await asyncio.sleep(1)
    [referral] = listener.referrals
    asked = referral.asked
    assert asked.refer_to.user == "+14155550100"
    assert asked.referred_by is not None
    assert asked.referred_by.user == "agent"
    assert asked.headers == (("X-Queue", "sales"),)
    assert asked.user_agent == "Desk/1.0"

    referral.accept()
    accepted: Response = await agent.expect(202)
    assert accepted.contact is not None
    assert "REFER" in (accepted.headers.get("allow") or "")
    assert await notified(agent) == ("100 Trying", f"active;expires={LASTS_S:.0f}", "refer")
    referral.progress(180)
    assert (await notified(agent))[0] == "180 Ringing"
    referral.progress(180)
    await agent.silence(1)  # each change once
    referral.end(200)
    final = await notified(agent)
    assert final == ("200 OK", "terminated;reason=noresource", "refer")
    referral.progress(180)
    referral.end(503)
    referral.accept()
    await agent.hang_up()
    await story.peer("carrier").silence(1)
    await story.peer("carrier").hang_up()


@staged
async def test_a_transfer_that_fails_leaves_the_call(story: Story) -> None:
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    listener.referrals[0].accept()
    await agent.expect(202)
    await notified(agent)
    listener.referrals[0].end(486)
    assert (await notified(agent))[:2] == ("486 Busy Here", "terminated;reason=noresource")
    await agent.silence(2)
    await hung_up(story)


@staged
async def test_a_transfer_is_refused_in_words(story: Story) -> None:
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    listener.referrals[0].refuse(404, "No Such Extension")
    refused: Response = await agent.expect(404)
    assert refused.reason == "No Such Extension"
    listener.referrals[0].accept()
    listener.referrals[0].end(200)
    await agent.silence(5)
    await hung_up(story)


@staged
async def test_nobody_says_what_becomes_of_it(story: Story) -> None:
    """It is refused before the peer's timer ends."""
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    since = asyncio.get_running_loop().time()
    await agent.expect(603)
    assert asyncio.get_running_loop().time() - since == pytest.approx(ANSWER_S, abs=0.1)
    listener.referrals[0].accept()
    await agent.silence(1)
    await hung_up(story)


@staged
async def test_a_call_that_nobody_wants_transferred(story: Story) -> None:
    call, listener = await talk(story)
    call.stop(listener)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await agent.expect(603, within_s=0.5)
    await hung_up(story)


@staged
async def test_a_peer_that_may_not_refer(story: Story) -> None:
    """The carrier is not asked to transfer calls; it hears so, and the call goes on."""
    _, listener = await talk(story)
    carrier = story.peer("carrier")
    await carrier.send("REFER", headers=(TARGET,))
    refused: Response = await carrier.expect(403)
    assert refused.reason == "REFER Not Allowed"
    assert not listener.referrals
    await carrier.send("OPTIONS")
    options: Response = await carrier.expect(200, of="OPTIONS")
    allow = (options.headers.get("allow") or "").split(", ")
    assert "NOTIFY" in allow
    assert "REFER" not in allow
    await hung_up(story)


@staged
async def test_a_transfer_before_the_answer(story: Story) -> None:
    story.legs["carrier"] = LegOptions(takes_refer=True)
    carrier = story.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = story.calls
    assert call.first is not None
    call.first.ring(180)
    ringing: Response = await carrier.expect(180)
    refer = (
        "REFER sip:gateway.test SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{carrier.port};branch=z9hG4bK-early;rport\r\n"
        f"From: {ringing.from_}\r\nTo: {ringing.to}\r\nCall-ID: {ringing.call_id}\r\n"
        "CSeq: 9 REFER\r\nMax-Forwards: 70\r\nRefer-To: <sip:200@pbx.test>\r\n"
        "Content-Length: 0\r\n\r\n"
    )
    await carrier.transmit(refer.encode())
    refused: Response = await carrier.expect(403)
    assert refused.reason == "Transfer Before Answer"
    call.hangup()
    await carrier.expect(603)
    await carrier.send("ACK")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 400),
        ((TARGET, TARGET), 400),
        ((("Refer-To", "front desk"),), 400),
        ((("Refer-To", "<sip:a@pbx.test>, <sip:b@pbx.test>"),), 400),
        ((("Refer-To", "<http://pbx.test/>"),), 416),
        ((("Refer-To", "<sip:a@pbx.test;method=SUBSCRIBE>"),), 501),
        ((TARGET, ("Require", "multiple-refer")), 420),
    ],
)
def test_a_refer_that_cannot_be_served(headers: tuple[tuple[str, str], ...], status: int) -> None:
    @staged
    async def ladder(story: Story) -> None:
        _, listener = await talk(story)
        agent = story.peer("agent")
        await agent.send("REFER", headers=headers)
        await agent.expect(status)
        assert not listener.referrals
        await agent.send("REFER", headers=(TARGET,))  # nothing is left of it
        await asyncio.sleep(0.1)
        listener.referrals[0].refuse(603)
        await agent.expect(603)
        await hung_up(story)

    ladder()


@staged
async def test_two_transfers_at_once(story: Story) -> None:
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    await agent.send("REFER", headers=(TARGET,))
    await agent.expect(491)
    listener.referrals[0].accept()
    accepted: Response = await agent.expect(202)
    assert accepted.cseq.number < agent._cseq
    await notified(agent)
    await agent.send("REFER", headers=(TARGET,))
    await agent.expect(491)
    listener.referrals[0].end(603)
    await notified(agent)
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    listener.referrals[1].accept()
    later: Response = await agent.expect(202)
    # RFC 3515 2.4.6: its NOTIFYs are told from those of the one before
    assert (await notified(agent))[2] == f"refer;id={later.cseq.number}"
    listener.referrals[1].end(200)
    assert (await notified(agent))[2] == f"refer;id={later.cseq.number}"
    await hung_up(story)


@staged
async def test_notifies_go_one_after_another(story: Story) -> None:
    """What waits for the answer to the one before is the newest news."""
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    [referral] = listener.referrals
    referral.accept()
    await agent.expect(202)
    trying: Request = await agent.expect("NOTIFY")
    assert read(trying.body).status == 100
    referral.progress(180)
    referral.progress(183)
    await agent.silence(0.2)
    await agent.send(200, answering="NOTIFY")
    assert (await notified(agent))[0] == "183 Session Progress"
    referral.end(200)
    assert (await notified(agent))[0] == "200 OK"
    await hung_up(story)


@pytest.mark.parametrize("status", [481, 408, 489])
def test_nobody_listens_to_notifies(status: int) -> None:
    """RFC 6665 4.2.2: the subscription is over, and the call goes on."""

    @staged
    async def ladder(story: Story) -> None:
        _, listener = await talk(story)
        agent = story.peer("agent")
        await agent.send("REFER", headers=(TARGET,))
        await asyncio.sleep(0.1)
        listener.referrals[0].accept()
        await agent.expect(202)
        await notified(agent, status)
        listener.referrals[0].progress(180)
        listener.referrals[0].end(200)
        await agent.silence(5)
        await hung_up(story)

    ladder()


@staged
async def test_a_notify_that_is_not_answered(story: Story) -> None:
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    listener.referrals[0].accept()
    await agent.expect(202)
    await agent.expect("NOTIFY")
    listener.referrals[0].end(200)
    await agent.drain(40)
    await agent.silence(5)
    await hung_up(story)


@staged
async def test_a_notify_that_is_refused_otherwise(story: Story) -> None:
    """A passing trouble of the peer: the next is sent all the same."""
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    listener.referrals[0].accept()
    await agent.expect(202)
    await notified(agent, 500)
    listener.referrals[0].end(200)
    assert (await notified(agent))[0] == "200 OK"
    await hung_up(story)


@staged
async def test_a_peer_that_wants_no_notify(story: Story) -> None:
    """RFC 4488 4."""
    _, listener = await talk(story)
    agent = story.peer("agent")
    wishes = ("Refer-Sub", "false"), ("Require", "norefersub")
    await agent.send("REFER", headers=(TARGET, *wishes))
    await asyncio.sleep(0.1)
    listener.referrals[0].accept()
    accepted: Response = await agent.expect(202)
    assert accepted.headers.get("refer-sub") == "false"
    assert "norefersub" in (accepted.headers.get("supported") or "")
    listener.referrals[0].progress(180)
    listener.referrals[0].end(200)
    await agent.silence(5)
    await hung_up(story)


@staged
async def test_a_transfer_that_lasts_too_long(story: Story) -> None:
    """The peer hears the end of its subscription, and how much of it is left."""
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    listener.referrals[0].accept()
    await agent.expect(202)
    await notified(agent)
    await asyncio.sleep(LASTS_S / 2)
    listener.referrals[0].progress(180)
    assert (await notified(agent))[1] == f"active;expires={LASTS_S / 2:.0f}"
    await asyncio.sleep(LASTS_S / 2)
    last = await notified(agent)
    assert last[:2] == ("408 Request Timeout", "terminated;reason=timeout")
    listener.referrals[0].end(200)
    await agent.silence(1)
    await hung_up(story)


@staged
async def test_the_peer_hangs_up_before_it_is_decided(story: Story) -> None:
    """RFC 3261 15.1.2: what waits for an answer gets 487."""
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    await agent.send("BYE")
    await agent.expect(200, of="BYE")
    await agent.expect(487)
    listener.referrals[0].accept()
    listener.referrals[0].end(200)
    await agent.silence(1)
    await story.peer("carrier").hang_up()


@staged
async def test_we_hang_up_before_it_is_decided(story: Story) -> None:
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    await story.peer("carrier").hang_up()
    await agent.expect(487)
    await agent.expect("BYE")
    await agent.send("REFER", headers=(TARGET,))  # it crosses our BYE
    await agent.expect(481)
    await agent.send(200, answering="BYE")
    listener.referrals[0].accept()
    await agent.silence(1)


@staged
async def test_the_peer_hangs_up_before_the_outcome(story: Story) -> None:
    _, listener = await talk(story)
    agent = story.peer("agent")
    await agent.send("REFER", headers=(TARGET,))
    await asyncio.sleep(0.1)
    listener.referrals[0].accept()
    await agent.expect(202)
    await notified(agent)
    await agent.hang_up()
    listener.referrals[0].progress(180)
    listener.referrals[0].end(200)
    await agent.silence(2)
    await story.peer("carrier").hang_up()


# our REFER


async def refer(call: Call, *, wait_s: float = 15) -> None:
    """We ask the carrier to call somebody else."""
    assert call.first is not None
    assert call.first.refer(
        "tel:+14155550100", referred_by="sip:+12125550101@gw.test", headers=(), wait_s=wait_s
    )
    await asyncio.sleep(0.1)


@staged
async def test_the_carrier_transfers(story: Story) -> None:
    """RFC 5589 6.1: 202, NOTIFY 100, 180, 200."""
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    assert call.first is not None
    assert call.first.refer(
        "tel:+14155550100",
        referred_by="sip:+12125550101@gw.test",
        headers=(("X-Queue", "sales"),),
        wait_s=15,
    )
    asked: Request = await carrier.expect("REFER")
    assert asked.headers.get("refer-to") == "<tel:+14155550100>"
    assert asked.headers.get("referred-by") == "<sip:+12125550101@gw.test>"
    assert asked.headers.get("x-queue") == "sales"
    assert asked.contact is not None
    await carrier.send(202, answering="REFER")
    await notifies(carrier, "SIP/2.0 100 Trying", "active;expires=60")
    await notifies(carrier, "SIP/2.0 180 Ringing", "active;expires=60")
    await notifies(carrier, "SIP/2.0 200 OK", "terminated;reason=noresource")
    assert listener.told == [
        (Stage.ACCEPTED, 202),
        (Stage.PROGRESS, 100),
        (Stage.PROGRESS, 180),
        (Stage.DONE, 200),
    ]
    assert listener.news[-1].succeeded
    await carrier.send("NOTIFY", headers=(("Event", "refer"), FRAG))
    await carrier.expect(481)
    await hung_up(story)


@staged
async def test_the_target_does_not_answer(story: Story) -> None:
    """A final NOTIFY may leave the subscription open; what follows changes nothing."""
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    await refer(call)
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER")
    await notifies(carrier, "SIP/2.0 486 Busy Here", "active;expires=60")
    await notifies(carrier, "SIP/2.0 486 Busy Here", "terminated;reason=noresource")
    assert listener.told == [(Stage.ACCEPTED, 202), (Stage.DONE, 486)]
    assert not listener.news[-1].succeeded
    await hung_up(story)


@pytest.mark.parametrize("status", [403, 405, 480, 603])
def test_the_carrier_refuses(status: int) -> None:
    @staged
    async def ladder(story: Story) -> None:
        call, listener = await talk(story)
        carrier = story.peer("carrier")
        await refer(call)
        await carrier.expect("REFER")
        await carrier.send(status, answering="REFER")
        await asyncio.sleep(0.1)
        assert listener.told == [(Stage.REFUSED, status)]
        await carrier.send("NOTIFY", headers=(("Event", "refer"), FRAG))
        await carrier.expect(481)
        await hung_up(story)

    ladder()


@staged
async def test_the_carrier_says_nothing_to_the_refer(story: Story) -> None:
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    await refer(call)
    await carrier.drain(40)
    assert listener.told == [(Stage.REFUSED, 408)]
    await hung_up(story)


@staged
async def test_a_notify_before_the_202(story: Story) -> None:
    """RFC 3515 2.4.4: it may overtake the answer, and counts as much."""
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    await refer(call)
    await carrier.expect("REFER")
    await notifies(carrier, "SIP/2.0 100 Trying", "active;expires=60")
    await carrier.send(202, answering="REFER")
    await notifies(carrier, "SIP/2.0 200 OK", "terminated;reason=noresource")
    stages = [(Stage.PROGRESS, 100), (Stage.ACCEPTED, 202), (Stage.DONE, 200)]
    assert listener.told == stages

    await refer(call)
    await carrier.expect("REFER")
    await notifies(carrier, "SIP/2.0 200 OK", "terminated;reason=noresource")
    await carrier.send(202, answering="REFER")
    await asyncio.sleep(60)
    assert listener.told == [*stages, (Stage.DONE, 200)]
    await hung_up(story)


@staged
async def test_the_outcome_is_waited_for_anew_when_there_is_news(story: Story) -> None:
    """A step further is news; the same once more is none."""
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    await refer(call, wait_s=15)
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER")
    for status in (100, 180, 180):
        await asyncio.sleep(10)
        await notifies(carrier, f"SIP/2.0 {status} Any", "active;expires=60")
    await asyncio.sleep(4)
    assert listener.told[-1] == (Stage.PROGRESS, 180)
    await asyncio.sleep(2)
    assert listener.told[-1] == (Stage.UNKNOWN, 202)
    await hung_up(story)


@staged
async def test_no_final_notify_comes(story: Story) -> None:
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    await refer(call, wait_s=15)
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER")
    await notifies(carrier, "SIP/2.0 180 Ringing", "active;expires=60")
    await asyncio.sleep(14)
    assert listener.told[-1] == (Stage.PROGRESS, 180)
    await asyncio.sleep(2)
    assert listener.told[-1] == (Stage.UNKNOWN, 202)
    await notifies(carrier, "SIP/2.0 200 OK", "terminated;reason=noresource")  # late, and true
    assert listener.told[-1] == (Stage.DONE, 200)
    assert len(listener.told) == 4
    await hung_up(story)


@pytest.mark.parametrize("frag", ["SIP/2.0 100 Trying", ""])
def test_the_subscription_ends_without_an_outcome(frag: str) -> None:
    @staged
    async def ladder(story: Story) -> None:
        call, listener = await talk(story)
        carrier = story.peer("carrier")
        await refer(call)
        await carrier.expect("REFER")
        await carrier.send(202, answering="REFER")
        await notifies(carrier, frag, "terminated;reason=timeout")
        assert listener.told == [(Stage.ACCEPTED, 202), (Stage.UNKNOWN, 202)]
        assert listener.news[-1].reason == "Subscription Ended: timeout"
        await hung_up(story)

    ladder()


@staged
async def test_the_carrier_sends_no_notify(story: Story) -> None:
    """RFC 4488: it says so, and nothing more is known."""
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    await refer(call)
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER", headers=(("Refer-Sub", "false"),))
    await asyncio.sleep(0.1)
    assert listener.told == [(Stage.ACCEPTED, 202), (Stage.UNKNOWN, 202)]
    assert listener.news[-1].reason == "No Subscription"
    await hung_up(story)


@staged
async def test_the_carrier_hangs_up_after_the_202(story: Story) -> None:
    """Many carriers let that be their answer: what came of it is not known."""
    call, listener = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    await refer(call)
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER")
    await notifies(carrier, "SIP/2.0 100 Trying", "active;expires=60")
    await carrier.hang_up()
    await agent.is_hung_up()
    assert listener.told[-1] == (Stage.UNKNOWN, 202)
    assert len(listener.told) == 3
    await carrier.send("NOTIFY", headers=(("Event", "refer"), FRAG), sdp="SIP/2.0 200 OK\r\n")
    await carrier.expect(481)


@staged
async def test_a_notify_that_crosses_our_bye(story: Story) -> None:
    call, listener = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    await refer(call)
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER")
    await asyncio.sleep(0.1)
    call.hangup()
    await agent.is_hung_up()
    await carrier.expect("BYE")
    headers = ("Event", "refer"), ("Subscription-State", "terminated;reason=noresource"), FRAG
    await carrier.send("NOTIFY", headers=headers, sdp="SIP/2.0 200 OK\r\n")
    await carrier.expect(481)
    await carrier.send(200, answering="BYE")
    assert (Stage.DONE, 200) not in listener.told


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ((), "SIP/2.0 200 OK", 489),
        ((("Event", "message-summary"),), "", 489),
        ((("Event", "refer;id=0"),), "SIP/2.0 200 OK", 481),
        ((("Event", "refer;id=x"),), "SIP/2.0 200 OK", 481),
        ((("Event", "refer"), ("Content-Type", "text/plain")), "200 OK", 415),
        ((("Event", "refer"), FRAG), "hello", 400),
        ((("Event", ";;"), FRAG), "SIP/2.0 200 OK", 400),
        ((("Event", "refer"), ("Subscription-State", ""), FRAG), "SIP/2.0 200 OK", 400),
    ],
)
def test_a_notify_that_says_nothing(
    headers: tuple[tuple[str, str], ...], body: str, status: int
) -> None:
    @staged
    async def ladder(story: Story) -> None:
        call, listener = await talk(story)
        carrier = story.peer("carrier")
        await refer(call)
        await carrier.expect("REFER")
        await carrier.send(202, answering="REFER")
        await carrier.send("NOTIFY", headers=headers, sdp=body)
        refused: Response = await carrier.expect(status)
        assert status != 489 or refused.headers.get("allow-events") == "refer"
        assert listener.told == [(Stage.ACCEPTED, 202)]
        await notifies(carrier, "200 OK", "terminated")  # what can be read at all is believed
        assert listener.told[-1] == (Stage.DONE, 200)
        await hung_up(story)

    ladder()


@staged
async def test_a_notify_of_no_refer_of_ours(story: Story) -> None:
    """In the dialog and outside it (RFC 6665 4.1.3)."""
    await talk(story)
    carrier = story.peer("carrier")
    headers = ("Event", "refer"), ("Subscription-State", "active"), FRAG
    await carrier.send("NOTIFY", headers=headers, sdp="SIP/2.0 200 OK\r\n")
    await carrier.expect(481)
    stranger = story.peer("person")
    await stranger.send("NOTIFY", headers=headers, sdp="SIP/2.0 200 OK\r\n")
    await stranger.expect(481)
    await hung_up(story)


@staged
async def test_one_refer_at_a_time(story: Story) -> None:
    call, listener = await talk(story)
    carrier = story.peer("carrier")
    await refer(call)
    first: Request = await carrier.expect("REFER")
    assert call.first is not None
    assert not call.first.refer("sip:200@pbx.test", referred_by=None, headers=(), wait_s=1)
    await carrier.send(202, answering="REFER")
    await notifies(carrier, "SIP/2.0 503 Service Unavailable", "terminated;reason=noresource")

    assert call.first.refer("<sip:200@pbx.test>", referred_by=None, headers=(), wait_s=1)
    second: Request = await carrier.expect("REFER")
    assert second.headers.get("refer-to") == "<sip:200@pbx.test>"
    assert second.headers.get("referred-by") is None
    await carrier.send(202, answering="REFER")
    frag = "SIP/2.0 200 OK\r\n"
    for id_, status in ((first.cseq.number, 481), (second.cseq.number, 200)):
        event = ("Event", f"refer;id={id_}")
        state = ("Subscription-State", "terminated;reason=noresource")
        await carrier.send("NOTIFY", headers=(event, state, FRAG), sdp=frag)
        await carrier.expect(status, of="NOTIFY")
    assert listener.told[-1] == (Stage.DONE, 200)
    await hung_up(story)


@staged
async def test_a_refer_waits_for_the_ack(story: Story) -> None:
    """The peer may not have heard yet that it was answered."""
    carrier = story.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = story.calls
    await call.answer()
    await carrier.expect(200, of="INVITE")
    leg = call.first
    assert leg is not None
    assert leg.refer("sip:200@pbx.test", referred_by=None, headers=(), wait_s=1)
    await carrier.silence(0.2)
    await carrier.send("ACK")
    await carrier.expect("REFER")
    await carrier.send(603, answering="REFER")
    await carrier.hang_up()


@staged
async def test_a_leg_that_is_not_up_refers_to_nobody(story: Story) -> None:
    carrier = story.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = story.calls
    leg = call.first
    assert leg is not None
    assert not leg.refer("sip:200@pbx.test", referred_by=None, headers=(), wait_s=1)
    call.hangup()
    await carrier.expect(603)
    await carrier.send("ACK")
    assert not leg.refer("sip:200@pbx.test", referred_by=None, headers=(), wait_s=1)
