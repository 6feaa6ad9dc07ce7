"""Calls that Twilio places for the queue: from the API's request to the record, the whole way."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.http.app_keys import CALLS, SETTINGS
from gateway.http.twilio_placed import PLACED_CALLS
from gateway.outbound.by_twilio import ByTwilio
from gateway.outbound.call_queue import CallQueue
from gateway.outbound.ports import EventSink, NotNowError, Wanted
from gateway.start.outbound import Outbound
from gateway.storage.call_records import CallRecord
from gateway.twilio import placed_following
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Json, Retell, Start
from tests.gateway.http.placing import ask, until_is
from tests.gateway.http.test_retell_webhooks import RETELL_CALL
from tests.gateway.twilio.exchange import Exchange, Line, serve_exchange
from tests.gateway.twilio.vendor import MAIN, PUBLIC, SUB, SUB_TOKEN, TOKEN, Twilio

PERSON = "+13105550142"
HANGUP, MESSAGE = {"on_machine": "hangup"}, {"on_machine": "message", "message": "Call <us>."}
#: What a wish has that is not said otherwise.
WISH = {"to": PERSON, "from": DIAL_DID, "mode": "twilio", "agent": "agent_7"}


@asynccontextmanager
async def open_queue(
    app: web.Application, engine: AsyncEngine, sink: EventSink
) -> AsyncIterator[CallQueue]:
    """The queue as the program opens it."""
    async with Outbound(app[SETTINGS].settings, time.time).open(app, engine, sink) as queue:
        yield queue


class Story:
    """A gateway, the double, and what the API says of the call that was asked for last."""

    def __init__(self, gateway: Gateway, exchange: Exchange) -> None:
        self.gateway = gateway
        self.exchange = exchange
        self.queued_id = ""

    async def wants(self, **more: Any) -> tuple[int, Json]:
        status, found = await ask(self.gateway, "POST", "/calls", json={**WISH, **more})
        self.queued_id = found.get("queued_id", "")
        return status, found

    async def line(self, wish: Json | None = None, **more: Any) -> Line:
        """The call, wanted and placed; it is the first one."""
        status, found = await self.wants(**(wish or {}), **more)
        assert status == 202, found
        return await self.exchange.line()

    async def over(self, state: str = "done") -> Json:
        """Its one try, once it is over."""
        found = await until_is(self.gateway, self.queued_id, state)
        assert found["tries"] == 1
        last = found["history"][-1]
        assert isinstance(last, dict)
        return last

    async def try_now(self) -> Json:
        _, found = await ask(self.gateway, "GET", f"/queue/{self.queued_id}")
        return found["history"][-1] if found["history"] else {}

    async def until(self, so: Callable[[Json], bool]) -> Json:
        """Its try, once that is so of it."""
        async with asyncio.timeout(5):
            while True:
                if so(found := await self.try_now()):
                    return found

    async def updated(self) -> None:
        """Twilio was told something about a call."""
        async with asyncio.timeout(5):
            await self.exchange.was_told.wait()

    async def record(self) -> CallRecord:
        records = await self.gateway.records()
        assert len(records) == 1
        return records[0]


Tell = Callable[..., Awaitable[Story]]


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    exchange = Exchange(owned={MAIN: {DIAL_DID, TRUNK_DID}, SUB: {"+14155550155"}})
    exchange.speaks.set()
    runner = await serve_exchange(exchange)
    yield exchange
    exchange.talks.set()
    await exchange.settled()
    await runner.cleanup()


@pytest.fixture
def begin(start: Start, exchange: Exchange) -> Tell:
    """Keyword arguments are keys of `twilio`; `sections` are others."""

    async def run(*, sections: Json | None = None, **keys: Any) -> Story:
        twilio = {
            "account_sid": MAIN,
            "auth_token": TOKEN,
            "calls_per_second": 50,
            "subaccounts": [
                {"account_sid": SUB, "auth_token": SUB_TOKEN, "numbers": ["+14155550155"]}
            ],
            "api_url": exchange.url,
            **keys,
        }
        changes: Json = {
            "http": {"admin_token": "admin-token", "public_url": PUBLIC},
            "twilio": twilio,
            "outbound": {"default_country": "US", "queue": {"calls_per_second": 100}},
            **(sections or {}),
        }
        gateway = await start(make={"queue": open_queue}, **changes)
        exchange.twilio = Twilio(gateway)
        return Story(gateway, exchange)

    return run


@pytest.fixture
async def story(begin: Tell) -> Story:
    return await begin()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever follows a call asks soon."""
    monkeypatch.setattr(placed_following, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(placed_following, "END_S", 0.05)
    monkeypatch.setattr(placed_following, "SETTLE_S", 0.05)
    monkeypatch.setattr(placed_following, "DOUBT_S", 0.3)


async def test_a_person_answers_and_talks_to_the_agent(story: Story, retell: Retell) -> None:
    line = await story.line(
        variables={"name": "Ann"},
        metadata={"order": 7},
        headers={"X-Order": "7"},
        ring_timeout_s=30,
        time_limit_s=600,
        agent_version=3,
    )
    urls = f"{PUBLIC}/webhooks/twilio/placed/{line.call_id}"
    assert line.form == {
        "To": PERSON,
        "From": DIAL_DID,
        "Url": f"{urls}/voice",
        "StatusCallback": f"{urls}/status",
        "StatusCallbackEvent": "completed",
        "Timeout": "30",
        "TimeLimit": "600",
    }
    assert line.events == ["initiated", "ringing", "answered", "completed"]
    await line.begins()
    await line.rings()
    await story.until(lambda one: one["ringing_at"])
    assert retell.requests == []  # who does not answer costs no agent
    (dial, hangup) = await line.answers()
    [registered] = retell.requests
    assert (registered["agent_id"], registered["agent_version"]) == ("agent_7", 3)
    assert (registered["direction"], registered["to_number"]) == ("outbound", PERSON)
    assert registered["from_number"] == DIAL_DID
    assert registered["retell_llm_dynamic_variables"] == {"plan": "gold", "name": "Ann"}
    assert registered["metadata"] == {
        "order": 7,
        "twilio_call_sid": line.call_sid,
        "gateway_call_id": line.call_id,
    }
    assert (dial.noun, hangup.name) == ("Sip", "Hangup")
    assert dial.text == f"sip:{RETELL_CALL}@sip.retellai.com;transport=tcp?X-Order=7"
    assert dial.said["callerId"] == PERSON
    await line.agent_talks()
    talks = await story.until(lambda one: one["agent_answered_at"])
    assert talks["answered_at"] is not None
    await line.agent_gone(CallDuration="11")
    ended = await story.over()
    assert (ended["result"], ended["cause"], ended["sip_status"]) == ("answered", "hangup", 200)
    assert (ended["call_id"], ended["retell_call_id"]) == (line.call_id, RETELL_CALL)
    record = await story.record()
    assert (record.call_id, record.call_sid) == (line.call_id, line.call_sid)
    assert (record.direction, record.trunk, record.agent) == ("outbound", "twilio", "agent_7")
    assert (record.state, record.ended_by, record.cause) == ("ended", "caller", "hangup")
    assert [(one["role"], one["target"], one["code"]) for one in record.attempts] == [
        ("carrier", PERSON, 200),
        ("retell", "registered call", 200),
    ]
    page = await story.gateway.page()
    assert 'gateway_twilio_requests_total{outcome="ok",request="placed-voice"} 1.0' in page
    assert 'gateway_calls_ended_total{cause="hangup",direction="outbound"' in page
    assert "gateway_calls_live 0.0" in page


async def test_a_person_who_hangs_up(story: Story) -> None:
    line = await story.line()
    await line.answers()
    await line.agent_talks()
    await line.hangs_up(talked_s=12)
    ended = await story.over()
    assert (ended["result"], ended["duration_s"]) == ("answered", 12.0)
    record = await story.record()
    assert (record.ended_by, record.duration_s) == ("callee", 12.0)


async def test_the_same_and_late_callbacks_change_nothing(story: Story, retell: Retell) -> None:
    """Twilio repeats what it got no answer to, and callbacks overtake each other."""
    line = await story.line()
    await line.answers()
    assert await line.asks() == await line.asks()
    assert len(retell.requests) == 1
    await line.agent_talks()
    await line.hangs_up()
    before = await story.over()
    told = await story.record()
    await line.tells_end()
    await line.rings()
    await line.agent("ringing")
    await line.asks()
    assert (await story.try_now()) == before
    after = await story.record()
    assert (after.state, after.cause, after.duration_s) == (told.state, told.cause, 12.0)
    assert [one["code"] for one in after.attempts] == [200, 200]


async def test_the_end_comes_before_the_rest(story: Story) -> None:
    """The status callback of the end overtakes that of the agent's leg."""
    line = await story.line()
    await line.answers()
    line.talked_s = 9
    await line.ends()
    await line.agent("in-progress")
    await line.agent("completed", CallDuration="8")
    ended = await story.over()
    assert (ended["result"], ended["duration_s"]) == ("answered", 9.0)


@pytest.mark.parametrize(
    ("status", "code", "result", "cause"),
    [
        ("busy", "486", "busy", "busy"),
        ("busy", "", "busy", "busy"),
        ("no-answer", "", "no-answer", "no-answer"),
        ("failed", "404", "invalid-number", "unknown-destination"),
        ("failed", "603", "declined", "declined"),
        ("failed", "503", "failed", "unavailable"),
        ("failed", "", "failed", "unavailable"),
    ],
)
async def test_nobody_answers(
    story: Story, retell: Retell, status: str, code: str, result: str, cause: str
) -> None:
    line = await story.line()
    await line.rings()
    await line.ends(status, **({"SipResponseCode": code} if code else {}))
    ended = await story.over()
    assert (ended["result"], ended["cause"], ended["reason"]) == (result, cause, status)
    assert ended["answered_at"] is None
    record = await story.record()
    assert (record.state, record.cause, record.duration_s) == ("ended", cause, None)
    assert record.attempts[0]["reason"] == status
    assert retell.requests == []


@pytest.mark.parametrize("who", ["machine_start", "fax"])
async def test_a_machine_is_hung_up_on(story: Story, who: str) -> None:
    line = await story.line(amd=HANGUP)
    assert line.form["MachineDetection"] == "Enable"
    assert line.form["AsyncAmd"] == "true"
    assert line.form["AsyncAmdStatusCallback"].endswith(f"/placed/{line.call_id}/amd")
    await line.answers()
    await line.agent_talks()  # detection takes its time, and people do not wait for it
    await line.heard(who)
    await line.heard(who)
    ended = await story.over()
    assert ended["result"] == ("fax" if who == "fax" else "machine")
    assert ended["amd"] == {"heard": who, "at_ms": 2150}
    assert story.exchange.updates == [(line.call_sid, {"Status": "completed"})]
    record = await story.record()
    assert record.cause == ended["cause"] == ended["result"]
    assert record.attempts[0]["amd"] == {"heard": who, "at_ms": 2150}


async def test_a_message_is_left(story: Story) -> None:
    line = await story.line(amd=MESSAGE)
    assert line.form["MachineDetection"] == "DetectMessageEnd"
    await line.answers()
    await line.heard("machine_end_beep")
    ended = await story.over()
    assert ended["result"] == "message-left"
    assert ended["amd"] == {"heard": "machine_end_beep", "at_ms": 2150, "message_left": True}
    [(_, form)] = story.exchange.updates
    assert "<Say>Call &lt;us&gt;.</Say><Redirect>" in form["Twiml"]


async def test_a_machine_that_hangs_up_has_no_message(story: Story) -> None:
    story.exchange.speaks.clear()
    line = await story.line(amd=MESSAGE)
    await line.answers()
    await line.heard("machine_end_beep")
    await line.ends()
    story.exchange.speaks.set()
    assert (await story.over())["result"] == "machine"


async def test_the_configurations_words_are_left_where_a_wish_has_none(begin: Tell) -> None:
    story = await begin(machine={"message": "From all of us."})
    line = await story.line(amd={"on_machine": "message"})
    await line.answers()
    await line.heard("machine_end_other")
    assert (await story.over())["result"] == "message-left"
    assert "From all of us." in story.exchange.updates[0][1]["Twiml"]


async def test_a_message_that_cannot_be_left(begin: Tell) -> None:
    """Twilio refuses the document; the machine is hung up on, and no message is on it."""
    story = await begin()
    line = await story.line(amd=MESSAGE)
    await line.answers()
    story.exchange.broken = 2
    await line.heard("machine_end_beep")
    assert (await story.over())["result"] == "machine"
    assert story.exchange.updates == [(line.call_sid, {"Status": "completed"})]


@pytest.mark.parametrize(
    ("amd", "who", "goes_on"),
    [
        ({"on_machine": "agent"}, "machine_start", True),
        (HANGUP, "human", True),
        (HANGUP, "unknown", True),
        ({"on_machine": "hangup", "on_unknown": "hangup"}, "unknown", False),
    ],
)
async def test_who_stays_by_the_wish(story: Story, amd: Json, who: str, goes_on: bool) -> None:
    line = await story.line(amd=amd)
    await line.answers()
    await line.agent_talks()
    await line.heard(who)
    if goes_on:
        assert story.exchange.updates == []
        await line.hangs_up()
    ended = await story.over()
    assert ended["result"] == ("answered" if goes_on else "silence")
    assert ended["amd"]["heard"] == who


@pytest.mark.parametrize(
    ("code", "result", "cause", "words"),
    [
        (21211, "invalid-number", "bad-number", "does not exist"),
        (21210, "failed", "twilio-from-not-owned", "twilio.subaccounts[].numbers"),
        (21219, "failed", "twilio-trial", "verified numbers alone"),
        (21215, "failed", "twilio-geo-permission", "Geo permissions"),
        (20003, "failed", "twilio-unauthorized", "twilio.auth_token"),
        (99999, "failed", "twilio-refused", "refused as 99999"),
    ],
)
async def test_twilio_refuses(story: Story, code: int, result: str, cause: str, words: str) -> None:
    story.exchange.refusals.append((401 if code == 20003 else 400, code, {}))
    await story.wants()
    ended = await story.over()
    assert (ended["result"], ended["cause"]) == (result, cause)
    assert words in ended["detail"]
    assert story.exchange.asked == 1
    record = await story.record()
    assert (record.state, record.cause, record.answered_ms) == ("ended", cause, None)
    assert words in record.attempts[0]["detail"]


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (503, 0), (400, 10004)])
async def test_what_passes_is_tried_again_and_does_not_count(
    story: Story, status: int, code: int
) -> None:
    story.exchange.refusals.append((status, code, {"Retry-After": "0"}))
    line = await story.line()
    await line.ends("busy")
    assert (await story.over())["result"] == "busy"
    assert story.exchange.asked == 2
    await story.record()  # the first one has left none


async def test_a_subaccount_calls_from_its_numbers(story: Story) -> None:
    line = await story.line({"from": "+14155550155"})
    assert line.account == SUB
    await line.answers()
    await line.agent_talks()
    await line.hangs_up()
    assert (await story.over())["result"] == "answered"


async def test_cancelled_while_it_rings(story: Story) -> None:
    line = await story.line()
    await line.rings()
    await ask(story.gateway, "POST", f"/queue/{story.queued_id}/cancel")
    ended = await story.over("cancelled")
    assert ended["result"] == "cancelled"
    assert story.exchange.updates == [(line.call_sid, {"Status": "canceled"})]
    assert (await story.record()).cause == "withdrawn"


async def test_cancelled_while_it_talks(story: Story) -> None:
    line = await story.line()
    await line.answers()
    await line.agent_talks()
    await ask(story.gateway, "POST", f"/queue/{story.queued_id}/cancel")
    assert (await story.over("cancelled"))["result"] == "cancelled"
    assert story.exchange.updates == [(line.call_sid, {"Status": "completed"})]


async def test_answered_while_it_is_called_off(
    story: Story, retell: Retell, impatient: None
) -> None:
    """The two cross: whoever answers is hung up on, and no agent is asked for."""
    line = await story.line()
    await line.rings()
    line.status = "in-progress"  # Twilio does not call off what is answered
    await ask(story.gateway, "POST", f"/queue/{story.queued_id}/cancel")
    await story.updated()
    verbs = await line.answers()
    assert [verb.name for verb in verbs] == ["Hangup"]
    assert (await story.over("cancelled"))["result"] == "cancelled"
    assert retell.requests == []


@pytest.mark.parametrize("status", ["completed", "no-answer"])
async def test_without_the_last_callback_twilio_is_asked(
    story: Story, impatient: None, status: str
) -> None:
    story.exchange.silent = True
    line = await story.line()
    await line.rings()
    if status == "completed":
        await line.answers()
        await line.agent_talks()
        line.talked_s = 30
    await line.ends(status)
    ended = await story.over()
    assert ended["result"] == ("answered" if status == "completed" else "no-answer")
    assert story.exchange.reads > 0


async def test_a_call_that_twilio_keeps_is_called_off(
    story: Story, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would ring when nobody wants it any more."""
    monkeypatch.setattr(placed_following, "NOT_RUNG_S", -30.0)
    line = await story.line(ring_timeout_s=30)
    ended = await story.over()
    assert (ended["result"], ended["cause"]) == ("failed", "twilio-queued")
    assert "twilio.calls_per_second" in ended["detail"]
    assert story.exchange.updates[0] == (line.call_sid, {"Status": "canceled"})
    assert (await story.record()).fault == "operator"


async def test_no_answer_to_the_request_is_unknown_and_never_repeated(
    story: Story, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.twilio.rest.PLACE_S", 0.05)
    story.exchange.mute = True
    await story.line()
    ended = await story.over("unknown")
    assert (ended["result"], ended["cause"]) == ("unknown", "nothing-heard")
    assert story.exchange.asked == 1
    assert (await story.record()).fault == "unknown"


async def test_a_call_in_doubt_that_speaks_goes_on(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer was lost, and the callbacks tell that there is such a call."""
    monkeypatch.setattr("gateway.twilio.rest.PLACE_S", 0.05)
    story.exchange.mute = True
    line = await story.line()
    await story.until(lambda _: story.gateway.app[CALLS].spend.busy)
    await line.begins()
    await line.answers()
    await line.agent_talks()
    await line.hangs_up()
    assert (await story.over())["result"] == "answered"
    assert (await story.record()).call_sid == line.call_sid
    assert story.exchange.asked == 1


async def test_an_answer_in_parts_is_no_doubt(story: Story) -> None:
    """Nothing is heard of the call but by that answer, and it can be ended."""
    story.exchange.in_parts = True
    line = await story.line()
    await ask(story.gateway, "POST", f"/queue/{story.queued_id}/cancel")
    await story.updated()
    assert story.exchange.updates == [(line.call_sid, {"Status": "canceled"})]
    assert (await story.over("cancelled"))["result"] == "cancelled"


async def test_callbacks_may_come_before_the_answer(story: Story) -> None:
    """Twilio calls at once; a refusal of its API after that would be none."""
    line = await story.line()
    await line.begins()
    await line.ends("busy")
    assert (await story.over())["result"] == "busy"


async def test_no_agent_can_be_had(story: Story, retell: Retell) -> None:
    async def refuse(_: web.Request) -> web.StreamResponse:
        return web.json_response({"error_message": "no"}, status=402)

    retell.answer = refuse
    line = await story.line()
    await line.answers()
    ended = await story.over()
    assert (ended["result"], ended["cause"]) == ("agent-failed", "retell-payment-required")
    assert (await story.record()).fault == "operator"


async def test_an_agent_that_does_not_answer(story: Story) -> None:
    line = await story.line()
    await line.answers()
    await line.agent_gone("failed", DialSipResponseCode="503")
    ended = await story.over()
    assert (ended["result"], ended["cause"]) == ("agent-failed", "unavailable")


async def test_a_trial_account_that_does_not_dial(
    story: Story, caplog: pytest.LogCaptureFixture
) -> None:
    """It has the document, and speaks a notice in place of it."""
    line = await story.line()
    await line.answers()
    line.verbs = []
    await line.hangs_up()
    ended = await story.over()
    assert (ended["result"], ended["cause"]) == ("agent-failed", "not-dialled")


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        ({"trunk": "carrier"}, "no-route", "leave carrier out"),
        ({"to": "+13105550142", "from": ""}, "no-from", "from_number is missing"),
        ({"from": "+14155550199", "agent": None}, "no-agent", "name an agent"),
        ({"amd": {"on_machine": "message"}}, "no-such-sound", "the words that are said"),
        ({"amd": {"message": "x"}}, "no-such-sound", "only where amd.on_machine is message"),
    ],
)
async def test_what_cannot_be_is_refused_at_once(
    story: Story, more: Json, code: str, words: str
) -> None:
    wish = {key: value for key, value in {**WISH, **more}.items() if value}
    status, found = await ask(story.gateway, "POST", "/calls", json=wish)
    assert (status >= 400, found["code"]) == (True, code)
    assert words in found["detail"]


async def test_without_the_section_there_is_no_such_mode(start: Start) -> None:
    gateway = await start(make={"queue": open_queue})
    status, found = await ask(gateway, "POST", "/calls", json=WISH)
    assert (status, found["code"]) == (501, "unsupported")


async def test_the_numbers_own_agent_talks(story: Story, retell: Retell) -> None:
    """Also where trunks would call it: Twilio reaches an agent by a registered call alone."""
    line = await story.line({"from": TRUNK_DID, "agent": None})
    await line.answers()
    assert retell.requests[0]["agent_id"] == "agent_1"
    await line.hangs_up()
    await story.over()


async def test_a_campaign(story: Story) -> None:
    query = {"agent": "agent_7", "from": DIAL_DID, "mode": "twilio", "on_machine": "hangup"}
    text = f"number,var.name\n{PERSON},Ann\n"
    status, found = await ask(
        story.gateway,
        "POST",
        "/campaigns",
        params=query,
        data=text.encode(),
        headers={"Content-Type": "text/csv"},
    )
    assert status == 200, found
    line = await story.exchange.line()
    assert line.form["MachineDetection"] == "Enable"
    await line.ends("busy")


async def test_the_guard_and_the_money_hold(begin: Tell) -> None:
    outbound = {
        "default_country": "US",
        "queue": {"calls_per_second": 100},
        "guard": {"deny": ["+1900"], "caps": {"number": {"calls_per_day": 1}}},
        "rates": [{"prefix": "+1", "trunk": "twilio", "per_minute": 0.6}],
        "spend": {"currency": "USD", "per_call": 1.2},
    }
    story = await begin(sections={"outbound": outbound})
    status, found = await story.wants(to="+19005550142")
    assert (status, found["code"]) == (403, "forbidden-destination")
    line = await story.line(time_limit_s=3600)
    assert line.form["TimeLimit"] == "120"  # for more it has no money
    await line.answers()
    await line.agent_talks()
    page = await story.gateway.page()
    assert "gateway_spend_reserved 0.6" in page
    await line.hangs_up(talked_s=30)
    ended = await story.over()
    assert ended["cost_estimate"] == 0.6
    assert (await story.record()).cost_estimate == 0.6
    status, found = await story.wants()
    assert (status, found["code"]) == (429, "cap-reached")


async def test_who_does_not_answer_costs_nothing(begin: Tell) -> None:
    rates = [{"prefix": "+1", "trunk": "twilio", "per_minute": 0.6}]
    outbound = {"default_country": "US", "queue": {"calls_per_second": 100}, "rates": rates}
    story = await begin(sections={"outbound": outbound})
    line = await story.line()
    await line.ends("no-answer")
    assert (await story.over())["cost_estimate"] == 0.0


async def test_a_call_of_a_former_run_is_unknown_and_its_record_is_completed(
    begin: Tell, exchange: Exchange
) -> None:
    first = await begin()
    line = await first.line()
    await line.answers()
    await line.agent_talks()
    await first.gateway.stop()
    second = await begin()
    second.queued_id = first.queued_id
    ended = await second.over("unknown")
    assert (ended["result"], ended["cause"]) == ("unknown", "interrupted")
    assert (await second.record()).state == "interrupted"
    await line.hangs_up(talked_s=20)
    record = await second.record()
    assert (record.state, record.cause, record.duration_s) == ("ended", "hangup", 20.0)
    assert exchange.asked == 1


async def test_who_answers_a_call_of_a_former_run_is_hung_up_on(
    begin: Tell, retell: Retell
) -> None:
    first = await begin()
    line = await first.line()
    await line.rings()
    await first.gateway.stop()
    second = await begin()
    assert [verb.name for verb in await line.answers()] == ["Hangup"]
    assert retell.requests == []
    assert (await second.record()).state == "ended"


async def test_no_new_call_while_the_gateway_drains(story: Story) -> None:
    app = story.gateway.app
    placer = ByTwilio(story.gateway.app_settings(), app[CALLS], app[PLACED_CALLS])
    app[CALLS].drain()
    wanted = Wanted(to_number=PERSON, from_number=DIAL_DID, mode="twilio", agent="agent_7")
    with pytest.raises(NotNowError, match="draining"):
        await placer.begin("1" * 32, "queued", wanted, lambda _: None)
    assert story.exchange.asked == 0


async def test_what_nobody_signed_changes_nothing(story: Story) -> None:
    line = await story.line()
    url = line.form["StatusCallback"].removeprefix(PUBLIC)
    for path in (url, line.form["Url"].removeprefix(PUBLIC)):
        answered = await story.gateway.http.post(
            story.gateway.url + path, data={"CallSid": line.call_sid, "CallStatus": "completed"}
        )
        assert answered.status == 403
    assert (await story.record()).state == "live"
    await line.ends("busy")
    await story.over()
