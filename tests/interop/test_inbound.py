"""A carrier calls, Retell is called: SIPp at both ends, over UDP and over TCP."""

import pytest

from tests.interop.harness.gateway import (
    CALLER,
    NOT_OURS,
    PLAIN,
    RING_TIMEOUT_S,
    WITH_FALLBACK,
)
from tests.interop.harness.scene import Scene, ending, good, tried

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_answered_and_hung_up_by_the_caller(scene: Scene) -> None:
    agent = await scene.callee("callee-answers", scene.network.retell)
    caller = await scene.caller("caller-hangs-up", d_ms=500)
    a_leg = good(await caller.finish())
    b_leg = good(await agent.finish())

    assert a_leg.statuses() == [180, 200]
    [invite] = b_leg.received("INVITE")
    assert invite.uri.startswith(f"sip:{PLAIN}@{scene.network.retell}")
    assert CALLER in invite.header("from")
    assert invite.call_id != a_leg.sent("INVITE")[0].call_id
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert tried(record) == [("retell", 200)]
    assert record["state"] == "ended"
    assert (record["from"], record["to"]) == (CALLER, PLAIN)
    assert record["a_sip_call_id"] == a_leg.sent("INVITE")[0].call_id
    assert record["b_sip_call_id"] == invite.call_id
    assert 0.4 < record["duration_s"] < 1.5


async def test_answered_and_hung_up_by_the_agent(scene: Scene) -> None:
    agent = await scene.callee("callee-hangs-up", scene.network.retell, d_ms=500)
    caller = await scene.caller("caller-is-hung-up-on", d_ms=200)
    a_leg = good(await caller.finish())
    good(await agent.finish())

    assert len(a_leg.received("BYE")) == 1
    record = await scene.record()
    assert ending(record) == ("callee", "hangup", 200)


async def test_cancelled_while_ringing(scene: Scene) -> None:
    agent = await scene.callee("callee-rings-until-cancelled", scene.network.retell)
    caller = await scene.caller("caller-cancels", d_ms=300)
    a_leg = good(await caller.finish())
    b_leg = good(await agent.finish())

    assert a_leg.statuses() == [180, 487]
    assert len(b_leg.received("CANCEL")) == 1
    record = await scene.record()
    assert ending(record) == ("caller", "cancelled", 487)


async def test_busy(scene: Scene) -> None:
    agent = await scene.callee("callee-is-busy", scene.network.retell)
    caller = await scene.caller("caller-gets-busy")
    good(await caller.finish())
    good(await agent.finish())
    record = await scene.record()
    assert ending(record) == ("callee", "busy", 486)
    assert tried(record) == [("retell", 486)]


async def test_declined(scene: Scene) -> None:
    agent = await scene.callee("callee-declines", scene.network.retell)
    caller = await scene.caller("caller-is-declined")
    good(await caller.finish())
    good(await agent.finish())
    record = await scene.record()
    assert ending(record) == ("callee", "declined", 603)


async def test_no_answer(scene: Scene) -> None:
    """The ring timeout cancels Retell; the caller gets 480, which carriers read as no answer."""
    agent = await scene.callee("callee-rings-until-cancelled", scene.network.retell)
    caller = await scene.caller("caller-gets-no-answer")
    a_leg = good(await caller.finish())
    good(await agent.finish())

    rang_s = a_leg.messages[-1].at_s - a_leg.received("INVITE", 180)[0].at_s
    assert RING_TIMEOUT_S - 0.5 < rang_s < RING_TIMEOUT_S + 1.5
    record = await scene.record()
    assert ending(record) == ("callee", "no-answer", 480)


async def test_retell_out_of_service(scene: Scene) -> None:
    """No fallback: 503 goes back, so that the carrier may try its own next route."""
    agent = await scene.callee("callee-is-unavailable", scene.network.retell)
    caller = await scene.caller("caller-gets-unavailable")
    good(await caller.finish())
    good(await agent.finish())
    record = await scene.record()
    assert ending(record) == ("callee", "unavailable", 503)


async def test_retell_out_of_service_and_the_fallback_answers(scene: Scene) -> None:
    agent = await scene.callee("callee-is-unavailable", scene.network.retell)
    pbx = await scene.callee("callee-answers", scene.network.pbx)
    caller = await scene.caller("caller-hangs-up", number=WITH_FALLBACK, d_ms=500)
    good(await caller.finish())
    good(await agent.finish())
    pbx_leg = good(await pbx.finish())

    [invite] = pbx_leg.received("INVITE")
    assert invite.uri.startswith(f"sip:200@{scene.network.pbx}")
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert tried(record) == [("retell", 503), ("pbx", 200)]


async def test_retell_silent_and_the_fallback_answers(scene: Scene) -> None:
    """A dead machine behind a living address: given up by ourselves, and not by CANCEL, which
    needs a provisional response first (RFC 3261 9.1)."""
    scene.given_up = 1
    silence_s = RING_TIMEOUT_S + 1
    agent = await scene.callee(
        "callee-is-silent", scene.network.retell, recv_timeout_ms=int(silence_s * 1000), d_ms=0
    )
    pbx = await scene.callee("callee-answers", scene.network.pbx)
    caller = await scene.caller("caller-hangs-up", number=WITH_FALLBACK, d_ms=500)
    a_leg = good(await caller.finish())
    good(await pbx.finish())
    silence = (await agent.finish()).log

    if scene.transport == "udp":  # timer A: 0, 0.5, 1.5 s, and none for a call that went elsewhere
        assert len(silence.received("INVITE")) == 3
    assert not silence.received("CANCEL")
    waited_s = a_leg.received("INVITE", 180)[0].at_s - a_leg.sent("INVITE")[0].at_s
    assert RING_TIMEOUT_S - 0.5 < waited_s < RING_TIMEOUT_S + 1.5
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert [trunk for trunk, _ in tried(record)] == ["retell", "pbx"]


async def test_retell_unreachable_and_the_fallback_answers(scene: Scene) -> None:
    """Nobody listens: TCP says so at once; UDP says nothing that can be relied on."""
    scene.given_up = 1 if scene.transport == "udp" else 0
    pbx = await scene.callee("callee-answers", scene.network.pbx)
    caller = await scene.caller("caller-hangs-up", number=WITH_FALLBACK, d_ms=500)
    a_leg = good(await caller.finish())
    good(await pbx.finish())

    waited_s = a_leg.received("INVITE", 180)[0].at_s - a_leg.sent("INVITE")[0].at_s
    assert waited_s < (RING_TIMEOUT_S + 1.5 if scene.transport == "udp" else 1.5)
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert [trunk for trunk, _ in tried(record)] == ["retell", "pbx"]


async def test_unknown_number(scene: Scene) -> None:
    agent = await scene.callee("callee-answers", scene.network.retell, calls=None)
    caller = await scene.caller("caller-dials-unknown-number", number=NOT_OURS)
    good(await caller.finish())
    assert (await agent.stop()).created == 0
    record = await scene.record()
    assert ending(record) == ("gateway", "number-not-configured", 404)


async def test_unknown_caller(scene: Scene) -> None:
    """A scanner must not even learn that somebody listens."""
    agent = await scene.callee("callee-answers", scene.network.retell, calls=None)
    caller = await scene.caller("caller-is-ignored", scene.network.stranger, recv_timeout_ms=3000)
    outcome = await caller.finish()
    assert [message for message in outcome.log.messages if not message.sent] == []
    if scene.transport == "udp":
        assert outcome.exit_code == 0, str(outcome)
        assert len(outcome.log.sent("INVITE")) > 1
    assert (await agent.stop()).created == 0
    assert await scene.records() == []
