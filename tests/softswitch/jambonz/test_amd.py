"""`amd`: an application is told who has answered, and acts."""

import asyncio
from functools import partial
from typing import Any

import pytest

from sip.media.detection.found import Found, Verdict
from sip.media.detection.terms import DetectionTerms
from sip.media.plane import Capability
from tests.fakes.application import FakeApplication
from tests.fakes.media import FakeMedia
from tests.ladder import DID, PCMU, Ladder, dial, ladder_test, ladder_with

AMD = {"actionHook": "/amd"}
TIMERS = {
    "noSpeechTimeoutMs": 4000,
    "decisionTimeoutMs": 9000,
    "toneTimeoutMs": 8000,
    "greetingCompletionTimeoutMs": 1500,
}
TERMS = DetectionTerms(no_speech_ms=4000, decision_ms=9000, tone_ms=8000, greeting_end_ms=1500)


def found(ladder: Ladder, what: Verdict, *, number: int = 1, **more: Any) -> None:
    """The engine has found something."""
    known = {"at_ms": 1800, "confidence": 0.9, "reason": "short greeting", "speech_ms": 700}
    ladder.media.find(number, Found(what=what, **{**known, **more}))


async def placed(ladder: Ladder, amd: object = AMD) -> None:
    """The callee of a placed call has answered; the application has not decided yet."""
    to = {"type": "phone", "number": DID, "trunk": "carrier"}
    ladder.switch.place({"from": DID, "to": to, "amd": amd})
    if ladder.app.verbs is FakeApplication.verbs:
        ladder.app.verbs = lambda _: None
    await ladder.peer("carrier").answer_call()
    await asyncio.sleep(0.1)


async def told(ladder: Ladder, count: int = 1) -> list[dict[str, Any]]:
    """What the hook was told, so many times."""
    await ladder.app.until(lambda: len(ladder.app.told("/amd")) >= count)
    return [frame["data"] for frame in ladder.app.told("/amd")]


async def closed(ladder: Ladder) -> None:
    await ladder.app.until(lambda: ladder.app.close_codes)
    assert ladder.app.close_codes == [1000]


@ladder_test
async def test_a_person_is_brought_to_the_agent(ladder: Ladder) -> None:
    """Listened to from the answer on; the verbs of the hook's ack are the call's."""
    ladder.app.hooks["/amd"] = lambda _: [dial("agent"), {"verb": "hangup"}]
    carrier, agent = ladder.peer("carrier"), ladder.peer("agent")
    await placed(ladder, {**AMD, "timers": TIMERS})
    (_, party, terms) = ladder.media.detections[1]
    assert (party, terms) == ("a", TERMS)
    found(ladder, Verdict.HUMAN)
    await agent.answer_call()
    (data,) = await told(ladder)
    assert data["type"] == "amd_human_detected"
    assert data["reason"] == "short greeting"
    assert (data["confidence"], data["at_ms"], data["speech_ms"]) == (0.9, 1800, 700)
    assert (data["direction"], data["call_status"]) == ("outbound", "in-progress")
    await carrier.hang_up()
    await agent.is_hung_up()
    await closed(ladder)


@ladder_test
async def test_a_machine_gets_its_message_after_the_beep(ladder: Ladder) -> None:
    """An ack without verbs waits for what the machine does next."""
    on_beep = [{"verb": "pause", "length": 3}, {"verb": "hangup"}]

    def decide(data: dict[str, Any]) -> object:
        return on_beep if data["type"] == "amd_tone_detected" else None

    ladder.app.hooks["/amd"] = decide
    carrier = ladder.peer("carrier")
    await placed(ladder)
    for what in (Verdict.MACHINE, Verdict.MACHINE_STOPPED):
        found(ladder, what)
    await told(ladder, 2)
    await carrier.silence(1)
    found(ladder, Verdict.BEEP, frequency_hz=1400)
    await carrier.silence(2.9)
    await carrier.is_hung_up()
    data = await told(ladder, 3)
    assert [each["type"] for each in data] == [
        "amd_machine_detected",
        "amd_machine_stopped_speaking",
        "amd_tone_detected",
    ]
    assert (data[2]["frequency"], data[2]["tone"]) == (1400, "beep")
    await closed(ladder)


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        (Verdict.NO_SPEECH, "amd_no_speech_detected"),
        (Verdict.UNKNOWN, "amd_decision_timeout"),
        (Verdict.FAX, "amd_tone_detected"),
    ],
)
def test_nobody_and_nothing_known(what: Verdict, kind: str) -> None:
    @ladder_test
    async def story(ladder: Ladder) -> None:
        ladder.app.hooks["/amd"] = lambda _: [{"verb": "hangup"}]
        await placed(ladder)
        found(ladder, what)
        await ladder.peer("carrier").is_hung_up()
        (data,) = await told(ladder)
        assert data["type"] == kind
        assert data.get("tone") == ("fax" if what is Verdict.FAX else None)
        await closed(ladder)

    story()


@ladder_test
async def test_who_hangs_up_first_is_never_known(ladder: Ladder) -> None:
    await placed(ladder)
    await ladder.peer("carrier").hang_up()
    (data,) = await told(ladder)
    assert data["type"] == "amd_stopped"
    await closed(ladder)


@ladder_test
async def test_what_is_found_waits_for_the_application_to_know_the_call(ladder: Ladder) -> None:
    """The hook's verbs are the last word, though `session:new` is acknowledged later."""
    ladder.app.verbs = lambda _: FakeApplication.NO_ACK
    ladder.app.hooks["/amd"] = lambda _: [{"verb": "hangup"}]
    await placed(ladder)
    found(ladder, Verdict.MACHINE)
    await asyncio.sleep(1)
    assert not ladder.app.told("/amd")
    msgid = ladder.app.told("session:new")[0]["msgid"]
    await ladder.app.say(f'{{"type":"ack","msgid":"{msgid}","data":[]}}')
    await ladder.peer("carrier").is_hung_up()
    await closed(ladder)


@ladder_with(media=partial(FakeMedia, capabilities=frozenset(Capability) - {Capability.DETECTION}))
async def test_an_engine_that_cannot_is_an_event_too(ladder: Ladder) -> None:
    """The application decides without; it does not wait for a verdict that never comes."""
    ladder.app.hooks["/amd"] = lambda _: [{"verb": "hangup"}]
    await placed(ladder)
    await ladder.peer("carrier").is_hung_up()
    (data,) = await told(ladder)
    assert data["type"] == "amd_error"
    assert "answering machine" in data["error"]
    await closed(ladder)


@ladder_test
async def test_a_dial_is_about_its_own_leg(ladder: Ladder) -> None:
    """The caller goes on with the verbs of the ack; who answered is hung up."""
    ladder.app.verbs = lambda _: [dial("agent", amd=AMD), {"verb": "hangup"}]
    ladder.app.hooks["/amd"] = lambda _: [dial("second"), {"verb": "hangup"}]
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await ladder.call_up()
    await asyncio.sleep(0.1)
    (_, party, _) = ladder.media.detections[1]
    assert party == "b1"
    found(ladder, Verdict.MACHINE)
    await agent.is_hung_up()
    await second.answer_call()
    (data,) = await told(ladder)
    statuses = (frame["data"] for frame in ladder.app.told("call:status"))
    child = next(data for data in statuses if "parent_call_sid" in data)
    assert data["dial_call_sid"] == child["call_sid"]
    assert data["direction"] == "inbound"
    await carrier.hang_up()
    await second.is_hung_up()
    await closed(ladder)


@ladder_test
async def test_a_dial_that_hunts_listens_to_the_one_that_answers(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [dial("agent", amd=AMD), dial("second", amd=AMD)]
    carrier, agent, second = (ladder.peer(name) for name in ("carrier", "agent", "second"))
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(486)
    await agent.expect("ACK")
    await second.answer_call()
    await carrier.expect(180)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)
    assert [party for _, party, _ in ladder.media.detections.values()] == ["b2"]
    assert not ladder.app.told("/amd")
    await carrier.hang_up()
    await second.is_hung_up()
    (data,) = await told(ladder)
    assert data["type"] == "amd_stopped"
    await closed(ladder)


@ladder_test
async def test_config_listens_to_a_callee_at_once(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [{"verb": "config", "amd": AMD}]
    ladder.app.hooks["/amd"] = lambda _: [{"verb": "hangup"}]
    await placed(ladder, None)
    assert [party for _, party, _ in ladder.media.detections.values()] == ["a"]
    found(ladder, Verdict.MACHINE)
    await ladder.peer("carrier").is_hung_up()
    await closed(ladder)


@ladder_test
async def test_config_again_takes_the_place_of_what_was_wanted_before(ladder: Ladder) -> None:
    again = {"actionHook": "/again", "timers": TIMERS}
    ladder.app.verbs = lambda _: [{"verb": "config", "amd": again}]
    ladder.app.hooks["/again"] = lambda _: [{"verb": "hangup"}]
    await placed(ladder)
    (data,) = await told(ladder)
    assert data["type"] == "amd_stopped"
    assert [terms for _, _, terms in ladder.media.detections.values()] == [TERMS]
    found(ladder, Verdict.MACHINE, number=2)
    await ladder.peer("carrier").is_hung_up()
    await closed(ladder)


@ladder_test
async def test_a_caller_is_listened_to_for_more_than_a_fax_where_timers_are_given(
    ladder: Ladder,
) -> None:
    """From its answer on: before it, nobody says anything to us."""
    wanted = {**AMD, "timers": TIMERS}
    ladder.app.verbs = lambda _: [
        {"verb": "config", "amd": wanted},
        dial("agent"),
        {"verb": "hangup"},
    ]
    await ladder.call_up()
    await asyncio.sleep(0.1)
    assert [party for _, party, _ in ladder.media.detections.values()] == ["a"]
    found(ladder, Verdict.HUMAN)
    (data,) = await told(ladder)
    assert data["type"] == "amd_human_detected"
    await ladder.hung_up_by("carrier")
    await closed(ladder)
