"""Legs that are listened to for who they are."""

import asyncio
from dataclasses import dataclass, field

import pytest

from sip.b2bua.call import Call
from sip.b2bua.leg_report import LegReport
from sip.media.detection.found import Found, Verdict
from sip.media.detection.terms import DetectionTerms
from sip.media.plane import Capability, MediaError
from tests.b2bua.stage import Stage, sdp_at, staged
from tests.b2bua.test_many_legs import PERSON, takes, talk

TERMS = DetectionTerms(greeting_end_ms=900)


@dataclass
class Told:
    """What was told of one leg."""

    found: list[Found] = field(default_factory=list)

    def __call__(self, found: Found) -> None:
        self.found.append(found)

    @property
    def words(self) -> list[str]:
        return [each.what.value for each in self.found]


def finds(stage: Stage, what: Verdict, at_ms: int = 900, *, number: int = 1) -> None:
    """The engine has found something."""
    found = Found(what=what, at_ms=at_ms, confidence=0.9, reason="test", began_ms=at_ms - 500)
    stage.media.find(number, found)


async def placed(stage: Stage) -> Call:
    """We call a person, who answers; nobody else is in the call yet."""
    call = stage.call()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=60))
    await stage.peer("person").answer_call(sdp=sdp_at(PERSON))
    await placing
    return call


async def hung_up(stage: Stage, call: Call, *peers: str, dialling: asyncio.Task[LegReport]) -> None:
    call.hangup()
    for peer in peers:
        await stage.peer(peer).is_hung_up()
    await dialling


@staged
async def test_a_first_leg_that_we_placed_alone(stage: Stage) -> None:
    call, told = await placed(stage), Told()
    await call.detect("a", TERMS, told)
    assert stage.media.detections[1] == (call.status.call_sid, "a", TERMS)
    finds(stage, Verdict.MACHINE)
    finds(stage, Verdict.MACHINE_STOPPED)
    finds(stage, Verdict.BEEP)
    assert told.words == ["machine", "machine-stopped", "beep"]
    assert told.found[0].began_ms == 400
    finds(stage, Verdict.BEEP)
    assert len(told.found) == 3, "the last verdict was told"
    call.hangup()
    await stage.peer("person").is_hung_up()


@staged
async def test_a_guest_while_it_talks(stage: Stage) -> None:
    """The agent's leg goes on as it is; only the other one is asked about."""
    call, dialling, _, _ = await talk(stage)
    told = Told()
    await call.detect("b1", TERMS, told)
    assert stage.media.detections[1][:2] == (call.status.call_sid, "b1")
    finds(stage, Verdict.HUMAN)
    assert told.words == ["human"]
    assert not asked_for(stage, "stop detecting")
    await hung_up(stage, call, "carrier", "agent", dialling=dialling)


def asked_for(stage: Stage, what: str) -> list[tuple[str, ...]]:
    """What the engine was asked of that kind."""
    return [each for each in stage.media.asked if each[0] == what]


@staged
async def test_several_legs_at_once(stage: Stage) -> None:
    call, dialling, _, _ = await talk(stage)
    caller, agent = Told(), Told()
    await call.detect("a", TERMS, caller)
    await call.detect("b1", TERMS, agent)
    finds(stage, Verdict.MACHINE, number=2)
    finds(stage, Verdict.NO_SPEECH, number=1)
    assert (caller.words, agent.words) == (["no-speech"], ["machine"])
    await hung_up(stage, call, "carrier", "agent", dialling=dialling)


@staged
async def test_one_that_is_stopped_tells_nothing_more(stage: Stage) -> None:
    call, told = await placed(stage), Told()
    detection = await call.detect("a", TERMS, told)
    detection.stop()
    detection.stop()
    await asyncio.sleep(0.1)
    assert len(asked_for(stage, "stop detecting")) == 1
    assert not stage.media.detections
    call.hangup()
    await stage.peer("person").is_hung_up()


@staged
async def test_a_leg_that_hangs_up_is_asked_about_no_more(stage: Stage) -> None:
    call, dialling, _, _ = await talk(stage)
    told = Told()
    await call.detect("b1", TERMS, told)
    await stage.peer("agent").hang_up()
    await dialling
    finds(stage, Verdict.HUMAN)
    assert told.found == []
    call.hangup()
    await stage.peer("carrier").is_hung_up()


@staged
async def test_a_leg_without_media_and_an_engine_that_cannot(stage: Stage) -> None:
    carrier = stage.peer("carrier")
    await carrier.send("INVITE", sdp=sdp_at(41000))
    await carrier.expect(100)
    [call] = stage.calls
    with pytest.raises(MediaError, match="refused: the leg has no media to listen to"):
        await call.detect("a", TERMS, Told())
    await call.answer()
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    stage.media.capabilities = frozenset(Capability) - {Capability.DETECTION}
    with pytest.raises(MediaError, match="cannot tell a person from an answering machine"):
        await call.detect("a", TERMS, Told())
    assert not stage.media.detections
    await carrier.hang_up()


@staged
async def test_a_call_that_says_so_beforehand_gets_an_engine_that_can(stage: Stage) -> None:
    call = stage.call()
    call.wants_detection()
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=60))
    await stage.peer("person").answer_call(sdp=sdp_at(PERSON))
    await placing
    assert stage.media.asked[0] == ("detects", call.status.call_sid)
    stage.media.capabilities = frozenset(Capability) - {Capability.DETECTION}
    with pytest.raises(MediaError, match="the builtin one can"):
        call.wants_detection()
    call.hangup()
    await stage.peer("person").is_hung_up()


@staged
async def test_a_leg_whose_engine_dies_is_listened_to_in_the_next(stage: Stage) -> None:
    """What it said before is not known there: who is silent then is not said to be nobody."""
    call, told = await placed(stage), Told()
    await call.detect("a", TERMS, told)
    await asyncio.sleep(2)
    stage.media.forget(call.status.call_sid)
    await takes(stage.peer("person"), sdp_at(PERSON))
    await asyncio.sleep(0.1)
    _, _, terms = stage.media.detections[1]
    assert terms.decision_ms == pytest.approx(TERMS.decision_ms - 2000, abs=50)
    finds(stage, Verdict.NO_SPEECH, 5000)
    [found] = told.found
    assert found.what is Verdict.UNKNOWN
    assert found.at_ms == pytest.approx(7000, abs=50)
    assert found.began_ms == pytest.approx(6500, abs=50)
    call.hangup()
    await stage.peer("person").is_hung_up()


@staged
async def test_a_machine_is_one_in_the_next_engine_too(stage: Stage) -> None:
    """The question is answered: its beep alone is waited for."""
    call, told = await placed(stage), Told()
    await call.detect("a", TERMS, told)
    finds(stage, Verdict.MACHINE)
    stage.media.forget(call.status.call_sid)
    await takes(stage.peer("person"), sdp_at(PERSON))
    await asyncio.sleep(0.1)
    finds(stage, Verdict.MACHINE)
    finds(stage, Verdict.BEEP)
    assert told.words == ["machine", "beep"]
    call.hangup()
    await stage.peer("person").is_hung_up()


@staged
async def test_a_leg_that_changes_rooms_is_listened_to_there(stage: Stage) -> None:
    """A host is brought to another guest, who waits in a room of its own."""
    call, dialling, _, _ = await talk(stage)
    told = Told()
    await call.detect("a", TERMS, told)
    placing = asyncio.create_task(call.place(stage.servers("person"), timeout_s=30, host="a"))
    await stage.peer("person").answer_call(sdp=sdp_at(PERSON))
    guest, _ = await placing
    joining = asyncio.create_task(call.join(guest))
    await takes(stage.peer("carrier"), sdp_at(41000))
    await stage.peer("agent").is_hung_up()
    assert await joining
    await dialling
    await asyncio.sleep(0.1)
    assert stage.media.detections[1][0] == f"{call.status.call_sid}/1"
    finds(stage, Verdict.HUMAN)
    assert told.words == ["human"]
    call.hangup()
    for peer in ("carrier", "person"):
        await stage.peer(peer).is_hung_up()


@staged
async def test_where_the_next_engine_cannot_it_is_unknown(stage: Stage) -> None:
    call, told = await placed(stage), Told()
    await call.detect("a", TERMS, told)
    stage.media.capabilities = frozenset(Capability) - {Capability.DETECTION}
    stage.media.forget(call.status.call_sid)
    await takes(stage.peer("person"), sdp_at(PERSON))
    await asyncio.sleep(0.1)
    [found] = told.found
    assert found.what is Verdict.UNKNOWN
    assert "this media engine cannot" in found.reason
    call.hangup()
    await stage.peer("person").is_hung_up()
