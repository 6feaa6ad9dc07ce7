"""The media engine of a call is gone: its legs hear of another, whatever they do at the time."""

import asyncio

from structlog.testing import capture_logs

from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request
from sip.core.sdp import SessionDescription
from sip.media.plane import MediaError
from tests.b2bua.stage import Stage, port_in, sdp_at, staged
from tests.b2bua.test_many_legs import AGENT, CARRIER, PERSON, takes, talk
from tests.ladder import DID, PCMU, Ladder, Peer, dial, ladder_test, ladder_with

PCMA = PCMU.replace("AVP 0 101", "AVP 8 101").replace("0 PCMU", "8 PCMA")
MOVED = PCMU.replace("40000", "41000")
"""A peer that takes the occasion to want its audio elsewhere."""


def lose(ladder: Ladder) -> None:
    """The engine forgets every call; the next offer makes it anew, on other ports."""
    for call_id in tuple(ladder.media.open_calls):
        ladder.media.forget(call_id)


def told(message: Request) -> int:
    audio = SessionDescription.parse(message.body.decode()).audio
    assert audio is not None
    return audio.port


async def take(peer: Peer, sdp: str = PCMU) -> int:
    """The peer takes a re-INVITE; the port that it is told."""
    invite = await peer.expect("INVITE")
    await peer.send(200, sdp=sdp)
    await peer.expect("ACK")
    return told(invite)


@ladder_test
async def test_both_who_talk_are_told_at_the_same_time(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    lose(ladder)
    # neither waits for the other's answer
    to_agent = await agent.expect("INVITE")
    to_carrier = await carrier.expect("INVITE")
    assert told(to_agent) != told(to_carrier)
    for peer in (carrier, agent):
        await peer.send(200, sdp=PCMU)
        await peer.expect("ACK")
    assert len(ladder.media.open_calls) == 1
    await ladder.hung_up_by("agent")
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.ending == ("callee", "completed", 200)


@ladder_test
async def test_what_they_answer_is_told_to_the_engine(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    lose(ladder)
    port = await take(agent, MOVED)
    await take(carrier)
    await asyncio.sleep(0.1)
    [facing_the_carrier] = ladder.media.ports_now - {port}
    assert ladder.media.onward(facing_the_carrier) == ("127.0.0.1", 41000)
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_a_peer_that_refuses_ends_the_call_with_a_cause_of_its_own(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    with capture_logs() as logs:
        lose(ladder)
        await agent.expect("INVITE")
        await agent.send(488)
        await agent.expect("ACK")
        await take(carrier)
        for peer in (carrier, agent):
            bye = await peer.is_hung_up()
            assert bye.headers.get("reason") == 'SIP;cause=503;text="Media Engine Lost"'
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.ending == ("jambonz", "completed", 200)
    assert ladder.app.told("call:status")[-1]["data"]["cause"] == "media-not-moved"
    [line] = [log for log in logs if log["event"] == "media.not-moved"]
    assert (line["leg"], line["status"]) == ("b1", 488)


@ladder_test
async def test_glare_is_tried_again(ladder: Ladder) -> None:
    """RFC 3261 14.1: the agent's own re-INVITE crosses ours."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    lose(ladder)
    await agent.expect("INVITE")
    await agent.send("INVITE", sdp=PCMA)
    await agent.expect(491)
    await agent.send("ACK")
    await agent.send(491)
    await agent.expect("ACK")
    await take(carrier)
    invite = await agent.expect("INVITE", within_s=4.1)
    assert b"m=audio" in invite.body
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_a_re_invite_that_is_open_when_the_engine_dies_is_waited_for(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    await carrier.send("INVITE", sdp=PCMU.replace("a=ptime:20", "a=sendonly"))
    await carrier.expect(100)
    await agent.expect("INVITE")
    lose(ladder)
    await asyncio.sleep(0.05)
    await agent.send(200, sdp=PCMU.replace("a=ptime:20", "a=recvonly"))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await take(carrier)
    await take(agent)
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_a_call_that_rings_moves_when_it_is_answered(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, to=DID)
    await carrier.expect(100)
    first = told(await agent.expect("INVITE"))
    await agent.send(180)
    await carrier.expect(180)
    lose(ladder)
    await asyncio.sleep(1)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    assert await take(agent) != first
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await agent.hang_up()
    await carrier.is_hung_up()


@ladder_test
async def test_early_media_is_left_out_until_there_is_an_engine_again(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, to=DID)
    await carrier.expect(100)
    await agent.expect("INVITE")
    lose(ladder)
    await agent.send(183, sdp=PCMU)
    assert (await carrier.expect(183)).body == b""
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await take(agent)
    answer = await carrier.expect(200, of="INVITE")
    assert b"m=audio" in answer.body
    await carrier.send("ACK")
    await agent.hang_up()
    await carrier.is_hung_up()


@ladder_test
async def test_a_caller_that_waits_alone_is_moved_too(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "answer"}, {"verb": "pause", "length": 60}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU, to=DID)
    await carrier.expect(100)
    before = told(await carrier.expect(200, of="INVITE"))
    await carrier.send("ACK")
    lose(ladder)
    assert await take(carrier) != before
    await carrier.hang_up()


@ladder_test
async def test_a_call_that_ends_while_its_caller_is_being_moved_is_over(ladder: Ladder) -> None:
    """We hang up, and the caller never answers the re-INVITE."""
    ladder.app.verbs = lambda _: [{"verb": "answer"}, {"verb": "pause", "length": 60}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU, to=DID)
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    lose(ladder)
    await carrier.expect("INVITE")
    await ladder.app.command("call:status", {"call_status": "completed"})
    await carrier.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.ending == ("jambonz", "completed", 200)


@ladder_test
async def test_an_engine_that_dies_twice_leaves_nobody_with_the_first_ones_ports(
    ladder: Ladder,
) -> None:
    """An offer of the agent's is open meanwhile: neither was told of the first."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    await agent.send("INVITE", sdp=PCMU + "a=sendonly\r\n")
    await agent.expect(100)
    await carrier.expect("INVITE")
    lose(ladder)
    await asyncio.sleep(1)
    lose(ladder)
    await asyncio.sleep(2.5)
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.expect(200, of="INVITE")
    await agent.send("ACK")
    ports = {await take(agent), await take(carrier)}
    assert await carrier.drain(10) == []
    assert await agent.drain(0) == []
    assert ports == ladder.media.ports_now
    await ladder.hung_up_by("agent")


@ladder_test
async def test_without_any_engine_the_call_ends(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    ladder.media.refuse = MediaError("refused", "no media engine answers")
    lose(ladder)
    for peer in (carrier, agent):
        await peer.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.told("call:status")[-1]["data"]["cause"] == "media"
    ladder.media.open_calls.clear()


@ladder_with(legs={"carrier": LegOptions(reinvites=False)})
async def test_a_peer_that_takes_no_re_invite_ends_the_call_at_once(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    with capture_logs() as logs:
        lose(ladder)
        await agent.is_hung_up()  # and was not troubled with a re-INVITE
        await carrier.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.told("call:status")[-1]["data"]["cause"] == "media-not-moved"
    [line] = [log for log in logs if log["event"] == "media.not-moved"]
    assert line["leg"] == "a"
    assert "media.reinvite" in line["reason"]


@ladder_with(legs={"agent": LegOptions(reinvites=False)})
async def test_nor_is_it_asked_for_anything_else(ladder: Ladder) -> None:
    """Hold by the carrier: the other side goes on as it was."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    await carrier.send("INVITE", sdp=PCMU.replace("a=ptime:20", "a=sendonly"))
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert await agent.drain(1) == []
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_a_leg_that_rang_and_refuses_its_new_media_is_a_failure_of_ours(
    ladder: Ladder,
) -> None:
    ladder.app.verbs = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await carrier.send("INVITE", sdp=PCMU, to=DID)
    await carrier.expect(100)
    await agent.expect("INVITE")
    lose(ladder)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await agent.expect("INVITE")
    await agent.send(488)
    await agent.expect("ACK")
    await agent.is_hung_up()
    await ladder.app.until(lambda: ladder.app.statuses(child=True)[-1] == ("failed", 503))
    await carrier.expect(603)
    await carrier.send("ACK")


@ladder_test
async def test_a_callee_whose_last_word_does_not_fit_the_new_offer_is_asked_first(
    ladder: Ladder,
) -> None:
    """Keys of another engine, in another order: the old answer takes up none of them."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await ladder.call_up()
    ladder.media.refuse_answers = [MediaError("bad-sdp", "takes up no line")]
    lose(ladder)
    await agent.expect("INVITE")
    await carrier.silence(0.5)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await take(carrier)
    await ladder.hung_up_by("carrier")


# legs that talk to nobody yet


@staged
async def test_a_leg_that_waits_for_the_caller_moves_alone(stage: Stage) -> None:
    """Its room is another than that of the two who talk, who are not troubled."""
    carrier, agent, person = (stage.peer(name) for name in ("carrier", "agent", "person"))
    call, dialling, _, _ = await talk(stage)
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    await person.answer_call(sdp=sdp_at(PERSON))
    name, _ = await placing
    stage.media.forget(f"{call.status.call_sid}/1")
    told_person = await takes(person, sdp_at(PERSON))
    await carrier.silence(0.5)
    await agent.silence(0.5)

    joining = asyncio.create_task(call.join(name))
    moved = await takes(carrier, sdp_at(CARRIER))
    await agent.is_hung_up()
    assert await joining
    assert stage.hears(moved) == PERSON
    assert stage.hears(told_person) == CARRIER
    await carrier.hang_up()
    await person.is_hung_up()
    await dialling


@staged
async def test_a_leg_that_we_placed_and_that_is_alone_moves_too(stage: Stage) -> None:
    person, agent = stage.peer("person"), stage.peer("agent")
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
    first = await person.answer_call(sdp=sdp_at(PERSON))
    await placing
    stage.media.forget(call.status.call_sid)
    moved = await takes(person, sdp_at(PERSON))
    assert port_in(moved) != port_in(first)

    dialling = stage.dial(call, "agent")
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    await person.silence(1)
    assert stage.hears(moved) == AGENT
    assert stage.hears(invite) == PERSON
    call.hangup()
    await agent.is_hung_up()
    await person.is_hung_up()
    await dialling


@staged
async def test_a_leg_that_we_place_alone_moves_once_it_has_answered(stage: Stage) -> None:
    """The engine is gone while it rings, heard or not: it cannot be told before."""
    person, agent = stage.peer("person"), stage.peer("agent")
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30))
    first = await person.expect("INVITE")
    stage.media.forget(call.status.call_sid)
    await person.send(183, sdp=sdp_at(PERSON))
    await asyncio.sleep(1)
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    await placing
    assert port_in(await takes(person, sdp_at(PERSON))) != port_in(first)
    dialling = stage.dial(call, "agent")
    invite = await agent.answer_call(sdp=sdp_at(AGENT))
    await person.silence(1)
    assert stage.hears(invite) == PERSON
    call.hangup()
    await agent.is_hung_up()
    await person.is_hung_up()
    await dialling


@staged
async def test_a_sound_ends_with_its_engine(stage: Stage) -> None:
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    [call] = stage.calls
    play = asyncio.create_task(call.play(b"RIFF"))
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)
    stage.media.forget(call.status.call_sid)
    assert await play is False
    await takes(carrier, sdp_at(CARRIER))
    await carrier.hang_up()
