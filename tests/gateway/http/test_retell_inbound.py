"""Retell asks how a call is to be answered: by rules, a server or a function, in time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from config.webhook_settings import WebhookSettings
from gateway.callbacks.signature import HEADER, sign
from gateway.http.app_keys import STORE
from gateway.storage.errors import StorageError
from gateway.webhooks.deciders import Function, NoFunctionError, function_of
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, serve
from tests.gateway.http.test_retell_webhooks import ask

SECRET = "shared-secret"
CALLER = "+12125550100"
#: 2026-11-20, a Friday, 09:30 in New York
NOW = 1795185000.0

RULED = {
    TRUNK_DID: {
        "agent": "agent_1",
        "variables": {"plan": "basic"},
        "webhook": {
            "agent_version": 3,
            "variables": {"who": "{caller}", "when": "{weekday} {time}", "tier": "{header.tier|-}"},
            "metadata": {"dialled": "{called}"},
            "rules": [
                {"callers": ["+1415*"], "reject": True},
                {
                    "headers": {"X-Tier": "gold"},
                    "agent": "agent_gold",
                    "variables": {"plan": "gold"},
                },
                {"schedule": "night", "agent": "agent_night"},
            ],
        },
    }
}
SCHEDULES = {"night": {"time_zone": "America/New_York", "hours": {"mon-sun": ["20:00-06:00"]}}}
OUTBOUND = {
    "default_country": "US",
    "routes": [{"trunks": ["carrier"]}],
    "guard": {"time_zone": "America/New_York"},
    "callbacks": {"secret": SECRET},
}


async def ruled(start: Start, now: float = NOW) -> Gateway:
    return await start(
        numbers=RULED, schedules=SCHEDULES, outbound=OUTBOUND, make={"now": lambda: now}
    )


async def test_the_numbers_own_answer_with_its_places_filled(start: Start) -> None:
    assert await ask(await ruled(start)) == {
        "override_agent_id": "agent_1",
        "override_agent_version": 3,
        "dynamic_variables": {
            "plan": "basic",
            "who": CALLER,
            "when": "Friday 09:30",
            "tier": "-",
        },
        "metadata": {"dialled": TRUNK_DID},
    }


async def test_the_first_rule_that_fits(start: Start) -> None:
    answer = await ask(await ruled(start), custom_sip_headers={"x-tier": "gold"})
    assert answer["override_agent_id"] == "agent_gold"
    assert "override_agent_version" not in answer  # it is of another agent
    assert answer["dynamic_variables"]["plan"] == "gold"
    assert answer["dynamic_variables"]["tier"] == "gold"


async def test_a_rule_of_the_hour(start: Start) -> None:
    night = await ruled(start, NOW + 12 * 3600)
    assert (await ask(night))["override_agent_id"] == "agent_night"


async def test_a_rejection_stands_alone(start: Start) -> None:
    """Any other field could void it."""
    gateway = await ruled(start)
    header = {"x-gateway-call-id": "unknown"}
    answer = await ask(gateway, from_number="+14155550177", custom_sip_headers=header)
    assert answer == {"reject": True}
    assert 'event="call_inbound",outcome="rejected"' in await gateway.page()


@dataclass
class Desk:
    """The operator's server."""

    answer: Callable[[web.Request], Awaitable[web.StreamResponse]]
    questions: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def never(self, _: web.Request) -> web.Response:
        await self.over.wait()
        return web.Response(status=500)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        stamp = request.headers[HEADER].partition(",")[0][2:]
        assert request.headers[HEADER] == sign(SECRET, raw, float(stamp))
        self.questions.append(json.loads(raw))
        return await self.answer(request)


async def agent_of_the_desk(_: web.Request) -> web.Response:
    inner = {"override_agent_id": "agent_desk", "dynamic_variables": {"name": "Ann"}}
    return web.json_response({"call_inbound": inner})


def saying(answer: Any, status: int = 200) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def say(_: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    return say


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    one = Desk(agent_of_the_desk)
    app = web.Application()
    app.router.add_post("/decide", one.handle)
    runner, url = await serve(app)
    one.url = f"{url}/decide"
    yield one
    one.over.set()
    await runner.cleanup()


async def decided(start: Start, desk: Desk, **webhooks: Any) -> Gateway:
    retell = {
        "api_key": "key_test",
        "webhooks": {"decide_url": desk.url, "decide_within_s": 0.2, **webhooks},
    }
    return await start(
        retell=retell,
        outbound=OUTBOUND,
        numbers={TRUNK_DID: {"agent": "agent_1"}, "*": {"webhook": {"decide": False}}},
    )


async def test_a_server_decides(start: Start, desk: Desk) -> None:
    gateway = await decided(start, desk)
    answer = await ask(gateway, call_id="call_1")
    assert answer == {"override_agent_id": "agent_desk", "dynamic_variables": {"name": "Ann"}}
    [question] = desk.questions
    assert question["question_id"] == "call_1"
    assert question["call_inbound"]["from_number"] == CALLER
    assert question["default"] == {"override_agent_id": "agent_1"}


async def test_a_question_that_comes_again_is_decided_once(start: Start, desk: Desk) -> None:
    gateway = await decided(start, desk)
    answers = await asyncio.gather(*(ask(gateway, call_id="call_1") for _ in range(4)))
    assert answers[1:] == answers[:-1]
    assert len(desk.questions) == 1


async def test_a_number_may_be_left_out(start: Start, desk: Desk) -> None:
    gateway = await decided(start, desk)
    assert await ask(gateway, to_number="+14155550199") == {}
    assert desk.questions == []


async def test_a_server_that_is_late_leaves_what_the_rules_say(start: Start, desk: Desk) -> None:
    desk.answer = desk.never
    gateway = await decided(start, desk)
    assert await ask(gateway) == {"override_agent_id": "agent_1"}
    assert 'event="call_inbound",outcome="late"' in await gateway.page()


async def test_or_what_it_said_of_the_same_caller_before(start: Start, desk: Desk) -> None:
    gateway = await decided(start, desk)
    assert (await ask(gateway, call_id="call_1"))["override_agent_id"] == "agent_desk"
    desk.answer = desk.never
    assert (await ask(gateway, call_id="call_2"))["override_agent_id"] == "agent_desk"
    other = await ask(gateway, call_id="call_3", from_number="+12125550101")
    assert other["override_agent_id"] == "agent_1"


async def test_who_withholds_the_number_is_nobody_else(start: Start, desk: Desk) -> None:
    gateway = await decided(start, desk)
    await ask(gateway, call_id="call_1", from_number="anonymous")
    desk.answer = desk.never
    answer = await ask(gateway, call_id="call_2", from_number="anonymous")
    assert answer == {"override_agent_id": "agent_1"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (saying({"call_inbound": {"reject": "yes"}}), "invalid"),
        (saying({"call_inbound": {"reject": True, "dynamic_variables": {"n": 1}}}), "invalid"),
        (saying({"call_inbound": {"override_agent": "x"}}), "invalid"),
        (saying({"override_agent_id": "x"}), "invalid"),
        (saying([]), "invalid"),
        (saying({}, 500), "failed"),
        (saying({"call_inbound": {}}, 302), "failed"),
    ],
)
async def test_an_answer_that_retell_would_not_take_is_not_given(
    start: Start, desk: Desk, answer: Callable[[web.Request], Awaitable[web.Response]], outcome: str
) -> None:
    desk.answer = answer
    gateway = await decided(start, desk)
    assert await ask(gateway) == {"override_agent_id": "agent_1"}
    assert f'event="call_inbound",outcome="{outcome}"' in await gateway.page()


async def test_a_server_rejects(start: Start, desk: Desk) -> None:
    desk.answer = saying({"call_inbound": {"reject": True, "metadata": {"why": "spam"}}})
    assert await ask(await decided(start, desk)) == {"reject": True}


async def of_a_coroutine(question: Mapping[str, Any]) -> Any:
    return {"call_inbound": {"metadata": {"from": question["call_inbound"]["from_number"]}}}


def of_a_function(question: Mapping[str, Any]) -> Any:
    return {"call_inbound": {"metadata": {"from": question["call_inbound"]["from_number"]}}}


def raises(_: Mapping[str, Any]) -> Any:
    raise KeyError("customer")


@pytest.mark.parametrize("function", [of_a_coroutine, of_a_function])
async def test_a_function_decides(start: Start, function: Any) -> None:
    gateway = await start(make={"decide": Function("mine", function)})
    assert await ask(gateway) == {"metadata": {"from": CALLER}}


async def test_a_function_that_raises_leaves_what_the_rules_say(start: Start) -> None:
    gateway = await start(make={"decide": Function("mine", raises)})
    assert await ask(gateway) == {"override_agent_id": "agent_1"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.to_be:found", "PYTHONPATH"),
        ("json:nothing", "json has no nothing"),
        ("json:__doc__", "is no function"),
    ],
)
def test_a_function_that_is_not_there_is_told_at_the_start(name: str, words: str) -> None:
    with pytest.raises(NoFunctionError, match=words):
        function_of(WebhookSettings(decide_function=name))
    assert function_of(WebhookSettings(decide_function="json:dumps")) is not None


async def test_a_store_that_is_away_keeps_no_caller_waiting(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise StorageError("away")

    gateway = await start()
    monkeypatch.setattr(gateway.app[STORE], "flush", away)
    header = {"x-gateway-call-id": "0" * 32}
    answer = await ask(gateway, call_id="call_1", custom_sip_headers=header)
    assert answer["override_agent_id"] == "agent_1"
