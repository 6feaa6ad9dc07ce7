"""The caller is brought to somebody else: the leg that it talked to stays until that is done."""

import asyncio
from typing import Any, cast

import pytest

from sip.b2bua.legs.options import LegOptions
from sip.core.message import Request
from sip.media.plane import RingbackTone
from tests.fakes.application import FakeApplication
from tests.fakes.relay_media import RelayMedia
from tests.fakes.voice import Voice, all_speak
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_test, ladder_with

HANGUP = {"verb": "hangup"}


def to(trunk: str, **more: object) -> dict[str, object]:
    """A dial of a transfer."""
    return dial(trunk) | {"actionHook": "/transfer-dial"} | more


def results(ladder: Ladder, hook: str = "/transfer-dial") -> list[tuple[str, int]]:
    """What the application was told of each dial's end."""
    return [
        (frame["data"]["dial_call_status"], frame["data"]["dial_sip_status"])
        for frame in ladder.app.told(hook)
    ]


async def rings(target: Peer) -> None:
    await target.expect("INVITE")
    await target.send(180)


async def answers(target: Peer) -> None:
    await target.send(200, sdp=PCMU)
    await target.expect("ACK")


async def moves(caller: Peer) -> None:
    """The caller follows a re-INVITE."""
    await caller.expect("INVITE")
    await caller.send(200, sdp=PCMU)
    await caller.expect("ACK")


@ladder_test
async def test_a_target_that_answers_takes_the_agents_place(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second"), HANGUP])
    await rings(second)
    await agent.silence(3)  # it stays
    [(party, sound, _)] = ladder.media.played
    assert party == "a"
    assert isinstance(sound, RingbackTone)
    assert [ask[2:] for ask in ladder.media.asked if ask[0] == "withhold"] == [
        ("a", "silenced"),
        ("b1", "silenced"),
    ]
    await answers(second)
    await moves(carrier)
    await agent.is_hung_up()
    await second.hang_up()
    await carrier.is_hung_up()
    assert results(ladder) == [("completed", 200)]
    # the dial that the agent was of is over, and has no say any more
    assert results(ladder, "/dial-action") == [("completed", 200)]


@pytest.mark.parametrize("status", [486, 603, 480, 503])
def test_the_caller_stays_with_the_agent_where_the_target_refuses(status: int) -> None:
    @ladder_test
    async def story(ladder: Ladder) -> None:
        second = ladder.peer("second")
        await ladder.call_up()
        await ladder.app.command("transfer", [to("second")])
        await rings(second)
        await second.send(status)
        await second.expect("ACK")
        await ladder.app.until(lambda: results(ladder))
        await asyncio.sleep(1)
        assert results(ladder)[0][1] == status
        assert [ask[2:] for ask in ladder.media.asked if ask[0] == "let pass"] == [
            ("a", "silenced"),
            ("b1", "silenced"),
        ]
        await ladder.hung_up_by("agent")

    story()


@ladder_test
async def test_a_target_that_does_not_answer_in_time_is_given_up(ladder: Ladder) -> None:
    second = ladder.peer("second")
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second", timeout=10)])
    await rings(second)
    await second.expect("CANCEL")
    await second.send(200, answering="CANCEL")
    await second.send(487)
    await second.expect("ACK")
    await ladder.app.until(lambda: results(ladder))
    assert results(ladder) == [("no-answer", 487)]
    await ladder.hung_up_by("carrier")


@ladder_test
async def test_an_action_hook_brings_the_next_target(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    second, third = ladder.peer("second"), ladder.peer("retell")
    ladder.app.hooks["/transfer-dial"] = lambda _: [to("retell", actionHook="/next"), HANGUP]
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second"), HANGUP])
    await rings(second)
    await second.send(486)
    await second.expect("ACK")
    await rings(third)
    await answers(third)
    await moves(carrier)
    await agent.is_hung_up()
    await carrier.hang_up()
    await third.is_hung_up()
    await ladder.app.until(lambda: results(ladder, "/next"))
    assert results(ladder) == [("busy", 486)]
    assert results(ladder, "/next") == [("completed", 200)]


@ladder_test
async def test_the_caller_hangs_up_while_the_target_rings(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second"), HANGUP])
    await rings(second)
    await carrier.hang_up()
    await second.expect("CANCEL")
    await second.send(200, answering="CANCEL")
    await second.send(487)
    await second.expect("ACK")
    await agent.is_hung_up()
    assert results(ladder) == [("no-answer", 487)]


@ladder_test
async def test_the_agent_hangs_up_while_the_target_rings(ladder: Ladder) -> None:
    """The caller is not lost: it still gets the target."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second"), HANGUP])
    await rings(second)
    await agent.hang_up()
    await carrier.silence(2)
    await answers(second)
    await moves(carrier)
    await second.hang_up()
    await carrier.is_hung_up()


@ladder_test
async def test_agent_and_target_are_gone_and_the_application_thinks_about_it(
    ladder: Ladder,
) -> None:
    """The verbs of the hook's ack are the call's then: what was left of the agent's dial is not
    run, and others follow by command."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    third = ladder.peer("retell")
    ladder.app.hooks["/transfer-dial"] = lambda _: [{"verb": "config"}]
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second")])
    await rings(second)
    await agent.hang_up()
    await second.send(486)
    await second.expect("ACK")
    await carrier.silence(3)
    await ladder.app.command("redirect", [dial("retell"), HANGUP])
    await third.expect("INVITE")
    await third.send(200, sdp=PCMU)
    await third.expect("ACK")
    await third.hang_up()
    await carrier.is_hung_up()


@ladder_test
async def test_agent_and_target_are_both_gone(ladder: Ladder) -> None:
    """What was left of the agent's dial ends the call then."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second")])
    await rings(second)
    await agent.hang_up()
    await second.send(486)
    await second.expect("ACK")
    await carrier.is_hung_up()


@ladder_test
async def test_the_target_answers_and_the_caller_does_not_change_over(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second")])
    await rings(second)
    await answers(second)
    await carrier.expect("INVITE")
    await carrier.send(488)
    await carrier.expect("ACK")
    await second.is_hung_up()
    await agent.silence(1)
    [told] = ladder.app.told("/transfer-dial")
    assert told["data"]["dial_cause"] == "not-joined"
    await ladder.hung_up_by("agent")


async def come_back(caller: Voice, carrier: Peer) -> Request:
    """The caller is told where it was before: what it is told."""
    back: Request = await carrier.expect("INVITE")
    await carrier.send(200, sdp=caller.sdp)
    await carrier.expect("ACK")
    return back


@ladder_with(media=RelayMedia)
async def test_the_target_hangs_up_while_the_caller_changes_over(ladder: Ladder) -> None:
    """The caller has followed to where nobody is: it is told to come back, and both hear again."""
    media = cast("RelayMedia", ladder.media)
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    with Voice(b"C") as caller, Voice(b"A") as talker:
        ladder.app.verbs = lambda _: [dial("agent"), HANGUP]
        await carrier.send("INVITE", sdp=caller.sdp)
        await carrier.expect(100)
        invite = await agent.answer_call(talker.sdp)
        await carrier.expect(180)
        await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await ladder.app.command("transfer", [to("second")])
        await second.answer_call()
        await carrier.expect("INVITE")
        await second.hang_up()
        await carrier.send(200, sdp=caller.sdp)
        await carrier.expect("ACK")
        back = await come_back(caller, carrier)
        await asyncio.sleep(0.1)
        assert all_speak(media, (caller, back), (talker, invite)) == [{b"A"}, {b"C"}]
        [told] = ladder.app.told("/transfer-dial")
        assert told["data"]["dial_cause"] == "not-joined"
        await carrier.hang_up()
        await agent.is_hung_up()


@ladder_with(legs={"carrier": LegOptions(takes_refer=True)}, media=RelayMedia)
async def test_the_target_of_whom_a_caller_refers_hangs_up_while_that_one_changes_over(
    ladder: Ladder,
) -> None:
    """The same with who was called, and is a guest where it talks."""
    media = cast("RelayMedia", ladder.media)
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    ladder.app.hooks["/refer"] = lambda _: [to("second")]
    ladder.app.verbs = lambda _: [dial("agent", referHook="/refer"), HANGUP]
    with Voice(b"C") as caller, Voice(b"A") as talker:
        await carrier.send("INVITE", sdp=caller.sdp)
        await carrier.expect(100)
        await agent.answer_call(talker.sdp)
        await carrier.expect(180)
        ok = await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await refers(carrier)
        await carrier.expect(202)
        await notified(carrier, 100)
        await second.answer_call()
        await agent.expect("INVITE")
        await notified(carrier, 180)
        await second.hang_up()
        await agent.send(200, sdp=talker.sdp)
        await agent.expect("ACK")
        back = await come_back(talker, agent)
        await notified(carrier, 488)
        assert all_speak(media, (caller, ok), (talker, back)) == [{b"A"}, {b"C"}]
        await carrier.hang_up()
        await agent.is_hung_up()


STAYS = {"carrier": LegOptions(reinvites=False)}


@ladder_with(legs=STAYS, media=RelayMedia)
async def test_a_caller_that_takes_no_reinvite_gets_the_target_where_it_is(ladder: Ladder) -> None:
    """The target changes over instead; as ever, nobody hears anybody while it rings."""
    media = cast("RelayMedia", ladder.media)
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    with Voice(b"C") as caller, Voice(b"T") as target:
        ladder.app.verbs = lambda _: [dial("agent"), HANGUP]
        await carrier.send("INVITE", sdp=caller.sdp)
        await carrier.expect(100)
        await agent.answer_call()
        await carrier.expect(180)
        ok = await carrier.expect(200, of="INVITE")
        await carrier.send("ACK")
        await ladder.app.command("transfer", [to("second"), HANGUP])
        await second.answer_call(target.sdp)
        offer = await second.expect("INVITE")
        await second.send(200, sdp=target.sdp)
        await second.expect("ACK")
        await agent.is_hung_up()
        await carrier.silence(1)
        assert all_speak(media, (caller, ok), (target, offer)) == [{b"T"}, {b"C"}]
        await second.hang_up()
        await carrier.is_hung_up()


@ladder_with(legs=STAYS)
async def test_such_a_caller_stays_with_the_agent_where_the_target_does_not_come(
    ladder: Ladder,
) -> None:
    agent, second = ladder.peer("agent"), ladder.peer("second")
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second")])
    await second.answer_call()
    await second.expect("INVITE")
    await second.send(488)
    await second.expect("ACK")
    await moves(agent)  # its place in the caller's media was gone
    await second.is_hung_up()
    await ladder.app.until(lambda: results(ladder))
    [told] = ladder.app.told("/transfer-dial")
    assert told["data"]["dial_cause"] == "not-joined"
    await ladder.hung_up_by("agent")


@ladder_with(legs=STAYS)
async def test_such_a_caller_stays_with_the_agent_where_the_target_hangs_up_meanwhile(
    ladder: Ladder,
) -> None:
    agent, second = ladder.peer("agent"), ladder.peer("second")
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second")])
    await second.answer_call()
    await second.expect("INVITE")
    await second.send("BYE")
    await second.expect(200, of="BYE")
    await moves(agent)
    await ladder.hung_up_by("agent")


@ladder_test
async def test_a_transfer_after_a_transfer(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    third = ladder.peer("retell")
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second"), HANGUP])
    await rings(second)
    await answers(second)
    await moves(carrier)
    await agent.is_hung_up()
    await ladder.app.command("transfer", [to("retell", actionHook="/next"), HANGUP])
    await rings(third)
    await answers(third)
    await moves(carrier)
    await second.is_hung_up()
    await carrier.hang_up()
    await third.is_hung_up()
    await ladder.app.until(lambda: results(ladder, "/next"))
    assert results(ladder, "/next") == [("completed", 200)]


@ladder_test
async def test_a_redirect_takes_the_place_of_everything(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    await ladder.app.command("transfer", [to("second"), HANGUP])
    await rings(second)
    await ladder.app.command("redirect", [HANGUP])
    await second.expect("CANCEL")
    await second.send(200, answering="CANCEL")
    await second.send(487)
    await second.expect("ACK")
    await agent.is_hung_up()
    await carrier.is_hung_up()


@ladder_test
async def test_a_transfer_that_cannot_be(ladder: Ladder) -> None:
    """Nobody to take the caller from, another transfer under way, nothing to do."""
    ladder.app.verbs = lambda _: [{"verb": "config"}]
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await ladder.app.until(ladder.app.statuses)
    await ladder.app.command("transfer", [to("second")])
    await ladder.app.command("transfer", [])
    await ladder.app.until(lambda: len(ladder.app.told("jambonz:error")) == 2)
    assert [frame["data"]["details"] for frame in ladder.app.told("jambonz:error")] == [
        "transfer: the leg that is to be handed on talks to nobody",
        "transfer: no verbs",
    ]
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")


@ladder_with(media=RelayMedia)
async def test_who_hears_whom(ladder: Ladder) -> None:
    """With our relay: nobody while the target rings, then caller and target; and as before where
    the target refuses."""
    media = cast("RelayMedia", ladder.media)
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    caller, speaker, target = Voice(b"C"), Voice(b"A"), Voice(b"T")
    ladder.app.verbs = lambda _: [dial("agent"), HANGUP]
    await carrier.send("INVITE", sdp=caller.sdp)
    await carrier.expect(100)
    invite = await agent.answer_call(speaker.sdp)
    await carrier.expect(180)
    ok = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert all_speak(media, (caller, ok), (speaker, invite)) == [{b"A"}, {b"C"}]

    for status in (486, 200):
        then = [HANGUP] if status == 200 else []
        await ladder.app.command("transfer", [to("second"), *then])
        offer = await second.expect("INVITE")
        await second.send(180)
        await asyncio.sleep(1)
        assert all_speak(media, (caller, ok), (speaker, invite)) == [set(), set()]
        await second.send(status, sdp=target.sdp if status == 200 else None)
        await second.expect("ACK")
        if status == 486:
            await asyncio.sleep(1)
            assert all_speak(media, (caller, ok), (speaker, invite)) == [{b"A"}, {b"C"}]
    moved = await carrier.expect("INVITE")
    await carrier.send(200, sdp=caller.sdp)
    await carrier.expect("ACK")
    await agent.is_hung_up()
    assert all_speak(media, (caller, moved), (target, offer)) == [{b"T"}, {b"C"}]
    await second.hang_up()
    await carrier.is_hung_up()
    for voice in (caller, speaker, target):
        voice.socket.close()


# by REFER

REFERS = {"agent": LegOptions(takes_refer=True), "second": LegOptions(takes_refer=True)}


async def talks(ladder: Ladder, hook: object) -> None:
    """A call whose agent may send REFER; `hook` answers what is asked about it."""
    ladder.app.hooks["/refer"] = lambda _: hook
    ladder.app.verbs = lambda _: [dial("agent", referHook="/refer"), HANGUP]
    await ladder.call_up()


async def refers(agent: Peer, to: str = "<sip:200@pbx.test>", **headers: str) -> None:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    await agent.send("REFER", headers=(("Refer-To", to), *fields))


async def notified(agent: Peer, *expected: int) -> None:
    """The agent hears of these, one after another, and says that it has."""
    for status in expected:
        notify = await agent.expect("NOTIFY")
        assert notify.body.split()[1] == str(status).encode(), notify.body
        final = status >= 200
        assert notify.headers.get("subscription-state").startswith(
            "terminated" if final else "active"
        )
        await agent.send(200, answering="NOTIFY")


@ladder_with(legs=REFERS)
async def test_an_agent_refers_the_caller_and_hears_of_each_step(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [to("second"), HANGUP])
    await refers(agent, Referred_By="<sip:agent@example.test>", X_Case="7", User_Agent="Speaker/1")
    await agent.expect(202)
    await notified(agent, 100)
    await second.expect("INVITE")
    await second.send(180)
    await notified(agent, 180)
    await second.send(200, sdp=PCMU)
    await second.expect("ACK")
    await moves(carrier)
    await notified(agent, 200)
    await agent.hang_up()  # it does so by itself
    await carrier.silence(10)
    await second.hang_up()
    await carrier.is_hung_up()
    [asked] = ladder.app.told("/refer")
    details = asked["data"]["refer_details"]
    assert asked["data"]["parent_call_sid"] == details["referred_call_sid"]
    assert asked["data"]["call_sid"] == details["referring_call_sid"]
    del details["referring_call_sid"], details["referred_call_sid"]
    assert details == {
        "sip_refer_to": "<sip:200@pbx.test>",
        "refer_to_user": "200",
        "sip_referred_by": "<sip:agent@example.test>",
        "referred_by_user": "agent",
        "sip_user_agent": "Speaker/1",
        "x_case": "7",
    }


@ladder_with(legs=REFERS)
async def test_a_referring_agent_that_does_not_hang_up_is_hung_up(ladder: Ladder) -> None:
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [to("second"), HANGUP])
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    await second.answer_call()
    await moves(carrier)
    await notified(agent, 180, 200)
    await agent.silence(4.5)
    await agent.is_hung_up()
    await carrier.hang_up()
    await second.is_hung_up()


@pytest.mark.parametrize("status", [486, 603, 404, 503])
def test_a_referring_agent_hears_why_it_came_to_nothing(status: int) -> None:
    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        agent, second = ladder.peer("agent"), ladder.peer("second")
        await talks(ladder, [to("second")])
        await refers(agent)
        await agent.expect(202)
        await notified(agent, 100)
        await second.expect("INVITE")
        await second.send(status)
        await second.expect("ACK")
        await notified(agent, status)
        await ladder.hung_up_by("agent")

    story()


@pytest.mark.parametrize(
    ("hook", "status"),
    [
        ([{"verb": "sip:decline", "status": 404, "reason": "Nobody Of That Name"}], 404),
        (FakeApplication.NO_ACK, 603),
        ([{"verb": "nonsense"}], 603),
    ],
)
def test_an_application_refuses(hook: object, status: int) -> None:
    """What it does not decide in two seconds is refused as well."""

    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        agent = ladder.peer("agent")
        await talks(ladder, hook)
        await refers(agent)
        await agent.expect(status, within_s=2.2)
        await agent.silence(1)
        await ladder.hung_up_by("agent")

    story()


@ladder_with(legs=REFERS)
async def test_an_application_does_nothing(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    await talks(ladder, [])
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100, 603)
    await ladder.hung_up_by("agent")


@ladder_with(legs=REFERS)
async def test_an_application_that_names_no_hook(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    await ladder.call_up()
    await refers(agent)
    await agent.expect(501)
    await ladder.hung_up_by("carrier")


@ladder_with(legs=REFERS)
async def test_config_names_the_hook(ladder: Ladder) -> None:
    agent = ladder.peer("agent")
    ladder.app.hooks["/any"] = lambda _: [{"verb": "sip:decline", "status": 403}]
    ladder.app.verbs = lambda _: [{"verb": "config", "referHook": "/any"}, dial("agent"), HANGUP]
    await ladder.call_up()
    await refers(agent)
    await agent.expect(403)
    await ladder.hung_up_by("carrier")


CALLER_REFERS = {"carrier": LegOptions(takes_refer=True)}


@ladder_with(legs=CALLER_REFERS)
async def test_a_caller_refers_whom_it_called(ladder: Ladder) -> None:
    """An agent that placed the call: whom it called talks on when it has left."""
    carrier, person, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [to("second"), HANGUP])
    await refers(carrier)
    await carrier.expect(202)
    await notified(carrier, 100)
    await rings(second)
    await notified(carrier, 180)
    await answers(second)
    await moves(person)
    await notified(carrier, 200)
    await carrier.hang_up()
    await person.silence(10)
    assert ladder.media.played[0][0] == "b1"  # the person heard the ringback tone
    [asked] = ladder.app.told("/refer")
    assert "parent_call_sid" not in asked["data"]
    await second.hang_up()
    await person.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert results(ladder) == [("completed", 200)]


@ladder_with(legs=CALLER_REFERS)
async def test_whom_a_caller_refers_stays_with_it_where_the_target_is_busy(ladder: Ladder) -> None:
    carrier, second = ladder.peer("carrier"), ladder.peer("second")
    await talks(ladder, [to("second")])
    await refers(carrier)
    await carrier.expect(202)
    await notified(carrier, 100)
    await second.expect("INVITE")
    await second.send(486)
    await second.expect("ACK")
    await notified(carrier, 486)
    await ladder.hung_up_by("agent")


@ladder_with(legs=CALLER_REFERS)
async def test_a_referring_caller_that_does_not_hang_up_is_hung_up(ladder: Ladder) -> None:
    carrier, person, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [to("second"), HANGUP])
    await refers(carrier)
    await carrier.expect(202)
    await notified(carrier, 100)
    await second.answer_call()
    await moves(person)
    await notified(carrier, 180, 200)
    await carrier.is_hung_up()
    await person.hang_up()
    await second.is_hung_up()


@ladder_with(legs=CALLER_REFERS)
async def test_a_caller_that_has_referred_whom_it_called_gets_somebody_else(
    ladder: Ladder,
) -> None:
    """Its application has other plans for it: then it is not hung up."""
    carrier, person, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await talks(ladder, [SIP_REFER])
    await refers(carrier)
    await carrier.expect(202)
    await notified(carrier, 100)
    await person.expect("REFER")
    await person.send(202, answering="REFER")
    await notifies(person, 200)
    await notified(carrier, 200)
    await person.is_hung_up()
    await ladder.app.command("redirect", [dial("second"), HANGUP])
    await second.answer_call()
    await carrier.silence(10)
    await second.hang_up()
    await carrier.is_hung_up()


@ladder_with(legs=CALLER_REFERS)
async def test_the_carrier_of_whom_a_caller_refers_does_it(ladder: Ladder) -> None:
    """The REFER goes to the side of who is transferred, written as its trunk wants it."""
    carrier, person = ladder.peer("carrier"), ladder.peer("agent")
    await talks(ladder, [SIP_REFER])
    await refers(carrier)
    await carrier.expect(202)
    await notified(carrier, 100)
    refer = await person.expect("REFER")
    assert refer.headers.get("refer-to") == "<sip:+14155550177@127.0.0.1>"
    await person.send(202, answering="REFER")
    await notifies(person, 100, 200)
    await notified(carrier, 200)
    await person.is_hung_up()
    await carrier.silence(4)
    await carrier.is_hung_up()


@ladder_with(legs=REFERS)
async def test_a_target_transfers_the_caller_on(ladder: Ladder) -> None:
    """The phone that the call was forwarded to sends it to somebody else."""
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    third = ladder.peer("retell")
    await talks(ladder, [to("second", referHook="/on"), HANGUP])
    ladder.app.hooks["/on"] = lambda _: [to("retell"), HANGUP]
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    await second.answer_call()
    await moves(carrier)
    await notified(agent, 180, 200)
    await agent.hang_up()
    await refers(second)
    await second.expect(202)
    await notified(second, 100)
    await third.answer_call()
    await moves(carrier)
    await notified(second, 180, 200)
    await second.is_hung_up()
    await third.hang_up()
    await carrier.is_hung_up()


@ladder_with(legs=REFERS)
async def test_an_attended_transfer_names_the_dialog_that_it_replaces(ladder: Ladder) -> None:
    """RFC 3891: the phone has asked its colleague before; no other trunk hears of that dialog."""
    agent, second = ladder.peer("agent"), ladder.peer("second")
    ladder.app.hooks["/transfer-dial"] = lambda _: []
    await talks(ladder, [to("second"), to("agent")])
    await refers(agent, "<sip:201@pbx.test?Replaces=c1%3Bto-tag%3Dt1%3Bfrom-tag%3Df1>")
    await agent.expect(202)
    await notified(agent, 100)
    elsewhere = await second.expect("INVITE")
    assert elsewhere.headers.get("replaces") is None
    await second.send(486)
    await second.expect("ACK")
    invite = await agent.expect("INVITE")
    assert invite.headers.get("replaces") == "c1;to-tag=t1;from-tag=f1"
    await agent.send(481)
    await agent.expect("ACK")
    notify = await agent.expect("NOTIFY")
    assert b" 481 " in notify.body
    await agent.send(200, answering="NOTIFY")
    await ladder.peer("carrier").hang_up()
    await agent.expect("BYE")
    await agent.send(200, answering="BYE")


@ladder_with(legs=REFERS)
async def test_a_second_refer_while_one_runs(ladder: Ladder) -> None:
    agent, second = ladder.peer("agent"), ladder.peer("second")
    await talks(ladder, [to("second")])
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    await second.expect("INVITE")
    await refers(agent)
    await agent.expect(491)
    await second.send(486)
    await second.expect("ACK")
    await notified(agent, 486)
    await ladder.hung_up_by("carrier")


# to the caller's side, which is to do it itself

SIP_REFER = {"verb": "sip:refer", "referTo": "+14155550177", "actionHook": "/transfer-refer"}


def refer_result(ladder: Ladder) -> dict[str, Any]:
    """What the application was told of the REFER's outcome."""
    [told] = ladder.app.told("/transfer-refer")
    names = ("refer_status", "final_referred_call_status")
    return {name: told["data"][name] for name in names if name in told["data"]}


async def notifies(carrier: Peer, *statuses: int) -> None:
    """The carrier tells what becomes of the call that it makes."""
    for status in statuses:
        state = "active;expires=60" if status < 200 else "terminated;reason=noresource"
        fields = (
            ("Event", "refer"),
            ("Subscription-State", state),
            ("Content-Type", "message/sipfrag"),
        )
        await carrier.send("NOTIFY", headers=fields, sdp=f"SIP/2.0 {status} Any\r\n")
        await carrier.expect(200, of="NOTIFY")


async def asked_to_refer(ladder: Ladder, *verbs: object) -> Request:
    """The agent asks for a transfer, and the carrier is asked in turn."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talks(ladder, [SIP_REFER, *verbs])
    await refers(agent)
    await agent.expect(202)
    await notified(agent, 100)
    refer: Request = await carrier.expect("REFER")
    return refer


@ladder_with(legs=REFERS)
async def test_the_carrier_does_it_and_we_hang_up(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    refer = await asked_to_refer(ladder)
    assert refer.headers.get("refer-to") == "<sip:+14155550177@127.0.0.1>"
    await carrier.send(202, answering="REFER")
    await notifies(carrier, 100, 180, 200)
    await notified(agent, 180, 200)  # before its leg is hung up
    await carrier.is_hung_up()
    await agent.is_hung_up()
    assert refer_result(ladder) == {"refer_status": 202, "final_referred_call_status": 200}


@pytest.mark.parametrize("status", [403, 405, 603])
def test_the_carrier_refuses_and_the_target_is_called_from_here(status: int) -> None:
    """`auto`: by REFER, then by a leg of ours."""

    @ladder_with(legs=REFERS)
    async def story(ladder: Ladder) -> None:
        carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
        await asked_to_refer(ladder, to("second"), HANGUP)
        await carrier.send(status, answering="REFER")
        await second.answer_call()
        await moves(carrier)
        await notified(agent, 180, 200)
        await agent.hang_up()
        await second.hang_up()
        await carrier.is_hung_up()
        assert refer_result(ladder) == {"refer_status": status}

    story()


@ladder_with(legs=REFERS)
async def test_the_carriers_target_is_busy(ladder: Ladder) -> None:
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await asked_to_refer(ladder)
    await carrier.send(202, answering="REFER")
    await notifies(carrier, 100, 180, 486)
    await notified(agent, 180, 486)
    assert refer_result(ladder) == {"refer_status": 202, "final_referred_call_status": 486}
    await ladder.hung_up_by("carrier")


@ladder_with(legs=REFERS)
async def test_the_carrier_says_nothing_more(ladder: Ladder) -> None:
    """The caller is still there: it talks to the agent, who hears that nothing came of it."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await asked_to_refer(ladder)
    await carrier.send(202, answering="REFER")
    await carrier.silence(19)
    await notified(agent, 480)
    assert refer_result(ladder) == {"refer_status": 202}
    await ladder.hung_up_by("agent")


@ladder_with(legs=REFERS)
async def test_the_carrier_hangs_up_without_a_word(ladder: Ladder) -> None:
    """As far as anybody knows, the caller is where it was to be."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await asked_to_refer(ladder)
    await carrier.send(202, answering="REFER")
    await asyncio.sleep(2)
    await carrier.hang_up()
    await notified(agent, 200)
    await agent.is_hung_up()
    await ladder.app.until(lambda: ladder.app.told("/transfer-refer"))
    assert refer_result(ladder) == {"refer_status": 202}


@ladder_with(legs={**REFERS, **CALLER_REFERS})
async def test_both_legs_refer_at_once(ladder: Ladder) -> None:
    """One is decided about; the other is refused at once, and nothing is done for it later."""
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await talks(ladder, FakeApplication.NO_ACK)
    await refers(agent)
    await refers(carrier)
    await carrier.expect(491, within_s=0.5)
    await agent.expect(603, within_s=2.2)
    assert len(ladder.app.told("/refer")) == 1
    await ladder.hung_up_by("agent")
