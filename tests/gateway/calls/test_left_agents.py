"""Agents' calls that go on at Retell though the person is gone."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from gateway.http.app_keys import CALLS, STORE
from tests.gateway.calls.test_restart import restored
from tests.gateway.calls.test_transfers import TRANSFERRING
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Retell, Start, settings_data
from tests.gateway.http.test_retell_webhooks import post, signature
from tests.gateway.peer import Jambonz

AT_RETELL = "call_0123456789abcdef0123456789a"
PERSON = "+12125550100"


class Agent:
    """Retell's side of the call: how it says that it is, and whether it was stopped."""

    def __init__(self, retell: Retell) -> None:
        self.call: dict[str, Any] = {"call_status": "ongoing"}
        self.asked = 0
        self.stopped = 0
        self.stop_status = 204
        retell.others["GET", f"/v2/get-call/{AT_RETELL}"] = self._get
        retell.others["POST", f"/v2/stop-call/{AT_RETELL}"] = self._stop

    async def _get(self, _: web.Request) -> web.StreamResponse:
        self.asked += 1
        return web.json_response({"call_id": AT_RETELL, **self.call})

    async def _stop(self, _: web.Request) -> web.StreamResponse:
        self.stopped += 1
        if self.stop_status == 204:
            return web.Response(status=204)
        return web.json_response({"message": "not ongoing"}, status=self.stop_status)


@pytest.fixture
def agent(retell: Retell) -> Agent:
    return Agent(retell)


async def begin(start: Start, after_s: float = 0.05) -> Gateway:
    return await start(retell=settings_data()["retell"] | {"stop_after_s": after_s})


async def talk(gateway: Gateway, *, ends: str = "caller_hangs_up") -> None:
    """A registered call that is answered, and ended by one side."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.answered()
        await getattr(jambonz, ends)()
    await gateway.app_is_idle()


async def outcome(gateway: Gateway) -> str:
    """What was counted of the one call, once it is."""
    async with asyncio.timeout(5):
        while True:
            for line in (await gateway.page()).splitlines():
                if line.startswith("gateway_agents_left_total{"):
                    return line.split('"')[1]
            await asyncio.sleep(0.01)


async def nothing_asked(gateway: Gateway) -> None:
    """Nobody waits to ask Retell."""
    left = gateway.app[CALLS]._left
    assert not left._waiting
    assert not left._asking


async def test_an_agent_that_goes_on_is_stopped(start: Start, agent: Agent) -> None:
    gateway = await begin(start)
    await talk(gateway)
    assert await outcome(gateway) == "stopped"
    assert (agent.asked, agent.stopped) == (1, 1)
    assert (await gateway.record()).disconnection_reason == "manual_stopped"


async def test_one_that_is_over_is_left_alone_and_its_reason_kept(
    start: Start, agent: Agent
) -> None:
    """No webhook said so, as where none is set up."""
    agent.call = {"call_status": "ended", "disconnection_reason": "user_hangup"}
    gateway = await begin(start)
    await talk(gateway)
    assert await outcome(gateway) == "over"
    assert agent.stopped == 0
    assert (await gateway.record()).disconnection_reason == "user_hangup"


async def test_one_that_was_never_dialled_ends_by_itself(start: Start, agent: Agent) -> None:
    """As Retell says: registered. It ends as registered_call_timeout."""
    agent.call = {"call_status": "registered"}
    gateway = await begin(start)
    await talk(gateway)
    assert await outcome(gateway) == "over"
    assert agent.stopped == 0


@pytest.mark.parametrize("early", [True, False])
async def test_where_the_webhook_comes_retell_is_not_asked(
    start: Start, agent: Agent, early: bool
) -> None:
    gateway = await begin(start, after_s=60)
    call = {"call_id": AT_RETELL, "disconnection_reason": "user_hangup"}
    body = json.dumps({"event": "call_ended", "call": call})
    if early:  # our own call is not over yet
        async with gateway.jambonz() as jambonz:
            await jambonz.new_call(to=DIAL_DID)
            await jambonz.command()
            await jambonz.answered()
            assert await post(gateway, body, signature(body)) == 204
            await jambonz.caller_hangs_up()
        await gateway.app_is_idle()
    else:
        await talk(gateway)
        assert await post(gateway, body, signature(body)) == 204
    await nothing_asked(gateway)
    assert agent.asked == 0


async def test_an_agent_that_hung_up_is_not_asked_for(start: Start, agent: Agent) -> None:
    gateway = await begin(start, after_s=60)
    await talk(gateway, ends="callee_hangs_up")
    await nothing_asked(gateway)


async def test_a_call_of_an_imported_number_has_an_end_of_its_own(
    start: Start, agent: Agent
) -> None:
    """Method 1: nothing was registered."""
    gateway = await begin(start, after_s=60)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    await gateway.app_is_idle()
    await nothing_asked(gateway)


async def test_a_registered_call_that_was_not_dialled_needs_nothing(
    start: Start, agent: Agent
) -> None:
    gateway = await begin(start, after_s=60)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    await gateway.app_is_idle()
    await nothing_asked(gateway)


async def test_a_caller_who_gave_up_while_the_agent_was_dialled(start: Start, agent: Agent) -> None:
    """The agent's answer may have crossed our CANCEL."""
    gateway = await begin(start)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.leg("trying", 100)
        await jambonz.leg("ringing", 180)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    assert await outcome(gateway) == "stopped"


async def test_a_caller_who_was_handed_on_keeps_whom_they_talk_to(
    start: Start, agent: Agent
) -> None:
    """The call went on without the agent, whose end is Retell's matter."""
    retell = settings_data()["retell"] | {"stop_after_s": 60}
    gateway = await start(**TRANSFERRING | {"retell": retell})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.answered()
        await jambonz.refer("<sip:200@sip.retellai.com>")
        await jambonz.target_answered()
        await jambonz.agent_gone()
        await jambonz.leg("completed", 200)
        await jambonz.transfer_ended("completed", 200)
        await jambonz.caller("completed", 200, call_termination_by="caller")
    assert (await gateway.record()).transfers[0]["outcome"] == "transferred"
    await nothing_asked(gateway)


@pytest.mark.parametrize("status", [422, 500])
async def test_retell_does_not_stop_it(start: Start, agent: Agent, status: int) -> None:
    agent.stop_status = status
    gateway = await begin(start)
    await talk(gateway)
    assert await outcome(gateway) == "failed"


async def test_a_person_whom_we_called(start: Start, agent: Agent) -> None:
    """Of those calls the agent is the caller."""
    gateway = await begin(start)
    async with gateway.jambonz() as jambonz:
        await answered_person(jambonz)
        await jambonz.caller_hangs_up()  # the first leg is the person's
    assert await outcome(gateway) == "stopped"


async def test_a_call_of_retells_own(start: Start, agent: Agent) -> None:
    """Known by a webhook; our side ended it."""
    gateway = await begin(start)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=PERSON, from_=TRUNK_DID, trunk="retell")
        call_id = (await gateway.records())[0].call_id
        call = {"call_id": AT_RETELL, "metadata": {"gateway_call_id": call_id}}
        body = json.dumps({"event": "call_started", "call": call})
        assert await post(gateway, body, signature(body)) == 204
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert await outcome(gateway) == "stopped"


async def test_it_can_be_switched_off(start: Start, agent: Agent) -> None:
    gateway = await begin(start, after_s=0)
    await talk(gateway)
    await nothing_asked(gateway)


async def answered_person(jambonz: Jambonz) -> None:
    """A call that jambonz's REST API placed for DIAL_DID, and its agent."""
    jambonz.session = {
        "call_sid": jambonz.call_sid,
        "direction": "outbound",
        "from": DIAL_DID,
        "to": PERSON,
        "call_id": jambonz.a_call_id,
        "sip_status": 200,
        "sip_reason": "OK",
        "call_status": "in-progress",
    }
    await jambonz.ack(await jambonz.send("session:new", jambonz.session))
    await jambonz.command()
    await jambonz.leg("trying", 100)
    await jambonz.leg("in-progress", 200)


async def killed(start: Start, **left: Any) -> Gateway:
    """A gateway that begins where another was killed in mid-call; `left` is what else the record
    says."""
    first = await begin(start, after_s=60)
    async with first.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    await first.app_is_idle()
    store = first.app[STORE]
    record = await first.record()
    store.save(replace(record, **{"state": "live", "ended_ms": None} | left))
    await store.flush()
    await first.stop()
    return await begin(start)


async def test_an_agent_that_was_left_by_a_kill_is_stopped(start: Start, agent: Agent) -> None:
    gateway = await killed(start)
    assert await outcome(gateway) == "stopped"
    assert (agent.asked, agent.stopped) == (1, 1)
    record = await gateway.record()
    assert (record.state, record.disconnection_reason) == ("interrupted", "manual_stopped")


@pytest.mark.parametrize(
    "left",
    [
        {"state": "ended"},
        {"a_sip_call_id": None},  # somebody else carries it, as Twilio
        {"transfers": [{"outcome": "transferred"}]},
        {"related": [{"call_id": "another"}]},
    ],
    ids=lambda left: next(iter(left)),
)
async def test_calls_that_need_no_gateway_are_left_alone(
    start: Start, agent: Agent, left: dict[str, Any]
) -> None:
    gateway = await killed(start, **left)
    await nothing_asked(gateway)
    assert agent.asked == 0


async def test_a_call_that_jambonz_brings_back_keeps_its_agent(start: Start, agent: Agent) -> None:
    first = await begin(start)
    jambonz = first.jambonz()
    await jambonz.connect()
    await jambonz.new_call(to=DIAL_DID)
    await jambonz.command()
    await jambonz.answered()
    reading = asyncio.create_task(jambonz.socket.receive(timeout=5))
    await asyncio.gather(first.stop(), reading)
    second = await begin(start)
    assert len(second.app[CALLS]._left._waiting) == 1
    jambonz.move_to(second.http, f"{second.url}/retell")
    async with jambonz:
        await jambonz.ack(await jambonz.send("session:reconnect", jambonz.session))
        await restored(second)
        assert not second.app[CALLS]._left._waiting
    assert agent.asked == 0
