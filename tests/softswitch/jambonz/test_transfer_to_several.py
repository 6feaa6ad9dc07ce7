"""The caller is brought to the first of several: the agent stays, and hears, until it is known."""

import asyncio

from sip.b2bua.legs.options import LegOptions
from sip.media.events import Digit
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_with

REFERS = {"agent": LegOptions(takes_refer=True)}
HANGUP = {"verb": "hangup"}
with_refer = ladder_with(legs=REFERS)


def several(*trunks: str, **more: object) -> dict[str, object]:
    targets = [{"type": "phone", "number": DID, "trunk": trunk} for trunk in trunks]
    return {"verb": "dial", "target": targets, "actionHook": "/transfer-dial", **more}


async def transfers(ladder: Ladder, *verbs: object) -> tuple[Peer, Peer]:
    """Two talk, and the agent sends REFER; the caller and the agent."""
    ladder.app.hooks["/refer"] = lambda _: list(verbs)
    ladder.app.verbs = lambda _: [dial("agent", referHook="/refer"), HANGUP]
    await ladder.call_up()
    agent = ladder.peer("agent")
    await agent.send("REFER", headers=(("Refer-To", "<sip:sales@pbx.test>"),))
    await agent.expect(202)
    await notified(agent, 100)
    return ladder.peer("carrier"), agent


async def notified(agent: Peer, *expected: int) -> None:
    for status in expected:
        notify = await agent.expect("NOTIFY")
        assert notify.body.split()[1] == str(status).encode(), notify.body
        await agent.send(200, answering="NOTIFY")


async def moves(caller: Peer) -> None:
    """The caller follows a re-INVITE."""
    await caller.expect("INVITE")
    await caller.send(200, sdp=PCMU)
    await caller.expect("ACK")


async def is_cancelled(peer: Peer) -> None:
    await peer.expect("CANCEL")
    await peer.send(200, answering="CANCEL")
    await peer.send(487)
    await peer.expect("ACK")


@with_refer
async def test_the_first_that_answers_takes_the_agents_place(ladder: Ladder) -> None:
    carrier, agent = await transfers(ladder, several("second", "retell"), HANGUP)
    second, third = ladder.peer("second"), ladder.peer("retell")
    await second.expect("INVITE")
    await third.expect("INVITE")
    assert [asked[2:] for asked in ladder.media.asked if asked[0] == "withhold"] == [
        ("a", "silenced"),
        ("b1", "silenced"),
    ]
    await second.send(180)
    await notified(agent, 180)
    await third.send(200, sdp=PCMU)
    await third.expect("ACK")
    await moves(carrier)
    await is_cancelled(second)
    await notified(agent, 200)
    await agent.hang_up()
    await third.hang_up()
    await carrier.is_hung_up()
    [told] = [frame["data"] for frame in ladder.app.told("/transfer-dial")]
    assert (told["dial_call_status"], told["dial_sip_status"]) == ("completed", 200)


@with_refer
async def test_if_none_answers_the_agent_hears_the_most_telling_failure(ladder: Ladder) -> None:
    """Whichever failed last; and the two hear each other again."""
    _, agent = await transfers(ladder, several("second", "retell", timeout=10))
    second, third = ladder.peer("second"), ladder.peer("retell")
    await second.expect("INVITE")
    await third.expect("INVITE")
    await second.send(486)
    await second.expect("ACK")
    await third.send(100)
    await third.send(180)
    await notified(agent, 180)
    await is_cancelled(third)  # its time is over
    await notified(agent, 486)
    await asyncio.sleep(1)
    assert [asked[2:] for asked in ladder.media.asked if asked[0] == "let pass"] == [
        ("a", "silenced"),
        ("b1", "silenced"),
    ]
    await ladder.hung_up_by("agent")


@with_refer
async def test_one_that_does_not_accept_leaves_the_caller_with_the_agent(ladder: Ladder) -> None:
    """Its leg was answered, and yet the transfer has failed: 480."""
    gather = {"verb": "gather", "numDigits": 1, "actionHook": "/pressed"}
    ladder.app.hooks["/confirm"] = lambda _: [gather]
    ladder.app.hooks["/pressed"] = lambda data: [] if data["digits"] == "1" else [HANGUP]
    carrier, agent = await transfers(ladder, several("second", confirmHook="/confirm"))
    second = ladder.peer("second")
    await second.expect("INVITE")
    await second.send(200, sdp=PCMU)
    await second.expect("ACK")
    await asyncio.sleep(0.5)
    for session in tuple(ladder.media.open_calls):
        now = asyncio.get_running_loop().time()
        ladder.media.tell(session, Digit(party="a", digit="1", duration_ms=100, at=now))
    await carrier.silence(1)  # the caller's own key accepts nothing
    await second.is_hung_up()  # nothing was pressed in 5 s
    await notified(agent, 480)
    await ladder.hung_up_by("carrier")
