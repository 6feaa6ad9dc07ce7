"""Our softswitch with our application: an agent hands its caller on, and what is recorded."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.http.app_keys import CALLS, CONTROL
from sip.b2bua.legs.options import LegOptions
from sip.softswitch.jambonz.sounds import Sounds
from tests.contract.links import InMemory
from tests.gateway.conftest import TRUNK_DID, Gateway, Start, retell, start
from tests.ladder import PCMU, Ladder, Peer, make_ladder
from tests.softswitch.admission.test_gatekeeper import proof
from tests.softswitch.jambonz.test_play import over

__all__ = ["retell", "start"]  # fixtures

HERE = Path(__file__).parent
#: Any file that is there: the media plane of a ladder plays nothing.
FILE = "links.py"
MOBILE = "+14155550177"
PERSON = "+13125550177"
LEGS = {"retell": LegOptions(takes_refer=True)}


@pytest.fixture
async def gateway(start: Start) -> Gateway:
    """`Duty` is at the peer `second`; our carrier takes a number that is not ours there."""
    trunks = [
        {"name": "carrier", "gateways": ["sip:192.0.2.10"]},
        {"name": "second", "kind": "pbx", "gateways": ["sip:192.0.2.11"]},
        {"name": "agent", "gateways": ["sip:192.0.2.12"]},
    ]
    return await start(
        trunks=trunks,
        numbers={TRUNK_DID: {"agent": "agent_1", "fallback": {"trunk": "second", "to": "200"}}},
        directory={
            "Duty": {"targets": [{"trunk": "second", "to": MOBILE}]},
            "Both": {
                "targets": [{"trunk": "second", "to": MOBILE}, {"trunk": "agent", "to": "200"}],
                "strategy": "all",
            },
            "Careful": {"targets": [{"trunk": "second", "to": MOBILE, "confirm": True}]},
            "Night": {
                "targets": [{"trunk": "second", "to": "201"}],
                "schedule": "never",
                "closed": {"announcement": FILE},
            },
        },
        schedules={"never": {"time_zone": "UTC", "hours": {}}},
        outbound={"routes": [{"trunks": ["carrier"]}]},
        transfer={"ring_s": 5},
    )


@asynccontextmanager
async def talking(gateway: Gateway) -> AsyncIterator[tuple[Ladder, Peer, Peer, Peer]]:
    """The caller talks to the agent: ladder, carrier, agent, and whom it may be handed to."""
    async with make_ladder(legs=LEGS, sounds=Sounds(folder=HERE)) as ladder:
        ladder.switch._link = InMemory(gateway).link
        await ladder.call_up("carrier", "retell", TRUNK_DID)
        yield ladder, ladder.peer("carrier"), ladder.peer("retell"), ladder.peer("second")


async def refers(agent: Peer, to: str, status: int) -> None:
    await agent.send("REFER", headers=(("Refer-To", to),))
    await agent.expect(status)


async def notified(agent: Peer, *expected: int) -> None:
    for status in expected:
        notify = await agent.expect("NOTIFY")
        assert notify.body.split()[1] == str(status).encode(), notify.body
        await agent.send(200, answering="NOTIFY")


async def verdict(gateway: Gateway) -> tuple[str, str, int, int]:
    [transfer] = (await gateway.record()).transfers
    keys = ("outcome", "stage", "code", "attempt")
    outcome, stage, code, attempt = (transfer[key] for key in keys)
    return outcome, stage, code, attempt


async def test_the_caller_talks_to_a_person(gateway: Gateway) -> None:
    async with talking(gateway) as (_, carrier, agent, second):
        await refers(agent, f"<sip:{MOBILE}@sip.retellai.com>", 202)
        await notified(agent, 100)
        invite = await second.expect("INVITE")
        assert invite.uri.startswith(f"sip:{MOBILE}@")
        await second.send(180)
        await notified(agent, 180)
        await second.send(200, sdp=PCMU)
        await second.expect("ACK")
        await carrier.expect("INVITE")
        await carrier.send(200, sdp=PCMU)
        await carrier.expect("ACK")
        await notified(agent, 200)
        await agent.hang_up()
        await second.hang_up()
        await carrier.is_hung_up()
        assert await verdict(gateway) == ("transferred", "bridge", 200, 1)
    record = await gateway.record()
    assert (record.ended_by, record.cause) == ("callee", "hangup")


@pytest.mark.parametrize("status", [486, 603, 404])
async def test_the_person_does_not_want_to(gateway: Gateway, status: int) -> None:
    async with talking(gateway) as (ladder, _, agent, second):
        await refers(agent, "<sip:Duty@sip.retellai.com>", 202)
        await notified(agent, 100)
        await second.expect("INVITE")
        await second.send(status)
        await second.expect("ACK")
        await notified(agent, status)
        await ladder.hung_up_by("carrier")
        assert await verdict(gateway) == ("failed", "bridge", status, 1)


async def test_nobody_of_that_name(gateway: Gateway) -> None:
    async with talking(gateway) as (ladder, _, agent, _):
        await refers(agent, "<sip:nobody@sip.retellai.com>", 404)
        await ladder.hung_up_by("retell")
        assert await verdict(gateway) == ("failed", "asked", 404, 0)


async def test_the_caller_hangs_up_while_it_rings(gateway: Gateway) -> None:
    async with talking(gateway) as (_, carrier, agent, second):
        await refers(agent, "<sip:Duty@sip.retellai.com>", 202)
        await notified(agent, 100)
        await second.expect("INVITE")
        await second.send(180)
        await notified(agent, 180)
        await carrier.hang_up()
        await second.expect("CANCEL")
        await second.send(200, answering="CANCEL")
        await second.send(487)
        await second.expect("ACK")
        await agent.is_hung_up()
        outcome, stage, code, _ = await verdict(gateway)
        assert (outcome, stage, code) == ("failed", "bridge", 487)


async def test_two_phones_at_once_and_each_is_shown_whom_its_trunk_takes(
    gateway: Gateway,
) -> None:
    async with talking(gateway) as (ladder, carrier, agent, second):
        other = ladder.peer("agent")
        await refers(agent, "sip:Both@sip.retellai.com", 202)
        await notified(agent, 100)
        to_pbx, to_carrier = await second.expect("INVITE"), await other.expect("INVITE")
        assert to_pbx.from_.uri.user == "+12125550101"
        assert to_carrier.from_.uri.user == TRUNK_DID
        await second.send(180)
        await notified(agent, 180)
        await other.send(200, sdp=PCMU)
        await other.expect("ACK")
        await second.expect("CANCEL")
        await second.send(200, answering="CANCEL")
        await second.send(487)
        await second.expect("ACK")
        await carrier.expect("INVITE")
        await carrier.send(200, sdp=PCMU)
        await carrier.expect("ACK")
        await notified(agent, 200)
        await agent.hang_up()
        await carrier.hang_up()
        await other.is_hung_up()
        assert await verdict(gateway) == ("transferred", "bridge", 200, 1)
    attempts = (await gateway.record()).attempts
    assert [(each["trunk"], each["code"]) for each in attempts[1:]] == [
        ("second", 487),
        ("agent", 200),
    ]


async def test_a_phone_that_presses_nothing_does_not_get_the_caller(gateway: Gateway) -> None:
    async with talking(gateway) as (ladder, _, agent, second):
        await refers(agent, "sip:Careful@sip.retellai.com", 202)
        await notified(agent, 100)
        await second.answer_call()
        await second.is_hung_up()
        await notified(agent, 180, 480)
        await ladder.hung_up_by("carrier")
        outcome, stage, _, attempt = await verdict(gateway)
        assert (outcome, stage, attempt) == ("failed", "bridge", 1)


@asynccontextmanager
async def placed(gateway: Gateway) -> AsyncIterator[tuple[Ladder, Peer, Peer, Peer]]:
    """The agent has called a person: ladder, agent, the person's carrier, and the target."""
    async with make_ladder(legs=LEGS) as ladder:
        ladder.switch._link = InMemory(gateway).link
        agent, person = ladder.peer("retell"), ladder.peer("carrier")
        await agent.send("INVITE", sdp=PCMU, to=PERSON)
        challenge = await agent.expect(407)
        await agent.send("ACK")
        await agent.send(
            "INVITE", sdp=PCMU, to=PERSON, headers=proof(challenge, "s3cret", to=PERSON)
        )
        await agent.expect(100)
        await person.answer_call()
        await agent.expect(180)
        await agent.expect(200, of="INVITE")
        await agent.send("ACK")
        yield ladder, agent, person, ladder.peer("second")


async def moves(person: Peer) -> None:
    await person.expect("INVITE")
    await person.send(200, sdp=PCMU)
    await person.expect("ACK")


async def test_an_agent_that_placed_the_call_hands_on_whom_it_called(gateway: Gateway) -> None:
    async with placed(gateway) as (_, agent, person, second):
        await refers(agent, "sip:Duty@sip.retellai.com", 202)
        await notified(agent, 100)
        invite = await second.expect("INVITE")
        assert invite.from_.uri.user == PERSON
        await second.send(200, sdp=PCMU)
        await second.expect("ACK")
        await moves(person)
        await notified(agent, 200)
        await agent.hang_up()
        await person.silence(3)
        await second.hang_up()
        await person.is_hung_up()
        assert await verdict(gateway) == ("transferred", "bridge", 200, 1)


async def test_the_same_by_command(gateway: Gateway) -> None:
    async with placed(gateway) as (_, agent, person, second):
        [call] = gateway.app[CALLS]._calls.values()
        begun = await gateway.app[CONTROL].transfer(call.call_id, "Duty", by="api ops")
        await second.answer_call()
        await moves(person)
        await agent.is_hung_up()
        assert (await begun.outcome()).outcome == "transferred"
        await person.hang_up()
        await second.is_hung_up()
        await gateway.record()


async def test_out_of_hours_the_caller_hears_why(gateway: Gateway) -> None:
    async with talking(gateway) as (ladder, _, agent, _):
        await refers(agent, "sip:Night@sip.retellai.com", 202)
        await notified(agent, 100)
        await over(ladder)
        await notified(agent, 480)
        assert ladder.media.played[0][0] == "a"
        await ladder.hung_up_by("retell")
        assert await verdict(gateway) == ("failed", "announcement", 480, 1)


async def test_an_agent_that_fails_in_mid_call_leaves_the_caller_to_the_fallback(
    gateway: Gateway,
) -> None:
    async with talking(gateway) as (_, carrier, agent, second):
        await agent.send("BYE", headers=(("Reason", 'SIP;cause=500;text="internal"'),))
        await agent.expect(200, of="BYE")
        invite = await second.answer_call()
        assert invite.uri.startswith("sip:200@")
        await carrier.hang_up()
        await second.is_hung_up()
        record = await gateway.record()
    assert [each["role"] for each in record.attempts] == ["retell", "fallback"]


async def test_an_agent_that_hangs_up_ends_the_call(gateway: Gateway) -> None:
    async with talking(gateway) as (ladder, _, _, second):
        await ladder.hung_up_by("retell")
        await second.silence(1)
        assert (await gateway.record()).ended_by == "callee"
