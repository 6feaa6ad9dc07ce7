"""Calls that an application has placed, from the callee's answer on."""

import asyncio

import pytest

from config.settings import LimitSettings
from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request
from sip.core.session_timer import Mode, Policy
from sip.media.events import Silent
from sip.softswitch.placing import PlaceError
from tests.fakes.application import FakeApplication
from tests.ladder import PCMU, Ladder, dial, ladder_test, ladder_with
from tests.softswitch.jambonz.test_placed import answers, body, over, rings


@ladder_test
async def test_the_callee_hangs_up_before_the_application_has_decided(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: FakeApplication.NO_ACK
    await answers(ladder)
    await ladder.peer("carrier").hang_up()
    last = await over(ladder)
    assert (last["call_status"], last["call_termination_by"]) == ("completed", "caller")


@ladder_test
async def test_an_application_that_says_nothing_is_not_waited_for(ladder: Ladder) -> None:
    """5 s, as for any ack; the callee, who hears nobody, is hung up."""
    ladder.app.verbs = lambda _: FakeApplication.NO_ACK
    await answers(ladder)
    await ladder.peer("carrier").is_hung_up()
    last = await over(ladder)
    assert (last["call_status"], last["call_termination_by"]) == ("completed", "jambonz")


@ladder_test
async def test_an_application_that_sends_nonsense_is_told(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "sing"}]
    await answers(ladder)
    await ladder.peer("carrier").is_hung_up()
    await over(ladder)
    [error] = ladder.app.told("jambonz:error")
    assert "sing" in error["data"]["details"]


@pytest.mark.parametrize("ack", [None, []])
def test_an_application_may_decide_later(ack: object) -> None:
    """An ack without verbs is fine: commands follow."""

    @ladder_test
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: ack
        await answers(ladder)
        await ladder.peer("carrier").silence(10)
        await ladder.app.command("redirect", [{"verb": "hangup"}])
        await ladder.peer("carrier").is_hung_up()
        await over(ladder)

    story()


@ladder_test
async def test_a_call_lasts_no_longer_than_it_may(ladder: Ladder) -> None:
    """timeLimit, from the callee's answer: ringing does not count."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await rings(ladder, timeLimit=30)
    await asyncio.sleep(25)
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.answer_call()
    await carrier.silence(29)
    await asyncio.gather(carrier.is_hung_up(), agent.is_hung_up())
    last = await over(ladder)
    assert (last["call_termination_by"], last["duration"]) == ("jambonz", 30)


@ladder_test
async def test_a_switch_that_drains_places_none_and_lets_ring(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await rings(ladder)
    ladder.switch.drain()
    with pytest.raises(PlaceError) as stopping:
        ladder.switch.place(body())
    assert stopping.value.status == 503
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.silence(1)
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.answer_call()
    await carrier.hang_up()
    await agent.is_hung_up()
    await over(ladder)


@ladder_with(legs={"carrier": LegOptions(session_timer=Policy(mode=Mode.ALWAYS, expires_s=200))})
async def test_a_session_timer_is_the_callees_own(ladder: Ladder) -> None:
    """RFC 4028: we refresh it, and the agent never hears of that."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await answers(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await agent.answer_call()
    await asyncio.sleep(90)
    refresh: Request = await carrier.expect("INVITE")
    assert refresh.headers.get("session-expires")
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.silence(1)
    await carrier.hang_up()
    await agent.is_hung_up()
    await over(ladder)


@ladder_test
async def test_a_callee_who_falls_silent_is_hung_up(ladder: Ladder) -> None:
    """limits.rtp_timeout_s, as of any call."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    ladder.switch.configure(ladder.switch.dialler.trunks, LimitSettings(), rtp_timeout_s=30)
    await answers(ladder)
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await agent.answer_call()
    (sid,) = ladder.media.open_calls
    ladder.media.tell(sid, Silent(party="a", at=asyncio.get_running_loop().time(), since_s=5))
    bye = await carrier.is_hung_up()
    assert "RTP Timeout" in (bye.headers.get("reason") or "")
    await agent.is_hung_up()
    last = await over(ladder)
    assert (last["cause"], last["call_termination_by"]) == ("rtp-timeout", "jambonz")


@ladder_test
async def test_a_placed_call_is_recorded(ladder: Ladder) -> None:
    """From when two talk; the callee, whose call it is, is the left channel."""
    config = {"verb": "config", "record": {"action": "startCallRecording"}}
    ladder.app.verbs = lambda _: [config, dial("agent"), {"verb": "hangup"}]
    await answers(ladder)
    await ladder.peer("agent").answer_call()
    await asyncio.sleep(0.1)
    assert [asked[-1] for asked in ladder.media.asked if asked[0] == "record"] == ["a"]
    await ladder.peer("carrier").hang_up()
    await ladder.peer("agent").is_hung_up()
    await over(ladder)


@ladder_with(legs={"carrier": LegOptions(takes_refer=True)})
async def test_the_callee_asks_for_a_transfer(ladder: Ladder) -> None:
    """referHook of the body, as config's: it hears what the callee wants."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    ladder.app.hooks["/refer"] = lambda _: [{"verb": "sip:decline", "status": 403}]
    await answers(ladder, referHook="/refer")
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await agent.answer_call()
    await asyncio.sleep(0.1)
    await carrier.send("REFER", headers=(("Refer-To", "<sip:200@pbx.example.com>"),))
    await carrier.expect(403, of="REFER")
    [asked] = ladder.app.told("/refer")
    assert asked["data"]["refer_details"]["refer_to_user"] == "200"
    await carrier.hang_up()
    await agent.is_hung_up()
    await over(ladder)
