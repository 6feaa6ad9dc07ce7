"""Calls that Retell places for the queue, and that come back to us."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from gateway.calls.live_calls import new_call_id
from gateway.http.app_keys import CALLS, ROOMS, STORE, WORKSPACES
from gateway.outbound import by_retell
from gateway.outbound.by_retell import ByRetell
from gateway.outbound.news import AgentAnswered, Answered, Ended, News, Ringing
from gateway.outbound.ports import NotNowError
from gateway.retell import client
from gateway.storage.queued_call import Result
from gateway.storage.wanted import AmdWanted, Wanted
from tests.gateway.conftest import TRUNK_DID, Gateway, Retell, Start, settings_data
from tests.gateway.http.test_retell_webhooks import post, signature
from tests.gateway.peer import Jambonz

Json = dict[str, Any]

PERSON = "+13105550142"
AT_RETELL = "call_0123456789abcdef0123456789a"
WANTED = Wanted(
    to_number=PERSON,
    from_number=TRUNK_DID,
    mode="retell",
    agent="agent_7",
    variables={"name": "Ann"},
    metadata={"order": 7},
    headers={"X-Order": "7"},
)
HEADER = "X-Gateway-Queued-Call"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The placer's own patience, shortened."""
    monkeypatch.setattr(by_retell, "SETTLE_S", 0.05)
    monkeypatch.setattr(by_retell, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(by_retell, "DOUBT_PAUSE_S", 0.05)
    monkeypatch.setattr(by_retell, "DOUBT_S", 5)


@pytest.fixture
def doubtful(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own patience, shortened, so that a doubt comes to the placer."""
    monkeypatch.setattr(client, "PLACE_BUDGET_S", 0.05)
    monkeypatch.setattr(client, "PLACE_PAUSE_S", 0.01)


class Story:
    """One call that the queue wants of Retell, and what is told of it."""

    def __init__(self, gateway: Gateway, retell: Retell) -> None:
        self.gateway = gateway
        self.retell = retell
        self.call_id = new_call_id(time.time())
        self.created: list[Json] = []
        self.stopped: list[str] = []
        #: what create-phone-call answers, one after another, the last one for ever
        self.answers: list[int] = [201]
        self.retry_after: str | None = None
        #: what get-call says
        self.call: Json = {"call_status": "ongoing"}
        retell.others["POST", "/v2/create-phone-call"] = self._create
        retell.others["GET", f"/v2/get-call/{AT_RETELL}"] = self._get
        retell.others["POST", f"/v2/stop-call/{AT_RETELL}"] = self._stop
        app = gateway.app
        self.placer = ByRetell(
            gateway.app_settings(), app[CALLS], app[WORKSPACES], app[STORE], app[ROOMS]
        )
        self.news: list[News] = []
        self._more = asyncio.Event()

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self.created.append(await request.json())
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if status == 201:
            body = {"call_id": AT_RETELL, "call_status": "registered"}
            return web.json_response(body, status=201)
        headers = {"Retry-After": self.retry_after} if self.retry_after else {}
        body = {"status": "error", "message": f"no: {status}"}
        return web.json_response(body, status=status, headers=headers)

    async def _get(self, _: web.Request) -> web.StreamResponse:
        return web.json_response({"call_id": AT_RETELL, **self.call})

    async def _stop(self, _: web.Request) -> web.StreamResponse:
        self.stopped.append(AT_RETELL)
        return web.Response(status=204)

    def _hear(self, news: News) -> None:
        self.news.append(news)
        self._more.set()

    async def begin(self, wanted: Wanted = WANTED) -> None:
        await self.placer.begin(self.call_id, "queued_1", wanted, self._hear)

    async def invite(self, jambonz: Jambonz, **more: Any) -> Any:
        """The call comes back."""
        more.setdefault("headers", {HEADER: self.call_id})
        return await jambonz.new_call(to=PERSON, from_=TRUNK_DID, **{"trunk": "retell", **more})

    async def webhook(self, reason: str, **call: Any) -> None:
        """Retell says that it is over."""
        told = {
            "call_id": AT_RETELL,
            "disconnection_reason": reason,
            "metadata": {"gateway_call_id": self.call_id},
            **call,
        }
        body = json.dumps({"event": "call_ended", "call": told})
        assert await post(self.gateway, body, signature(body)) == 204

    async def heard(self, kind: type[News]) -> News:
        """The news of that kind, once it is told."""
        async with asyncio.timeout(5):
            while True:
                found = [one for one in self.news if isinstance(one, kind)]
                if found:
                    return found[0]
                self._more.clear()
                await self._more.wait()

    async def ended(self) -> Ended:
        news = await self.heard(Ended)
        assert isinstance(news, Ended)
        assert [type(one) for one in self.news].count(Ended) == 1
        return news


Stories = Callable[..., Any]


@pytest.fixture
async def story(gateway: Gateway, retell: Retell) -> Any:
    one = Story(gateway, retell)
    yield one
    await one.placer.close()


async def test_a_call_comes_back_and_is_answered(story: Story) -> None:
    """Its record is the try's; the result is known with Retell's word on it."""
    await story.begin()
    [asked] = story.created
    assert asked["from_number"] == TRUNK_DID
    assert asked["to_number"] == PERSON
    assert asked["override_agent_id"] == "agent_7"
    assert asked["idempotency_key"] == story.call_id
    assert asked["custom_sip_headers"] == {"X-Order": "7", HEADER: story.call_id}
    assert asked["metadata"] == {
        "order": 7,
        "gateway_call_id": story.call_id,
        "gateway_queued_id": "queued_1",
    }
    assert asked["retell_llm_dynamic_variables"] == {"name": "Ann"}
    assert "agent_override" not in asked
    await story.heard(AgentAnswered)
    async with story.gateway.jambonz() as jambonz:
        dial, _ = await story.invite(jambonz, headers={HEADER: story.call_id, "X-Order": "7"})
        assert dial["target"] == [{"type": "phone", "number": PERSON, "trunk": "carrier"}]
        assert dial["headers"] == {"X-Order": "7"}
        await jambonz.leg("trying", 100)
        await jambonz.leg("ringing", 180)
        await story.heard(Ringing)
        await jambonz.leg("in-progress", 200)
        await jambonz.caller("in-progress", 200)
        await story.heard(Answered)
        await jambonz.callee_hangs_up()
    await story.webhook("user_hangup")
    ended = await story.ended()
    assert (ended.result, ended.cause, ended.sip_status) == (Result.ANSWERED, "hangup", 200)
    assert ended.retell_call_id == AT_RETELL
    assert ended.duration_s is not None
    record = await story.gateway.record()
    assert (record.call_id, record.agent) == (story.call_id, "agent_7")
    assert (record.direction, record.retell_call_id) == ("retell", AT_RETELL)
    assert record.disconnection_reason == "user_hangup"


async def test_without_a_webhook_retell_is_asked(story: Story) -> None:
    story.call = {"call_status": "ended", "disconnection_reason": "voicemail_reached"}
    await story.begin()
    async with story.gateway.jambonz() as jambonz:
        await story.invite(jambonz)
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    assert (await story.ended()).result is Result.MACHINE
    record = await story.gateway.record()
    assert record.disconnection_reason == "voicemail_reached"


@pytest.mark.parametrize(
    ("code", "result", "cause"),
    [
        (486, Result.BUSY, "busy"),
        (480, Result.NO_ANSWER, "no-answer"),
        (603, Result.DECLINED, "declined"),
        (404, Result.INVALID_NUMBER, "unknown-destination"),
        (403, Result.FAILED, "forbidden"),
    ],
)
async def test_a_call_that_is_not_answered(
    story: Story, code: int, result: Result, cause: str
) -> None:
    await story.begin()
    async with story.gateway.jambonz() as jambonz:
        await story.invite(jambonz)
        [decline] = await jambonz.refused(code)
        await jambonz.declined(decline["status"])
    ended = await story.ended()
    assert (ended.result, ended.cause, ended.sip_status) == (result, cause, code)
    assert (await story.gateway.record()).call_id == story.call_id


async def test_retell_gives_up_ringing(story: Story) -> None:
    """Its CANCEL: nobody answered in its time."""
    await story.begin()
    async with story.gateway.jambonz() as jambonz:
        await story.invite(jambonz)
        await jambonz.leg("trying", 100)
        await jambonz.leg("ringing", 180)
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
    assert (await story.ended()).result is Result.NO_ANSWER


async def test_the_invite_comes_before_the_answer_of_the_api(story: Story, retell: Retell) -> None:
    """Retell dials at once; its id is in the record all the same."""
    asked, arrived = asyncio.Event(), asyncio.Event()
    create = retell.others["POST", "/v2/create-phone-call"]

    async def late(request: web.Request) -> web.StreamResponse:
        asked.set()
        await arrived.wait()
        return await create(request)

    retell.others["POST", "/v2/create-phone-call"] = late
    begun = asyncio.create_task(story.begin())
    async with story.gateway.jambonz() as jambonz:
        await asked.wait()
        await story.invite(jambonz)
        arrived.set()
        await begun
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    await story.webhook("agent_hangup")
    assert (await story.ended()).result is Result.ANSWERED
    assert (await story.gateway.record()).retell_call_id == AT_RETELL


@pytest.mark.parametrize(
    ("status", "cause", "words"),
    [
        (400, "retell-bad-request", "E.164"),
        (401, "retell-unauthorized", "retell.api_key"),
        (402, "retell-payment-required", "billing"),
        (422, "retell-unprocessable", "no: 422"),
    ],
)
async def test_retell_refuses(story: Story, status: int, cause: str, words: str) -> None:
    """Told at once, in its words and with what mends it; the try has its record."""
    story.answers = [status]
    await story.begin()
    ended = await story.ended()
    assert (ended.result, ended.cause) == (Result.AGENT_FAILED, cause)
    assert words in ended.detail
    assert f"HTTP {status}" in ended.detail
    record = await story.gateway.record()
    assert (record.call_id, record.state, record.cause) == (story.call_id, "ended", cause)
    assert len(story.created) == 1


@pytest.mark.parametrize(("retry_after", "wait_s"), [("7", 7.0), (None, by_retell.AGAIN_S)])
async def test_a_throttled_try_does_not_count(
    story: Story, retry_after: str | None, wait_s: float
) -> None:
    story.answers, story.retry_after = [429], retry_after
    with pytest.raises(NotNowError) as caught:
        await story.begin()
    assert (caught.value.reason, caught.value.retry_after_s) == ("retell-throttled", wait_s)
    assert story.news == []
    assert await story.gateway.records() == []
    assert story.gateway.app[ROOMS].free() == 0


async def test_retell_cannot_be_reached(start: Start, retell: Retell) -> None:
    gateway = await start()
    settings = gateway.app_settings().retell.model_copy(update={"base_url": "http://127.0.0.1:9"})
    await gateway.app[WORKSPACES].configure(settings)
    story = Story(gateway, retell)
    with pytest.raises(NotNowError) as caught:
        await story.begin()
    assert caught.value.reason == "retell-unreachable"
    assert await gateway.records() == []


async def test_what_is_in_doubt_is_asked_again_with_the_same_key(
    doubtful: None, story: Story
) -> None:
    story.answers = [500, 201]
    await story.begin()
    await story.heard(AgentAnswered)
    assert [one["idempotency_key"] for one in story.created] == [story.call_id] * 2
    await story.webhook("dial_busy")
    assert (await story.ended()).result is Result.BUSY


async def test_what_stays_in_doubt_comes_after_all(doubtful: None, story: Story) -> None:
    story.answers = [500]
    await story.begin()
    async with story.gateway.jambonz() as jambonz:
        await story.invite(jambonz)
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    await story.webhook("user_hangup")
    assert (await story.ended()).result is Result.ANSWERED
    assert (await story.gateway.record()).retell_call_id == AT_RETELL


async def test_what_stays_in_doubt_is_unknown(
    doubtful: None, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say whether the person was called, so it is not for us to call again."""
    monkeypatch.setattr(by_retell, "DOUBT_S", 0.2)
    story.answers = [500]
    await story.begin()
    ended = await story.ended()
    assert (ended.result, ended.cause) == (Result.UNKNOWN, "nothing-heard")
    assert (await story.gateway.record()).state == "ended"


async def test_a_doubt_that_ends_with_a_refusal(doubtful: None, story: Story) -> None:
    """Retell would not have had it before either."""
    story.answers = [500]
    await story.begin()
    assert len(story.created) < 5  # so that Retell's API is not left alone yet
    story.answers = [402]
    ended = await story.ended()
    assert (ended.result, ended.cause) == (Result.AGENT_FAILED, "retell-payment-required")


@pytest.mark.parametrize(
    ("reason", "result"),
    [
        ("dial_busy", Result.BUSY),
        ("invalid_destination", Result.INVALID_NUMBER),
        ("user_declined", Result.DECLINED),
        ("concurrency_limit_reached", Result.AGENT_FAILED),
        ("telephony_provider_unavailable", Result.FAILED),
        ("error_of_tomorrow", Result.AGENT_FAILED),
    ],
)
async def test_over_at_retell_before_any_invite(story: Story, reason: str, result: Result) -> None:
    await story.begin()
    await story.webhook(reason)
    ended = await story.ended()
    assert (ended.result, ended.cause) == (result, reason.replace("_", "-"))
    record = await story.gateway.record()
    assert (record.state, record.disconnection_reason) == ("ended", reason)


async def test_an_invite_that_did_not_find_us_says_what_to_look_at(story: Story) -> None:
    """No webhook either: Retell is asked."""
    story.call = {
        "call_status": "not_connected",
        "disconnection_reason": "telephony_provider_permission_denied",
    }
    await story.begin()
    ended = await story.ended()
    assert ended.result is Result.FAILED
    assert "termination URI" in ended.detail
    record = await story.gateway.record()
    assert record.disconnection_reason == "telephony_provider_permission_denied"
    assert record.fault == "operator"


async def test_neither_retell_nor_sip_says_anything(
    story: Story, retell: Retell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_retell, "LOST_S", 0.1)
    del retell.others["GET", f"/v2/get-call/{AT_RETELL}"]
    await story.begin()
    assert (await story.ended()).result is Result.UNKNOWN


async def test_cancelled_before_the_invite_which_is_refused(story: Story) -> None:
    await story.begin()
    assert story.placer.cancel(story.call_id) is True
    ended = await story.ended()
    assert (ended.result, ended.cause) == (Result.CANCELLED, "cancelled")
    assert story.stopped == [AT_RETELL]
    assert story.placer.cancel(story.call_id) is False
    async with story.gateway.jambonz() as jambonz:
        [decline] = await story.invite(jambonz)
        assert (decline["verb"], decline["status"]) == ("sip:decline", 487)
        await jambonz.declined(487)
    record = await story.gateway.record()
    assert (record.call_id, record.cause) == (story.call_id, "withdrawn")


@pytest.mark.parametrize("answered", [False, True])
async def test_cancelled_while_the_call_is_here(story: Story, answered: bool) -> None:
    await story.begin()
    async with story.gateway.jambonz() as jambonz:
        await story.invite(jambonz)
        if answered:
            await jambonz.answered()
            await story.heard(Answered)
        else:
            await jambonz.leg("trying", 100)
            await jambonz.leg("ringing", 180)
            await story.heard(Ringing)
        story.placer.cancel(story.call_id)
        assert await jambonz.command() == [{"verb": "hangup"}]
        status = ("completed", 200) if answered else ("failed", 487)
        await jambonz.caller(*status, call_termination_by="jambonz")
        await jambonz.hang_up()
    assert (await story.ended()).result is Result.CANCELLED
    assert story.stopped == [AT_RETELL]
    assert (await story.gateway.record()).call_id == story.call_id


async def test_a_call_from_retell_that_nobody_waits_for_is_one_like_any(story: Story) -> None:
    async with story.gateway.jambonz() as jambonz:
        await story.invite(jambonz)
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await story.gateway.record()
    assert record.call_id != story.call_id
    assert record.direction == "retell"


async def test_a_stranger_who_sends_the_header_is_not_believed(story: Story) -> None:
    await story.begin()
    async with story.gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID, trunk="carrier", headers={HEADER: story.call_id})
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert all(isinstance(one, AgentAnswered) for one in story.news)


async def test_the_second_call_with_the_same_header_is_another_one(story: Story) -> None:
    """Retell hands a person on with the headers that it has."""
    await story.begin()
    async with story.gateway.jambonz() as first, story.gateway.jambonz() as second:
        await story.invite(first)
        await first.answered()
        await story.invite(second)
        await second.answered()
        await second.callee_hangs_up()
        await first.callee_hangs_up()
    await story.gateway.app_is_idle()
    records = await story.gateway.records()
    assert len({one.call_id for one in records}) == len(records)


async def test_without_the_header_the_numbers_tell(story: Story) -> None:
    await story.begin()
    async with story.gateway.jambonz() as jambonz:
        await story.invite(jambonz, headers={})
        await jambonz.refused(486)
        await jambonz.declined(486)
    assert (await story.ended()).result is Result.BUSY


async def test_by_one_trunk_alone_and_within_limits(story: Story) -> None:
    wanted = Wanted(
        to_number=PERSON,
        from_number=TRUNK_DID,
        mode="retell",
        trunk="second",
        ring_timeout_s=2,
        time_limit_s=90,
    )
    await story.begin(wanted)
    override = {"ring_duration_ms": 5000, "max_call_duration_ms": 90_000}
    assert story.created[0]["agent_override"] == {"agent": override}
    async with story.gateway.jambonz() as jambonz:
        dial, _ = await story.invite(jambonz)
        assert [one["trunk"] for one in dial["target"]] == ["second"]
        assert dial["timeLimit"] == 90
        await jambonz.refused(486)
        await jambonz.declined(486)
    await story.ended()


@pytest.mark.parametrize(
    ("changes", "cause", "words"),
    [
        ({"amd": AmdWanted()}, "amd-unsupported", "voicemail_option"),
        ({"from_number": ""}, "no-from", "imported"),
        ({"trunk": "pbx"}, "no-route", "not to pbx"),
        ({"to_number": "+442079460123"}, "no-route", "+442079460123"),
        ({"to_number": "+19005550100"}, "guard-kind", ""),
    ],
)
async def test_what_may_not_be_asked_of_retell(
    story: Story, changes: Json, cause: str, words: str
) -> None:
    data = {**WANTED.to_json(), **changes}
    wanted = Wanted(**data)
    no_way = story.placer.judge(wanted)
    assert no_way is not None
    assert no_way.refusal.cause == cause
    assert words in no_way.words
    await story.begin(wanted)
    assert (await story.ended()).cause == cause
    assert story.created == []


async def test_without_a_key_retell_cannot_be_asked(start: Start, retell: Retell) -> None:
    data = settings_data()["retell"]
    del data["api_key"]
    story = Story(await start(retell=data), retell)
    no_way = story.placer.judge(WANTED)
    assert no_way is not None
    assert (no_way.refusal.cause, "retell.api_key" in no_way.words) == ("no-api-key", True)


async def test_the_trunks_that_it_goes_by(story: Story) -> None:
    assert story.placer.trunks(WANTED) == ("carrier", "second")


async def test_while_the_gateway_ends_nothing_is_begun(story: Story) -> None:
    story.gateway.app[CALLS].drain()
    with pytest.raises(NotNowError):
        await story.begin()


async def test_the_program_ended_while_retell_called(start: Start, retell: Retell) -> None:
    """The record is there from the beginning, so that Retell's webhook is joined to it."""
    first = await start()
    story = Story(first, retell)
    await story.begin()
    await story.placer.close()
    await first.stop()
    second = await start()
    story.gateway = second
    await story.webhook("dial_no_answer")
    record = await second.record()
    assert (record.call_id, record.state) == (story.call_id, "interrupted")
    assert record.disconnection_reason == "dial_no_answer"


async def test_a_workspace_that_may_place_no_more_is_not_asked(
    start: Start, retell: Retell
) -> None:
    """`retell.limits`: from the wish on, until the call that comes of it is over."""
    login = {"username": "retell", "password": "secret"}
    own = {"api_key": "key_test", "login": login, "limits": {"calls": 1}}
    gateway = await start(retell=own)
    story, other = Story(gateway, retell), Story(gateway, retell)
    await story.begin()
    with pytest.raises(NotNowError, match="workspace-full"):
        await other.begin()
    async with gateway.jambonz() as jambonz:
        dial, _ = await story.invite(jambonz)  # which has its room already
        assert dial["verb"] == "dial"
        with pytest.raises(NotNowError, match="workspace-full"):
            await other.begin()
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    await story.webhook("user_hangup")
    await story.ended()
    await gateway.app[CALLS].none_left()
    await other.begin()
    await story.placer.close()
    await other.placer.close()
