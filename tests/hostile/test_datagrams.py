"""Damaged datagrams against a softswitch over loopback UDP, on virtual time.

`make hostile` sends a million to a gateway process and watches its memory; this is a slice.
"""

import asyncio
import random
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import BanSettings, LimitSettings
from config.values import Source
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from tests.hostile.datagrams import Attack, Sent
from tests.hostile.parties import Callee, Caller
from tests.ladder import DID, Ladder, dial, make_ladder
from tests.virtual import virtual_time

DATAGRAMS = 30_000
SEED = 3261
FUZZED, HONEST, CALLEE, STRANGER = "127.0.0.20", "127.0.0.21", "127.0.0.30", "127.0.0.66"


def verbs(session: Mapping[str, Any]) -> list[dict[str, object]]:
    if session["to"] != DID:
        return [{"verb": "sip:decline", "status": 404}]
    return [dial("callee"), {"verb": "hangup"}]


@pytest.mark.slow
@pytest.mark.timeout(300)
@virtual_time
async def test_nothing_breaks_and_an_honest_call_completes() -> None:
    rng = random.Random(SEED)
    callee = Callee(CALLEE, ("127.0.0.1", 0), rng)
    trunks = [
        Trunk(name="fuzzed", sources=(Source.parse(FUZZED),)),
        Trunk(name="honest", sources=(Source.parse(HONEST),)),
        Trunk(name="callee", gateways=(Uri.parse(f"sip:{callee.name}"),)),
    ]
    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: unhandled.append(what))
    limits = LimitSettings(calls=5000, calls_per_second=10_000)
    bans = BanSettings(strangers_per_second=1_000_000)  # all are to be read, in no time
    with capture_logs() as logged:
        async with make_ladder(trunks=trunks, limits=limits, bans=bans) as ladder, callee:
            ladder.app.verbs = verbs
            address = ladder.peer("carrier").gateway
            callee.gateway = gateway = (address.host, address.port)
            honest = Caller(HONEST, gateway)
            attack = Attack(gateway, FUZZED, STRANGER, SEED)
            marks = [asyncio.Event() for _ in range(4)]
            async with honest:
                progress = partial(_note, marks)
                async with asyncio.TaskGroup() as together:
                    attacking = together.create_task(attack.run(DATAGRAMS, progress))
                    # each talks until some thousands of datagrams more have been taken
                    calls = [await honest.call(DID, mark.wait()) for mark in marks]
                    assert not attacking.done()
                sent = attacking.result()
            await ladder.settled(120)
            _check(ladder, sent, calls)
    assert not unhandled, unhandled[0]
    broken = [entry for entry in logged if entry["log_level"] in ("error", "critical")]
    assert not broken, broken[0]


def _note(marks: list[asyncio.Event], sent: int) -> None:
    for number, mark in enumerate(marks, 1):
        if sent >= number * DATAGRAMS / (len(marks) + 1):
            mark.set()


def _check(ladder: Ladder, sent: Sent, calls: list[str]) -> None:
    ended = {
        frame["data"]["call_id"]: frame["data"]["call_status"]
        for frame in ladder.app.told("call:status")
        if "parent_call_sid" not in frame["data"]
    }
    assert [ended[sip_call_id] for sip_call_id in calls] == ["completed"] * len(calls)
    dropped = ladder.switch.ua.dropped
    assert sent.total == DATAGRAMS, sent
    assert dropped["malformed"] > sent.trunk / 10
    assert dropped["unknown source"] > 500
    # the stranger was banned after 20 of its datagrams, and nothing of it was read from then on
    assert dropped["unread"] > sent.stranger * 0.9
    keeper = ladder.switch._gatekeeper
    assert [ban.address for ban in keeper.bans.list(0.0)] == [STRANGER]
