"""Retell's API as calls use it, against its stand-in, with every kind of failure."""

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import SecretStr

from config.retell_api_settings import BreakerSettings
from config.settings import RetellSettings
from gateway.retell import client
from gateway.retell.breaker import Circuit
from gateway.retell.client import RetellClient
from gateway.retell.failures import RetellError, RetellFailure
from gateway.retell.wishes import ToPlace
from testkit.sandbox.settings import SANDBOX_KEY
from tests.testkit.sandbox.stage import NUMBER, Stage, number, stage

CALLEE = "+14155550199"


@asynccontextmanager
async def asked(*, key: str = SANDBOX_KEY, **changes: Any) -> AsyncIterator[tuple[Stage, "Api"]]:
    """Retell's stand-in with one imported number, and our client towards it."""
    changes.setdefault("preset_numbers", (number(),))
    breaker = changes.pop("breaker", BreakerSettings())
    clock = changes.pop("clock", time.monotonic)
    async with stage(**changes) as on:
        settings = RetellSettings(
            api_key=SecretStr(key), base_url=on.sandbox.base_url, breaker=breaker
        )
        counted: Counter[tuple[str, str]] = Counter()

        def count(operation: str, outcome: str) -> None:
            counted[operation, outcome] += 1

        async with RetellClient(settings, clock=clock, count=count) as api:
            yield on, Api(api, counted)


class Clock:
    """Monotonic seconds, as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Api:
    """The client, and what it counted."""

    def __init__(self, retell: RetellClient, counted: Counter[tuple[str, str]]) -> None:
        self.retell = retell
        self.counted = counted


async def fault(on: Stage, operation: str, **what: Any) -> None:
    status, body = await on.ask("PUT", "/sandbox/faults", {"operation": operation, **what})
    assert status < 300, body


def wish(**changes: Any) -> ToPlace:
    return ToPlace(
        **{
            "idempotency_key": "try-1",
            "from_number": NUMBER,
            "to_number": CALLEE,
            "agent": "agent_9",
            "agent_version": "latest",
            "variables": {"name": "Ann"},
            "headers": {"X-Gateway-Queued-Call": "try-1"},
            "metadata": {"gateway_call_id": "try-1"},
            **changes,
        }
    )


async def failing(work: Any) -> RetellError:
    with pytest.raises(RetellError) as caught:
        await work
    return caught.value


async def test_a_call_is_placed_asked_for_and_stopped() -> None:
    async with asked() as (on, api):
        placed = await api.retell.create_phone_call(wish())
        assert placed.status == "registered"
        _, call = await on.ask("GET", f"/v2/get-call/{placed.call_id}")
        assert (call["agent_id"], call["metadata"]) == ("agent_9", {"gateway_call_id": "try-1"})
        assert call["custom_sip_headers"] == {"X-Gateway-Queued-Call": "try-1"}
        assert call["retell_llm_dynamic_variables"] == {"name": "Ann"}
        await on.call(placed.call_id, "not_connected")  # nobody listens on its trunk
        found = await api.retell.get_call(placed.call_id)
        assert (found.over, found.disconnection_reason) == (True, "telephony_provider_unavailable")
        error = await failing(api.retell.stop_call(placed.call_id))
        assert (error.failure, error.status) == (RetellFailure.UNPROCESSABLE, 422)
        assert (await api.retell.get_concurrency()).limit == 20
        assert api.counted["create-phone-call", "ok"] == 1
        assert api.counted["stop-call", "unprocessable"] == 1


async def test_what_is_not_asked_for_is_left_to_the_number() -> None:
    async with asked() as (on, api):
        plain = ToPlace(idempotency_key="k", from_number=NUMBER, to_number=CALLEE)
        placed = await api.retell.create_phone_call(plain)
        _, call = await on.ask("GET", f"/v2/get-call/{placed.call_id}")
        assert call["agent_id"] == "agent_sandbox"
        assert "metadata" not in call or call["metadata"] == {}


@pytest.mark.parametrize(
    ("changes", "what", "failure", "status"),
    [
        ({"to_number": "4155550199"}, {}, RetellFailure.BAD_REQUEST, 400),
        ({"from_number": "+14155550111"}, {}, RetellFailure.UNKNOWN_NUMBER, 422),
        ({"agent": "agent_unknown"}, {}, RetellFailure.UNKNOWN_AGENT, 422),
        ({}, {"status": 402, "message": "trial over"}, RetellFailure.PAYMENT, 402),
        ({}, {"status": 403}, RetellFailure.UNAUTHORIZED, 403),
        ({}, {"status": 409}, RetellFailure.BAD_REQUEST, 409),
        ({}, {"status": 429, "retry_after_s": 7}, RetellFailure.THROTTLED, 429),
    ],
)
async def test_retell_refuses_to_place_a_call(
    changes: dict[str, Any], what: dict[str, Any], failure: RetellFailure, status: int
) -> None:
    """Told once, in Retell's words, and nothing was placed."""
    async with asked(known_agents=frozenset({"agent_9"})) as (on, api):
        if what:
            await fault(on, "create-phone-call", count=None, **what)
        error = await failing(api.retell.create_phone_call(wish(**changes)))
        assert (error.failure, error.status, error.uncertain) == (failure, status, False)
        assert error.retry_after_s == what.get("retry_after_s")
        assert str(error)
        assert sum(api.counted.values()) == 1
        assert (await on.ask("GET", "/sandbox/calls"))[1]["items"] == []


async def test_a_wrong_key() -> None:
    async with asked(key="key_other") as (_, api):
        error = await failing(api.retell.create_phone_call(wish()))
        assert (error.failure, error.status) == (RetellFailure.UNAUTHORIZED, 401)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own patience, shortened."""
    monkeypatch.setattr(client, "PLACE_TRY_S", 0.3)
    monkeypatch.setattr(client, "PLACE_BUDGET_S", 1.5)
    monkeypatch.setattr(client, "PLACE_PAUSE_S", 0.05)
    monkeypatch.setattr(client, "ASK_S", 0.3)


@pytest.mark.parametrize("what", [{"status": 500}, {"status": 503}, {"drop": True}])
async def test_a_passing_failure_is_asked_again(impatient: None, what: dict[str, Any]) -> None:
    async with asked() as (on, api):
        await fault(on, "create-phone-call", count=2, **what)
        assert (await api.retell.create_phone_call(wish())).call_id
        assert api.counted["create-phone-call", "ok"] == 1
        assert sum(api.counted.values()) == 3


async def test_a_call_that_was_placed_without_an_answer_is_found_and_not_placed_twice(
    impatient: None,
) -> None:
    """Retell placed it, and its answer came too late: the key leads to the same call."""
    async with asked() as (on, api):
        first = await api.retell.create_phone_call(wish())
        await fault(on, "create-phone-call", delay_ms=600)
        assert (await api.retell.create_phone_call(wish())).call_id == first.call_id
        assert len((await on.ask("GET", "/sandbox/calls"))[1]["items"]) == 1
        assert api.counted["create-phone-call", "timeout"] == 1


@pytest.mark.parametrize("what", [{"status": 500}, {"drop": True}, {"delay_ms": 600}])
async def test_when_nothing_helps_it_is_in_doubt(impatient: None, what: dict[str, Any]) -> None:
    async with asked() as (on, api):
        await fault(on, "create-phone-call", count=None, **what)
        error = await failing(api.retell.create_phone_call(wish()))
        assert error.uncertain is True
        assert error.failure in (
            RetellFailure.SERVER_ERROR,
            RetellFailure.TIMEOUT,
            RetellFailure.UNREACHABLE,
        )


async def test_retell_cannot_be_reached(impatient: None) -> None:
    """Nothing was sent, so nothing is in doubt."""
    settings = RetellSettings(api_key=SecretStr("k"), base_url="http://127.0.0.1:9")
    async with RetellClient(settings, clock=time.monotonic) as retell:
        error = await failing(retell.create_phone_call(wish()))
    assert (error.failure, error.uncertain) == (RetellFailure.UNREACHABLE, False)


async def test_a_doubt_is_cleared_by_a_refusal(impatient: None) -> None:
    """What Retell refuses for its content it refused before as well."""
    async with asked() as (on, api):
        await fault(on, "create-phone-call", status=500)
        await fault(on, "create-phone-call", status=402)
        error = await failing(api.retell.create_phone_call(wish()))
        assert (error.failure, error.uncertain) == (RetellFailure.PAYMENT, False)


async def test_a_doubt_outlasts_a_429(impatient: None) -> None:
    async with asked() as (on, api):
        await fault(on, "create-phone-call", status=500)
        await fault(on, "create-phone-call", status=429)
        error = await failing(api.retell.create_phone_call(wish()))
        assert (error.failure, error.uncertain) == (RetellFailure.THROTTLED, True)


async def test_questions_are_asked_twice(impatient: None) -> None:
    async with asked() as (on, api):
        placed = await api.retell.create_phone_call(wish())
        for operation in ("get-call", "stop-call"):
            await fault(on, operation, status=500)
        assert (await api.retell.get_call(placed.call_id)).call_id == placed.call_id
        error = await failing(api.retell.stop_call("call_unknown"))
        assert error.failure is RetellFailure.UNPROCESSABLE
        await fault(on, "get-concurrency", status=429, retry_after_s=3)
        error = await failing(api.retell.get_concurrency())
        assert (error.failure, error.retry_after_s) == (RetellFailure.THROTTLED, 3)


async def test_after_failures_in_a_row_retell_is_left_alone_and_asked_again_later() -> None:
    breaker, clock = BreakerSettings(failures=2, pause_s=60), Clock()
    async with asked(breaker=breaker, clock=clock) as (on, api):
        await fault(on, "get-concurrency", status=500, count=2)
        for _ in range(2):
            await failing(api.retell.get_concurrency())
        assert api.retell.circuit.value == "open"
        error = await failing(api.retell.create_phone_call(wish()))
        assert error.failure is RetellFailure.NOT_ASKED
        assert error.uncertain is False
        assert error.retry_after_s is not None
        assert "asked again" in str(error)
        assert api.counted["create-phone-call", "not-asked"] == 1
        clock.now += 60
        assert (await api.retell.get_concurrency()).current == 0
        assert api.retell.circuit is Circuit.CLOSED


async def test_refusals_are_answers_and_open_nothing() -> None:
    async with asked(breaker=BreakerSettings(failures=2, pause_s=60)) as (_, api):
        for _ in range(4):
            await failing(api.retell.get_call("call_unknown"))
        assert api.retell.circuit is Circuit.CLOSED


async def test_without_a_key_nothing_is_asked() -> None:
    async with RetellClient(RetellSettings(), clock=time.monotonic) as retell:
        assert retell.usable is False
        error = await failing(retell.create_phone_call(wish()))
        assert error.failure is RetellFailure.UNAUTHORIZED
        assert "retell.api_key" in str(error)
