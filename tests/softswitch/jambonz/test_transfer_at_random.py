"""Transfers in which everybody does what they like: in the end a caller hears exactly one other."""

import asyncio
from random import Random
from typing import Any

import pytest

from sip.b2bua.legs.options import LegOptions
from tests.b2bua.stage import port_in
from tests.ladder import Ladder, drawn, ladder_with
from tests.softswitch.jambonz.robot import Robot
from tests.softswitch.jambonz.test_transfer import HANGUP, REFERS, talks, to

ASKS_THE_CARRIER = {
    "verb": "sip:refer",
    "referTo": "+14155550177",
    "actionHook": "/transfer-refer",
    "eventHook": "/transfer-news",
}
ACTS = ("hold", "port", "resume", "bye", "refer", "engine", "hangup")
MOMENTS_S = (0.0, 0.001, 0.5, 1.0, 1.001, 2.99, 3.0, 3.01, 5.0, 8.0)


@pytest.mark.parametrize("seed", [158, 234, 298, 377, 2175, 3032, 3478, *range(24)])
def test_whatever_happens(seed: int) -> None:
    """Beside the agent's REFER up to six things happen: offers of each side, one that hangs up,
    an engine that dies, an application that ends it all. The target answers, late or never."""
    dice = Random(seed)
    moves = dice.random() > 0.2
    placed = dice.random() < 0.3
    legs = {**REFERS, "carrier": LegOptions(takes_refer=placed, reinvites=moves)}
    person, asker = ("agent", "carrier") if placed else ("carrier", "agent")

    @ladder_with(legs=legs)
    async def story(ladder: Ladder) -> None:
        robots: dict[str, Robot] = {}
        dials = [to("second", timeout=dice.choice((3, 6, 20)))]

        def after_the_refer(data: dict[str, Any]) -> list[object]:
            """Nobody is called for a person who is gone, or through."""
            through = 200 <= data.get("final_referred_call_status", 0) < 300
            return [] if through or not robots[person].up else list(dials)

        def after_the_dial(data: dict[str, Any]) -> list[object]:
            """Who talked to the target is hung up with it, and who has nobody to go back to."""
            joined = data["dial_call_status"] == "completed" and data.get("cause") != "not-joined"
            return [HANGUP] if joined or not robots[asker].up else []

        ladder.app.hooks |= {
            "/transfer-dial": after_the_dial,
            "/transfer-refer": after_the_refer,
        }
        await talks(ladder, [ASKS_THE_CARRIER] if dice.random() < 0.4 else dials)
        target = dice.choice((0, 0.01, 1, 2.99, 3.0, 3.01, 6)), dice.choice((200, 200, 200, 486))
        robots |= {
            "carrier": Robot(ladder.peer("carrier"), dice, 40000, None),
            "agent": Robot(ladder.peer("agent"), dice, 40000, None),
            "second": Robot(ladder.peer("second"), dice, 44000, target),
        }
        await _settle(ladder, robots, moves=moves)
        await robots[asker].act("refer")
        begun = asyncio.get_running_loop().time()
        for at in sorted(dice.choice(MOMENTS_S) for _ in range(dice.randrange(7))):
            now = asyncio.get_running_loop().time()
            await asyncio.sleep(max(0.0, begun + at - now))
            await _happens(ladder, robots, dice, asker)
        await asyncio.sleep(110)
        wrong = _wrong(ladder, robots, person)
        for robot in robots.values():
            await robot.act("bye")
            await asyncio.sleep(1)
            robot.close()
        assert not wrong, f"{wrong}\n{drawn(ladder.peer('carrier').rungs)}"

    story()


async def _settle(ladder: Ladder, robots: dict[str, Robot], *, moves: bool) -> None:
    """Caller and agent have a port of their own each, and know where they send to."""
    caller, agent = robots["carrier"], robots["agent"]
    caller.port = 41000
    await caller.act("resume")
    await asyncio.sleep(6)
    agent.told = port_in(ladder.peer("agent")._received["INVITE"])
    if moves:
        agent.port = 42000
        await agent.act("resume")
        await asyncio.sleep(6)
    assert caller.told
    assert agent.told


async def _happens(ladder: Ladder, robots: dict[str, Robot], dice: Random, asker: str) -> None:
    who, what = robots[dice.choice(tuple(robots))], dice.choice(ACTS)
    if what == "engine":
        for room in sorted(ladder.media.open_calls)[: dice.randrange(1, 3)]:
            ladder.media.forget(room)
    elif what == "hangup" and dice.random() < 0.3:
        if not ladder.app.close_codes:
            await ladder.app.command("call:status", {"call_status": "completed"})
    elif what != "refer" or who is robots[asker]:
        await who.act(what)


def _wrong(ladder: Ladder, robots: dict[str, Robot], person: str) -> str:
    """Whether the caller is alone, or does not hear whom it talks to."""
    caller = robots[person]
    others = [name for name, robot in robots.items() if robot.up and robot is not caller]
    if not caller.up:
        return f"the caller is gone, and {others} are there" if others else ""
    if len(others) != 1:
        return f"the caller is there, and {others or 'nobody'}"
    other = robots[others[0]]
    hears = {
        one.port: ladder.media.onward(two.told) for one, two in ((caller, other), (other, caller))
    }
    deaf = [port for port, found in hears.items() if found is None or found[1] != port]
    return f"caller and {others[0]}: nothing comes to {deaf}" if deaf else ""
