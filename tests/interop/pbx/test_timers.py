"""Calls that outlive two session-timer refreshes (RFC 4028), in real time.

The shortest interval that the RFC allows is 90 s, so a refresh comes each 45 s: from Asterisk in
the calls that it placed, from us in those that we placed. `long_calls` has begun them.
"""

import asyncio

import numpy as np
import pytest

from tests.interop.harness import speech
from tests.interop.harness.pbx import SESSION_S, Way
from tests.interop.harness.siplog import Logged, MessageLog
from tests.interop.pbx.conftest import LONG_CALLS, LongCall, Office, PlacedBy
from tests.interop.pbx.voices import SAME

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Past the second refresh, and long enough after it to say everything once more.
LENGTH_S = SESSION_S + 8.0
TAIL_S = 6


@pytest.mark.timeout(200)
@pytest.mark.parametrize(("way", "placed_by"), LONG_CALLS)
async def test_a_call_through_two_refreshes(
    office: Office,
    long_calls: dict[tuple[Way, PlacedBy], LongCall],
    way: Way,
    placed_by: PlacedBy,
) -> None:
    call = long_calls[way, placed_by]
    await asyncio.sleep(call.began + LENGTH_S - asyncio.get_running_loop().time())
    await office.sandbox.ongoing(call.retell_id)
    await office.asterisk.hang_up(call.channel)
    gone = await office.asterisk.gone(call.channel)
    assert gone["cause"] == "16", "hung up by the test, not by a timer"
    await office.sandbox.ended(call.retell_id)

    refreshed = refreshes(office.asterisk.messages(), call)
    assert len(refreshed) >= 2, "more where the other stories took longer"
    assert {one.sent for one in refreshed} == {placed_by == "asterisk"}
    # the agent repeats what it hears: at the end the extension still hears its own words, which
    # have gone the whole way and come back
    heard = speech.read(office.asterisk.heard(call.trunk))
    assert len(heard) > (LENGTH_S - 3) * speech.RATE_HZ
    tail = heard[-TAIL_S * speech.RATE_HZ :]
    assert np.mean(speech.pieces(tail, speech.read(office.extension.once))) > SAME


def refreshes(log: MessageLog, call: LongCall) -> list[Logged]:
    """The requests inside the call's dialog that were answered by 200 with Session-Expires."""
    [call_id] = {
        one.call_id
        for one in log.messages
        if one.method == "INVITE" and not one.status and str(call.trunk.pbx) in one.text
    }
    confirmed = {
        one.header("cseq")
        for one in log.messages
        if one.call_id == call_id and one.status == 200 and one.header("session-expires")
    }
    return [
        one
        for one in log.messages
        if one.call_id == call_id
        and one.method in ("INVITE", "UPDATE")
        and not one.status
        and "tag=" in one.header("to")
        and one.header("cseq") in confirmed
    ]
