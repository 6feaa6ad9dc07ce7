"""Our softswitch with our application: a person is called first, then the agent."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.calls.live_calls import new_call_id
from gateway.http.app_keys import CALLS
from gateway.outbound.callee_first import CalleeFirst
from gateway.outbound.news import Ended, News
from gateway.start.switch import OwnSwitch
from gateway.storage.queued_call import Result
from gateway.storage.wanted import Wanted
from tests.contract.links import InMemory
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, retell, start
from tests.ladder import PCMU, Ladder, make_ladder

__all__ = ["retell", "start"]  # fixtures

Json = dict[str, Any]

PERSON = "+13105550142"
WANTED = Wanted(to_number=PERSON, from_number=TRUNK_DID)


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    return await start()


class Story:
    """A call that the queue wants, and what is told of it."""

    def __init__(self, gateway: Gateway, ladder: Ladder) -> None:
        self.ladder = ladder
        self.person, self.agent = ladder.peer("carrier"), ladder.peer("retell")
        self._gateway = gateway
        self.call_id = new_call_id(time.time())
        self.placer = CalleeFirst(gateway.app_settings(), gateway.app[CALLS])
        self.placer.switch = OwnSwitch(ladder.switch)
        self.news: list[News] = []

    async def begin(self, wanted: Wanted = WANTED) -> None:
        await self.placer.begin(self.call_id, "queued", wanted, self.news.append)

    async def ended(self) -> Ended:
        """The last news."""
        async with asyncio.timeout(5):
            while not (self.news and isinstance(self.news[-1], Ended)):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        ended = self.news[-1]
        assert isinstance(ended, Ended)
        return ended


@asynccontextmanager
async def calling(gateway: Gateway) -> AsyncIterator[Story]:
    async with make_ladder() as ladder:
        ladder.switch._link = InMemory(gateway).link
        yield Story(gateway, ladder)


async def test_the_agent_is_called_when_the_person_answers(gateway: Gateway) -> None:
    async with calling(gateway) as story:
        person, agent = story.person, story.agent
        await story.begin()
        invite = await person.expect("INVITE")
        assert invite.uri.startswith(f"sip:{PERSON}@")
        await person.send(180)
        await person.send(200, sdp=PCMU)
        await person.expect("ACK")
        await agent.expect("INVITE")
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        await person.send("BYE")
        await person.expect(200)
        await agent.expect("BYE")
        await agent.send(200)
        ended = await story.ended()
    assert ended.result is Result.ANSWERED


async def test_nobody_is_there(gateway: Gateway) -> None:
    async with calling(gateway) as story:
        await story.begin()
        await story.person.expect("INVITE")
        await story.person.send(486)
        await story.person.expect("ACK")
        ended = await story.ended()
    assert (ended.result, ended.sip_status) == (Result.BUSY, 486)


async def test_the_next_carrier_is_asked(gateway: Gateway) -> None:
    async with calling(gateway) as story:
        second = story.ladder.peer("second")
        await story.begin()
        await story.person.expect("INVITE")
        await story.person.send(503)
        await story.person.expect("ACK")
        await second.expect("INVITE")
        await second.send(603)
        await second.expect("ACK")
        ended = await story.ended()
    assert (ended.result, ended.sip_status) == (Result.DECLINED, 603)


async def test_it_is_cancelled_while_it_rings(gateway: Gateway) -> None:
    async with calling(gateway) as story:
        await story.begin()
        await story.person.expect("INVITE")
        await story.person.send(180)
        await asyncio.sleep(0)
        assert story.placer.cancel(story.call_id)
        await story.person.expect("CANCEL")
        await story.person.send(200, answering="CANCEL")
        await story.person.send(487)
        await story.person.expect("ACK")
        ended = await story.ended()
    assert ended.result is Result.CANCELLED
