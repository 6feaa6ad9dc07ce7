"""Transfers that meet something else: an end in the same instant, offers that are open, hold."""

import asyncio

import pytest

from sip.b2bua.legs.options import LegOptions
from sip.core.message import Response
from tests.b2bua.stage import port_in
from tests.ladder import PCMU, Ladder, Peer, ladder_with
from tests.softswitch.jambonz.test_transfer import (
    HANGUP,
    REFERS,
    answers,
    moves,
    notified,
    refers,
    rings,
    talks,
    to,
)

HOLD = PCMU + "a=sendonly\r\n"


async def asked(ladder: Ladder, *verbs: object) -> tuple[Peer, Peer, Peer]:
    """The agent has sent REFER, and the target rings."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, list(verbs) or [to("second"), HANGUP])
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    await rings(second)
    await notified(agent, 180)
    return carrier, agent, second


async def everything(peer: Peer, within_s: float) -> list[str]:
    """What comes in that time, with a 200 to each request."""
    titles: list[str] = []
    try:
        async with asyncio.timeout(within_s):
            while True:
                message = await peer.next(within_s)
                if isinstance(message, Response):
                    titles.append(f"{message.status} {message.cseq.method}")
                    continue
                titles.append(message.method)
                peer._received[message.method] = message
                if message.method != "ACK":
                    sdp = PCMU if message.method == "INVITE" else None
                    await peer.send(200, answering=message.method, sdp=sdp)
    except TimeoutError:
        return titles


# the same instant


@pytest.mark.parametrize("first", ["target", "caller"])
def test_the_target_answers_as_the_caller_hangs_up(first: str) -> None:
    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        carrier, agent, second = await asked(ladder)
        if first == "target":
            await second.send(200, sdp=PCMU)
            await carrier.send("BYE")
        else:
            await carrier.send("BYE")
            await second.send(200, sdp=PCMU)
        seen = await asyncio.gather(*(everything(each, 20) for each in (carrier, agent, second)))
        assert "200 BYE" in seen[0]
        assert "BYE" in seen[1]
        assert "BYE" in seen[2]
        assert "ACK" in seen[2]

    story()


@pytest.mark.parametrize("first", ["target", "agent"])
def test_the_target_answers_as_the_agent_hangs_up(first: str) -> None:
    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        carrier, agent, second = await asked(ladder)
        if first == "target":
            await second.send(200, sdp=PCMU)
            await agent.send("BYE")
        else:
            await agent.send("BYE")
            await second.send(200, sdp=PCMU)
        seen = await asyncio.gather(*(everything(each, 20) for each in (carrier, agent, second)))
        assert seen[0] == ["INVITE", "ACK"]
        assert seen[2] == ["ACK"]
        await second.hang_up()
        await carrier.is_hung_up()

    story()


@pytest.mark.parametrize("first", ["target", "time"])
def test_the_target_answers_as_its_time_ends(first: str) -> None:
    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        carrier, agent, second = await asked(ladder, to("second", timeout=10))
        if first == "target":
            await asyncio.sleep(9.99)
            await second.send(200, sdp=PCMU)
        else:
            await second.expect("CANCEL", within_s=11)
            await second.send(200, sdp=PCMU)
            await second.send(200, answering="CANCEL")
        seen = await asyncio.gather(*(everything(each, 20) for each in (carrier, agent, second)))
        if first == "target":
            assert seen[0] == ["INVITE", "ACK"]
            assert "BYE" not in seen[2]
            await carrier.hang_up()
            await second.is_hung_up()
        else:
            assert seen[0] == []
            assert seen[1] == ["NOTIFY"]
            assert seen[2] == ["ACK", "BYE"]
            await ladder.hung_up_by("carrier")

    story()


# offers that are open


@ladder_with(legs=REFERS)
async def test_the_caller_has_an_offer_open_as_the_target_answers(ladder: Ladder) -> None:
    """The agent is slow to answer the caller's re-INVITE, which ends first."""
    carrier, agent, second = await asked(ladder)
    await carrier.send("INVITE", sdp=HOLD)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await answers(second)
    await asyncio.sleep(1)
    await agent.send(200, sdp=PCMU)
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await moves(carrier)
    await notified(agent, 200)
    await agent.hang_up()
    await second.hang_up()
    await carrier.is_hung_up()


@ladder_with(legs=REFERS)
async def test_the_agents_offer_is_open_at_the_caller(ladder: Ladder) -> None:
    """The caller is slow to answer the agent's re-INVITE."""
    carrier, agent, second = await asked(ladder)
    await agent.send("INVITE", sdp=HOLD)
    await agent.expect(100)
    await carrier.expect("INVITE")
    await answers(second)
    await asyncio.sleep(1)
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    seen = await asyncio.gather(*(everything(each, 12) for each in (carrier, agent, second)))
    assert seen[0] == ["INVITE", "ACK"]
    assert seen[2] == []
    await second.hang_up()
    await carrier.is_hung_up()


@pytest.mark.parametrize("times", [1, 3])
def test_the_caller_says_491_to_its_move(times: int) -> None:
    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        carrier, agent, second = await asked(ladder)
        await answers(second)
        for _ in range(times):
            await carrier.expect("INVITE")
            await carrier.send(491)
            await carrier.expect("ACK")
        await moves(carrier)
        await notified(agent, 200)
        await agent.hang_up()
        await second.hang_up()
        await carrier.is_hung_up()

    story()


@ladder_with(legs=REFERS)
async def test_the_agents_offer_waits_to_be_made_again_as_the_target_answers(
    ladder: Ladder,
) -> None:
    """RFC 3261 14.1: the caller has said 491 to it, and hears of the target after that."""
    carrier, agent, second = await asked(ladder)
    await agent.send("INVITE", sdp=HOLD)
    await agent.expect(100)
    await carrier.expect("INVITE")
    await carrier.send(491)
    await carrier.expect("ACK")
    await answers(second)
    held = await carrier.expect("INVITE")
    assert "sendonly" in held.body.decode()
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await agent.expect(200, of="INVITE")
    await agent.send("ACK")
    await moves(carrier)
    await notified(agent, 200)
    await agent.hang_up()
    await second.hang_up()
    await carrier.is_hung_up()


@ladder_with(legs=REFERS)
async def test_a_caller_on_hold_is_handed_on(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [to("second"), HANGUP])
    await carrier.send("INVITE", sdp=HOLD)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(200, sdp=PCMU.replace("a=ptime", "a=recvonly\r\na=ptime"))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    invite = await second.expect("INVITE")
    assert b"a=sendonly" in invite.body
    await second.send(180)
    await notified(agent, 180)
    await answers(second)
    await moves(carrier)
    await notified(agent, 200)
    await agent.hang_up()
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    again = await second.expect("INVITE")
    assert b"a=sendonly" not in again.body
    await second.send(200, sdp=PCMU)
    await second.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await second.hang_up()
    await carrier.is_hung_up()


# what is heard of the NOTIFYs


@pytest.mark.parametrize("status", [481, 489, 500, 408, 405])
def test_the_agent_refuses_a_notify(status: int) -> None:
    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
        await talks(ladder, [to("second"), HANGUP])
        await refers(agent)
        await agent.expect(202)
        await agent.expect("NOTIFY")
        await agent.send(status, answering="NOTIFY")
        await rings(second)
        await answers(second)
        await moves(carrier)
        told = ["NOTIFY", "NOTIFY"] if status == 500 else []  # the others say: nobody listens
        assert await everything(agent, 20) == [*told, "BYE"]
        await second.hang_up()
        await carrier.is_hung_up()

    story()


@ladder_with(legs=REFERS)
async def test_the_agent_hangs_up_while_a_notify_is_open(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [to("second"), HANGUP])
    await refers(agent)
    await agent.expect(202)
    await agent.expect("NOTIFY")
    await agent.send("BYE")
    await agent.expect(200, of="BYE")
    await agent.send(481, answering="NOTIFY")
    await rings(second)
    await answers(second)
    await moves(carrier)
    await second.hang_up()
    await carrier.is_hung_up()
    assert await agent.drain(40) == []


@ladder_with(legs=REFERS)
async def test_an_offer_that_comes_while_a_notify_delays_our_bye_is_refused(ladder: Ladder) -> None:
    """RFC 3261 15.1.2: a request that is open at the end gets 487."""
    carrier, agent, second = await asked(ladder)
    await answers(second)
    await moves(carrier)
    notify = await agent.expect("NOTIFY")
    assert b"200" in notify.body
    await carrier.send("BYE")
    await carrier.expect(200, of="BYE")
    await second.is_hung_up()
    await agent.send("INVITE", sdp=HOLD)
    await agent.expect(100)
    assert set(await agent.drain(5)) <= {"NOTIFY", "487", "BYE"}
    await agent.send("ACK")
    await agent.send(200, answering="NOTIFY")
    await everything(agent, 40)


@ladder_with(legs=REFERS)
async def test_the_application_hangs_up_while_the_target_rings(ladder: Ladder) -> None:
    carrier, agent, second = await asked(ladder)
    await ladder.app.command("call:status", {"call_status": "completed"})
    seen = await asyncio.gather(*(everything(each, 20) for each in (carrier, agent, second)))
    assert seen[0] == ["BYE"]
    assert seen[1] == ["BYE"]
    assert seen[2] == ["CANCEL"]
    await second.send(487)
    await second.expect("ACK")


@ladder_with(legs=REFERS)
async def test_the_switch_closes_while_the_target_rings(ladder: Ladder) -> None:
    carrier, agent, second = await asked(ladder)
    closing = asyncio.create_task(ladder.switch.close())
    seen = await asyncio.gather(*(everything(each, 4) for each in (carrier, agent, second)))
    assert seen[0] == ["BYE"]
    assert "BYE" in seen[1]
    assert seen[2] == ["CANCEL"]
    await second.send(487)
    await closing


@ladder_with(legs=REFERS)
async def test_no_notify_is_wanted(ladder: Ladder) -> None:
    """RFC 4488."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [to("second"), HANGUP])
    await refers(agent, Refer_Sub="false", Require="norefersub")
    accepted = await agent.expect(202)
    assert accepted.headers.get("refer-sub") == "false"
    await rings(second)
    await answers(second)
    await moves(carrier)
    await agent.silence(4.5)
    await agent.is_hung_up()
    await second.hang_up()
    await carrier.is_hung_up()


# odd REFERs


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((("Refer-To", "<sip:a@pbx.test>"), ("Refer-To", "<sip:b@pbx.test>")), 400),
        ((("Refer-To", "<sip:a@pbx.test>, <sip:b@pbx.test>"),), 400),
        ((("Refer-To", "<sip:a@pbx.test;method=SUBSCRIBE>"),), 501),
        ((("Refer-To", "<sip:a@pbx.test;method=INVITE>"),), 202),
        ((("Refer-To", "<sip:a@pbx.test>"), ("Require", "tdialog")), 420),
        ((("Refer-To", "<sip:a@pbx.test>"), ("Require", "multiple-refer")), 420),
        ((("Refer-To", "<cid:list@pbx.test>"),), 416),
        ((("Refer-To", "<urn:service:sos>"),), 416),
        ((("Refer-To", "<sip:%00@pbx.test>"),), 202),
        ((("Refer-To", "<sip:a@[2001:db8::7]>"),), 202),
        ((("Refer-To", "<sip:a@[2001:db8::7>"),), 400),
        ((("Refer-To", f"<sip:{'a' * 3000}@pbx.test>"),), 202),
        ((("Refer-To", "<sip:a@pbx.test?body=v%3D0&Subject=x>"),), 202),
        (
            (("Refer-To", "<sip:a@pbx.test?X-A=1%0d%0aX-B%3A1>"),),
            400,
        ),
        ((), 400),
        ((("Refer-To", "<sip:a@pbx.test>"), ("Target-Dialog", "x;local-tag=1;remote-tag=2")), 202),
        ((("Refer-To", "<sip:a@pbx.test>"), ("Replaces", "x;to-tag=1;from-tag=2")), 202),
        ((("Refer-To", "*"),), 202),
        ((("Refer-To", "<sip:a@pbx.test>"), ("Content-Type", "application/sdp")), 202),
    ],
)
def test_odd_refers(headers: tuple[tuple[str, str], ...], status: int) -> None:
    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        agent, second = ladder.peer("agent"), ladder.peer("second")
        await talks(ladder, [to("second")])
        await agent.send("REFER", headers=headers)
        await agent.expect(status)
        if status == 202:
            await notified(agent, 100)
            await second.expect("INVITE")
            await second.send(486)
            await second.expect("ACK")
            await notified(agent, 486)
        await ladder.hung_up_by("carrier")

    story()


@ladder_with(legs=REFERS)
async def test_a_refer_outside_any_dialog(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    await agent.send("REFER", headers=(("Refer-To", "<sip:a@pbx.test>"), ("Target-Dialog", "x")))
    refused = await agent.expect(405)
    assert "REFER" not in (refused.headers.get("allow") or "")


# two at once


@ladder_with(legs=REFERS)
async def test_a_command_while_a_refer_runs(ladder: Ladder) -> None:
    carrier, agent, second = await asked(ladder)
    await ladder.app.command("transfer", [to("retell")])
    await ladder.app.until(lambda: ladder.app.told("jambonz:error"))
    await answers(second)
    await moves(carrier)
    await notified(agent, 200)
    await agent.hang_up()
    await second.hang_up()
    await carrier.is_hung_up()


@ladder_with(legs={**REFERS, "carrier": LegOptions(takes_refer=True)})
async def test_the_caller_refers_while_the_agents_refer_runs(ladder: Ladder) -> None:
    carrier, agent, second = await asked(ladder)
    await refers(carrier)
    await carrier.expect(491)
    await answers(second)
    await moves(carrier)
    await notified(agent, 200)
    await agent.hang_up()
    await second.hang_up()
    await carrier.is_hung_up()


@ladder_with(legs=REFERS)
async def test_the_target_refers_as_soon_as_it_has_answered(ladder: Ladder) -> None:
    """Before the caller has changed over: nobody else is there yet who could be handed on."""
    carrier, agent, second = await asked(ladder)
    await answers(second)
    await refers(second)
    await second.expect(491)
    await moves(carrier)
    await notified(agent, 200)
    await agent.hang_up()
    await second.hang_up()
    await carrier.is_hung_up()


# the carrier is asked


SIP_REFER = {
    "verb": "sip:refer",
    "referTo": "+14155550177",
    "actionHook": "/transfer-refer",
    "eventHook": "/transfer-news",
}


async def notify(carrier: Peer, status: int, *, over: bool = False) -> None:
    state = "terminated;reason=noresource" if over else "active;expires=60"
    fields = (
        ("Event", "refer"),
        ("Subscription-State", state),
        ("Content-Type", "message/sipfrag"),
    )
    await carrier.send("NOTIFY", headers=fields, sdp=f"SIP/2.0 {status} Any\r\n")


async def carrier_asked(ladder: Ladder, *verbs: object) -> tuple[Peer, Peer, Peer]:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [SIP_REFER, *verbs])
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    await carrier.expect("REFER")
    return carrier, agent, second


@ladder_with(legs=REFERS)
async def test_the_carrier_holds_us_while_it_tries(ladder: Ladder) -> None:
    """RFC 5589 6: the transferee puts us on hold, and takes us off again."""
    carrier, agent, _ = await carrier_asked(ladder)
    await carrier.send(202, answering="REFER")
    for sdp in (HOLD, PCMU):
        await carrier.send("INVITE", sdp=sdp)
        await carrier.expect(100)
        await agent.expect("INVITE")
        await agent.send(200, sdp=PCMU)
        await agent.expect("ACK")
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        if sdp is HOLD:
            await notify(carrier, 486, over=True)
            await carrier.expect(200, of="NOTIFY")
            await notified(agent, 486)
    await ladder.hung_up_by("carrier")


@ladder_with(legs=REFERS)
async def test_the_carriers_news_and_its_bye_in_one_instant(ladder: Ladder) -> None:
    carrier, agent, _ = await carrier_asked(ladder)
    await carrier.send(202, answering="REFER")
    await notify(carrier, 200, over=True)
    await carrier.send("BYE")
    seen = await asyncio.gather(*(everything(each, 20) for each in (carrier, agent)))
    assert sorted(seen[0])[:2] == ["200 BYE", "200 NOTIFY"]
    assert seen[1] == ["NOTIFY", "BYE"]


@ladder_with(legs=REFERS)
async def test_the_202_has_no_contact_and_says_no_subscription(ladder: Ladder) -> None:
    carrier, agent, _ = await carrier_asked(ladder)
    await carrier.send(200, answering="REFER", headers=(("Refer-Sub", "false"),))
    await notified(agent, 480)
    await ladder.hung_up_by("agent")


@ladder_with(legs=REFERS)
async def test_the_carriers_target_answers_after_the_time(ladder: Ladder) -> None:
    """The agent was told that nothing came of it; but the caller is with the target now."""
    carrier, agent, _ = await carrier_asked(ladder)
    await carrier.send(202, answering="REFER")
    await notified(agent, 480)
    await notify(carrier, 200, over=True)
    seen = await asyncio.gather(*(everything(each, 20) for each in (carrier, agent)))
    assert seen == [["200 NOTIFY", "BYE"], ["BYE"]]
    news = [frame["data"]["call_status"] for frame in ladder.app.told("/transfer-news")]
    assert news == ["200"]


@ladder_with(legs=REFERS)
async def test_the_carriers_target_is_busy_after_the_time(ladder: Ladder) -> None:
    carrier, agent, _ = await carrier_asked(ladder)
    await carrier.send(202, answering="REFER")
    await notified(agent, 480)
    await notify(carrier, 486, over=True)
    await carrier.expect(200, of="NOTIFY")
    await agent.silence(5)
    await ladder.hung_up_by("agent")


@ladder_with(legs=REFERS)
async def test_the_carriers_target_answers_while_ours_rings(ladder: Ladder) -> None:
    carrier, agent, second = await carrier_asked(ladder, to("second"))
    await carrier.send(202, answering="REFER")
    await rings(second)
    await notified(agent, 180)
    await notify(carrier, 200, over=True)
    seen = await asyncio.gather(*(everything(each, 20) for each in (carrier, agent, second)))
    assert seen == [["200 NOTIFY", "BYE"], ["NOTIFY", "BYE"], ["CANCEL"]]
    await second.send(487)
    await second.expect("ACK")


@ladder_with(legs=REFERS)
async def test_the_carriers_target_answers_when_the_caller_has_ours(ladder: Ladder) -> None:
    """Who talks is not hung up for somebody whom nobody has heard."""
    carrier, agent, second = await carrier_asked(ladder, to("second"), HANGUP)
    await carrier.send(202, answering="REFER")
    await rings(second)
    await answers(second)
    await moves(carrier)
    await notified(agent, 180, 200)
    await notify(carrier, 200, over=True)
    await carrier.expect(200, of="NOTIFY")
    await agent.hang_up()
    await carrier.silence(5)
    await second.hang_up()
    await carrier.is_hung_up()


@ladder_with(legs=REFERS)
async def test_the_carrier_is_asked_again_after_a_refer_that_was_given_up(ladder: Ladder) -> None:
    """Its news is of the second then."""
    carrier, agent, _ = await carrier_asked(ladder)
    await carrier.send(202, answering="REFER")
    await notified(agent, 480)
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    await carrier.expect("REFER")
    await carrier.send(202, answering="REFER")
    await notify(carrier, 200, over=True)
    await carrier.expect(200, of="NOTIFY")
    await notified(agent, 200)
    await carrier.is_hung_up()
    await agent.is_hung_up()


# the media engine dies meanwhile


@pytest.mark.parametrize("lost", ["the old room", "the new room", "both"])
@pytest.mark.parametrize("when", ["ringing", "changing over"])
def test_the_engine_is_lost(lost: str, when: str) -> None:
    """Caller and target are told of ports that there are, whatever they were told meanwhile."""

    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        carrier, agent, second = await asked(ladder)
        old, new = sorted(ladder.media.open_calls)
        dead = {"the old room": [old], "the new room": [new], "both": [old, new]}[lost]
        if when == "changing over":
            await answers(second)
            await carrier.expect("INVITE")
        for room in dead:
            ladder.media.forget(room)
        if when == "changing over":
            await carrier.send(200, sdp=PCMU)
        rest = asyncio.gather(*(everything(each, 12) for each in (carrier, agent)))
        if when == "ringing":
            await answers(second)
        await everything(second, 12)
        await rest
        told = {port_in(each._received["INVITE"]) for each in (carrier, second)}
        assert len(told) == 2
        assert told <= ladder.media.ports_now
        await second.hang_up()
        await carrier.is_hung_up()

    story()
