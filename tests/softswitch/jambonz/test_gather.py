"""The verbs `gather` and `dtmf`: digits that the caller enters, and keys that it is sent."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sip.media.events import Digit, Played
from sip.media.plane import MediaError
from sip.softswitch.jambonz.sounds import Sounds
from sip.softswitch.jambonz.verbs import parse_verbs
from sip.softswitch.jambonz.verbs.schema import VerbError
from tests.ladder import PCMU, Ladder, Peer, dial, ladder_with

HERE = Path(__file__).parent
#: Any file that is there: the media plane of a ladder plays nothing.
FILE = "test_gather.py"
sounding = ladder_with(sounds=Sounds(folder=HERE, country="GB"))


def gather(**more: Any) -> dict[str, Any]:
    return {"verb": "gather", "input": ["digits"], "actionHook": "/entered", **more}


async def calls(ladder: Ladder) -> Peer:
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(200, of="INVITE")
    await carrier.send("ACK")
    await asyncio.sleep(0.1)
    return carrier


def press(ladder: Ladder, keys: str) -> None:
    [session] = ladder.media.open_calls
    now = asyncio.get_running_loop().time()
    for key in keys:
        ladder.media.tell(session, Digit(party="a", digit=key, duration_ms=100, at=now))


def entered(ladder: Ladder) -> tuple[str, str]:
    [told] = [frame["data"] for frame in ladder.app.told("/entered")]
    return told["digits"], told["reason"]


@sounding
async def test_what_was_entered_decides_what_comes_next(ladder: Ladder) -> None:
    """A menu: the prompt is heard, a key ends it, and the hook's verbs go on."""
    ladder.app.verbs = lambda _: [
        gather(numDigits=1, play={"url": FILE}, id="menu"),
        {"verb": "hangup"},
    ]
    ladder.app.hooks["/entered"] = lambda data: [
        dial("agent" if data["digits"] == "2" else "second"),
        {"verb": "hangup"},
    ]
    carrier, agent = await calls(ladder), ladder.peer("agent")
    assert ladder.media.played == [("a", HERE / FILE, 1)]
    press(ladder, "2")
    await agent.answer_call()
    told = ladder.app.told("/entered")[0]["data"]
    assert (told["digits"], told["reason"]) == ("2", "dtmfDetected")
    assert (told["verb_id"], told["call_status"]) == ("menu", "in-progress")
    assert [asked[0] for asked in ladder.media.asked].count("stop") == 1
    await carrier.expect("INVITE")  # it was answered before
    await carrier.send(200, sdp=PCMU)
    await carrier.expect("ACK")
    await carrier.hang_up()
    await agent.is_hung_up()


@sounding
async def test_nobody_enters_anything(ladder: Ladder) -> None:
    """The time begins with the end of what is played."""
    ladder.app.verbs = lambda _: [gather(timeout=7, play={"url": FILE}), {"verb": "hangup"}]
    carrier = await calls(ladder)
    await carrier.silence(20)
    [session] = ladder.media.open_calls
    now = asyncio.get_running_loop().time()
    ladder.media.tell(session, Played(party="a", play_id=1, finished=True, at=now))
    await carrier.silence(6.5)
    await carrier.is_hung_up()
    assert entered(ladder) == ("", "timeout")


@pytest.mark.parametrize(
    ("verb", "keys", "told"),
    [
        (gather(minDigits=2, timeout=3), "1", ("1", "timeout")),
        (gather(maxDigits=3), "1234", ("123", "dtmfDetected")),
        (gather(finishOnKey="#"), "*12#", ("*12", "dtmfDetected")),
        (gather(timeout=0, interDigitTimeout=2), "55", ("55", "dtmfDetected")),
        (gather(play={"url": "gone.wav"}, numDigits=2), "12", ("12", "dtmfDetected")),
    ],
)
def test_digits(verb: dict[str, Any], keys: str, told: tuple[str, str]) -> None:
    async def story(ladder: Ladder) -> None:
        ladder.app.verbs = lambda _: [verb, {"verb": "hangup"}]
        carrier = await calls(ladder)
        press(ladder, keys)
        await carrier.is_hung_up()
        assert entered(ladder) == told

    sounding(story)()


@sounding
async def test_a_command_takes_its_place(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [gather(timeout=0, play={"url": FILE, "loop": "forever"})]
    carrier = await calls(ladder)
    await ladder.app.command("redirect", [{"verb": "hangup"}])
    await carrier.is_hung_up()
    assert not ladder.app.told("/entered")


@sounding
async def test_a_call_without_media_is_refused(ladder: Ladder) -> None:
    ladder.app.verbs = lambda _: [gather()]
    ladder.media.refuse = MediaError("no-ports", "none is left")
    carrier = ladder.peer("carrier")
    await carrier.send("INVITE", sdp=PCMU)
    await carrier.expect(100)
    await carrier.expect(503)
    await carrier.send("ACK")
    ladder.media.refuse = None


@sounding
async def test_keys_are_sent_to_the_caller(ladder: Ladder) -> None:
    """As if the one whom it hears had pressed them; an engine that cannot leaves the call up."""
    ladder.app.verbs = lambda _: [
        {"verb": "answer"},
        {"verb": "dtmf", "dtmf": "1#a", "duration": 120},
        {"verb": "pause", "length": 5},
        {"verb": "hangup"},
    ]
    carrier = await calls(ladder)
    assert [asked[2:] for asked in ladder.media.asked if asked[0] == "press"] == [
        ("b1", "1", "120"),
        ("b1", "#", "120"),
        ("b1", "A", "120"),
    ]
    await carrier.is_hung_up()


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        (gather(input=["speech", "digits"]), "input other than"),
        (gather(input="digits"), "input other than"),
        (gather(numDigits=0), "numDigits must be a number from 1 to 128"),
        (gather(maxDigits=True), "maxDigits must be a number from 1 to 128"),
        (gather(finishOnKey="##"), "finishOnKey must be one key"),
        (gather(timeout=-1), "timeout must be a number of seconds"),
        (gather(play="x.wav"), "play must be an object"),
        (gather(play={"loop": 2}), "play: url is missing"),
        (gather(play={"url": "x.wav", "actionHook": "/x"}), "play: unknown property actionHook"),
        (gather(say={"text": "enter"}), "say is known to jambonz, not supported here"),
        (gather(recognizer={"vendor": "x"}), "recognizer is known to jambonz"),
        ({"verb": "dtmf"}, "dtmf is missing"),
        ({"verb": "dtmf", "dtmf": "1x"}, "dtmf may hold"),
        ({"verb": "dtmf", "dtmf": "1" * 33}, "dtmf must be 1 to 32 keys"),
        ({"verb": "dtmf", "dtmf": "1", "duration": 1}, "duration must be a number of milli"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(verb: dict[str, Any], words: str) -> None:
    with pytest.raises(VerbError, match=words):
        parse_verbs([verb], print)
