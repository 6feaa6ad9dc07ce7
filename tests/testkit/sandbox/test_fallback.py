"""No slot became free: the call goes on to the number's fallback number."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.testkit.sandbox.peers import Caller, Message, SipPeer, caller, sdp, udp
from tests.testkit.sandbox.stage import NUMBER, Stage, number, stage

CALLER_MEDIA = ("127.0.0.1", 4000)
DESK_MEDIA = ("127.0.0.1", 5000)


@dataclass(slots=True)
class Scene:
    """The limit is reached; `us` rings, and the trunk has the INVITE to the fallback number."""

    on: Stage
    us: Caller
    trunk: SipPeer
    invite: Message


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    async with udp() as link:
        trunk = SipPeer(link)
        preset = number(link.address, fallback_number="+14155550190")
        async with (
            stage(preset_numbers=(preset,), concurrency_limit=1, over_limit_ring_s=0.02) as on,
            caller(on.sip) as first,
            caller(on.sip) as us,
        ):
            first.invite(NUMBER, ("127.0.0.1", 9))
            await first.answered()
            us.invite(NUMBER, CALLER_MEDIA)
            yield Scene(on, us, trunk, await trunk.expect("INVITE"))


async def test_the_fallback_answers_and_the_two_are_joined() -> None:
    async with scene() as at:
        assert "sip:+14155550190@" in at.invite.start
        assert "+14155550123" in at.invite.one("from")
        assert at.invite.media == CALLER_MEDIA
        at.trunk.respond(at.invite, 200, body=sdp(DESK_MEDIA))
        await at.trunk.expect("ACK")
        answer = await at.us.answered()
        assert answer.media == DESK_MEDIA
        _, listed = await at.on.ask("GET", "/sandbox/calls")
        forwarded = listed["items"][0]["call"]
        assert forwarded["call_status"] == "ended"
        assert forwarded["disconnection_reason"] == "no_concurrency_fallback"
        assert (await at.on.retell.concurrency.retrieve()).current_concurrency == 1
        await at.us.bye()
        at.trunk.respond(await at.trunk.expect("BYE"), 200)


async def test_the_fallback_refuses_and_the_caller_hears_why() -> None:
    async with scene() as at:
        at.trunk.respond(at.invite, 486, "Busy Here")
        await at.trunk.expect("ACK")
        assert await at.us.refused() == 486


async def test_the_caller_gives_up_while_the_fallback_rings() -> None:
    async with scene() as at:
        at.trunk.respond(at.invite, 180)
        at.trunk.respond(at.invite, 183)  # seen by the time the CANCEL below arrives
        uri = f"sip:{NUMBER}@{at.on.sip[0]}:{at.on.sip[1]}"
        peer = at.us.peer
        await peer.expect(180)
        peer.request("CANCEL", uri, at.on.sip, cseq=peer.cseq, branch=at.us.branch)
        at.trunk.respond(await at.trunk.expect("CANCEL"), 200)
        at.trunk.respond(at.invite, 487)
        await at.trunk.expect("ACK")


async def test_a_fallback_out_of_reach_is_503() -> None:
    preset = number(termination_uri="no.such.host.invalid", fallback_number="+14155550190")
    async with (
        stage(preset_numbers=(preset,), concurrency_limit=1, over_limit_ring_s=0.02) as on,
        caller(on.sip) as first,
        caller(on.sip) as us,
    ):
        first.invite(NUMBER, ("127.0.0.1", 9))
        await first.answered()
        us.invite(NUMBER, CALLER_MEDIA)
        assert await us.refused() == 503
