"""A call has the peer of one of its legs call somebody else (`Call.refer`)."""

import asyncio
from typing import Any

import pytest

from sip.b2bua.call import Call
from sip.b2bua.call_events import ReferNews, Stage
from sip.b2bua.call_state import EndedBy
from sip.core.message import Request
from tests.b2bua.stage import Stage as Story
from tests.b2bua.stage import sdp_at, staged
from tests.b2bua.test_refer_legs import notifies, talk
from tests.fakes.stream_leg import StreamLeg
from tests.ladder import Peer

TARGET = "sip:+14155550100@pbx.test"
FAILED = "SIP/2.0 486 Busy Here"
THROUGH = "SIP/2.0 200 OK"
LAST = "terminated;reason=noresource"


def referring(call: Call, **more: Any) -> asyncio.Task[ReferNews]:
    """`Call.refer` under way."""
    options: dict[str, Any] = {"wait_s": 15, "bye_s": 5} | more
    return asyncio.create_task(call.refer(TARGET, **options))


async def accepts(peer: Peer) -> Request:
    """The peer takes a REFER."""
    asked: Request = await peer.expect("REFER")
    await peer.send(202, answering="REFER")
    return asked


@staged
async def test_who_gets_through_hangs_up(story: Story) -> None:
    call, _ = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    news: list[ReferNews] = []
    outcome = referring(call, referred_by="<sip:gw.test>", on_news=news.append)
    asked = await accepts(carrier)
    assert asked.headers.get("refer-to") == f"<{TARGET}>"
    assert [doing.activity for doing in call.state.doing][-1] == "referring"
    await notifies(carrier, "SIP/2.0 180 Ringing", "active;expires=60")
    await notifies(carrier, THROUGH, LAST)
    await agent.silence(1)  # until then the two talk on
    await carrier.hang_up()
    await agent.is_hung_up()
    last = await outcome
    assert (last.stage, last.status, last.reason) == (Stage.DONE, 200, "OK")
    assert [one.stage for one in news] == [Stage.ACCEPTED, Stage.PROGRESS, Stage.DONE]
    assert call.ended_by is EndedBy.CALLER


@pytest.mark.parametrize("bye_s", [0, 5])
def test_who_gets_through_and_stays_is_hung_up(bye_s: int) -> None:
    @staged
    async def ladder(story: Story) -> None:
        call, _ = await talk(story)
        carrier, agent = story.peer("carrier"), story.peer("agent")
        outcome = referring(call, bye_s=bye_s)
        await accepts(carrier)
        since = asyncio.get_running_loop().time()
        await notifies(carrier, THROUGH, LAST)
        await carrier.is_hung_up()
        assert asyncio.get_running_loop().time() - since == pytest.approx(bye_s, abs=0.2)
        await agent.is_hung_up()
        assert (await outcome).succeeded
        assert call.over
        assert call.ended_by is EndedBy.APPLICATION

    ladder()


@staged
async def test_who_does_not_get_through_talks_on(story: Story) -> None:
    call, _ = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    outcome = referring(call)
    await accepts(carrier)
    await notifies(carrier, FAILED, LAST)
    last = await outcome
    assert (last.stage, last.status, last.reason) == (Stage.DONE, 486, "Busy Here")
    await carrier.silence(10)
    await agent.silence(1)
    await carrier.hang_up()
    await agent.is_hung_up()


@staged
async def test_who_refuses_talks_on(story: Story) -> None:
    call, _ = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    outcome = referring(call)
    await carrier.expect("REFER")
    await carrier.send(603, answering="REFER")
    assert (await outcome).stage is Stage.REFUSED
    again = referring(call)
    await accepts(carrier)
    await asyncio.sleep(16)
    assert (await again).stage is Stage.UNKNOWN
    await carrier.hang_up()
    await agent.is_hung_up()


@staged
async def test_who_hangs_up_in_the_middle(story: Story) -> None:
    call, _ = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    outcome = referring(call)
    await accepts(carrier)
    await carrier.hang_up()
    await agent.is_hung_up()
    assert ((await outcome).stage, (await outcome).status) == (Stage.UNKNOWN, 202)


@pytest.mark.parametrize("bye_s", [0, 5])
def test_the_other_leg_is_referred(bye_s: int) -> None:
    """The host stays, and waits for what the application wants next."""

    @staged
    async def ladder(story: Story) -> None:
        call, _ = await talk(story)
        carrier, agent = story.peer("carrier"), story.peer("agent")
        outcome = referring(call, leg="b1", bye_s=bye_s)
        await accepts(agent)
        await notifies(agent, THROUGH, LAST)
        await agent.is_hung_up()
        assert (await outcome).succeeded
        assert call.reports["b1"].final
        assert call.state.joined == ()
        assert not call.over
        await carrier.silence(1)
        await carrier.hang_up()

    ladder()


@staged
async def test_what_is_given_up(story: Story) -> None:
    call, _ = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    outcome = referring(call)
    await accepts(carrier)
    await asyncio.sleep(0.1)
    second = await referring(call)  # the first is under way, and goes on
    assert (second.stage, second.status) == (Stage.REFUSED, 491)
    outcome.cancel()
    await asyncio.sleep(0.1)
    assert [doing.activity for doing in call.state.doing] == ["idle", "talking", "listener"]
    await notifies(carrier, THROUGH, LAST)
    await carrier.silence(10)
    await carrier.hang_up()
    await agent.is_hung_up()


@staged
async def test_the_call_ends_while_a_bye_is_awaited(story: Story) -> None:
    call, _ = await talk(story)
    carrier, agent = story.peer("carrier"), story.peer("agent")
    outcome = referring(call)
    await accepts(carrier)
    await notifies(carrier, THROUGH, LAST)
    await agent.hang_up()
    await asyncio.sleep(1)
    call.hangup()
    await carrier.is_hung_up()
    assert (await outcome).succeeded


@staged
async def test_legs_that_cannot_be_referred(story: Story) -> None:
    call, _ = await talk(story)
    gone = await call.refer(TARGET, leg="b7", wait_s=1, bye_s=1)
    assert (gone.stage, gone.status) == (Stage.REFUSED, 481)
    with pytest.raises(ValueError, match="line break"):
        await call.refer("sip:200\r\nX: y", wait_s=1, bye_s=1)
    assert [doing.activity for doing in call.state.doing] == ["idle", "talking", "listener"]
    carrier = story.peer("carrier")
    await carrier.hang_up()
    await story.peer("agent").is_hung_up()
    over = await call.refer(TARGET, wait_s=1, bye_s=1)
    assert (over.stage, over.status) == (Stage.REFUSED, 481)


@staged
async def test_a_stream_is_not_referred(story: Story) -> None:
    call = story.call(lambda on: StreamLeg(story.ua.clock, sdp_at(44000), on))
    waiting = await call.refer(TARGET, wait_s=1, bye_s=1)
    assert (waiting.stage, waiting.status) == (Stage.REFUSED, 481)
    await call.answer()
    up = await call.refer(TARGET, wait_s=1, bye_s=1)
    assert (up.stage, up.status) == (Stage.REFUSED, 491)
    call.hangup()
