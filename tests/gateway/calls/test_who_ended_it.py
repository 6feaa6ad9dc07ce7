"""Who ended an answered call, as jambonz and our softswitch tell it, and with no status at all."""

from typing import Any

import pytest

from gateway.calls import hooks
from tests.gateway.conftest import FALLBACK_DID, TRUNK_DID, Gateway
from tests.gateway.peer import Jambonz


async def talking(jambonz: Jambonz) -> None:
    await jambonz.new_call(to=TRUNK_DID)
    await jambonz.answered()


@pytest.mark.parametrize(
    ("told", "ending"),
    [
        # our softswitch, which tells the callee's hangup from its own and has causes
        ({"by": "jambonz", "cause": "shutdown"}, ("gateway", "shutdown", "operator")),
        ({"by": "jambonz", "cause": "bye"}, ("gateway", "hangup", "nobody")),
        ({"by": "jambonz", "cause": "media"}, ("gateway", "media", "gateway")),
        ({"by": "callee", "cause": "bye"}, ("callee", "hangup", "nobody")),
        # a jambonz: whoever was over first
        ({"by": "jambonz"}, ("callee", "hangup", "nobody")),
        ({"by": "caller"}, ("caller", "hangup", "nobody")),
    ],
)
async def test_after_the_b_leg_was_over(
    gateway: Gateway, told: dict[str, str], ending: tuple[str, str, str]
) -> None:
    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        await jambonz.leg("completed", 200)
        await jambonz.dial_ended("completed", 200)
        by, cause = told["by"], told.get("cause")
        more: dict[str, Any] = {"cause": cause} if cause else {}
        await jambonz.caller("completed", 200, call_termination_by=by, duration=3, **more)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault) == ending
    assert (record.sip_status, record.attempts[0]["code"]) == (200, 200)


async def test_a_call_that_rang_when_the_softswitch_stopped(gateway: Gateway) -> None:
    gone = {"call_termination_by": "jambonz", "cause": "shutdown"}
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID)
        await jambonz.leg("trying", 100)
        await jambonz.leg("no-answer", 487)
        told: dict[str, Any] = {"call_status": "failed", "sip_status": 503, **gone}
        assert await jambonz.dial_ended("no-answer", 487, **told) is None
        await jambonz.caller("failed", 503, **gone)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault, record.sip_status) == (
        "gateway",
        "shutdown",
        "operator",
        503,
    )


async def test_a_call_that_we_hang_up_by_mistake_of_ours(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    async with gateway.jambonz() as jambonz:
        await talking(jambonz)
        with monkeypatch.context() as patched:
            patched.setattr(hooks, "DialEnded", fail)
            verbs = await jambonz.dial_ended("completed", 200)
        assert verbs == [{"verb": "hangup"}]
        await jambonz.caller("completed", 200, call_termination_by="jambonz", duration=3)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.fault) == (
        "gateway",
        "internal-error",
        "gateway",
    )


# the status hook is elsewhere: hooks alone come


async def test_the_callee_hung_up(gateway: Gateway) -> None:
    """Nobody says when it answered; an agent answers soon after it is dialled."""
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID, told=False)
        await jambonz.dial_ended("completed", 200, call_status="in-progress")
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("callee", "hangup", 200)
    assert record.answered_ms == record.attempts[0]["started_ms"]
    assert record.attempts[0]["code"] == 200


async def test_the_caller_hung_up(gateway: Gateway) -> None:
    gone: dict[str, Any] = {
        "call_status": "completed",
        "call_termination_by": "caller",
        "duration": 3,
    }
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID, told=False)
        await jambonz.dial_ended("completed", 200, **gone)
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.duration_s) == ("caller", "hangup", 3)


async def test_the_caller_gave_up(gateway: Gateway) -> None:
    gone: dict[str, Any] = {"call_status": "no-answer", "call_termination_by": "caller"}
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID, told=False)
        assert await jambonz.dial_ended("ringing", 180, **gone) is None
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.ended_by, record.cause, record.sip_status) == ("caller", "cancelled", 487)
    assert record.answered_ms is None


async def test_the_fallback_was_reached(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=FALLBACK_DID, told=False)
        dial, _ = await jambonz.dial_ended("busy", 486)
        assert dial["target"][0]["trunk"] == "pbx"
        await jambonz.dial_ended("completed", 200, dial_call_sid="another")
        await jambonz.hang_up()
    record = await gateway.record()
    assert [(item["trunk"], item["code"]) for item in record.attempts] == [
        ("retell", 486),
        ("pbx", 200),
    ]
    assert (record.ended_by, record.cause) == ("callee", "hangup")


async def test_nobody_was_reached(gateway: Gateway) -> None:
    async with gateway.jambonz() as jambonz:
        await jambonz.new_call(to=TRUNK_DID, told=False)
        [decline] = await jambonz.dial_ended("busy", 486)
        assert decline["status"] == 486
        await jambonz.hang_up()
    record = await gateway.record()
    assert (record.cause, record.sip_status, record.answered_ms) == ("busy", 486, None)
