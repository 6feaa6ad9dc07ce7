"""The verb `pause`."""

import asyncio
from typing import Any

import pytest

from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_test

DECLINE = {"verb": "sip:decline", "status": 486}


def pause(length: float) -> dict[str, Any]:
    return {"verb": "pause", "length": length}


async def calls(carrier: Peer) -> None:
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)


async def is_answered(carrier: Peer) -> None:
    await calls(carrier)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")


def now() -> float:
    return asyncio.get_running_loop().time()


@ladder_test
async def test_the_next_verb_waits(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "answer"}, pause(7.5), {"verb": "hangup"}]
    carrier = ladder.peer("carrier")
    await is_answered(carrier)
    began = now()
    await carrier.is_hung_up()
    assert 7.4 < now() - began < 8


@ladder_test
async def test_a_call_need_not_be_answered_to_pause(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [pause(3), DECLINE]
    carrier = ladder.peer("carrier")
    await calls(carrier)
    began = now()
    await carrier.expect(486)
    await carrier.send("ACK")
    assert 2.9 < now() - began < 3.5


@ladder_test
async def test_a_caller_may_put_us_on_hold_meanwhile(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "answer"}, pause(20), {"verb": "hangup"}]
    carrier = ladder.peer("carrier")
    await is_answered(carrier)
    await carrier.send("INVITE", sdp=PCMU + "a=sendonly\r\n")
    await carrier.expect(100)
    held = await carrier.expect(200, of="INVITE", within_s=5)
    await carrier.send("ACK")
    assert held.body
    await carrier.is_hung_up()


@ladder_test
async def test_a_caller_who_hangs_up_ends_the_pause_and_the_call(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "answer"}, pause(600), dial("agent")]
    carrier = ladder.peer("carrier")
    await is_answered(carrier)
    began = now()
    await asyncio.sleep(2)
    await carrier.hang_up()
    await ladder.app.until(lambda: ladder.app.statuses()[-1] == ("completed", 200))
    assert now() - began < 3
    await ladder.peer("agent").silence(30)


@ladder_test
async def test_a_command_cuts_the_pause_short(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "answer"}, pause(600), dial("agent")]
    carrier = ladder.peer("carrier")
    await is_answered(carrier)
    began = now()
    await ladder.app.command("redirect", [pause(1), {"verb": "hangup"}])
    await carrier.is_hung_up()
    assert 0.9 < now() - began < 2


@ladder_test
async def test_a_pause_of_no_time_takes_none(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [pause(0), DECLINE]
    carrier = ladder.peer("carrier")
    await calls(carrier)
    await carrier.expect(486, within_s=1)
    await carrier.send("ACK")


@pytest.mark.parametrize("length", [-1, "5", True, [5]])
def test_a_length_is_a_number_of_seconds(length: object) -> None:
    with pytest.raises(VerbError, match="pause: length must be a number of seconds"):
        parse_verbs([{"verb": "pause", "length": length}], print)


def test_a_pause_needs_a_length() -> None:
    with pytest.raises(VerbError, match="pause: length is missing"):
        parse_verbs([{"verb": "pause"}], print)
