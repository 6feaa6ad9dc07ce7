"""Calls that we begin: the person is called first, then the agent."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from gateway.calls.live_calls import new_call_id
from gateway.calls.switch import NotPlacedError
from gateway.http.app_keys import CALLS
from gateway.outbound.callee_first import CalleeFirst
from gateway.outbound.news import AgentAnswered, Answered, Ended, News, Ringing
from gateway.outbound.ports import NotNowError
from gateway.storage.queued_call import Result
from gateway.storage.wanted import AmdWanted, Wanted
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Retell, Start
from tests.gateway.peer import Jambonz

Json = dict[str, Any]

PERSON = "+13105550142"
CALL_ID = new_call_id(time.time())
WANTED = Wanted(to_number=PERSON, from_number=DIAL_DID, agent="agent_7")
REGISTERED = "call_0123456789abcdef0123456789a"
HANGUP = [{"verb": "hangup"}]


async def eventually(so: Callable[[], bool]) -> None:
    """Returns when it is so."""
    async with asyncio.timeout(5):
        while not so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@dataclass
class Placed:
    """A softswitch that places calls: what it was asked for, and what it refuses."""

    bodies: list[Json] = field(default_factory=list)
    sids: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    refusals: list[NotPlacedError] = field(default_factory=list)

    async def place(self, body: Mapping[str, Any], call_sid: str) -> str:
        self.bodies.append(dict(body))
        if self.refusals:
            raise self.refusals.pop(0)
        self.sids.append(call_sid)
        return call_sid

    async def give_up(self, call_sid: str) -> None:
        self.given_up.append(call_sid)


class Story:
    """One call that the queue wants, and what is told of it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.switch = Placed()
        self.placer = CalleeFirst(gateway.app_settings(), gateway.app[CALLS])
        self.placer.switch = self.switch
        self.news: list[News] = []

    async def begin(self, wanted: Wanted = WANTED) -> None:
        await self.placer.begin(CALL_ID, "queued", wanted, self.news.append)

    def joins(self, jambonz: Jambonz) -> None:
        """That conversation is about the leg that was placed last."""
        jambonz.call_sid = self.switch.sids[-1]

    async def leg(self, jambonz: Jambonz, status: str, code: int, **more: object) -> None:
        """The person's leg before its answer: the envelope names no call."""
        told: Json = {"call_sid": jambonz.call_sid, "direction": "outbound", "to": PERSON}
        told |= {"call_id": jambonz.a_call_id, "call_status": status, "sip_status": code}
        await jambonz.socket.send_json({"type": "call:status", "msgid": "m", "data": told | more})

    async def answered(self, jambonz: Jambonz) -> Any:
        """session:new, and what its ack carries."""
        jambonz.session = {
            "call_sid": jambonz.call_sid,
            "direction": "outbound",
            "from": DIAL_DID,
            "to": PERSON,
            "call_id": jambonz.a_call_id,
            "sip_status": 200,
            "call_status": "in-progress",
        }
        return await jambonz.ack(await jambonz.send("session:new", jambonz.session))

    async def ringing(self) -> None:
        """It is told that it rings."""
        await eventually(lambda: any(isinstance(one, Ringing) for one in self.news))

    async def ended(self) -> Ended:
        """The last news."""
        await eventually(lambda: bool(self.news) and isinstance(self.news[-1], Ended))
        ended = self.news[-1]
        assert isinstance(ended, Ended)
        return ended


async def test_it_is_registered_while_it_rings_and_dialled_on_the_answer(
    gateway: Gateway, retell: Retell
) -> None:
    story = Story(gateway)
    wanted = replace(WANTED, variables={"name": "Jo"}, metadata={"lead": 7}, time_limit_s=600)
    await story.begin(wanted)
    assert story.switch.bodies == [
        {
            "from": DIAL_DID,
            "to": {"type": "phone", "number": PERSON, "trunk": "carrier"},
            "tag": {"gateway_call_id": CALL_ID},
            "timeout": 60,
            "timeLimit": 600,
        }
    ]
    async with gateway.jambonz() as jambonz:
        story.joins(jambonz)
        await story.leg(jambonz, "trying", 100)
        await story.leg(jambonz, "ringing", 180)
        await eventually(lambda: gateway.app[CALLS].of_retell(REGISTERED, None) is not None)
        dial, hangup = await story.answered(jambonz)
        uri = dial["target"][0]["sipUri"]
        assert uri.startswith(f"sip:{REGISTERED}@")
        assert [hangup] == HANGUP
        await jambonz.leg("trying", 100)
        await jambonz.leg("in-progress", 200)
        await jambonz.caller_hangs_up()
    ended = await story.ended()
    assert ended.result is Result.ANSWERED
    assert [type(one) for one in story.news] == [Ringing, Answered, AgentAnswered, Ended]
    [asked] = retell.requests
    assert (asked["agent_id"], asked["direction"]) == ("agent_7", "outbound")
    assert asked["retell_llm_dynamic_variables"] == {"plan": "gold", "name": "Jo"}
    assert asked["metadata"] == {"lead": 7, "gateway_call_id": CALL_ID}
    record = await gateway.record()
    assert (record.call_id, record.direction, record.cause) == (CALL_ID, "outbound", "hangup")
    assert [each["role"] for each in record.attempts] == ["carrier", "retell"]
    assert (record.trunk, record.ended_by) == ("carrier", "callee")


@pytest.mark.parametrize(
    ("word", "code", "result", "cause"),
    [
        ("busy", 486, Result.BUSY, "busy"),
        ("no-answer", 487, Result.NO_ANSWER, "no-answer"),
        ("failed", 603, Result.DECLINED, "declined"),
        ("failed", 404, Result.INVALID_NUMBER, "unknown-destination"),
        ("failed", 403, Result.FAILED, "forbidden"),
    ],
)
async def test_nobody_answers(
    gateway: Gateway, retell: Retell, word: str, code: int, result: Result, cause: str
) -> None:
    """No other carrier is asked for what person or number decided, and no agent is spent."""
    story = Story(gateway)
    await story.begin()
    async with gateway.jambonz() as jambonz:
        story.joins(jambonz)
        await story.leg(jambonz, word, code)
        ended = await story.ended()
    assert (ended.result, ended.cause, ended.sip_status) == (result, cause, code)
    assert len(story.switch.bodies) == 1
    assert retell.requests == []
    record = await gateway.record()
    assert (record.state, record.cause, record.answered_ms) == ("ended", cause, None)


async def test_the_next_carrier_is_asked_where_one_is_in_trouble(gateway: Gateway) -> None:
    story = Story(gateway)
    await story.begin()
    async with gateway.jambonz() as jambonz:
        story.joins(jambonz)
        await story.leg(jambonz, "failed", 503)
        await eventually(lambda: len(story.switch.sids) == 2)
        assert story.switch.bodies[1]["to"]["trunk"] == "second"
        story.joins(jambonz)
        await story.leg(jambonz, "busy", 486)
        ended = await story.ended()
    assert ended.result is Result.BUSY
    record = await gateway.record()
    assert [(each["trunk"], each["code"]) for each in record.attempts] == [
        ("carrier", 503),
        ("second", 486),
    ]


async def test_without_room_it_was_no_try(gateway: Gateway) -> None:
    story = Story(gateway)
    story.switch.refusals = [
        NotPlacedError("full", code=503, cause="over-limit", retry_after_s=1.0) for _ in range(2)
    ]
    with pytest.raises(NotNowError):
        await story.begin()
    assert [body["to"]["trunk"] for body in story.switch.bodies] == ["carrier", "second"]
    assert story.news == []
    assert len(gateway.app[CALLS]) == 0
    assert (await gateway.get("/api/v1/calls"))[1]["items"] == []


@pytest.mark.parametrize(
    ("status", "words", "cause"),
    [
        (422, "Agent not found", "retell-unknown-agent"),
        (402, "Trial has ended", "retell-payment-required"),
        (429, "Too many requests", "retell-throttled"),
        (500, "Something went wrong", "retell-server-error"),
    ],
)
async def test_who_is_called_is_let_be_where_the_agent_cannot_be_had(
    gateway: Gateway, retell: Retell, status: int, words: str, cause: str
) -> None:
    """Before the answer, so that nothing is spent."""

    async def refused(_: web.Request) -> web.Response:
        return web.json_response({"status": "error", "message": words}, status=status)

    retell.answer = refused
    story = Story(gateway)
    await story.begin()
    async with gateway.jambonz() as jambonz:
        story.joins(jambonz)
        await story.leg(jambonz, "ringing", 180)
        await eventually(lambda: bool(story.switch.given_up))
        await story.leg(jambonz, "no-answer", 487)
        ended = await story.ended()
    assert story.switch.given_up == story.switch.sids
    assert (ended.result, ended.cause) == (Result.AGENT_FAILED, cause)
    assert words in ended.detail
    record = await gateway.record()
    assert (record.state, record.answered_ms, record.cause) == ("ended", None, cause)


async def test_retell_says_nothing(gateway: Gateway, retell: Retell) -> None:
    """The person answers while Retell is still waited for, and is not left alone for long."""
    asleep = asyncio.Event()

    async def silent(_: web.Request) -> web.Response:
        await asleep.wait()
        return web.Response(status=500)

    retell.answer = silent
    story = Story(gateway)
    await story.begin()
    async with gateway.jambonz() as jambonz:
        story.joins(jambonz)
        await story.leg(jambonz, "ringing", 180)
        assert await story.answered(jambonz) == [{"verb": "config"}]
        assert await jambonz.command() == HANGUP
        ended = await over(story, jambonz)
    asleep.set()
    assert (ended.result, ended.cause) == (Result.AGENT_FAILED, "retell-timeout")


async def test_it_answers_while_it_is_given_up(gateway: Gateway) -> None:
    """RFC 3261 9.1: the 200 and the CANCEL cross."""
    story = Story(gateway)
    await story.begin()
    async with gateway.jambonz() as jambonz:
        story.joins(jambonz)
        await story.leg(jambonz, "ringing", 180)
        await story.ringing()
        assert story.placer.cancel(CALL_ID)
        assert await story.answered(jambonz) == HANGUP
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=0)
        await jambonz.hang_up()
        ended = await story.ended()
    assert ended.result is Result.CANCELLED


async def test_cancelled_while_it_rings(gateway: Gateway) -> None:
    story = Story(gateway)
    await story.begin()
    async with gateway.jambonz() as jambonz:
        story.joins(jambonz)
        await story.leg(jambonz, "ringing", 180)
        await story.ringing()
        assert story.placer.cancel(CALL_ID)
        await asyncio.sleep(0)
        await story.leg(jambonz, "no-answer", 487)
        ended = await story.ended()
    assert (ended.result, ended.cause) == (Result.CANCELLED, "withdrawn")
    assert story.switch.given_up == story.switch.sids
    assert not story.placer.cancel(CALL_ID)


# -- who answers is listened to


async def amd(jambonz: Jambonz, kind: str, **more: object) -> Any:
    """amd's hook; what its ack carries."""
    data = {"call_sid": jambonz.call_sid, "type": f"amd_{kind}", **more}
    return await jambonz.ack(await jambonz.send("verb:hook", data, hook="/person-heard"))


async def listened(story: Story, jambonz: Jambonz, wanted: AmdWanted) -> None:
    """It was answered, and nobody knows by whom."""
    await story.begin(replace(WANTED, from_number=TRUNK_DID, agent=None, amd=wanted))
    assert story.switch.bodies[0]["amd"] == {"actionHook": "/person-heard"}
    story.joins(jambonz)
    await story.leg(jambonz, "ringing", 180)
    assert await story.answered(jambonz) == [{"verb": "config"}]


async def over(story: Story, jambonz: Jambonz) -> Ended:
    """We hung up."""
    await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=3)
    await jambonz.hang_up()
    return await story.ended()


async def test_a_person_gets_the_agent(gateway: Gateway) -> None:
    story = Story(gateway)
    async with gateway.jambonz() as jambonz:
        await listened(story, jambonz, AmdWanted())
        dial, _ = await amd(jambonz, "human_detected", confidence=0.9, at_ms=1200)
        assert dial["target"] == [{"type": "phone", "number": TRUNK_DID, "trunk": "retell"}]
        await jambonz.leg("trying", 100)
        await jambonz.leg("in-progress", 200)
        await jambonz.callee_hangs_up()
        ended = await story.ended()
    assert ended.result is Result.ANSWERED
    assert ended.amd == {"heard": "human", "confidence": 0.9, "at_ms": 1200}
    record = await gateway.record()
    assert record.attempts[0]["amd"]["heard"] == "human"
    assert record.ended_by == "caller"


@pytest.mark.parametrize(
    ("kind", "more", "result"),
    [
        ("machine_detected", {"reason": "long greeting"}, Result.MACHINE),
        ("tone_detected", {"frequency": 1000, "tone": "beep"}, Result.MACHINE),
        ("tone_detected", {"frequency": 2100, "tone": "fax"}, Result.FAX),
        ("no_speech_detected", {}, Result.SILENCE),
    ],
)
async def test_no_agent_is_spent_on_what_is_no_person(
    gateway: Gateway, kind: str, more: Json, result: Result
) -> None:
    story = Story(gateway)
    async with gateway.jambonz() as jambonz:
        await listened(story, jambonz, AmdWanted(on_machine="hangup", on_silence="hangup"))
        assert await amd(jambonz, kind, **more) == HANGUP
        ended = await over(story, jambonz)
    assert ended.result is result
    record = await gateway.record()
    assert [each["role"] for each in record.attempts] == ["carrier"]
    assert (record.cause, record.ended_by) == (result.value, "gateway")


async def test_a_message_is_left_after_the_beep(gateway: Gateway) -> None:
    story = Story(gateway)
    said = [
        {"verb": "play", "url": "sorry.wav", "earlyMedia": False, "actionHook": "/message-said"}
    ]
    async with gateway.jambonz() as jambonz:
        await listened(story, jambonz, AmdWanted(on_machine="message", message="sorry.wav"))
        assert await amd(jambonz, "machine_detected", reason="long greeting") is None
        pause = [{"verb": "pause", "length": 2.0}]
        assert await amd(jambonz, "machine_stopped_speaking") == [*pause, *said, *HANGUP]
        assert await amd(jambonz, "tone_detected", frequency=1000) == [*said, *HANGUP]
        data = {"call_sid": jambonz.call_sid, "reason": "playCompleted"}
        hook = await jambonz.send("verb:hook", data, hook="/message-said")
        assert await jambonz.ack(hook) is None
        ended = await over(story, jambonz)
    assert ended.result is Result.MESSAGE_LEFT
    record = await gateway.record()
    assert record.attempts[0]["amd"]["message_left"] is True


async def test_a_person_whom_a_jambonz_may_have_called_is_not_called_again(
    gateway: Gateway,
) -> None:
    """Its API did not answer: nobody knows, and the other carrier would be a second call."""
    story = Story(gateway)
    story.switch.refusals = [NotPlacedError("no answer", code=480, cause="jambonz-uncertain")]
    await story.begin()
    [ended] = story.news
    assert isinstance(ended, Ended)
    assert (ended.result, ended.cause) == (Result.UNKNOWN, "jambonz-uncertain")
    assert len(story.switch.bodies) == 1


async def test_without_a_softswitch_and_a_jambonz_nobody_is_called(start: Start) -> None:
    story = Story(await start(sip={"listen": []}))
    no_way = story.placer.judge(WANTED)
    assert no_way is not None
    assert (no_way.refusal.cause, "jambonz:" in no_way.words) == ("no-switch", True)
