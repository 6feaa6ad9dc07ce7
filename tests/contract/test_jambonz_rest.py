"""jambonz's REST API as we ask it for calls, against a double that is as strict as jambonz is.

The rules are those of jambonz-api-server 0.9.8: keys of a body are columns of its database, and
required ones are looked for first.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from config.jambonz_settings import JambonzSettings
from config.settings import Settings
from gateway.calls.person_routing import PersonWish, person_first, rest_body
from gateway.calls.routing import Dialling, Listening
from gateway.calls.switch import NotPlacedError
from gateway.jambonz import rest
from gateway.jambonz.rest import JambonzRest, JambonzRestError, RestFailure
from gateway.start.jambonz_switch import AGAIN_S, JambonzSwitch
from tests.fakes.in_parts import json_in_parts
from tests.gateway.conftest import DIAL_DID, serve, settings_data

ACCOUNT = "11111111-1111-4111-8111-111111111111"
APPLICATION = "22222222-2222-4222-8222-222222222222"
SID = "33333333-3333-4333-8333-333333333333"
PERSON = "+13105550142"

#: Columns of its table of calls, as far as a body may name them.
COLUMNS = {
    *("application_sid", "call_hook", "call_status_hook", "from", "to", "callerName", "fromHost"),
    *("tag", "headers", "timeout", "timeLimit", "amd", "dual_streams", "referHook"),
    *("sipRequestWithinDialogHook", "speech_synthesis_vendor", "speech_recognizer_vendor"),
}
TARGETS = {"phone": "number", "teams": "number", "user": "name", "sip": "sipUri"}


class Server:
    """jambonz-api-server, and the feature server behind it."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        #: feature servers that are up
        self.servers = 1
        #: what the feature server makes of it; None: a call
        self.failure: int | None = None
        self.slow: asyncio.Event | None = None
        #: an answer comes in more than one packet
        self.in_parts = False
        self.call_status = "ringing"

    async def create(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != "Bearer token":
            return web.json_response({"msg": "unauthorized"}, status=401)
        if request.match_info["account"] != ACCOUNT:
            return web.json_response({"status": "fail", "message": "forbidden"}, status=403)
        body = await request.json()
        for needed in ("from", "to"):
            if not body.get(needed):
                return web.json_response({"msg": f"missing {needed}"}, status=400)
        kind = body["to"].get("type")
        if kind not in TARGETS or not body["to"].get(TARGETS[kind]):
            return web.json_response({"msg": "invalid to"}, status=400)
        if not body.get("application_sid") and not body.get("call_hook"):
            return web.json_response({"msg": "application_sid or call_hook"}, status=400)
        for key in body:
            if key not in COLUMNS:
                text = f"Unknown column '{key}' in 'field list'"
                return web.json_response({"msg": text}, status=500)
        if not self.servers:
            return web.json_response({"msg": "no available feature servers"}, status=480)
        if self.slow is not None:
            await self.slow.wait()
        if self.failure is not None:
            return web.Response(status=self.failure)
        self.bodies.append(body)
        placed = {"sid": SID, "callId": "abc@203.0.113.7"}
        if self.in_parts:
            return await json_in_parts(request, placed, 201)
        return web.json_response(placed, status=201)

    async def update(self, request: web.Request) -> web.Response:
        body = await request.json()
        if request.match_info["sid"] != SID:
            return web.Response(status=404)
        if body.get("call_status") == "no-answer" and self.call_status != "ringing":
            return web.json_response({"msg": "call is not ringing"}, status=422)
        self.updates.append(body)
        return web.Response(status=202)


@asynccontextmanager
async def jambonz(**changes: Any) -> AsyncIterator[tuple[Server, JambonzRest]]:
    server = Server()
    app = web.Application()
    app.router.add_post("/v1/Accounts/{account}/Calls", server.create)
    app.router.add_put("/v1/Accounts/{account}/Calls/{sid}", server.update)
    runner, url = await serve(app)
    settings = JambonzSettings(
        **{
            "api_url": f"{url}/v1",
            "token": SecretStr("token"),
            "account_sid": ACCOUNT,
            "application_sid": APPLICATION,
            **changes,
        }
    )
    try:
        async with JambonzRest(settings) as asked:
            yield server, asked
    finally:
        if server.slow is not None:
            server.slow.set()
        await runner.cleanup()


def body(**changes: Any) -> dict[str, Any]:
    to = {"type": "phone", "number": PERSON, "trunk": "carrier"}
    return {"from": DIAL_DID, "to": to, "timeout": 30, "tag": {"gateway_call_id": "c1"}, **changes}


async def refused(work: Any) -> JambonzRestError:
    with pytest.raises(JambonzRestError) as caught:
        await work
    return caught.value


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_call_is_placed_for_our_application(slash: str) -> None:
    async with jambonz() as (server, asked):
        asked = JambonzRest(
            asked._settings.model_copy(update={"api_url": asked._settings.api_url + slash})
        )
        async with asked:
            assert await asked.place(body()) == SID
    assert server.bodies == [body(application_sid=APPLICATION)]


async def test_an_answer_may_come_in_parts() -> None:
    """One that is read by half would be no answer, and the call uncertain."""
    async with jambonz() as (server, asked):
        server.in_parts = True
        assert await asked.place(body()) == SID


@pytest.mark.parametrize(
    "listening",
    [None, Listening(on_machine="message", message="later.wav", timers={"toneTimeoutMs": 9000})],
)
async def test_jambonz_takes_all_that_we_ask_for(listening: Listening | None) -> None:
    """The body that people are called by, with everything that may be in it."""
    settings = Settings.model_validate(settings_data(sip={"listen": []}))
    wish = PersonWish(
        to_number=PERSON,
        from_number=DIAL_DID,
        agent="agent_7",
        headers={"X-Order": "7"},
        ring_timeout_s=20,
        time_limit_s=600,
        listening=listening,
    )
    plan = person_first(settings, wish, "c1", ("carrier",))
    assert isinstance(plan, Dialling)
    assert plan.person is not None
    async with jambonz() as (server, asked):
        assert await asked.place(rest_body(plan, plan.person.attempts[0], "c1")) == SID
    assert server.bodies[0]["tag"] == {"gateway_call_id": "c1"}
    assert server.bodies[0]["timeLimit"] == 600


async def test_a_key_that_jambonz_does_not_know_is_named_before_it_is_asked() -> None:
    async with jambonz() as (server, asked):
        error = await refused(asked.place(body(answerOnBridge=True)))
    assert error.failure is RestFailure.REFUSED
    assert "answerOnBridge" in str(error)
    assert server.bodies == []


@pytest.mark.parametrize(
    ("changes", "settings", "failure", "status"),
    [
        ({"from": ""}, {}, RestFailure.REFUSED, 400),
        ({"to": {"type": "phone"}}, {}, RestFailure.REFUSED, 400),
        ({}, {"token": SecretStr("other")}, RestFailure.UNAUTHORIZED, 401),
        ({}, {"account_sid": "other"}, RestFailure.UNAUTHORIZED, 403),
    ],
)
async def test_jambonz_refuses(
    changes: dict[str, Any], settings: dict[str, Any], failure: RestFailure, status: int
) -> None:
    async with jambonz(**settings) as (_, asked):
        error = await refused(asked.place(body(**changes)))
    assert (error.failure, error.status) == (failure, status)
    assert f"HTTP {status}: " in str(error)


async def test_an_unknown_column_is_a_refusal() -> None:
    """A jambonz of another version, which does not have a key that we know."""
    async with jambonz() as (_, asked):
        COLUMNS.discard("referHook")
        try:
            error = await refused(asked.place(body(referHook="/refer")))
        finally:
            COLUMNS.add("referHook")
    assert (error.failure, error.status) == (RestFailure.REFUSED, 500)
    assert "Unknown column 'referHook'" in str(error)


async def test_no_feature_server_is_up() -> None:
    async with jambonz() as (server, asked):
        server.servers = 0
        error = await refused(asked.place(body()))
        assert (error.failure, error.status) == (RestFailure.NO_SERVER, 480)
        with pytest.raises(NotPlacedError) as caught:
            await JambonzSwitch(asked).place(body(), "ours")
    assert (caught.value.cause, caught.value.retry_after_s) == ("jambonz-no-server", AGAIN_S)


@pytest.mark.parametrize("how", ["bare 500", "502", "silent"])
async def test_what_may_have_been_placed_is_not_placed_again(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest, "TIMEOUT_S", 0.2)
    async with jambonz() as (server, asked):
        if how == "silent":
            server.slow = asyncio.Event()
        else:
            server.failure = int(how.split()[-1])
        error = await refused(asked.place(body()))
        assert error.failure is RestFailure.UNCERTAIN
        with pytest.raises(NotPlacedError) as caught:
            await JambonzSwitch(asked).place(body(), "ours")
    assert caught.value.retry_after_s is None
    assert caught.value.code < 500


async def test_jambonz_cannot_be_reached() -> None:
    async with jambonz(api_url="http://127.0.0.1:9/v1") as (_, asked):
        error = await refused(asked.place(body()))
        assert (error.failure, error.status) == (RestFailure.UNREACHABLE, 0)
        with pytest.raises(NotPlacedError) as caught:
            await JambonzSwitch(asked).place(body(), "ours")
    assert caught.value.retry_after_s == AGAIN_S


async def test_a_call_that_rings_is_given_up() -> None:
    async with jambonz() as (server, asked):
        await asked.give_up(SID)
        assert server.updates == [{"call_status": "no-answer"}]
        server.call_status = "in-progress"
        await asked.give_up(SID)  # it was answered meanwhile, and ends otherwise
        await asked.give_up("unknown")
        assert len(server.updates) == 1


async def test_the_switch_gives_up_in_silence() -> None:
    async with jambonz(api_url="http://127.0.0.1:9/v1") as (_, asked):
        await JambonzSwitch(asked).give_up(SID)
