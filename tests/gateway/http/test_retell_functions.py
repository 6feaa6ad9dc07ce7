"""An agent's custom function transfers the caller: signed, done once, answered in words."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.calls.control import (
    ControlError,
    NotLiveError,
    TransferRefusedError,
    TransferVerdict,
    UnsupportedError,
    WrongStateError,
)
from gateway.http.app_keys import CALLS, STORE
from gateway.storage.errors import StorageError
from tests.gateway.conftest import DIAL_DID, TRUNK_DID, Gateway, Start
from tests.gateway.http.test_live_calls_api import Control
from tests.gateway.http.test_retell_webhooks import RETELL_CALL, signature

HERE = "The caller is still with you."


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
async def gateway(start: Start, control: Control) -> Gateway:
    return await start(make={"control": control})


def body_of(to: Any = "reception", name: str = "transfer_call", **call: Any) -> str:
    args = {} if to is None else {"to": to}
    return json.dumps({"name": name, "call": {"call_id": RETELL_CALL, **call}, "args": args})


@dataclass
class Told:
    """What the agent is told."""

    status: int
    outcome: str
    message: str


async def ask(gateway: Gateway, body: str, sign: str | None = None) -> Told:
    headers = {"X-Retell-Signature": signature(body) if sign is None else sign}
    url = f"{gateway.url}/webhooks/retell/function/transfer"
    async with gateway.http.post(url, data=body.encode(), headers=headers) as response:
        told = await response.json()
        return Told(response.status, told.get("outcome", ""), told.get("message", ""))


@asynccontextmanager
async def talking(gateway: Gateway, to: str = DIAL_DID) -> AsyncIterator[str]:
    """A call that Retell knows as RETELL_CALL, by our id."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=to)
        if to == DIAL_DID:
            await jambonz.command()
        await jambonz.answered()
        yield (await gateway.until(lambda call: call["answered_at"] is not None))["call_id"]
        await jambonz.callee_hangs_up()
    await gateway.app[CALLS].none_left()


async def test_the_caller_is_handed_over_and_the_agent_is_told(
    gateway: Gateway, control: Control
) -> None:
    async with talking(gateway) as call_id:
        told = await ask(gateway, body_of())
    assert told == Told(200, "transferred", "The caller is now connected to reception.")
    assert control.asked == [("transfer", call_id, "reception", "function transfer_call")]


@pytest.mark.parametrize(
    ("code", "outcome", "message"),
    [
        (486, "busy", f"reception is busy. {HERE}"),
        (600, "busy", f"reception is busy. {HERE}"),
        (408, "no-answer", f"reception did not answer. {HERE}"),
        (480, "no-answer", f"reception did not answer. {HERE}"),
        (487, "no-answer", f"reception did not answer. {HERE}"),
        (603, "declined", f"reception declined the call. {HERE}"),
        (503, "unreachable", f"reception could not be reached. {HERE}"),
        (None, "unreachable", f"reception could not be reached. {HERE}"),
    ],
)
async def test_what_failed_is_told_in_words(
    gateway: Gateway, control: Control, code: int | None, outcome: str, message: str
) -> None:
    control.verdict = TransferVerdict("failed", "bridge", "reception", code, "", 1)
    async with talking(gateway):
        assert await ask(gateway, body_of()) == Told(200, outcome, message)


async def test_what_became_of_it_may_be_unknown(gateway: Gateway, control: Control) -> None:
    control.verdict = TransferVerdict("unknown", "refer", "reception", 202, "", 1)
    async with talking(gateway):
        told = await ask(gateway, body_of())
    assert (told.outcome, "is not known" in told.message) == ("unknown", True)


@pytest.mark.parametrize(
    ("error", "outcome", "words"),
    [
        (
            TransferRefusedError(404, "not in the directory", ("billing", "sales")),
            "unknown-name",
            'There is nobody called "reception" to transfer to; you may transfer to: billing,'
            f" sales. {HERE}",
        ),
        (
            TransferRefusedError(404, "there is no directory"),
            "unknown-name",
            f'There is nobody called "reception" to transfer to. {HERE}',
        ),
        (TransferRefusedError(480, "x"), "closed", f"reception is closed at this hour. {HERE}"),
        (
            TransferRefusedError(403, "x"),
            "forbidden",
            f"Transfers to reception are not allowed. {HERE}",
        ),
        (
            TransferRefusedError(482, "x"),
            "forbidden",
            f"reception is this very line, and cannot be transferred to. {HERE}",
        ),
        (
            TransferRefusedError(491, "x"),
            "under-way",
            f"The caller is being transferred already. {HERE}",
        ),
        (
            WrongStateError("nobody has answered yet"),
            "refused",
            f"The caller cannot be transferred now: nobody has answered yet. {HERE}",
        ),
        (NotLiveError("x"), "call-over", "The call is over; there is nobody to transfer."),
        (
            UnsupportedError("x"),
            "unsupported",
            f"Callers of this line cannot be transferred. {HERE}",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ControlError) else None,
)
async def test_what_is_refused_is_told_in_words_with_200(
    gateway: Gateway, control: Control, error: ControlError, outcome: str, words: str
) -> None:
    """Anything but 2xx would be sent again."""
    control.error = error
    async with talking(gateway):
        assert await ask(gateway, body_of()) == Told(200, outcome, words)


@pytest.mark.parametrize("to", [None, "", "   ", "x" * 256, ["reception"], True, 1.5])
async def test_no_target_is_no_transfer(gateway: Gateway, control: Control, to: Any) -> None:
    async with talking(gateway):
        assert (await ask(gateway, body_of(to))).outcome == "no-target"
    assert control.asked == []


async def test_an_extension_may_be_a_number(gateway: Gateway, control: Control) -> None:
    async with talking(gateway):
        assert (await ask(gateway, body_of(200))).outcome == "transferred"
    assert control.asked[0][2] == "200"


# which call it is


async def test_a_call_that_is_not_ours(gateway: Gateway, control: Control) -> None:
    assert (await ask(gateway, body_of())).outcome == "unknown-call"
    async with talking(gateway):
        pass
    assert (await ask(gateway, body_of())).outcome == "unknown-call", "it is over"
    assert control.asked == []


async def test_a_call_of_method_1_is_known_by_its_header(
    gateway: Gateway, control: Control
) -> None:
    async with talking(gateway, TRUNK_DID) as call_id:
        headers = {"x-gateway-call-id": call_id}
        assert (await ask(gateway, body_of(custom_sip_headers=headers))).outcome == "transferred"
    assert control.asked[0][1] == call_id


async def test_a_header_does_not_make_it_another_call(gateway: Gateway, control: Control) -> None:
    async with talking(gateway) as call_id:
        body = body_of(call_id="call_of_somebody_else", custom_sip_headers={"x": call_id})
        assert (await ask(gateway, body)).outcome == "unknown-call"
    assert control.asked == []


async def test_it_needs_no_storage(
    gateway: Gateway, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise StorageError("away")

    async with talking(gateway):
        monkeypatch.setattr(gateway.app[STORE], "flush", away)
        assert (await ask(gateway, body_of())).outcome == "transferred"
        assert (await ask(gateway, body_of(call_id="another"))).outcome == "unknown-call"


# sent again


async def test_a_retry_is_the_same_transfer_and_has_the_same_answer(
    gateway: Gateway, control: Control
) -> None:
    begun, held = asyncio.Event(), asyncio.Event()

    async def outcome() -> TransferVerdict:
        begun.set()
        await held.wait()
        return control.verdict

    control.outcome = outcome  # type: ignore[method-assign]
    async with talking(gateway):
        first = asyncio.create_task(ask(gateway, body_of()))
        await begun.wait()
        later = body_of(transcript="the same call, a second later")
        second = asyncio.create_task(ask(gateway, later))
        await asyncio.sleep(0.05)
        held.set()
        assert (await first) == (await second) == await ask(gateway, body_of())
        assert len(control.asked) == 1
        control.verdict = TransferVerdict("failed", "bridge", "billing", 486, "", 1)
        assert (await ask(gateway, body_of("billing"))).outcome == "busy"
        assert (await ask(gateway, body_of(name="another"))).outcome == "busy"
    assert len(control.asked) == 3


async def test_who_waits_too_long_is_told_that_it_goes_on(start: Start, control: Control) -> None:
    left = asyncio.Event()

    async def outcome() -> TransferVerdict:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError("nobody sets it")

    control.outcome = outcome  # type: ignore[method-assign]
    retell = {"api_key": "key_test", "function_wait_s": 0.05}
    gateway = await start(make={"control": control}, retell=retell)
    async with talking(gateway):
        told = await ask(gateway, body_of())
    assert (told.outcome, told.message.startswith("reception is still being called")) == (
        "trying",
        True,
    )
    assert left.is_set()


# who may


async def test_it_must_be_signed(gateway: Gateway, control: Control) -> None:
    async with talking(gateway):
        for sign in ("", "v=1,d=2", signature(body_of("billing"))):
            assert (await ask(gateway, body_of(), sign)).status == 401
    assert control.asked == []


@pytest.mark.parametrize("body", ["[]", "{", '{"to": "reception"}', '{"name": "x", "args": {}}'])
async def test_what_is_no_function_call(gateway: Gateway, body: str) -> None:
    """Such as with "args only", which does not say of which call it is."""
    assert (await ask(gateway, body)).status == 400


async def test_it_is_logged_and_counted(gateway: Gateway, control: Control) -> None:
    async with talking(gateway):
        with capture_logs() as lines:
            await ask(gateway, body_of())
            await ask(gateway, body_of())
    told = [line for line in lines if line["event"] == "retell.function"]
    assert [(line["outcome"], line["again"]) for line in told] == [
        ("transferred", False),
        ("transferred", True),
    ]
    counted = 'gateway_retell_webhooks_total{event="function_transfer",outcome="transferred"} 2.0'
    assert counted in await gateway.page()
