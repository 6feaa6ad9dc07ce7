"""An INVITE with Replaces takes the place of a leg that is up (RFC 3891).

The desk is another phone of the carrier's, or of the agent's.
"""

import asyncio
from typing import Any

import pytest

from config.values import Source
from sip.b2bua.call_events import Stage as Refer
from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request, Response
from sip.core.replaces import Replaces
from sip.core.uri import Uri
from sip.softswitch.trunks.trunk import Trunk
from tests.b2bua.stage import port_in, sdp_at
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_with

CARRIER, AGENT, DESK = 41000, 42000, 43000
PCMA = PCMU.replace("AVP 0 101", "AVP 8 101").replace("0 PCMU", "8 PCMA")


def shared(name: str, **leg: Any) -> dict[str, Any]:
    """A ladder where the desk calls by the same trunk as peer `name`."""

    def trunk(peers: dict[str, Peer]) -> list[Trunk]:
        ports = peers[name].port, peers["stranger"].port
        return [
            Trunk(
                name=name,
                gateways=(Uri.parse(f"sip:127.0.0.1:{ports[0]}"),),
                sources=tuple(Source.parse(f"127.0.0.1:{port}") for port in ports),
                no_response_s=8.0,
                leg=LegOptions(**leg),
            )
        ]

    return {"trunks_to": trunk}


OF_CARRIER = shared("carrier")
OF_AGENT = shared("agent")


async def talk(ladder: Ladder) -> tuple[Replaces, Replaces]:
    """The carrier talks to the agent; their dialogs, as they name them to us."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    await carrier.expect(180)
    answer: Response = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)
    return (
        Replaces(sip_call_id=answer.call_id, to_tag=answer.to.tag or "", from_tag=carrier.tag),
        Replaces(sip_call_id=invite.call_id, to_tag=invite.from_.tag or "", from_tag=agent.tag),
    )


async def replace(peer: Peer, replaces: Replaces | str, sdp: str | None = None) -> None:
    """The peer calls to take that place."""
    text = replaces if isinstance(replaces, str) else replaces.text
    headers = ("Replaces", text), ("Require", "replaces")
    await peer.send("INVITE", sdp=sdp, headers=headers)


def hears(ladder: Ladder, told: Request | Response | str | None) -> int | None:
    """At which port the audio arrives of whoever was told of `told`."""
    onward = ladder.media.onward(port_in(told))
    return onward[1] if onward is not None else None


async def finish(ladder: Ladder, caller: Peer, callee: Peer) -> None:
    """The caller hangs up, and nothing else was begun."""
    await caller.hang_up()
    await callee.is_hung_up()
    assert len(ladder.app.told("session:new")) == 1


@ladder_with(**OF_CARRIER)
async def test_the_caller_moves_to_the_desk(ladder: Ladder) -> None:
    """The call goes on with the new leg as its first; the agent hears nothing of it."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    said = len(ladder.app.told("call:status"))
    await replace(desk, of_carrier, sdp_at(DESK))
    await desk.expect(100)
    answer: Response = await desk.expect(200, of="INVITE")
    assert "replaces" in answer.headers.tokens("supported")
    await carrier.is_hung_up()
    await desk.send("ACK")
    assert hears(ladder, answer) == AGENT
    told = [port for port in ladder.media.ports_now if ladder.media.onward(port)]
    assert {(ladder.media.onward(port) or ("", 0))[1] for port in told} == {DESK, AGENT}
    await agent.silence(2)
    assert len(ladder.app.told("call:status")) == said
    await agent.hang_up()  # the application hangs the first leg up then
    await desk.is_hung_up()
    await ladder.settled()
    statuses = [frame["data"] for frame in ladder.app.told("call:status")]
    last = [status for status in statuses if "parent_call_sid" not in status][-1]
    assert (last["call_status"], last["call_id"]) == ("completed", answer.call_id)
    assert len(ladder.app.told("session:new")) == 1


@ladder_with(**OF_AGENT)
async def test_the_agent_moves_to_the_desk(ladder: Ladder) -> None:
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    _, of_agent = await talk(ladder)
    await replace(desk, of_agent, sdp_at(DESK))
    await desk.expect(100)
    answer = await desk.expect(200, of="INVITE")
    await agent.is_hung_up()
    await desk.send("ACK")
    assert hears(ladder, answer) == CARRIER
    await carrier.silence(2)
    # re-INVITEs cross as before
    await desk.send("INVITE", sdp=sdp_at(DESK).replace("a=ptime:20", "a=sendonly"))
    await desk.expect(100)
    held: Request = await carrier.expect("INVITE")
    assert b"a=sendonly" in held.body
    await carrier.send(200, sdp=sdp_at(CARRIER).replace("a=ptime:20", "a=recvonly"))
    await carrier.expect("ACK")
    await desk.expect(200, of="INVITE")
    await desk.send("ACK")
    await finish(ladder, carrier, desk)


@ladder_with(**OF_CARRIER)
async def test_whoever_talks_to_it_is_asked_where_the_media_differ(ladder: Ladder) -> None:
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    await replace(desk, of_carrier, PCMA)
    await desk.expect(100)
    asked: Request = await agent.expect("INVITE")
    assert b"PCMA" in asked.body
    await desk.silence(1)
    await agent.send(200, sdp=PCMA)
    await agent.expect("ACK")
    answer: Response = await desk.expect(200, of="INVITE")
    assert b"PCMA" in answer.body
    await carrier.is_hung_up()
    await desk.send("ACK")
    await finish(ladder, desk, agent)


@ladder_with(**OF_CARRIER)
async def test_whoever_talks_to_it_does_not_go_along(ladder: Ladder) -> None:
    """All stays as it was, the audio too."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    await replace(desk, of_carrier, PCMA)
    await desk.expect(100)
    await agent.expect("INVITE")
    await agent.send(488)
    await agent.expect("ACK")
    await desk.expect(488)
    await desk.send("ACK")
    await carrier.silence(1)
    heard = {ladder.media.onward(port) for port in ladder.media.ports_now}
    assert {one[1] for one in heard if one} == {CARRIER, AGENT}
    # and it may be tried again
    await replace(desk, of_carrier, sdp_at(DESK))
    await desk.expect(100)
    await desk.expect(200, of="INVITE")
    await carrier.is_hung_up()
    await desk.send("ACK")
    await finish(ladder, desk, agent)


@ladder_with(**OF_CARRIER)
async def test_a_desk_that_waits_for_our_offer(ladder: Ladder) -> None:
    """RFC 3261 13.2.1: the answer is in its ACK."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    await replace(desk, of_carrier)
    await desk.expect(100)
    offer = await desk.expect(200, of="INVITE")
    await carrier.is_hung_up()
    await desk.send("ACK", sdp=sdp_at(DESK))
    await asyncio.sleep(0.5)
    assert hears(ladder, offer) == AGENT
    heard = {ladder.media.onward(port) for port in ladder.media.ports_now}
    assert DESK in {one[1] for one in heard if one}
    await finish(ladder, desk, agent)


@ladder_with(**OF_CARRIER)
async def test_the_desk_gives_up_before_it_is_answered(ladder: Ladder) -> None:
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    await replace(desk, of_carrier, PCMA)
    await desk.expect(100)
    await agent.expect("INVITE")
    await desk.send("CANCEL")
    await desk.expect(200, of="CANCEL")
    await desk.expect(487)
    await desk.send("ACK")
    await agent.send(200, sdp=PCMA)
    await agent.expect("ACK")
    again: Request = await agent.expect("INVITE")  # it hears of the old media again
    assert b"PCMU" in again.body
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await carrier.silence(1)
    heard = {ladder.media.onward(port) for port in ladder.media.ports_now}
    assert {one[1] for one in heard if one} == {CARRIER, AGENT}
    await finish(ladder, carrier, agent)


@pytest.mark.parametrize("leaves", ["carrier", "agent"])
def test_somebody_hangs_up_meanwhile(leaves: str) -> None:
    @ladder_with(**OF_CARRIER)
    async def story(ladder: Ladder) -> None:
        carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
        of_carrier, _ = await talk(ladder)
        await replace(desk, of_carrier, PCMA)
        await desk.expect(100)
        await agent.expect("INVITE")
        await ladder.peer(leaves).hang_up()
        if leaves == "carrier":
            await desk.expect(481)
            await agent.expect("BYE")
            await agent.send(487)
            await agent.expect("ACK")
            await agent.send(200, answering="BYE")
        else:
            await carrier.is_hung_up()
            await desk.expect(481)
            await agent.send(487)
            await agent.expect("ACK")
        await desk.send("ACK")
        assert len(ladder.app.told("session:new")) == 1

    story()


@ladder_with(**OF_CARRIER)
async def test_offers_wait_meanwhile(ladder: Ladder) -> None:
    """The old leg's are refused with 491; those of the other side reach the new one."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    await replace(desk, of_carrier, PCMA)
    await desk.expect(100)
    await agent.expect("INVITE")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER).replace("a=ptime:20", "a=sendonly"))
    await carrier.expect(100)
    await carrier.expect(491)
    await carrier.send("ACK")
    await agent.send(200, sdp=PCMA)
    await agent.expect("ACK")
    await desk.expect(200, of="INVITE")
    await carrier.expect("BYE")
    await carrier.send(200, answering="BYE")
    await desk.send("ACK")
    await agent.send("INVITE", sdp=PCMA.replace("a=ptime:20", "a=sendonly"))
    await agent.expect(100)
    held: Request = await desk.expect("INVITE")
    assert b"a=sendonly" in held.body
    await desk.send(200, sdp=PCMA.replace("a=ptime:20", "a=recvonly"))
    await desk.expect("ACK")
    await agent.expect(200, of="INVITE")
    await agent.send("ACK")
    await finish(ladder, desk, agent)


@ladder_with(**OF_CARRIER)
async def test_a_caller_that_hears_a_pause(ladder: Ladder) -> None:
    """It talks to nobody, and the verbs go on for the new leg."""
    carrier, desk = ladder.peer("carrier"), ladder.peer("stranger")
    ladder.app.verbs = lambda _: [
        {"verb": "answer"},
        {"verb": "pause", "length": 5},
        dial("agent"),
        {"verb": "hangup"},
    ]
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    answer: Response = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(1)
    replaces = Replaces(
        sip_call_id=answer.call_id, to_tag=answer.to.tag or "", from_tag=carrier.tag
    )
    await replace(desk, replaces, sdp_at(DESK))
    await desk.expect(100)
    await desk.expect(200, of="INVITE")
    await carrier.is_hung_up()
    await desk.send("ACK")
    agent = ladder.peer("agent")
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    moved: Request = await desk.expect("INVITE")
    await desk.send(200, sdp=sdp_at(DESK))
    await desk.expect("ACK")
    assert hears(ladder, invite) == DESK
    assert hears(ladder, moved) == AGENT
    await finish(ladder, desk, agent)


@ladder_with(**OF_CARRIER)
async def test_a_caller_for_whom_somebody_is_called(ladder: Ladder) -> None:
    """Who rings was offered the old leg's media: 491, try again."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    ladder.app.verbs = lambda _: [{"verb": "answer"}, dial("agent"), {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    answer: Response = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.expect("INVITE")
    await agent.send(180)
    replaces = Replaces(
        sip_call_id=answer.call_id, to_tag=answer.to.tag or "", from_tag=carrier.tag
    )
    await asyncio.sleep(0.1)
    await replace(desk, replaces, sdp_at(DESK))
    await desk.expect(100)
    await desk.expect(491)
    await desk.send("ACK")
    await carrier.send("BYE")
    await carrier.expect(200, of="BYE")
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")


@ladder_with(**OF_CARRIER)
async def test_a_caller_that_enters_digits(ladder: Ladder) -> None:
    """What it has entered counts, and the rest comes from the desk."""
    carrier, desk = ladder.peer("carrier"), ladder.peer("stranger")
    gather = {"verb": "gather", "input": ["digits"], "actionHook": "/entered", "numDigits": 2}
    ladder.app.verbs = lambda _: [gather, {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    answer: Response = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    relay = (("Content-Type", "application/dtmf-relay"),)
    await carrier.send("INFO", headers=relay, sdp="Signal=4\r\nDuration=160\r\n")
    await carrier.expect(200, of="INFO")
    await asyncio.sleep(1.1)
    replaces = Replaces(
        sip_call_id=answer.call_id, to_tag=answer.to.tag or "", from_tag=carrier.tag
    )
    await replace(desk, replaces, sdp_at(DESK))
    await desk.expect(100)
    await desk.expect(200, of="INVITE")
    await carrier.is_hung_up()
    await desk.send("ACK")
    await desk.send("INFO", headers=relay, sdp="Signal=2\r\nDuration=160\r\n")
    await desk.expect(200, of="INFO")
    await desk.is_hung_up()
    [entered] = ladder.app.told("/entered")
    assert (entered["data"]["digits"], entered["data"]["reason"]) == ("42", "dtmfDetected")


@ladder_with(**OF_CARRIER)
async def test_two_desks_at_once(ladder: Ladder) -> None:
    """The second comes while the first is waited for: 491."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    await replace(desk, of_carrier, PCMA)
    await desk.expect(100)
    await agent.expect("INVITE")
    other = Peer("desk", desk.gateway)
    await other.close()  # another call of the same phone, by the same socket
    other.rungs, other.socket, other.port = desk.rungs, desk.socket, desk.port
    await replace(other, of_carrier, PCMA)
    await other.expect(100)
    await other.expect(491)
    await other.send("ACK")
    await agent.send(200, sdp=PCMA)
    await agent.expect("ACK")
    await desk.expect(200, of="INVITE")
    await carrier.is_hung_up()
    await desk.send("ACK")
    await finish(ladder, desk, agent)


@ladder_with(**OF_CARRIER)
async def test_what_is_under_way_with_the_old_leg(ladder: Ladder) -> None:
    """A sound ends, and a REFER is the old leg's: nobody tells any more what came of it."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    [driver] = ladder.switch._calls.values()
    playing = asyncio.create_task(driver.call.play(b"RIFF"))
    referring = asyncio.create_task(driver.call.refer("sip:200@pbx.test", wait_s=15, bye_s=5))
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER")
    await replace(desk, of_carrier, sdp_at(DESK))
    await desk.expect(100)
    await desk.expect(200, of="INVITE")
    await carrier.is_hung_up()
    await desk.send("ACK")
    assert await playing is False
    news = await referring
    assert (news.stage, news.status) == (Refer.UNKNOWN, 202)
    await finish(ladder, desk, agent)


# what cannot be replaced


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({}, 200),
        ({"sip_call_id": "another@test"}, 481),
        ({"to_tag": "another"}, 481),
        ({"from_tag": "another"}, 481),
        ({"early_only": True}, 486),
    ],
)
def test_which_dialog_is_meant(change: dict[str, Any], status: int) -> None:
    """RFC 3891 3."""

    @ladder_with(**OF_CARRIER)
    async def story(ladder: Ladder) -> None:
        carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
        of_carrier, _ = await talk(ladder)
        wanted = of_carrier.__dict__ | change
        await replace(desk, Replaces(**wanted), sdp_at(DESK))
        if status == 200:
            await desk.expect(100)
            await desk.expect(200)
            await carrier.is_hung_up()
        else:
            await desk.expect(status)
        await desk.send("ACK")
        await finish(ladder, desk if status == 200 else carrier, agent)

    story()


@ladder_with(**OF_CARRIER)
async def test_a_leg_of_another_trunk(ladder: Ladder) -> None:
    """Who knows the tags of a call may not have it: neither the caller's nor the agent's leg."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    of_carrier, of_agent = await talk(ladder)
    for replaces in (of_carrier, of_agent):
        await replace(second, replaces, sdp_at(DESK))
        refused: Response = await second.expect(403)
        assert refused.reason == "Dialog Of Another Trunk"
        await second.send("ACK")
    await replace(ladder.peer("stranger"), of_agent, sdp_at(DESK))
    await ladder.peer("stranger").expect(403)
    await ladder.peer("stranger").send("ACK")
    await finish(ladder, carrier, agent)


@ladder_with(**OF_CARRIER)
async def test_two_replaces_and_none_that_can_be_read(ladder: Ladder) -> None:
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    for text in (f"{of_carrier.text}, {of_carrier.text}", "nonsense", of_carrier.sip_call_id):
        await replace(desk, text, sdp_at(DESK))
        await desk.expect(400)
        await desk.send("ACK")
    await finish(ladder, carrier, agent)


@ladder_with(**OF_CARRIER)
async def test_a_leg_that_is_not_up(ladder: Ladder) -> None:
    """Neither a caller who waits nor one who is gone."""
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    ringing: Response = await carrier.expect(180)
    early = Replaces(sip_call_id=ringing.call_id, to_tag=ringing.to.tag or "", from_tag=carrier.tag)
    await replace(desk, early, sdp_at(DESK))
    await desk.expect(481)
    await desk.send("ACK")
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await finish(ladder, carrier, agent)
    await replace(desk, early, sdp_at(DESK))
    await desk.expect(481)
    await desk.send("ACK")


@ladder_with(**OF_CARRIER)
async def test_the_new_leg_is_replaced_in_turn(ladder: Ladder) -> None:
    carrier, agent, desk = (ladder.peer(name) for name in ("carrier", "agent", "stranger"))
    of_carrier, _ = await talk(ladder)
    await replace(desk, of_carrier, sdp_at(DESK))
    await desk.expect(100)
    answer: Response = await desk.expect(200, of="INVITE")
    await carrier.is_hung_up()
    await desk.send("ACK")
    of_desk = Replaces(sip_call_id=answer.call_id, to_tag=answer.to.tag or "", from_tag=desk.tag)
    third = Peer("third", carrier.gateway)
    third.rungs = carrier.rungs
    await replace(third, of_desk, sdp_at(DESK + 10))
    await third.silence(1)  # of no trunk: it gets no answer at all
    await third.close()
    await finish(ladder, desk, agent)
