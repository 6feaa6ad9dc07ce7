"""What an agent does in mid-call: custom functions, transfers by REFER and by INVITE."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from testkit import melody
from testkit.sandbox.settings import Agent, Refer
from tests.testkit.sandbox.peers import (
    Address,
    Caller,
    Hooks,
    SipPeer,
    caller,
    hooks,
    rtp,
    sdp,
    udp,
)
from tests.testkit.sandbox.stage import NUMBER, Stage, number, stage, verified

NOWHERE: Address = ("127.0.0.1", 9)
TARGET = "+14155550190"


@pytest.fixture
async def hooked() -> AsyncIterator[Hooks]:
    async with hooks() as receiver:
        yield receiver


async def talking(on: Stage, us: Caller, media: Address = NOWHERE) -> str:
    """A call to the imported number, answered; its Retell call id."""
    us.invite(NUMBER, media)
    await us.answered()
    call_id = await on.only_call()
    await on.call(call_id, "ongoing")
    return call_id


# functions


async def test_a_function_is_a_signed_post_whose_answer_the_agent_keeps(hooked: Hooks) -> None:
    hooked.answers = [web.json_response({"result": "You are being connected."})]
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        call_id = await talking(on, us)
        await on.uses(call_id, kind="function", url=hooked.url, args={"to": "sales"})
        used = await on.used(call_id)
        assert (used["outcome"], used["status"], used["attempts"]) == ("done", 200, 1)
        assert used["told"] == '{"result": "You are being connected."}'
        [asked] = hooked.received
        assert verified(asked.body, "sandbox-key", asked.signature)
        assert (asked.json["name"], asked.json["args"]) == ("transfer", {"to": "sales"})
        assert asked.json["call"]["call_id"] == call_id
        assert asked.json["call"]["call_status"] == "ongoing"
        await us.bye()


async def test_a_function_that_fails_is_called_twice_again(hooked: Hooks) -> None:
    hooked.answers = [web.Response(status=500) for _ in range(3)]
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        call_id = await talking(on, us)
        await on.uses(call_id, kind="function", url=hooked.url)
        used = await on.used(call_id)
        assert (used["outcome"], used["status"], used["attempts"]) == ("failed", 500, 3)
        assert len({one.body for one in hooked.received}) == 1
        assert (await on.call(call_id))["call_status"] == "ongoing"
        await us.bye()


async def test_a_function_is_answered_though_the_call_is_over(hooked: Hooks) -> None:
    hooked.answers = [web.Response(text="connected")]
    hooked.hold_s = 0.2
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        call_id = await talking(on, us)
        await on.uses(call_id, kind="function", url=hooked.url)
        await us.bye()
        await on.call(call_id, "ended")
        assert (await on.used(call_id))["told"] == "connected"


# by REFER


@pytest.mark.parametrize(
    "refer_to",
    [
        f"sip:{TARGET}@sip.retellai.com",
        f"<sip:{TARGET}@192.0.2.1;transport=tcp>",
        f"tel:{TARGET}",
        f"<tel:{TARGET}>",
        f"sip:{TARGET}",
        "sip:200",
    ],
)
async def test_a_refer_says_what_it_was_told_to(refer_to: str) -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        call_id = await talking(on, us)
        await on.uses(call_id, kind="refer", refer_to=refer_to, headers={"X-Order": "7", "Y": "no"})
        refer = await us.peer.expect("REFER")
        assert refer.one("refer-to") == refer_to
        assert refer.one("x-order") == "7"
        assert not refer.all("referred-by")
        assert not refer.all("y")
        us.peer.respond(refer, 405)
        used = await on.used(call_id)
        assert (used["outcome"], used["status"], used["news"]) == ("failed", 405, [])
        await us.bye()


async def test_the_agent_stays_until_it_is_told_200(hooked: Hooks) -> None:
    events = ("call_ended", "transfer_started", "transfer_cancelled")
    agent = Agent(greeting=False, webhook_events=events)
    async with (
        stage(preset_numbers=(number(),), agent=agent, webhook_url=hooked.url) as on,
        caller(on.sip) as us,
    ):
        call_id = await talking(on, us)
        referred_by = f"<sip:{NUMBER}@sip.retellai.com>"
        await on.uses(call_id, kind="refer", refer_to=f"sip:{TARGET}@h", referred_by=referred_by)
        refer = await us.peer.expect("REFER")
        assert refer.one("referred-by") == referred_by
        us.peer.respond(refer, 202)
        for line in ("SIP/2.0 100 Trying", "SIP/2.0 180 Ringing"):
            us.notify(line)
            await us.peer.expect(200)
        assert (await on.call(call_id))["call_status"] == "ongoing"
        us.notify("SIP/2.0 200 OK", over=True)
        assert {(await us.peer.next()).start.split()[0] for _ in range(2)} == {"SIP/2.0", "BYE"}
        used = await on.used(call_id)
        assert (used["outcome"], used["status"]) == ("done", 202)
        assert used["news"] == [[100, "Trying"], [180, "Ringing"], [200, "OK"]]
        call = await on.call(call_id, "ended")
        assert call["disconnection_reason"] == "call_transfer"
        assert call["transfer_destination"] == f"sip:{TARGET}@h"
        await hooked.until("call_ended")
        assert hooked.events == ["transfer_started", "call_ended"]


async def test_after_a_failure_the_agent_talks_on_and_may_try_again(hooked: Hooks) -> None:
    agent = Agent(greeting=False, webhook_events=("transfer_cancelled",))
    async with (
        stage(preset_numbers=(number(),), agent=agent, webhook_url=hooked.url) as on,
        caller(on.sip) as us,
    ):
        call_id = await talking(on, us)
        for _ in range(2):
            await on.uses(call_id, kind="refer", refer_to=f"sip:{TARGET}@h")
            us.peer.respond(await us.peer.expect("REFER"), 202)
            us.notify("SIP/2.0 486 Busy Here", over=True)
            await us.peer.expect(200)
            used = await on.used(call_id)
            assert (used["outcome"], used["news"]) == ("failed", [[486, "Busy Here"]])
        cancelled = await hooked.until("transfer_cancelled")
        assert cancelled.json["transfer_destination"] == {"number": f"sip:{TARGET}@h"}
        assert (await on.call(call_id))["call_status"] == "ongoing"
        await us.bye()


async def test_an_agent_that_hears_nothing_talks_on() -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        call_id = await talking(on, us)
        await on.uses(call_id, kind="refer", refer_to=f"sip:{TARGET}@h", wait_s=0.1)
        us.peer.respond(await us.peer.expect("REFER"), 202)
        used = await on.used(call_id)
        assert (used["outcome"], used["status"], used["news"]) == ("failed", 202, [])
        await us.bye()


async def test_a_caller_who_hangs_up_cuts_the_transfer_off() -> None:
    async with stage(preset_numbers=(number(),)) as on, caller(on.sip) as us:
        call_id = await talking(on, us)
        await on.uses(call_id, kind="refer", refer_to=f"sip:{TARGET}@h")
        us.peer.respond(await us.peer.expect("REFER"), 202)
        await us.bye()
        assert (await on.used(call_id))["outcome"] == "cut-off"
        assert (await on.call(call_id))["disconnection_reason"] == "user_hangup"


async def test_an_agent_may_transfer_by_itself() -> None:
    agent = Agent(greeting=False, tool=Refer(refer_to=f"tel:{TARGET}"), tool_after_s=0.05)
    async with stage(preset_numbers=(number(),), agent=agent) as on, caller(on.sip) as us:
        await talking(on, us)
        us.peer.respond(await us.peer.expect("REFER"), 603)
        await us.bye()


async def test_there_is_no_transfer_of_a_registered_call() -> None:
    async with stage() as on, caller(on.sip) as us:
        registered = await on.retell.call.register_phone_call(agent_id="agent_sandbox")
        us.invite(registered.call_id, NOWHERE)
        await us.answered()
        await on.call(registered.call_id, "ongoing")
        path = f"/sandbox/calls/{registered.call_id}/tool"
        tool = {"kind": "refer", "refer_to": f"sip:{TARGET}@h"}
        assert (await on.ask("POST", path, {"tool": tool}))[0] == 422
        await us.bye()


# by INVITE


async def test_a_warm_transfer_is_a_second_call_in_the_callers_name() -> None:
    async with udp() as link, rtp() as ours, rtp(8) as theirs:
        target = SipPeer(link)
        async with stage(preset_numbers=(number(target.address),)) as on, caller(on.sip) as us:
            call_id = await talking(on, us, ours.address)
            await on.uses(call_id, kind="warm", number=TARGET)
            invite = await target.expect("INVITE")
            assert invite.start.startswith(f"INVITE sip:{TARGET}@")
            assert "+14155550123@" in invite.one("from")
            assert "+14155550123@" in invite.one("p-asserted-identity")
            assert invite.one("call-id") != us.peer.call_id
            target.respond(invite, 200, body=sdp(theirs.address, formats="8 101"))
            await target.expect("ACK")
            assert (await on.used(call_id))["outcome"] == "done"
            assert us.answer is not None
            said = melody.synthesise(melody.CALLER)
            await asyncio.gather(
                theirs.play(said, invite.media), ours.play(bytes(len(said)), us.answer.media)
            )
            await ours.hears(melody.CALLER)
            await ours.play(said, us.answer.media)
            await theirs.hears(melody.CALLER)
            call = await on.call(call_id)
            assert call["call_status"] == "ongoing"
            await us.bye()
            target.respond(await target.expect("BYE"), 200)


async def test_a_target_that_hangs_up_ends_the_transferred_call() -> None:
    async with udp() as link:
        target = SipPeer(link)
        async with stage(preset_numbers=(number(target.address),)) as on, caller(on.sip) as us:
            call_id = await talking(on, us)
            await on.uses(call_id, kind="warm", number=TARGET, show_transferee_as_caller=False)
            invite = await target.expect("INVITE")
            assert f"{NUMBER}@" in invite.one("from")
            assert not invite.all("p-asserted-identity")
            target.respond(invite, 200, body=sdp(NOWHERE))
            ack = await target.expect("ACK")
            contact = invite.one("contact").partition("<")[2].partition(">")[0]
            target.call_id, target.tag = invite.one("call-id"), ack.one("to").partition("tag=")[2]
            target.request("BYE", contact, invite.source, to=invite.one("from"))
            us.peer.respond(await us.peer.expect("BYE"), 200)
            call = await on.call(call_id, "ended")
            assert call["disconnection_reason"] == "call_transfer"


@pytest.mark.parametrize("status", [486, 603])
async def test_a_target_that_refuses_leaves_the_caller_with_the_agent(status: int) -> None:
    async with udp() as link:
        target = SipPeer(link)
        async with stage(preset_numbers=(number(target.address),)) as on, caller(on.sip) as us:
            call_id = await talking(on, us)
            await on.uses(call_id, kind="warm", number=TARGET)
            target.respond(await target.expect("INVITE"), status)
            await target.expect("ACK")
            used = await on.used(call_id)
            assert (used["outcome"], used["status"]) == ("failed", status)
            assert (await on.call(call_id))["call_status"] == "ongoing"
            await us.bye()


async def test_a_target_that_does_not_answer_is_cancelled() -> None:
    async with udp() as link:
        target = SipPeer(link)
        async with stage(preset_numbers=(number(target.address),)) as on, caller(on.sip) as us:
            call_id = await talking(on, us)
            await on.uses(call_id, kind="warm", number=TARGET, ring_s=0.1)
            invite = await target.expect("INVITE")
            target.respond(invite, 180)
            target.respond(await target.expect("CANCEL"), 200)
            target.respond(invite, 487)
            await target.expect("ACK")
            assert (await on.used(call_id))["outcome"] == "failed"
            await us.bye()
