"""Whose fault it was that a call failed, who ended it, and what the peer itself said."""

from typing import Any

import pytest
from aiohttp import web

from tests.gateway.conftest import DIAL_DID, FALLBACK_DID, TRUNK_DID, Gateway, Retell, Start

HEARD = {"packets_received": 500}
DEAF = {"packets_received": 0}


async def refused(gateway: Gateway, to: str, code: int, **hook: Any) -> Any:
    """The record of a call whose only attempt was refused with `code`."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=to)
        await jambonz.leg("trying", 100)
        await jambonz.leg("failed", code)
        [decline] = await jambonz.dial_ended("failed", code, **hook)
        await jambonz.declined(decline["status"])
    return await gateway.record()


@pytest.mark.parametrize(
    ("code", "dial_cause", "by", "cause", "fault"),
    [
        (404, "rejected", "callee", "number-not-imported", "operator"),
        (488, "rejected", "callee", "no-common-codec", "operator"),
        (606, "rejected", "callee", "no-common-codec", "operator"),
        (403, "rejected", "callee", "forbidden", "operator"),
        (407, "unauthorised", "callee", "not-authorized", "operator"),
        (408, "no-response", "callee", "silent", "retell"),
        (503, "rejected", "callee", "unavailable", "retell"),
        (503, "unreachable", "callee", "unavailable", "retell"),
        (503, "name-not-resolved", "gateway", "name-not-resolved", "operator"),
        (503, "not-registered", "gateway", "not-registered", "operator"),
        (503, "over-limit", "gateway", "over-limit", "operator"),
        (503, "no-gateway", "gateway", "no-gateway", "operator"),
        (503, "no-listener", "gateway", "no-listener", "operator"),
        (503, "gateways-down", "gateway", "gateways-down", "retell"),
        (404, "no-such-trunk", "gateway", "no-such-trunk", "operator"),
        (484, "bad-number", "gateway", "bad-number", "caller"),
    ],
)
async def test_a_failed_attempt(
    gateway: Gateway, code: int, dial_cause: str, by: str, cause: str, fault: str
) -> None:
    record = await refused(gateway, TRUNK_DID, code, dial_cause=dial_cause)
    assert (record.ended_by, record.cause, record.fault) == (by, cause, fault)


async def test_a_registered_call_that_retell_does_not_know_is_no_number(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.leg("trying", 100)
        await jambonz.dial_ended("failed", 404)
        await jambonz.declined(404)
    record = await gateway.record()
    assert (record.cause, record.fault) == ("unknown-destination", "retell")


async def test_a_fallback_that_is_not_registered(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.refused(503)
        await jambonz.leg("trying", 100)
        await jambonz.dial_ended("failed", 503, dial_cause="not-registered")
        await jambonz.declined(503)
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault) == (
        "gateway",
        "not-registered",
        "operator",
    )


class Clocks:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0


@pytest.mark.parametrize(
    ("media", "talked_s", "cause", "fault"),
    [
        ({"a": HEARD, "b": HEARD}, 30, "hangup", "nobody"),
        ({"a": DEAF, "b": DEAF}, 30, "no-media", "operator"),
        ({"a": DEAF, "b": HEARD}, 30, "one-way-media", "caller"),
        ({"a": HEARD, "b": DEAF}, 30, "one-way-media", "retell"),
        ({"a": DEAF, "b": DEAF}, 2, "hangup", "nobody"),
        ({"a": HEARD}, 30, "hangup", "nobody"),
        ({}, 30, "hangup", "nobody"),
    ],
)
async def test_media_that_never_came(
    start: Start, media: dict[str, Any], talked_s: float, cause: str, fault: str
) -> None:
    clocks = Clocks()
    gateway = await start(make={"now": lambda: clocks.now, "clock": lambda: clocks.now})
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.answered()
        await gateway.until(lambda call: call["answered_at"] is not None)
        clocks.now += talked_s
        await jambonz.caller_hangs_up(media=media)
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault) == ("caller", cause, fault)


async def test_the_peers_own_words_are_kept(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID)
        await jambonz.leg("trying", 100)
        headers = {
            "reason": 'Q.850;cause=21;text="trunk disabled"',
            "warning": '399 sip.example.com "no route"',
            "x_vendor_error": "31005",
        }
        await jambonz.leg("failed", 503, headers=headers)
        await jambonz.dial_ended("failed", 503, dial_sip_reason="Nope", dial_detail="a sentence")
        await jambonz.declined(503)
    record = await gateway.record()
    [attempt] = record.attempts
    assert (attempt["reason"], attempt["detail"]) == ("Nope", "a sentence")
    assert attempt["words"] == {
        "reason": 'Q.850;cause=21;text="trunk disabled"',
        "warning": '399 sip.example.com "no route"',
        "x-vendor-error": "31005",
    }


@pytest.mark.parametrize(
    ("status", "text", "cause"),
    [
        (422, "Agent agent_2 not found", "retell-unknown-agent"),
        (404, "Cannot find requested asset under given api key: agent", "retell-unknown-agent"),
        (422, "agent_id is invalid", "retell-unknown-agent"),
        (422, "retell_llm_dynamic_variables must be strings", "retell-unprocessable"),
        (404, "no such path", "retell-unprocessable"),
    ],
)
async def test_retells_text_says_what_it_did_not_like(
    gateway: Gateway, retell: Retell, status: int, text: str, cause: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"status": "error", "message": text}, status=status)

    retell.answer = answer
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=DIAL_DID)
        await jambonz.command()
        await jambonz.declined(480)
    record = await gateway.record()
    assert (record.cause, record.fault) == (cause, "operator")
    assert record.attempts[0]["detail"] == f"HTTP {status}: {text}"
