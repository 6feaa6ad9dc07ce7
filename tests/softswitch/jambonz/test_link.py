"""The socket that waits for the next call."""

import asyncio

from sip.softswitch.jambonz.web_socket import SPARE_S
from tests.ladder import PCMU, Ladder, ladder_test


async def declined(ladder: Ladder) -> None:
    """One call, which the application declines."""
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(404)
    await carrier.send("ACK")
    await asyncio.sleep(0.1)


@ladder_test
async def test_the_next_call_finds_a_socket_ready(ladder: Ladder) -> None:
    await declined(ladder)
    assert (ladder.app.connected, len(ladder.app.open)) == (2, 1)
    await declined(ladder)
    assert (ladder.app.connected, len(ladder.app.open)) == (3, 1)
    assert len(ladder.app.told("session:new")) == 2


@ladder_test
async def test_a_socket_that_no_call_wants_is_closed(ladder: Ladder) -> None:
    await declined(ladder)
    await asyncio.sleep(SPARE_S - 1)
    assert len(ladder.app.open) == 1
    await asyncio.sleep(2)
    assert not ladder.app.open
    await declined(ladder)
    assert len(ladder.app.told("session:new")) == 2


@ladder_test
async def test_a_socket_that_the_application_closed_is_not_used(ladder: Ladder) -> None:
    await declined(ladder)
    [spare] = ladder.app.open
    transport = spare._req.transport if spare._req is not None else None
    assert transport is not None
    transport.abort()
    await asyncio.sleep(0.1)
    await declined(ladder)
    assert len(ladder.app.told("session:new")) == 2
    assert not ladder.app.told("session:reconnect")
