"""A softswitch that stops: what callers get who come, who wait and who talk (RFC 3261 21.5.4)."""

import asyncio

from sip.core.message import Request, Response
from tests.ladder import DID, PCMU, Ladder, dial, ladder_test

REASON = 'SIP;cause=503;text="Gateway Is Shutting Down"'


@ladder_test
async def test_a_new_caller_is_sent_elsewhere(ladder: Ladder) -> None:
    """503 with Retry-After: the carrier tries its next gateway, and this one again later."""
    carrier = ladder.peer("carrier")
    ladder.switch.drain()
    await carrier.send("INVITE", sdp=PCMU)
    refused: Response = await carrier.expect(503)
    await carrier.send("ACK")
    assert refused.headers.get("retry-after") == "60"
    assert ladder.switch.refused == {"draining": 1}
    assert not ladder.app.told("session:new"), "no application hears of it"


@ladder_test
async def test_a_caller_who_waits_is_sent_elsewhere_at_once(ladder: Ladder) -> None:
    """Not 603, which forbids another try; the callee's phone stops ringing."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    ladder.switch.drain()
    refused: Response = await carrier.expect(503)
    await carrier.send("ACK")
    assert refused.headers.get("retry-after") == "60"
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.ending == ("jambonz", "failed", 503)
    assert _last(ladder)["cause"] == "shutdown"


@ladder_test
async def test_a_caller_whose_application_has_not_decided_yet_is_sent_elsewhere(
    ladder: Ladder,
) -> None:
    carrier = ladder.peer("carrier")
    ladder.app.verbs = lambda _: None  # never acknowledges
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    ladder.switch.drain()
    await carrier.expect(503)
    await carrier.send("ACK")


@ladder_test
async def test_who_talks_goes_on(ladder: Ladder) -> None:
    """And hangs up as ever; then nothing is left, and the switch may close."""
    await ladder.call_up()
    ladder.switch.drain()
    over = asyncio.create_task(ladder.switch.none_left())
    await ladder.peer("agent").silence(120)
    assert not over.done()
    await ladder.hung_up_by("carrier")
    await asyncio.wait_for(over, 10)
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.ending == ("caller", "completed", 200)


@ladder_test
async def test_who_still_talks_when_the_switch_closes_hears_why(ladder: Ladder) -> None:
    """RFC 3326: both get a BYE with the reason, and the application the cause."""
    await ladder.call_up()
    ladder.switch.drain()
    closing = asyncio.create_task(ladder.switch.close())
    for name in ("carrier", "agent"):
        bye: Request = await ladder.peer(name).is_hung_up()
        assert bye.headers.get("reason") == REASON, name
    await closing
    assert ladder.ending == ("jambonz", "completed", 200)
    assert _last(ladder)["cause"] == "shutdown"
    legs = [
        one["data"] for one in ladder.app.told("call:status") if "parent_call_sid" in one["data"]
    ]
    assert (legs[-1]["call_status"], legs[-1]["sip_status"]) == ("completed", 200)


@ladder_test
async def test_an_options_says_that_no_call_is_taken(ladder: Ladder) -> None:
    """Dispatchers ask by OPTIONS whom to send calls to."""
    carrier = ladder.peer("carrier")
    await carrier.send("OPTIONS", to=DID)
    await carrier.expect(200, of="OPTIONS")
    ladder.switch.drain()
    await carrier.send("OPTIONS", to=DID)
    await carrier.expect(503, of="OPTIONS")


def _last(ladder: Ladder) -> dict[str, object]:
    """The last word about the caller's leg."""
    told = [one["data"] for one in ladder.app.told("call:status")]
    last: dict[str, object] = [one for one in told if "parent_call_sid" not in one][-1]
    return last
