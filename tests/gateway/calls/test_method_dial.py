"""Method 2: the call is registered with Retell, then its id is what is dialled."""

import asyncio
import time
import zlib
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from config.settings import RetellSettings
from gateway.retell import client, failures
from gateway.retell.failures import RetellFailure
from gateway.retell.wishes import ToRegister
from tests.gateway.conftest import (
    DIAL_DID,
    DIAL_FALLBACK_DID,
    Gateway,
    Retell,
    Start,
    registered,
)

CALL = "call_0123456789abcdef0123456789a"
CONFIG = [{"verb": "config"}]
WISH = ToRegister(direction="inbound", call_id="c", agent="a", from_number="+1", to_number="+2")


def answering(*statuses: int) -> Any:
    """A Retell that answers these in turn; 201 registers."""
    left = list(statuses)

    async def answer(request: web.Request) -> web.StreamResponse:
        status = left.pop(0) if len(left) > 1 else left[0]
        if status == 201:
            return await registered(request)
        body = {"status": "error", "message": f"no: {status}"}
        return web.json_response(body, status=status)

    return answer


async def test_registered_call_is_dialled(gateway: Gateway, retell: Retell) -> None:
    async with gateway.jambonz() as jambonz:
        assert await jambonz.new_call(to=DIAL_DID) == CONFIG
        dial, hangup = await jambonz.command()
        record = (await gateway.records())[0]
        assert dial["target"] == [
            {"type": "sip", "sipUri": f"sip:{CALL}@sip.retellai.com;transport=tcp"}
        ]
        assert dial["callerId"] == "+12125550100"
        assert dial["headers"] == {"X-Gateway-Call-Id": record.call_id}
        assert hangup == {"verb": "hangup"}
        await jambonz.answered()
        await jambonz.caller_hangs_up()
    record = await gateway.record()
    assert retell.requests == [
        {
            "agent_id": "agent_2",
            "direction": "inbound",
            "from_number": "+12125550100",
            "to_number": DIAL_DID,
            "metadata": {"gateway_call_id": record.call_id},
            "retell_llm_dynamic_variables": {"plan": "gold"},
        }
    ]
    assert retell.authorizations == ["Bearer key_test"]
    assert record.retell_call_id == CALL
    assert (record.method, record.agent) == ("dial", "agent_2")
    assert (record.a_sip_call_id, record.b_sip_call_id) == (jambonz.a_call_id, jambonz.b_call_id)
    assert (record.ended_by, record.cause) == ("caller", "hangup")


async def test_port_and_user_of_the_sip_uri(start: Start) -> None:
    """Host, port and transport are Retell's; the user is the call."""
    gateway = await start(
        retell={"api_key": "k", "sip_uri": "sip:ignored@192.0.2.50:5070;transport=udp"},
        numbers={DIAL_DID: {"agent": "a", "method": "dial"}},
    )
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        dial, _ = await jambonz.command()
        assert dial["target"][0]["sipUri"] == f"sip:{CALL}@192.0.2.50:5070;transport=udp"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


@pytest.mark.parametrize(
    ("http_status", "code", "cause", "fault"),
    [
        (400, 480, "retell-bad-request", "gateway"),
        (401, 480, "retell-unauthorized", "operator"),
        (402, 480, "retell-payment-required", "operator"),
        (422, 480, "retell-unprocessable", "operator"),
        (429, 503, "retell-throttled", "retell"),
        (500, 503, "retell-server-error", "retell"),
    ],
)
async def test_retell_refuses_to_register(
    gateway: Gateway, retell: Retell, http_status: int, code: int, cause: str, fault: str
) -> None:
    retell.answer = answering(http_status)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        verbs = await jambonz.command()
        assert [(verb["verb"], verb["status"]) for verb in verbs] == [("sip:decline", code)]
        await jambonz.declined(code)
    record = await gateway.record()
    assert (record.cause, record.sip_status, record.fault) == (cause, code, fault)
    assert record.attempts[0]["reason"] == cause
    assert len(retell.requests) == (2 if fault == "retell" else 1)


async def test_one_retry_mends_a_passing_error(gateway: Gateway, retell: Retell) -> None:
    retell.answer = answering(500, 201)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        dial, _ = await jambonz.command()
        assert dial["verb"] == "dial"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
    assert len(retell.requests) == 2


async def test_fallback_when_the_call_cannot_be_registered(
    gateway: Gateway, retell: Retell
) -> None:
    retell.answer = answering(402)
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_FALLBACK_DID, headers={"X-Customer": "42"})
        dial, _ = await jambonz.command()
        assert dial["target"] == [{"type": "phone", "number": "+14155550177", "trunk": "carrier"}]
        assert "headers" not in dial  # a carrier is not the operator's own
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    record = await gateway.record()
    assert [(a["trunk"], a["code"], a["reason"]) for a in record.attempts] == [
        ("retell", None, "retell-payment-required"),
        ("carrier", 200, "OK"),
    ]


async def test_fallback_when_retells_sip_side_refuses(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_FALLBACK_DID)
        await jambonz.command()
        dial, _ = await jambonz.refused(404)
        assert dial["target"][0]["trunk"] == "carrier"
        await jambonz.answered()
        await jambonz.callee_hangs_up()
    assert (await gateway.record()).retell_call_id == CALL


async def test_silent_retell_is_given_up_within_the_budget(
    gateway: Gateway, retell: Retell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests in the budget, then 504; the budget is the client's own, shortened here."""
    monkeypatch.setattr(client, "LEAST_RETRY_S", 0.01)
    monkeypatch.setattr(client, "PAUSE_S", 0.01)
    asleep = asyncio.Event()

    async def never(_: web.Request) -> web.StreamResponse:
        await asleep.wait()
        return web.Response()

    retell.answer = never
    api = client.RetellClient(
        gateway.app_settings().retell, clock=asyncio.get_running_loop().time, budget_s=0.2
    )
    begun = asyncio.get_running_loop().time()
    async with api:
        with pytest.raises(failures.RetellError) as caught:
            await api.register(WISH)
    asleep.set()
    assert caught.value.failure is RetellFailure.TIMEOUT
    assert len(retell.requests) == 2
    assert asyncio.get_running_loop().time() - begun < 1.0


async def test_unreachable_retell(start: Start, retell: Retell) -> None:
    gateway = await start()
    settings = gateway.app_settings().retell.model_copy(update={"base_url": "http://127.0.0.1:9"})
    async with client.RetellClient(
        settings, clock=asyncio.get_running_loop().time, budget_s=0.35
    ) as api:
        with pytest.raises(failures.RetellError) as caught:
            await api.register(WISH)
    assert caught.value.failure is RetellFailure.UNREACHABLE
    assert retell.requests == []


@pytest.mark.parametrize("call_id", ["", "call id", "call@evil", None])
async def test_answer_without_a_usable_call_id(
    gateway: Gateway, retell: Retell, call_id: str | None
) -> None:
    async def odd(_: web.Request) -> web.StreamResponse:
        return web.json_response({"call_id": call_id}, status=201)

    retell.answer = odd
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        assert (await jambonz.command())[0]["status"] == 503
        await jambonz.declined(503)
    # a 201 is never followed by a second registration
    assert len(retell.requests) == 1


async def test_caller_gives_up_while_the_call_is_registered(
    gateway: Gateway, retell: Retell
) -> None:
    """No verbs for a caller who has gone, and nothing of ours goes on."""
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        asked.set()
        await answer.wait()
        return await registered(request)

    retell.answer = slow
    async with gateway.jambonz() as jambonz:
        assert await jambonz.new_call(to=DIAL_DID) == CONFIG
        await asked.wait()
        await jambonz.caller("no-answer", 487, call_termination_by="caller")
        await jambonz.hang_up()
        record = await gateway.record()
    answer.set()
    assert record.cause == "cancelled"
    assert record.attempts == []


async def test_registration_ends_while_the_socket_is_away(gateway: Gateway, retell: Retell) -> None:
    """The verbs wait for jambonz to come back."""
    answer = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await answer.wait()
        return await registered(request)

    retell.answer = slow
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.hang_up(4000)
        answer.set()
        assert await jambonz.reconnect() is None
        dial, _ = await jambonz.command()
        assert dial["verb"] == "dial"
        await jambonz.caller("no-answer", 487, call_termination_by="caller")


async def _endless(request: web.Request) -> web.StreamResponse:
    """201, and a body that goes on for as long as it is read."""
    response = web.StreamResponse(status=201, headers={"Content-Type": "application/json"})
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(2000):
            await response.write(b" " * 65_536)
    return response


async def _packed(_: web.Request) -> web.StreamResponse:
    """A small body that unpacks to a hundred megabytes."""
    body = await asyncio.to_thread(zlib.compress, bytes(100 << 20), 1)
    return web.Response(status=201, body=body, headers={"Content-Encoding": "deflate"})


@pytest.mark.parametrize("answer", [_endless, _packed])
async def test_a_reply_of_retells_is_read_no_further_than_one_may_be_long(
    retell: Retell, answer: Any
) -> None:
    """Whoever answers in Retell's place takes neither memory nor time; nobody asks again."""
    retell.answer = answer
    settings = RetellSettings(api_key=SecretStr("k"), base_url=retell.url)
    async with client.RetellClient(settings, clock=time.monotonic) as api:
        with pytest.raises(failures.RetellError, match=r"more than \d+ kB") as failed:
            await api.register(WISH)
    assert (failed.value.failure, failed.value.status) == (RetellFailure.SERVER_ERROR, 201)
    assert len(retell.requests) == 1
