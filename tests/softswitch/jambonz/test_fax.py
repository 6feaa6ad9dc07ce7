"""`config` with `amd`: an application is told of a caller that is a fax machine, and acts."""

import asyncio
from typing import Any

import pytest

from sip.media.events import FaxTone
from sip.media.plane import Capability
from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError
from tests.ladder import DID, PCMU, Ladder, dial, ladder_test

FAX = "+14155550122"
CONFIG = {"verb": "config", "amd": {"actionHook": "/fax"}}


async def heard(ladder: Ladder, party: str = "a") -> None:
    """The engine hears the tone."""
    (sid,) = ladder.media.open_calls
    ladder.media.tell(sid, FaxTone(party=party, at=asyncio.get_running_loop().time()))
    await asyncio.sleep(0.1)


def listened_to(ladder: Ladder) -> list[str]:
    return [asked[2] for asked in ladder.media.asked if asked[0] == "listen for a fax"]


def answers(ladder: Ladder, *verbs: Any) -> None:
    """What the application has done with a call, and with a fax."""
    ladder.app.verbs = lambda _: [CONFIG, dial("agent"), {"verb": "hangup"}]
    ladder.app.hooks["/fax"] = lambda _: list(verbs)


@ladder_test
async def test_the_agents_leg_gives_way_to_the_fax_and_the_caller_stays(ladder: Ladder) -> None:
    answers(ladder, dial("second", FAX), {"verb": "hangup"})
    carrier, agent, fax = ladder.peer("carrier"), ladder.peer("agent"), ladder.peer("second")
    await ladder.call_up()
    assert listened_to(ladder) == ["a"]
    await heard(ladder)
    await agent.is_hung_up()
    invite = await fax.answer_call()
    assert invite.uri.startswith(f"sip:{FAX}@")
    await carrier.silence(1)
    (told,) = ladder.app.told("/fax")
    assert (told["data"]["type"], told["data"]["frequency"]) == ("amd_tone_detected", 1100)
    assert told["data"]["call_status"] == "in-progress"
    (first,) = ladder.app.told("/dial-action")
    assert first["data"]["dial_call_status"] == "completed"
    await fax.hang_up()
    await carrier.is_hung_up()
    await ladder.app.until(lambda: ladder.app.close_codes)


@ladder_test
async def test_without_verbs_the_call_goes_on_and_it_is_told_once(ladder: Ladder) -> None:
    answers(ladder)
    await ladder.call_up()
    for _ in range(3):
        await heard(ladder)
    assert len(ladder.app.told("/fax")) == 1
    await ladder.peer("agent").silence(1)
    await ladder.hung_up_by("carrier")
    await ladder.app.until(lambda: ladder.app.close_codes)


@ladder_test
async def test_an_agent_that_whistles_is_no_fax(ladder: Ladder) -> None:
    answers(ladder, {"verb": "hangup"})
    await ladder.call_up()
    await heard(ladder, "b1")
    assert ladder.app.told("/fax") == []
    await ladder.hung_up_by("carrier")
    await ladder.app.until(lambda: ladder.app.close_codes)


@ladder_test
async def test_it_may_call_before_the_agent_answers(ladder: Ladder) -> None:
    answers(ladder, dial("second", FAX), {"verb": "hangup"})
    carrier, agent, fax = ladder.peer("carrier"), ladder.peer("agent"), ladder.peer("second")
    await carrier.send("INVITE", sdp=PCMU, to=DID)
    await carrier.expect(100)
    await agent.expect("INVITE")
    await agent.send(180)
    await carrier.expect(180)
    await heard(ladder)
    await agent.expect("CANCEL")
    await agent.send(200, answering="CANCEL")
    await agent.send(487)
    await agent.expect("ACK")
    await fax.expect("INVITE")
    await fax.send(486)
    await fax.expect("ACK")
    await carrier.expect(603)
    await carrier.send("ACK")
    await ladder.app.until(lambda: ladder.app.close_codes)


@ladder_test
async def test_nobody_listens_where_nobody_asks(ladder: Ladder) -> None:
    await ladder.call_up()
    assert listened_to(ladder) == []
    await heard(ladder)
    assert not [f for f in ladder.app.frames if f.get("hook") not in (None, "/dial-action")]
    await ladder.hung_up_by("carrier")
    await ladder.app.until(lambda: ladder.app.close_codes)


@ladder_test
async def test_an_engine_that_cannot_is_told_in_words(ladder: Ladder) -> None:
    ladder.media.capabilities = frozenset(Capability) - {Capability.FAX_TONE}
    answers(ladder)
    await ladder.call_up()
    (error,) = ladder.app.told("jambonz:error")
    assert error["data"]["msg"] == "NotSupported"
    assert "cannot hear a fax" in error["data"]["details"]
    await ladder.hung_up_by("carrier")
    await ladder.app.until(lambda: ladder.app.close_codes)


@pytest.mark.parametrize(
    ("amd", "words"),
    [
        ({}, None),
        (False, None),
        ({"actionHook": {"url": "/x"}}, None),
        ("/x", "amd must be an object"),
        ({"timers": {}}, "actionHook is missing"),
        ({"actionHook": "/x", "thresholdWordCount": 9, "digitCount": 0}, None),
        ({"actionHook": "/x", "thresholdWordCount": 5}, "thresholdWordCount is known to jambonz"),
        ({"actionHook": "/x", "digitCount": 4}, "judged by sound, not words"),
        ({"actionHook": "/x", "recognizer": {"vendor": "x"}}, "recognizer is known to jambonz"),
        ({"actionHook": "/x", "colour": 9}, "unknown property colour"),
        ({"actionHook": "/x", "timers": {"toneTimeoutMs": 9000}}, None),
        ({"actionHook": "/x", "timers": {"toneTimeoutMs": 0}}, "milliseconds above 0"),
        ({"actionHook": "/x", "timers": {"noSpeechTimeoutMs": 60_000}}, "decision_ms"),
        ({"actionHook": "/x", "timers": {"wait": 1}}, "amd: timers: unknown property wait"),
    ],
)
def test_what_amd_takes(amd: object, words: str | None) -> None:
    verb = [{"verb": "config", "amd": amd}]
    if words is None:
        parse_verbs(verb, print)
    else:
        with pytest.raises(VerbError, match=words):
            parse_verbs(verb, print)
