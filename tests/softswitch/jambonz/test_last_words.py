"""The end of a call waits for no application longer than two seconds."""

import asyncio

from tests.fakes.application import FakeApplication
from tests.ladder import PCMU, Ladder, dial, ladder_test


def now() -> float:
    return asyncio.get_running_loop().time()


async def over(ladder: Ladder, since: float) -> float:
    """Seconds from `since` until the call's driver is done."""
    for _ in range(400):
        if not ladder.switch.gauges["calls"]:
            break
        await asyncio.sleep(0.05)
    return now() - since


@ladder_test
async def test_a_hook_that_is_not_acknowledged_when_the_caller_hangs_up(ladder: Ladder) -> None:
    ladder.app.hooks["/dial-action"] = lambda _: FakeApplication.NO_ACK
    await ladder.call_up()
    await ladder.hung_up_by("carrier")
    assert await over(ladder, now()) < 2.1


@ladder_test
async def test_a_first_ack_that_never_comes_when_the_caller_gives_up(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: FakeApplication.NO_ACK
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    assert await over(ladder, now()) < 2.1


@ladder_test
async def test_an_application_out_of_reach_when_the_caller_gives_up(ladder: Ladder) -> None:
    """It is tried for 13.5 s while the caller waits, and no longer than that."""
    await ladder.app.stop()
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    assert await over(ladder, now()) < 2.1


@ladder_test
async def test_an_application_that_does_not_close_its_side(ladder: Ladder) -> None:
    """It reads nothing more: neither the hook nor our close is ever answered."""
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await ladder.call_up()
    for socket in ladder.app.open:
        assert socket._req is not None
        assert socket._req.transport is not None
        socket._req.transport.pause_reading()
    await ladder.hung_up_by("agent")
    assert await over(ladder, now()) < 2.1


@ladder_test
async def test_the_switch_that_closes_with_calls_up(ladder: Ladder) -> None:
    ladder.app.hooks["/dial-action"] = lambda _: FakeApplication.NO_ACK
    await ladder.call_up()
    since = now()
    closing = asyncio.create_task(ladder.switch.close())
    await ladder.peer("carrier").is_hung_up()
    await ladder.peer("agent").is_hung_up()
    await closing
    assert now() - since < 2.2
