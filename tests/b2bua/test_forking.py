"""Several legs ring for one host at once: who gets it, and what the others are told."""

import asyncio
from typing import Any

import pytest

from sip.b2bua.best_failure import best_failure
from sip.b2bua.call_events import Cause
from sip.b2bua.leg_report import LegReport, Progress
from sip.b2bua.legs.leg import Direction
from sip.b2bua.race import Accept
from sip.core.message import Request
from sip.media.plane import MediaError, RingbackTone
from tests.b2bua.stage import Stage, port_in, sdp_at, staged
from tests.ladder import Peer

CARRIER, AGENT, PERSON = 41000, 42000, 43000
ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


class Forked:
    """A dial of several peers at once, under way."""

    def __init__(
        self, stage: Stage, *names: str, accept: Accept | None = None, **more: Any
    ) -> None:
        [self.call] = stage.calls
        self._stage = stage
        self._names = names
        self._accept = accept
        self._timeout_s = more.pop("timeout_s", 60)
        options: dict[str, Any] = {"answer_on_bridge": True, "time_limit_s": None}
        self.outcome = asyncio.create_task(self._run(options | more))

    async def _run(self, options: dict[str, Any]) -> LegReport:
        call = self.call
        race = await call.race(**options)
        legs = [call.new_leg() for _ in self._names]
        async with asyncio.TaskGroup() as group:
            for leg, name in zip(legs, self._names, strict=True):
                attempts = self._stage.servers(name)
                work = race.run(attempts, leg, timeout_s=self._timeout_s, accept=self._accept)
                group.create_task(work)
        return race.outcome(legs)


async def calls(stage: Stage) -> Peer:
    """The carrier's call."""
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(CARRIER))
    await carrier.expect(100)
    return carrier


async def is_cancelled(peer: Peer) -> Request:
    """The peer, which rings, is told that another answered."""
    cancel: Request = await peer.expect("CANCEL")
    await peer.send(200, answering="CANCEL")
    await peer.send(487)
    await peer.expect("ACK")
    return cancel


async def ring(*peers: Peer) -> list[Request]:
    invites = [await peer.expect("INVITE") for peer in peers]
    for peer in peers:
        await peer.send(180)
    return invites


@staged
async def test_two_ring_and_the_first_that_answers_has_the_caller(stage: Stage) -> None:
    """The caller hears one 180 and one 200; who rang in vain is told why (RFC 3326)."""
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person")
    _, invite = await ring(agent, person)
    await carrier.expect(180)
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    cancel = await is_cancelled(agent)
    assert cancel.headers.get("reason") == ELSEWHERE
    assert stage.hears(answer) == PERSON
    assert stage.hears(invite) == CARRIER
    assert forked.call.state.joined == (("a", "b2"),)
    assert len(stage.media.open_calls) == 1  # the other's room is given back
    await carrier.silence(1)

    await person.send("INVITE", sdp=sdp_at(PERSON + 10))  # offers cross
    await person.expect(100)
    await person.expect(200, of="INVITE")
    await person.send("ACK")
    assert stage.hears(answer) == PERSON + 10
    await person.hang_up()
    assert (await forked.outcome).progress is Progress.ENDED
    await carrier.hang_up()


@staged
async def test_who_answers_at_the_same_moment_is_hung_up(stage: Stage) -> None:
    """RFC 3261 9.1: an answer crosses our CANCEL; its BYE says why as well."""
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person")
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await person.send(200, sdp=sdp_at(PERSON))
    await agent.expect("ACK")
    await person.expect("ACK")
    bye = await person.is_hung_up()
    assert bye.headers.get("reason") == ELSEWHERE
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert stage.hears(answer) == AGENT
    await carrier.hang_up()
    await agent.is_hung_up()
    assert (await forked.outcome).call_sid == forked.call.reports["b1"].call_sid


@staged
async def test_an_answer_after_our_cancel_is_hung_up_with_its_reason(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person")
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await person.expect("CANCEL")
    await person.send(200, answering="CANCEL")
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    bye = await person.is_hung_up()
    assert bye.headers.get("reason") == ELSEWHERE
    await carrier.hang_up()
    await agent.is_hung_up()
    await forked.outcome


@staged
async def test_nobody_is_heard_before_the_answer(stage: Stage) -> None:
    """Of several that send early media none can be heard: the caller is told that it rings."""
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person")
    await agent.expect("INVITE")
    await person.expect("INVITE")
    await agent.send(183, sdp=sdp_at(AGENT))
    ringing = await carrier.expect(180)
    assert not ringing.body
    await person.send(183, sdp=sdp_at(PERSON))
    await carrier.silence(2)
    await agent.send(486)
    await agent.expect("ACK")
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert stage.hears(answer) == PERSON
    assert forked.call.status.early_media is False
    await carrier.hang_up()
    await person.is_hung_up()
    await forked.outcome


@staged
async def test_if_nobody_answers_the_most_telling_failure_is_told(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person", timeout_s=20)
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(486)
    await agent.expect("ACK")
    await carrier.silence(15)
    cancel = await is_cancelled(person)  # its time is over
    assert cancel.headers.get("reason") is None
    report = await forked.outcome
    assert (report.progress, report.sip_status) == (Progress.FAILED, 486)
    assert not forked.call.over
    forked.call.reject(480, None)
    await carrier.expect(480)
    await carrier.send("ACK")


@staged
async def test_a_caller_that_gives_up_ends_all(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person")
    await ring(agent, person)
    await carrier.expect(180)
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    assert (await is_cancelled(agent)).headers.get("reason") is None
    await is_cancelled(person)
    assert (await forked.outcome).sip_status == 487


@staged
async def test_what_is_wanted_instead_ends_all(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person")
    await ring(agent, person)
    await carrier.expect(180)
    forked.outcome.cancel()
    await is_cancelled(agent)
    await is_cancelled(person)
    assert forked.call.reports["b1"].sip_status == forked.call.reports["b2"].sip_status == 487
    forked.call.hangup()
    await carrier.expect(603)
    await carrier.send("ACK")


@staged
async def test_an_answered_caller_hears_its_music_and_changes_over(stage: Stage) -> None:
    """It sits in a room of its own meanwhile, and comes to the winner's by re-INVITE."""
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    tone = RingbackTone("GB")
    forked = Forked(stage, "agent", "person", answer_on_bridge=False, ringback=tone)
    first = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await ring(agent, person)
    await carrier.silence(1)
    assert [(party, sound) for party, sound, _ in stage.media.played] == [("a", tone)]
    await person.send(486)
    await person.expect("ACK")
    await carrier.silence(1)
    assert "stop" not in [asked for asked, *_ in stage.media.asked]  # the agent still rings
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    moved = await carrier.expect("INVITE")
    await carrier.send(200, sdp=sdp_at(CARRIER))
    await carrier.expect("ACK")
    await carrier.silence(1)
    assert stage.hears(moved) == AGENT
    assert stage.media.onward(port_in(first)) is None
    assert "stop" in [asked for asked, *_ in stage.media.asked]
    await carrier.hang_up()
    await agent.is_hung_up()
    await forked.outcome


@staged
async def test_who_answers_while_another_is_joined_is_not_heard(stage: Stage) -> None:
    """The caller takes its time over the re-INVITE; the second answer is too late all the same."""
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person", answer_on_bridge=False)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await ring(agent, person)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    moved = await carrier.expect("INVITE")
    await carrier.send(100)
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    await carrier.silence(2)
    assert [asked[2:] for asked in stage.media.asked if asked[0] == "withhold"] == [
        ("b1", "blocked")
    ]
    await carrier.send(200, sdp=sdp_at(CARRIER))
    await carrier.expect("ACK")
    bye = await person.is_hung_up()
    assert bye.headers.get("reason") == ELSEWHERE
    assert stage.hears(moved) == AGENT
    await carrier.hang_up()
    await agent.is_hung_up()
    await forked.outcome


@staged
async def test_early_music_gives_way_to_the_winner(stage: Stage) -> None:
    """RFC 3261 13.2.1: what a 183 said of the session is what the 200 says; then a re-INVITE."""
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    tone = RingbackTone("DE")
    forked = Forked(stage, "agent", "person", while_ringing=tone)
    early = await carrier.expect(183)
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    assert port_in(answer) == port_in(early)
    await carrier.send("ACK")
    moved = await carrier.expect("INVITE")
    await carrier.send(200, sdp=sdp_at(CARRIER))
    await carrier.expect("ACK")
    await is_cancelled(person)
    assert stage.hears(moved) == AGENT
    await carrier.hang_up()
    await agent.is_hung_up()
    await forked.outcome


@staged
async def test_a_caller_without_an_offer_gets_the_winners(stage: Stage) -> None:
    """RFC 3261 13.2.1: our 200 makes the offer, the ACK answers it."""
    carrier, (agent, person) = (
        stage.peer("carrier"),
        (stage.peer("agent"), stage.peer("person")),
    )
    await carrier.send("INVITE")
    await carrier.expect(100)
    forked = Forked(stage, "agent", "person")
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    offer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK", sdp=sdp_at(CARRIER))
    await is_cancelled(person)
    await carrier.silence(1)
    assert stage.hears(offer) == AGENT
    await carrier.hang_up()
    await agent.is_hung_up()
    await forked.outcome


@staged
async def test_a_talk_has_its_limit(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person", time_limit_s=30)
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await is_cancelled(person)
    await agent.silence(29)
    await agent.is_hung_up()
    assert (await forked.outcome).progress is Progress.ENDED
    await carrier.hang_up()


@staged
async def test_if_the_winner_cannot_be_joined_the_others_ring_on(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person")
    await ring(agent, person)
    await carrier.expect(180)
    # the first of the two is asked for when it answers, the second when it is joined
    stage.media.refuse_answers = [MediaError("no-ports", "none is left")]
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await agent.is_hung_up()
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert stage.hears(answer) == PERSON
    await carrier.hang_up()
    await person.is_hung_up()
    await forked.outcome


# who answers may be asked first


def saying(*words: bool, after_s: float = 1.0) -> Accept:
    """Each leg in turn says so, after a while."""
    left = list(words)

    async def accept(_: str) -> bool:
        word = left.pop(0)
        await asyncio.sleep(after_s)
        return word

    return accept


@staged
async def test_who_does_not_accept_is_hung_up_and_the_others_ring_on(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person", accept=saying(False, True))
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    assert (await agent.is_hung_up()).headers.get("reason") is None
    await person.silence(1)
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    await carrier.silence(0.5)
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert stage.hears(answer) == PERSON
    await carrier.hang_up()
    await person.is_hung_up()
    await forked.outcome


@staged
async def test_who_accepts_first_wins_though_it_answered_second(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))

    async def accept(leg: str) -> bool:
        await asyncio.sleep(10 if leg == "b1" else 1)
        return True

    forked = Forked(stage, "agent", "person", accept=accept)
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    answer = await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    assert (await agent.is_hung_up()).headers.get("reason") == ELSEWHERE
    assert stage.hears(answer) == PERSON
    await carrier.hang_up()
    await person.is_hung_up()
    assert (await forked.outcome).call_sid == forked.call.reports["b2"].call_sid


@staged
async def test_one_that_hangs_up_before_it_accepts_did_not(stage: Stage) -> None:
    carrier, agent = await calls(stage), stage.peer("agent")
    forked = Forked(stage, "agent", accept=saying(True, after_s=20))
    await ring(agent)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await agent.hang_up()
    report = await forked.outcome
    assert (report.sip_status, report.cause) == (480, Cause.REJECTED)
    assert forked.call.reports["b1"].progress is Progress.ENDED  # its own leg was answered
    forked.call.reject(report.sip_status, None)
    await carrier.expect(480)
    await carrier.send("ACK")


@staged
async def test_a_caller_that_hangs_up_meanwhile_ends_who_is_asked(stage: Stage) -> None:
    carrier, (agent, person) = await calls(stage), (stage.peer("agent"), stage.peer("person"))
    forked = Forked(stage, "agent", "person", accept=saying(True, True, after_s=20))
    await ring(agent, person)
    await carrier.expect(180)
    await agent.send(200, sdp=sdp_at(AGENT))
    await agent.expect("ACK")
    await carrier.send("CANCEL")
    await carrier.expect(200, of="CANCEL")
    await carrier.expect(487)
    await carrier.send("ACK")
    await agent.is_hung_up()
    await is_cancelled(person)
    await forked.outcome


# beside a talk


@staged
async def test_two_ring_while_the_caller_talks_to_a_third(stage: Stage) -> None:
    """Who talked to the caller is hung up once another has it."""
    stage.peers["third"] = Peer("third", stage.peer("carrier").gateway)
    carrier, third = await calls(stage), stage.peer("third")
    [call] = stage.calls
    dialling = stage.dial(call, "third")
    await third.answer_call(sdp=sdp_at(45000))
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    agent, person = stage.peer("agent"), stage.peer("person")
    forked = Forked(stage, "agent", "person")
    await ring(agent, person)
    await carrier.silence(1)
    assert call.partner("a") == "b1"
    await person.send(200, sdp=sdp_at(PERSON))
    await person.expect("ACK")
    moved = await carrier.expect("INVITE")
    await carrier.send(200, sdp=sdp_at(CARRIER))
    await carrier.expect("ACK")
    await third.is_hung_up()
    await is_cancelled(agent)
    assert stage.hears(moved) == PERSON
    await dialling
    await carrier.hang_up()
    await person.is_hung_up()
    await forked.outcome


# which failure is told


@pytest.mark.parametrize(
    ("statuses", "told"),
    [
        ((486, 487), 486),
        ((487, 480), 480),
        ((480, 486), 486),
        ((408, 404), 404),
        ((503, 487), 487),
        ((503, 500), 500),
        ((486, 603), 603),
        ((603, 600), 600),
        ((302, 486), 302),
        ((408, 408), 408),
    ],
)
def test_the_best_failure(statuses: tuple[int, ...], told: int) -> None:
    reports = [
        LegReport(call_sid=str(status), direction=Direction.OUTBOUND, since=0.0).failed(
            1.0, status, "", Cause.REJECTED
        )
        for status in statuses
    ]
    assert best_failure(reports).sip_status == told
